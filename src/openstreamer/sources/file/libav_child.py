"""The child process that reads with libav what our own readers do not: mkv, webm, avi, ogg …

Run as ``python -m openstreamer.sources.file.libav_child PATH ONCE|LOOP``. It demuxes, and decodes nothing.
Packets become frames of the packet model; ``{"end_of_pass": true}`` stands at the end of every pass, and an
END record at the end of the last. The pipe blocks it while nobody takes what it has.

libav must not open anything else: containers that name other files (playlists, concat) are no formats here,
and ``file`` is its only protocol.
"""

import contextlib
import socket
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.child_entry import open_pipe
from openstreamer.sources.file.display_order import DisplayOrder
from openstreamer.sources.file.libav_streams import StreamFrames, codec_of, stream_frames
from openstreamer.wire.pipe import PipeEncoder

FORMATS = (
    "matroska,webm,avi,ogg,asf,mpeg,mpegts,mpegvideo,flv,live_flv,mov,mp4,wav,w64,aiff,caf,mxf,nut,aac,ac3,eac3,"
    "mp3,h264,hevc,obu,ivf,flac,au"
)
MAX_STREAMS = 64
MAX_HELD = 4_096  # frames before the first picture
MAX_HELD_UNKNOWN = 256  # frames while a track does not show what it is
MAX_REORDERED = 16  # pictures, of H.264 and H.265
BATCH_BYTES = 128 << 10  # sent in one go
_VIDEO_ID, _FIRST_AUDIO_ID = 0, 1
_VIDEO_STREAM_ID = 0xE0  # and the 15 behind it, of a program stream (ISO/IEC 13818-1 table 2-22)
_WITHOUT_TIMES = frozenset(("h264", "hevc", "obu"))  # bare elementary streams
_WITHOUT_PRESENTATION_TIMES = frozenset(("avi",))  # libav guesses them as decoding time and a constant


class Refused(Exception):  # noqa: N818 - reads so
    """The file cannot be played; the message says why."""


def main(arguments: list[str]) -> None:
    """Send the file until its end, or for ever."""
    pipe = open_pipe()
    path, looped = arguments[0], arguments[1] == "LOOP"
    out = PipeEncoder()
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pipe.sendall(out.data_to_send())  # that it has started
            while True:
                frames = _play(path, out, pipe)
                out.send_message({"end_of_pass": True})
                if not looped or not frames:
                    break
                pipe.sendall(out.data_to_send())
            out.send_end("the file ended")
            pipe.sendall(out.data_to_send())
    except (Refused, SourceRejected, av.FFmpegError, MediaError, OSError) as err:
        with contextlib.suppress(OSError):
            out.send_message({"refused": _words(err)})
            pipe.sendall(out.data_to_send())


