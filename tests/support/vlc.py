"""VLC without a window, and what it counts of what it plays."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

NOBODY = 65_534  # VLC refuses to run as root
QUIT_WITHIN_S = 10.0
_COUNTER = re.compile(r"^\| ([a-z ]+?)\s*:\s+(\d+)", re.MULTILINE)


class Vlc:
    """Plays ``url`` to nowhere; a context manager. ``log`` holds everything it says."""

    def __init__(self, url: str, log: Path) -> None:
        self._log = log
        outputs = ("--vout", "dummy", "--aout", "dummy", "--no-color")
        as_root = os.geteuid() == 0
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["cvlc", "--intf", "rc", "--rc-fake-tty", *outputs, url],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": "/nonexistent"},
                user=NOBODY if as_root else None,
                group=NOBODY if as_root else None,
                extra_groups=[] if as_root else None,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._say("quit")
            self._process.wait(QUIT_WITHIN_S)
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def counters(self) -> Counter[str]:
        """Ask for ``frames displayed``, ``buffers played``, ``discontinuities`` and so on; returns what was
        said last, which is nothing before it plays."""
        self._say("stats")
        said = self._log.read_text(errors="replace")
        return Counter({name: int(count) for name, count in _COUNTER.findall(said)})

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()
