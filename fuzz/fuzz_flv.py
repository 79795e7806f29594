"""FLV tags as an RTMP publisher sends them: frames keep the promises of a source, whatever comes.

Records: bits 0 and 1 of the kind say video, audio or metadata, the others how much time passed.
"""

from collections.abc import Iterator

from tests.support.tracks import TRACKS

from fuzz.target import FuzzTarget, record, records_of
from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire import amf0
from openstreamer.wire.flv import FlvDecoder, FlvEncoder
from openstreamer.wire.flv.decoder import FlvLimits

LIMITS = FlvLimits(max_held_frames=8, max_held_bytes=2000)
VIDEO, AUDIO, METADATA = 0, 1, 2


def run(data: bytes) -> None:
    for frames in decoded(data):
        check(frames)


def decoded(data: bytes) -> Iterator[list[Frame]]:
    """The frames so far, after each record; ends where the decoder refuses the publisher."""
    decoder = FlvDecoder(LIMITS)
    frames: list[Frame] = []
    time_ms = 0
    try:
        for kind, body in records_of(data):
            time_ms = (time_ms + (kind >> 2) ** 3) & 0xFFFFFFFF
            frames += _feed(decoder, kind & 3, time_ms, body)
        frames += decoder.end()
    except SourceRejected:
        pass
    yield frames


def _feed(decoder: FlvDecoder, kind: int, time_ms: int, body: bytes) -> list[Frame]:
    if kind == VIDEO:
        return decoder.video(time_ms, body)
    if kind == AUDIO:
        return decoder.audio(time_ms, body)
    try:
        values = amf0.decode(body)
    except RemoteProtocolError:
        return []
    return [frame for value in values if isinstance(value, dict) for frame in decoder.metadata(value)]


def check(frames: list[Frame]) -> None:
    """What ``sources/base`` promises of frames."""
    last: dict[int, Frame] = {}
    for frame in frames:
        before = last.get(frame.track.id)
        if before is None and frame.track.is_video:
            assert frame.key, "the first video frame is no key frame"
        if before is not None:
            assert frame.dts_90k >= before.dts_90k, "DTS fell"
            assert frame.track is before.track or frame.track != before.track or not frame.track.is_video
        assert frame.payload
        last[frame.track.id] = frame


def seeds() -> Iterator[bytes]:
    yield record(METADATA, amf0.encode({"width": 1280.0, "audiocodecid": 10.0}))
    for track in TRACKS:
        kind = VIDEO if track.is_video else AUDIO
        yield b"".join(record(kind | 3 << 2, body) for body in _tags(track))


def _tags(track: Track) -> Iterator[bytes]:
    """Three frames, the second of them no key frame."""
    encoder = FlvEncoder()
    for number in range(3):
        time_90k = number * 3600
        frame = Frame(track, time_90k, time_90k, number != 1, _payload(track.codec, number))
        for tag in encoder.encode(frame):
            yield tag.payload


def _payload(codec: str, number: int) -> bytes:
    heads = {
        "h264": bytes((0, 0, 0, 5, 0x65 if number != 1 else 0x41, 0x88, 0x84, 0, 0x10)),
        "h265": bytes((0, 0, 0, 6, 0x26 if number != 1 else 0x02, 1, 0xAF, 8, 0, 0)),
        "av1": bytes.fromhex("32061000000000aa"),
        "vp9": bytes.fromhex("824983420004f0000880"),
        "mp3": bytes.fromhex("fffb9064") + bytes(20),
        "ac3": bytes.fromhex("0b77aaaa1440") + bytes(20),
        "eac3": bytes.fromhex("0b7700203486") + bytes(20),
    }
    return heads.get(codec, bytes(range(1, 20)))


TARGET = FuzzTarget("flv", run, (), seeds)