def _play(path: str, out: PipeEncoder, pipe: socket.socket) -> int:
    """One pass; returns how many frames it had."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    announced: tuple[Track, ...] = ()
    count = pending_bytes = 0
    with av.open(f"file:{path}", options=options) as container:
        chosen, left_out = _choose(container)
        if left_out:
            out.send_message({"left_out": left_out})
        for tracks, frame in _frames(container, chosen):
            if tracks != announced:
                out.send_tracks(tracks)
                announced = tracks
                left_out = next((each.complaint for each in chosen.values() if each.track is None), "")
                if left_out:
                    out.send_message({"left_out": f"audio: {left_out}"})
            out.send_frame(frame)
            count += 1
            pending_bytes += len(frame.payload)
            if pending_bytes >= BATCH_BYTES:
                pipe.sendall(out.data_to_send())
                pending_bytes = 0
    return count


def _frames(
    container: InputContainer, chosen: dict[int, StreamFrames]
) -> Iterator[tuple[tuple[Track, ...], Frame]]:
    """The frames of a file and the tracks they go with; begins with a key frame of video, if there is video.

    Frames are held back until all tracks are known. Sound from before the picture is left out.
    """
    with_video = any(each.is_video for each in chosen.values())
    start_90k: int | None = None
    held: list[Frame] = []
    for frame in _made(container, chosen):
        if start_90k is None and frame.track.is_video:
            start_90k = frame.dts_90k
        held.append(frame)
        tracks = tuple(other.track for other in chosen.values() if other.track is not None)
        begun = start_90k is not None or not with_video
        if not begun or (len(tracks) < len(chosen) and len(held) < MAX_HELD_UNKNOWN):
            if len(held) >= MAX_HELD:
                raise Refused("there is no key frame of video that can be decoded")
            continue
        yield from ((tracks, ready) for ready in _ready(held, start_90k, with_video=with_video))
        held.clear()
    if start_90k is not None or not with_video:  # a track did not come until the end
        tracks = tuple(other.track for other in chosen.values() if other.track is not None)
        yield from ((tracks, ready) for ready in _ready(held, start_90k, with_video=with_video))


def _ready(held: list[Frame], start_90k: int | None, *, with_video: bool) -> Iterator[Frame]:
    for frame in held:
        if frame.track.is_video or start_90k is None or frame.dts_90k >= start_90k:
            frame.key = frame.key or not with_video  # without video all sound is random access
            yield frame


def _made(container: InputContainer, chosen: dict[int, StreamFrames]) -> Iterator[Frame]:
    for each, packet, dts in _timed(container, chosen):
        yield from _frame(each, packet, dts)
    for each in chosen.values():
        yield from each.settle()


def _timed(
    container: InputContainer, chosen: dict[int, StreamFrames]
) -> "Iterator[tuple[StreamFrames, Packet[Any], int]]":
    """Packets with their decoding times.

    Matroska has none. libav finds them out, but for the first pictures of a stream with reordering: these get
    theirs by counting back from the first that is known.
    """
    waiting: dict[int, list[Packet[Any]]] = {index: [] for index in chosen}
    for packet in container.demux([container.streams[index] for index in chosen]):
        index = packet.stream_index
        each, unknown = chosen[index], waiting[index]
        if packet.pts is None and packet.dts is None:
            if packet.size and each.is_video and container.format.name in _WITHOUT_TIMES:
                yield each, packet, 0  # counted by its DisplayOrder
            continue  # the flush at the end, or nothing that could be placed
        if packet.dts is None and each.is_video and len(unknown) < MAX_REORDERED:
            unknown.append(packet)
            continue
        dts = packet.dts if packet.dts is not None else packet.pts
        assert dts is not None
        yield from ((each, early, time) for early, time in _counted_back(unknown, dts))
        unknown.clear()
        yield each, packet, dts
    for index, unknown in waiting.items():  # a stream of a few pictures
        times = sorted(packet.pts for packet in unknown if packet.pts is not None)
        yield from ((chosen[index], early, time) for early, time in zip(unknown, times, strict=True))


def _counted_back(unknown: "list[Packet[Any]]", dts: int) -> "list[tuple[Packet[Any], int]]":
    """Decoding times for packets in front of the one at ``dts``."""
    step = next((packet.duration for packet in unknown if packet.duration), 1)
    return [(packet, dts - (len(unknown) - number) * step) for number, packet in enumerate(unknown)]


def _frame(each: StreamFrames, packet: "Packet[Any]", dts: int) -> list[Frame]:
    base = packet.time_base
    assert base is not None
    pts = packet.pts if packet.pts is not None else dts
    try:
        return each.frame(_to_90k(pts, base), _to_90k(dts, base), packet.is_keyframe, bytes(packet))
    except MediaError as err:
        each.complaint = str(err)
        return []  # a damaged packet: the next one may be fine


def _choose(container: InputContainer) -> tuple[dict[int, StreamFrames], str]:
    """The first video stream and all audio streams, by index; why there is no audio beside video, if any.

    Raises :class:`Refused` when there are none, or there is video that cannot be carried.
    """
    chosen: dict[int, StreamFrames] = {}
    refused: dict[str, str] = {}
    kinds: set[str] = set()
    for stream in list(container.streams)[:MAX_STREAMS]:
        kind: str = stream.type
        if kind not in ("video", "audio") or stream.disposition & Disposition.attached_pic:
            continue  # subtitles, data, cover pictures
        if kind == "video" and kind in kinds:
            continue
        if reason := _unusable(container.format.name, stream):
            refused.setdefault("video", reason)
            continue
        track_id = _VIDEO_ID if kind == "video" else _FIRST_AUDIO_ID + len(chosen)
        frames = stream_frames(stream, track_id, _display_order(container.format.name))
        if frames is None:
            refused.setdefault(kind, f"{kind}: {codec_of(stream)} is not supported")
            continue
        kinds.add(kind)
        chosen[stream.index] = frames
    if "video" in refused and "video" not in kinds:
        raise Refused(refused["video"])
    if not chosen:
        raise Refused(refused.get("audio", "there is neither video nor audio in it"))
    return chosen, "" if "audio" in kinds else refused.get("audio", "")


def _unusable(format_name: str, stream: Stream) -> str:
    """Why a container that libav reads does not give what its stream needs; empty when it does."""
    if format_name == "asf" and codec_of(stream) in ("h264", "hevc"):
        return f"ASF does not say when pictures of {codec_of(stream)} are shown: remux it to MP4 or Matroska"
    if format_name == "mpeg" and stream.id & 0xF0 == _VIDEO_STREAM_ID and stream.type != "video":
        return "MPEG program stream: libav does not know the codec of its picture"
    return ""


def _display_order(format_name: str) -> DisplayOrder | None:
    """What gives pictures their times, in containers that do not."""
    counted = format_name in _WITHOUT_TIMES
    return DisplayOrder(counted=counted) if counted or format_name in _WITHOUT_PRESENTATION_TIMES else None


def _to_90k(time: int, base: Fraction) -> int:
    """To the nearest; ties go up."""
    return (2 * time * base.numerator * TICKS_PER_SECOND + base.denominator) // (2 * base.denominator)


def _words(err: Exception) -> str:
    if isinstance(err, av.FFmpegError):
        return f"libav cannot read it: {err.strerror}"
    return str(err)


if __name__ == "__main__":
    main(sys.argv[1:])
