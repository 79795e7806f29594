"""How much media the streams of a node may hold in memory, all together.

Each stream bounds its own window, in segments and in bytes, but neither the number of streams is bounded nor
what encoders send. When the node's bound is passed, the largest windows lose their oldest segments, down to
one size for all of them, while smaller ones lose nothing; and publishers of streams that hold nothing yet are
refused until there is room again. Pure: it is told sizes and says a limit.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

# The rest is for the process itself, responses under way, children, and the page cache.
SHARE_OF_MACHINE: Final = 0.7
MIN_MEDIA_BYTES: Final = 64 << 20
CGROUP_LIMITS: Final = (  # of version 2, and of version 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
SHRINK_TO: Final = 0.9  # of the bound: cutting at the bound itself would cut again every second
ROOM_BELOW: Final = 0.7  # of the bound: windows may grow to their full length again


def default_max_bytes(cgroup_limits: Iterable[Path] = CGROUP_LIMITS) -> int:
    """Seven tenths of what this process may have: of the machine, or of its container when that is less."""
    available_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in cgroup_limits:
        try:
            available_bytes = min(available_bytes, int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return max(MIN_MEDIA_BYTES, int(available_bytes * SHARE_OF_MACHINE))


def fair_limit(sizes_bytes: Sequence[int], budget_bytes: int) -> int:
    """The largest size to which all that are larger can be cut for the sum to fit into the budget."""
    left_bytes, left = budget_bytes, len(sizes_bytes)
    for size_bytes in sorted(sizes_bytes):
        if size_bytes * left >= left_bytes:
            return left_bytes // left
        left_bytes -= size_bytes
        left -= 1
    return max(sizes_bytes, default=budget_bytes)


class MediaMemory:
    """The bound of one node, and whether it is under pressure."""

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}, below 1")
        self.max_bytes = max_bytes
        self.limit_bytes: int | None = None  # per stream, while there is pressure

    def balance(self, sizes_bytes: Sequence[int]) -> int | None:
        """What each stream may hold now, given what they hold; ``None``: as much as its own bounds allow."""
        total_bytes = sum(sizes_bytes)
        if total_bytes > self.max_bytes:
            self.limit_bytes = fair_limit(sizes_bytes, int(self.max_bytes * SHRINK_TO))
        elif total_bytes < self.max_bytes * ROOM_BELOW:
            self.limit_bytes = None
        return self.limit_bytes
