"""From what an input names to an open file: nothing outside the roots, whatever symbolic links say.

Everything here touches the disk, and belongs off the event loop.
"""

import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openstreamer.config.input_urls import FileInput
from openstreamer.media.errors import SourceRejected, SourceUnreachable

_NO_MOUNTS = "none is configured (file_roots says where files may be)"


def resolve(chosen: FileInput, roots: Mapping[str, Path]) -> Path:
    """The real path of the file that an input names: a path in a mount, or an absolute one in any root.

    Raises:
        SourceRejected: there is no such mount, or the path leads out of it.
    """
    if chosen.mount:
        root = roots.get(chosen.mount)
        if root is None:
            known = ", ".join(sorted(roots)) or _NO_MOUNTS
            raise SourceRejected(f"file: there is no mount {chosen.mount!r}; there are: {known}")
        inside = [root]
        named = root / chosen.path
    else:
        inside = list(roots.values())
        named = Path(chosen.path)
        if not inside:
            raise SourceRejected(f"file: no directory may be read: {_NO_MOUNTS}")
    try:
        real = Path(os.path.realpath(named))
        if any(real.is_relative_to(os.path.realpath(root)) for root in inside):
            return real
    except (OSError, ValueError) as err:  # a name that no file system can have
        raise SourceRejected(f"file: {name_of(chosen)} cannot be a file: {err}") from err
    raise SourceRejected(f"file: {name_of(chosen)} is outside of the directories that may be read")


def name_of(chosen: FileInput) -> str:
    """How an input is called in what is said about it."""
    return f"{chosen.mount}/{chosen.path}" if chosen.mount else chosen.path


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells that a file is still the one that was opened, and unchanged."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileState":
        """From what stat(2) says."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class MediaFile:
    """An open regular file that must not change while it is read.

    Any thread may read; ``close`` may be called while another thread reads, which then closes the descriptor
    when it is done: a read that hangs in the kernel holds up nobody else.

    Raises from the constructor:
        SourceUnreachable: it does not exist or cannot be read; it may be there later.
        SourceRejected: it is no regular file, or empty.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._lock = threading.Lock()
        self._closed = False
        try:
            # O_NONBLOCK: opening a pipe would wait for somebody who writes to it. O_NOFOLLOW: the path was
            # resolved, so that a symbolic link here was put there since.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as err:
            raise SourceUnreachable(f"file: {name} cannot be opened: {err.strerror}") from err
        try:
            self.state = self._check()
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def size_bytes(self) -> int:
        """The size when it was opened."""
        return self.state.size_bytes

    def read(self, offset: int, size_bytes: int) -> bytes:
        """The bytes at ``offset``; fewer at the end of the file, none once it is closed.

        Raises:
            SourceUnreachable: the file changed since it was opened, or the disk fails.
        """
        try:
            with self._lock:
                return b"" if self._closed else self._read(offset, size_bytes)
        finally:
            if self._closed:  # while this was under way; looked at after the lock is free, lest both miss it
                self.close()

    def _read(self, offset: int, size_bytes: int) -> bytes:
        try:
            data = os.pread(self._fd, size_bytes, offset)
            state = FileState.of(os.fstat(self._fd))
        except OSError as err:
            raise SourceUnreachable(f"file: {self.name} cannot be read: {err.strerror}") from err
        if state != self.state:
            raise SourceUnreachable(f"file: {self.name} changed while it was played")
        return data

    def check_unchanged(self) -> None:
        """Raises SourceUnreachable when the path leads to another file by now, or the file changed."""
        try:
            found = FileState.of(os.stat(self.path))
        except OSError as err:
            raise SourceUnreachable(f"file: {self.name} is gone: {err.strerror}") from err
        if found != self.state:
            raise SourceUnreachable(f"file: {self.name} was replaced or changed while it was played")

    def close(self) -> None:
        """Close it now, or as soon as a read that is under way is done."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                if self._fd >= 0:
                    os.close(self._fd)
                    self._fd = -1
            finally:
                self._lock.release()

    def _check(self) -> FileState:
        status = os.fstat(self._fd)
        if stat.S_ISDIR(status.st_mode):
            raise SourceRejected(f"file: {self.name} is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise SourceRejected(f"file: {self.name} is no regular file")
        if not status.st_size:
            raise SourceRejected(f"file: {self.name} is empty")
        return FileState.of(status)
