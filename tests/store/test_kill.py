"""A server that is killed loses no change that it acknowledged."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from openstreamer.store.store import Store

_ROUNDS = 5
_ACKNOWLEDGED_BEFORE_KILL = 25

_WRITER = """
import asyncio, sys
from openstreamer.store.store import Store

async def write(path, first):
    async with Store.open(path) as store:
        for number in range(first, first + 100_000):
            record, _ = await store.put_stream(f"s/{number % 10}", {"name": str(number)})
            print(number, record.revision, flush=True)

asyncio.run(write(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.slow
async def test_every_acknowledged_change_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "openstreamer.db"
    number = 0
    for _ in range(_ROUNDS):
        acknowledged = await _write_until_killed(path, number)
        async with Store.open(path) as store:
            streams = {record.spec.code: int(record.spec.name) for record in await store.list_streams()}
            revisions = [record.revision for record in await store.list_streams()]
        for code, newest in _newest_by_code(acknowledged).items():
            assert streams[code] >= newest
        assert max(streams.values()) <= acknowledged[-1] + 1  # at most the one that was not answered yet
        assert len(set(revisions)) == len(revisions)
        number = max(streams.values()) + 1


async def _write_until_killed(path: Path, first: int) -> list[int]:
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WRITER, str(path), str(first)), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged: list[int] = []
    while len(acknowledged) < _ACKNOWLEDGED_BEFORE_KILL:
        acknowledged.append(int((await writer.stdout.readline()).split()[0]))
    writer.send_signal(signal.SIGKILL)
    rest = await writer.stdout.read()
    acknowledged += [int(line.split()[0]) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
    assert await writer.wait() == -signal.SIGKILL
    return acknowledged


def _newest_by_code(numbers: list[int]) -> dict[str, int]:
    return {f"s/{number % 10}": number for number in numbers}
