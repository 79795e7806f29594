"""What libav reads in a file: the truth that our readers are compared with."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from openstreamer.media.av1 import drop_temporal_delimiters
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.nal import iter_length_prefixed, split_annex_b

TICKS_PER_SECOND = 90_000
_ADTS_HEADER_BYTES = 7
# Delimiters, filler data and parameter sets: what two readers may have or leave out
_H264_LEFT_OUT = frozenset((7, 8, 9, 12, 13))
_H265_LEFT_OUT = frozenset((32, 33, 34, 35, 38))


@dataclass(frozen=True)
class Unit:
    """One access unit. ``content`` is its payload, of H.264 and H.265 the NAL units that code the picture.

    Matroska has no decoding times, and libav does not find all of them out.
    """

    pts_90k: Fraction
    dts_90k: Fraction | None
    key: bool
    content: tuple[bytes, ...]


@dataclass(frozen=True)
class Units:
    """The access units of the first video and the first audio stream, in decoding order."""

    video: tuple[Unit, ...] = ()
    audio: tuple[Unit, ...] = ()


def of_file(path: Path) -> Units:
    """What libav reads."""
    found: dict[str, list[Unit]] = {"video": [], "audio": []}
    with av.open(path) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for packet in container.demux(streams):
            if packet.pts is None or packet.time_base is None:
                continue
            scale = packet.time_base * TICKS_PER_SECOND
            context = packet.stream.codec_context
            content = _content(context.codec.canonical_name, bytes(context.extradata or b""), bytes(packet))
            dts_90k = packet.dts * scale if packet.dts is not None else None
            unit = Unit(packet.pts * scale, dts_90k, packet.is_keyframe, content)
            found[packet.stream.type].append(unit)
    return Units(tuple(found["video"]), tuple(found["audio"]))


def of_frames(frames: Iterable[Frame]) -> Units:
    """The same of frames."""
    found: dict[bool, list[Unit]] = {True: [], False: []}
    for frame in frames:
        content = _content_of_frame(frame)
        unit = Unit(Fraction(frame.pts_90k), Fraction(frame.dts_90k), frame.key, content)
        found[frame.track.is_video].append(unit)
    return Units(tuple(found[True]), tuple(found[False]))


def _content(codec: str, extradata: bytes, payload: bytes) -> tuple[bytes, ...]:
    if codec in ("h264", "hevc"):
        prefixed = extradata[:1] == b"\x01"
        return _coded(codec, iter_length_prefixed(payload) if prefixed else split_annex_b(payload))
    if "av1" in codec:
        return (drop_temporal_delimiters(payload),)
    if codec == "aac" and not extradata and payload[:1] == b"\xff":
        return (payload[_ADTS_HEADER_BYTES:],)
    return (payload,)


def _content_of_frame(frame: Frame) -> tuple[bytes, ...]:
    match frame.track.config:
        case H264Config():
            return _coded("h264", iter_length_prefixed(frame.payload))
        case H265Config():
            return _coded("hevc", iter_length_prefixed(frame.payload))
        case _:
            return (frame.payload,)


def _coded(codec: str, nals: Iterable[bytes]) -> tuple[bytes, ...]:
    if codec == "h264":
        return tuple(bytes(nal) for nal in nals if nal[0] & 0x1F not in _H264_LEFT_OUT)
    return tuple(bytes(nal) for nal in nals if nal[0] >> 1 & 0x3F not in _H265_LEFT_OUT)
