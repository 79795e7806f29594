"""MPEG-TS for tests: a clip's frames as bytes that go on for as long as somebody reads."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts import MpegTsMuxer

GROUP_FRAMES = 8


def shifted(frames: Sequence[Frame], add_90k: int) -> list[Frame]:
    """Copies of ``frames``, later by ``add_90k``."""
    return [
        Frame(f.track, f.pts_90k + add_90k, f.dts_90k + add_90k, f.key, f.payload, f.epoch) for f in frames
    ]


def length_90k(frames: Sequence[Frame]) -> int:
    """How far a repetition of a 30 fps clip is moved."""
    return max(frame.dts_90k for frame in frames) + 3000


def tracks_of(frames: Sequence[Frame]) -> tuple[object, ...]:
    return tuple({frame.track.id: frame.track for frame in frames}.values())


def transport_stream(frames: Sequence[Frame], *, repeats: int = 1, start_90k: int = 0) -> bytes:
    """The clip ``repeats`` times, in one piece."""
    muxer = MpegTsMuxer(tracks_of(frames))  # type: ignore[arg-type]
    parts = [muxer.mux(shifted(frames, start_90k + number * length_90k(frames))) for number in range(repeats)]
    return b"".join(parts)


async def endless(frames: Sequence[Frame], *, speed: float = 10, start_90k: int = 0) -> AsyncIterator[bytes]:
    """The clip over and over, in pieces, at a multiple of real time or (0) as fast as it is taken."""
    muxer = MpegTsMuxer(tracks_of(frames))  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    started_s, add_90k = loop.time(), start_90k
    while True:
        for start in range(0, len(frames), GROUP_FRAMES):
            group = shifted(frames[start : start + GROUP_FRAMES], add_90k)
            if speed:
                due_s = started_s + (group[0].dts_90k - start_90k) / 90_000 / speed
                await asyncio.sleep(max(0.0, due_s - loop.time()))
            yield muxer.mux(group)
        add_90k += length_90k(frames)
