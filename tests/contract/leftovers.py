"""Nothing may be left behind: descriptors, tasks and processes before and after, compared."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import until

SETTLE_S = 2.0  # the loop closes transports a turn later, and the kernel takes a moment to kill


@dataclass(frozen=True)
class Holdings:
    """What this process holds at one moment."""

    descriptors: frozenset[str]
    tasks: frozenset[str]
    children: frozenset[str]

    @classmethod
    def now(cls) -> "Holdings":
        gc.collect()
        return cls(_descriptors(), frozenset(task.get_name() for task in asyncio.all_tasks()), _children())

    def beyond(self, before: "Holdings") -> set[str]:
        """What is held now and was not before."""
        return {
            *(self.descriptors - before.descriptors),
            *(self.tasks - before.tasks),
            *(self.children - before.children),
        }


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Fails when the block leaves a descriptor, a task or a process behind."""
    await _use_a_socket()
    before = Holdings.now()
    yield
    await until(lambda: not Holdings.now().beyond(before), SETTLE_S)
    left = Holdings.now().beyond(before)
    assert not left, f"left behind: {sorted(left)}"


async def _use_a_socket() -> None:
    """libuv keeps one spare descriptor per loop, opened with the loop's first stream: that is no leak."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.abort()


def _descriptors() -> frozenset[str]:
    """Each open descriptor with what it refers to: a number alone is soon in use again."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"fd {name} {Path('/proc/self/fd', name).readlink()}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return frozenset(found)


def _children() -> frozenset[str]:
    """Child processes, zombies included. They are those of threads, and one may end meanwhile."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(f"process {pid}" for pid in (task / "children").read_text().split())
    return frozenset(found)
