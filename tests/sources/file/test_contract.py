"""The file source keeps every source's promises, to a real event loop and with real threads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.contract.source_suite import SourceContract, SourceRig
from tests.sources.file.conftest import Mount
from tests.support.container_files import make

# 120 pictures and two tracks of sound per second: the suite's samples take half a second
FAST = (
    *("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30"),
    *("-c:a", "aac", "-b:a", "64k"),
)


class TestContract(SourceContract):
    """A file in a loop. Its peer is the file: killed, it changes; it cannot fall silent."""

    buffer_bound_bytes = 1 << 20

    @pytest.fixture(autouse=True)
    def _mount(self, mount: Mount) -> None:
        self.mount = mount
        self.path = mount.put("a.mp4", make(".mp4", *FAST, rate="120", seconds="1"))

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[SourceRig]:
        source = self.mount.source("a.mp4", loop=True, inline=False)

        async def change() -> None:
            with self.path.open("ab") as file:
                file.write(b"\0")

        async def nothing() -> None:
            pass

        yield SourceRig(
            source,
            kill_peer=change,
            silence_peer=nothing,
            buffered_bytes=lambda: source.buffered_bytes,
            blocked=lambda: True,  # it reads when it is asked, and not before
        )
