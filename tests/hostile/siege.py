"""Rows of attacks, run against inputs in processes of their own, and what became of each."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ATTACK_S = 3.0
MOST_S = 60.0  # on a busy machine; it takes longer only when something is wrong
GROWTH_KB = 20 << 10  # 20 MB
REPORT_BYTES = 1 << 20


@dataclass(frozen=True)
class Row:
    """One attack. ``words`` is what some failure must say (a regular expression); empty: none need happen."""

    name: str
    url: str
    words: str = ""
    kind: str = ""  # of a failure: rejected, stalled, unreachable, ended
    private: bool = True
    growth_kb: int = GROWTH_KB
    roots: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 1.0

    def document(self) -> dict[str, Any]:
        """For the process of the victims."""
        return {
            "name": self.name,
            "input": {"url": self.url, "net": {"timeout_sec": self.timeout_s}},
            "private": self.private,
            "roots": dict(self.roots),
            "words": self.words,
            "seconds": ATTACK_S,
            "most_s": MOST_S,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    row: Row
    kinds: tuple[str, ...]
    words: tuple[str, ...]
    frames: int
    grown_kb: int
    held_s: float  # the longest that the event loop was kept busy by one thing
    received_bytes: int

    @property
    def faults(self) -> list[str]:
        """What is not as the row says."""
        row, found = self.row, []
        if self.grown_kb > row.growth_kb:
            found.append(f"grew by {self.grown_kb} kB")
        if any(each.startswith("BROKEN") for each in self.words):
            found.append("broke")
        if row.words and not any(re.search(row.words, each) for each in self.words):
            found.append(f"does not say {row.words!r}")
        if row.kind and row.kind not in self.kinds:
            found.append(f"is not {row.kind}")
        return found

    def __str__(self) -> str:
        said = self.words[0] if self.words else "-"
        return (
            f"{self.row.name:<36} {self.grown_kb / 1024:>6.1f} MB  {self.received_bytes >> 20:>5} MB in  "
            f"{self.frames:>6} frames  held {self.held_s:.3f} s  {','.join(self.kinds) or '-'}: {said}"
        )


async def besiege(rows: Sequence[Row]) -> list[Outcome]:
    """Run every row; the attackers are the caller's."""
    victims = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile.victim"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=REPORT_BYTES,
    )
    try:
        said, _ = await victims.communicate(json.dumps([row.document() for row in rows]).encode())
    finally:
        if victims.returncode is None:
            victims.kill()
            await victims.wait()
    by_name = {row.name: row for row in rows}
    outcomes = [_outcome(by_name, json.loads(line)) for line in said.splitlines()]
    assert len(outcomes) == len(rows), "a victim died without a word"
    return outcomes


def _outcome(rows: Mapping[str, Row], said: dict[str, Any]) -> Outcome:
    row = rows[said["name"]]
    if "broken" in said:
        return Outcome(row, (), (f"BROKEN: {said['broken']}",), 0, 0, 0.0, 0)
    return Outcome(
        row=row,
        kinds=tuple(said["kinds"]),
        words=tuple(said["words"]),
        frames=said["frames"],
        grown_kb=said["grown_kb"],
        held_s=said["held_s"],
        received_bytes=said["received_bytes"],
    )


def assert_withstood(outcomes: Sequence[Outcome]) -> None:
    """Every input failed as it should, within its memory."""
    table = "\n".join(f"{each}{''.join(f'  <-- {fault}' for fault in each.faults)}" for each in outcomes)
    print(table)
    assert not any(each.faults for each in outcomes), table
