"""A disk of a few megabytes that a test can fill, and empty again."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE_BYTES = 16 << 20
_TINY_FILE_BYTES = 512


class SmallDisk:
    """A tmpfs of its own at ``path`` where mounting is allowed. Elsewhere it is an ordinary directory, and
    "full" is a limit on the size of any file that the server's process writes: the same kind of refusal,
    with other words."""

    def __init__(self, path: Path, *, mounted: bool) -> None:
        self.path = path
        self._mounted = mounted
        self._filling = path / "filling"

    def fill(self, pid: int) -> None:
        """Leave no space for process ``pid``."""
        if not self._mounted:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_TINY_FILE_BYTES, resource.RLIM_INFINITY))
            return
        with self._filling.open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(bytes(1 << 20)):
                    pass
            with contextlib.suppress(OSError):
                while file.write(bytes(512)):
                    pass

    def empty(self, pid: int) -> None:
        """Give the space back."""
        if self._mounted:
            self._filling.unlink(missing_ok=True)
        else:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A small disk at ``path``, gone with the block."""
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=700", "tmpfs", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield SmallDisk(path, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
