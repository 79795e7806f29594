"""The HLS source keeps every source's promises, pulling a live stream of MPEG-TS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openstreamer.sources.hls import HlsLimits
from tests.contract.source_suite import SourceContract, SourceRig
from tests.support.hls_origin import LiveOrigin, make_hls, pull, serving

SPEED = 4.0  # the stream and the release of its frames, of real time
SEGMENT_S = 0.4
SMALL_QUEUE_BYTES = 20_000
PIECE_BYTES = 64 * 1024  # of a response: what may come beyond a full queue
IMPATIENT = HlsLimits(stale_least_s=1.2, max_segments_ahead=2)


class TestContract(SourceContract):
    buffer_bound_bytes = SMALL_QUEUE_BYTES + PIECE_BYTES

    @asynccontextmanager
    async def rig(self, limits: HlsLimits = IMPATIENT) -> AsyncIterator[SourceRig]:
        files = make_hls(seconds=40, segment_s=SEGMENT_S)
        async with serving(LiveOrigin(files, segment_s=SEGMENT_S, rate=SPEED, ready=8)) as origin:
            assert isinstance(origin, LiveOrigin)
            source = pull(origin.url(), speed=SPEED, limits=limits)

            async def fall_silent() -> None:
                origin.hanging = True

            async def end() -> None:
                origin.end()

            async def kill() -> None:
                assert origin.peer is not None
                origin.peer.close()
                await asyncio.sleep(0)

            yield SourceRig(
                source,
                kill_peer=kill,
                silence_peer=fall_silent,
                end_peer=end,
                buffered_bytes=lambda: source.queued_bytes,
                blocked=lambda: source.queued_bytes >= SMALL_QUEUE_BYTES,
            )

    @asynccontextmanager
    async def backlogged_rig(self) -> AsyncIterator[SourceRig]:
        limits = HlsLimits(stale_least_s=30, max_queued_bytes=SMALL_QUEUE_BYTES)
        async with self.rig(limits) as rig:
            yield rig
