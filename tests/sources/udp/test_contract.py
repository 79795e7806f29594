"""The UDP source keeps every source's promises, as far as UDP lets it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openstreamer.config.input_urls import UdpInput
from openstreamer.config.models import Input, InputNet
from openstreamer.media.errors import SourceStalled
from openstreamer.sources.batches import QueueLimits
from openstreamer.sources.udp import UdpLimits, UdpSource
from tests.contract.source_suite import SourceContract, SourceRig, error_of, receive
from tests.support.clips import clip
from tests.support.udp_sender import UdpSender, free_port

SMALL_QUEUE_BYTES = 20_000
SMALL_READ_BYTES = 10_000
DATAGRAM_BYTES = 1316
SILENCE_S = 1.5


class TestContract(SourceContract):
    buffer_bound_bytes = SMALL_QUEUE_BYTES + SMALL_READ_BYTES + DATAGRAM_BYTES

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[SourceRig]:
        async with sending(UdpLimits()) as rig:
            yield rig

    @asynccontextmanager
    async def backlogged_rig(self) -> AsyncIterator[SourceRig]:
        limits = UdpLimits(QueueLimits(max_queued_bytes=SMALL_QUEUE_BYTES), SMALL_READ_BYTES)
        async with sending(limits, pause_s=0, per_pause=30) as rig:
            yield rig

    async def test_a_killed_peer_is_unreachable(self) -> None:
        """UDP cannot tell: it is a silent one."""
        async with self.rig() as rig, rig.source as source:
            await receive(source)
            await rig.kill_peer()
            assert isinstance(await error_of(source), SourceStalled)


@asynccontextmanager
async def sending(
    limits: UdpLimits, *, pause_s: float = 0.03, per_pause: int = 4
) -> AsyncIterator[SourceRig]:
    port = free_port()
    chosen = Input(url=f"udp://127.0.0.1:{port}", net=InputNet(timeout_sec=SILENCE_S))
    source = UdpSource(UdpInput("127.0.0.1", port, multicast=False), chosen, limits)
    sender = UdpSender(port, clip(), pause_s=pause_s, per_pause=per_pause)
    try:
        yield SourceRig(
            source,
            kill_peer=sender.stop,
            silence_peer=sender.stop,
            buffered_bytes=lambda: source.queued_bytes,
            blocked=lambda: source.paused,
        )
    finally:
        await sender.stop()
