"""The live window as files, for a web server or a CDN: ``publisher.hls.dir``.

Level-triggered: each time, what the packager holds is compared with what was written, and the difference is
written and deleted, in a worker thread. So a full disk or a failed call costs nothing but time: the next
round writes what is missing, and live delivery, which reads memory, never notices. Every file appears whole
(written beside its place, then renamed), media before the playlists that name them, and is deleted only after
the playlists stopped to name it.
"""

import asyncio
import errno
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openstreamer.packager.live import LivePackager
from openstreamer.packager.master import master_playlist, offered
from openstreamer.packager.playlist import URI_END, classic_playlist, segment_name

REMOVAL_PATIENCE_S: Final = 2.0  # how long the end of a stream waits for a write that is under way
_TEMPORARY_SUFFIX: Final = ".part-of-a-file"
# An operator may name a directory with files of his own, recordings for instance: only what is named as we
# name it is ever deleted.
_MEDIA = re.compile(r"(video|audio)_(\d+\.m4s|init_\d+\.mp4)")
_PLAYLIST = re.compile(r"(video|audio|index)\.m3u8")


@dataclass(frozen=True, slots=True)
class DiskImage:
    """What shall be on disk at a moment: media by name, playlists by name, in the order to write them."""

    media: dict[str, tuple[bytes, ...]]
    playlists: dict[str, bytes]

    @property
    def names(self) -> set[str]:
        return {*self.media, *self.playlists}


@dataclass(slots=True)
class DiskStatistics:
    """What became of it. ``error`` is in plain words, and None while all is well."""

    files_written: int = 0
    bytes_written: int = 0
    files_deleted: int = 0
    failures: int = 0
    error: str | None = None


def disk_image(packager: LivePackager) -> DiskImage:
    """The window of ``packager`` as files: classic playlists without parts, since files cannot block."""
    media: dict[str, tuple[bytes, ...]] = {}
    playlists: dict[str, bytes] = {}
    playing = packager.playing
    for track in playing:
        kind = track.kind.value
        for init in track.window.inits:
            media[init.name] = (init.data,)
        for segment in track.window.closed:
            if not segment.gap:
                media[segment_name(segment, kind)] = segment.chunks
        text = classic_playlist(track.window.listed, packager.target_duration_s)
        playlists[f"{kind}.m3u8"] = text.encode()
    generation = packager.generation
    if present := offered(playing, generation):
        text = master_playlist(present, generation.frame_rate if generation is not None else None)
        playlists["index.m3u8"] = text.replace(URI_END, "").encode()
    return DiskImage(media, playlists)


class DiskDirectory:
    """The blocking side: makes one directory agree with an image. Used by one thread at a time.

    ``observe_write_s`` is told how long each segment's file took, on that thread. ``root`` is the directory
    of all streams: of a code with slashes, what is empty between it and ``directory`` is removed too.
    """

    def __init__(
        self,
        directory: Path,
        observe_write_s: Callable[[float], None] | None = None,
        *,
        root: Path | None = None,
    ) -> None:
        self.directory = directory
        self._root = root if root is not None else directory.parent
        self._observe_write_s = observe_write_s
        self.statistics = DiskStatistics()
        self._written: set[str] | None = None  # media that is there; None: not looked yet

    def sync(self, image: DiskImage) -> None:
        """Write what is missing, then the playlists, then delete what is not named any more. Never raises
        :class:`OSError`: what failed is counted, said in ``statistics.error``, and tried again next time."""
        try:
            written = self._look()
            for name, chunks in image.media.items():
                if name not in written:
                    started_s = time.perf_counter()
                    self._write(name, chunks)
                    if self._observe_write_s is not None and name.endswith(".m4s"):
                        self._observe_write_s(time.perf_counter() - started_s)
                    written.add(name)
            for name, content in image.playlists.items():
                self._write(name, (content,))
            self._delete(written - image.names)
        except OSError as error:
            self.statistics.failures += 1
            self.statistics.error = f"cannot write live files to {self.directory}: {error.strerror or error}"
            self._written = None
        else:
            self.statistics.error = None

    def _look(self) -> set[str]:
        """What an earlier round, or an earlier run of the server, left behind."""
        if self._written is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            found = set()
            for entry in os.scandir(self.directory):
                if not entry.is_file(follow_symlinks=False):
                    continue
                if entry.name.endswith(_TEMPORARY_SUFFIX):
                    os.unlink(entry.path)
                elif _MEDIA.fullmatch(entry.name):
                    found.add(entry.name)
            self._written = found
        return self._written

    def _write(self, name: str, chunks: Sequence[bytes]) -> None:
        path = self.directory / name
        temporary = self.directory / (name + _TEMPORARY_SUFFIX)
        try:
            with open(temporary, "wb") as file:
                file.writelines(chunks)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self.statistics.files_written += 1
        self.statistics.bytes_written += sum(map(len, chunks))

    def _delete(self, names: set[str]) -> None:
        for name in names:
            (self.directory / name).unlink(missing_ok=True)
            self.statistics.files_deleted += 1
            assert self._written is not None
            self._written.discard(name)

    def remove(self) -> None:
        """Delete what was written here, and the directory if nothing else is in it: the directories of
        streams whose codes go deeper (``region`` and ``region/north``) stand inside this one."""
        try:
            for entry in os.scandir(self.directory):
                name = entry.name.removesuffix(_TEMPORARY_SUFFIX)
                ours = _MEDIA.fullmatch(name) or _PLAYLIST.fullmatch(name)
                if ours and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)
            self._remove_empty()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                self.statistics.failures += 1
                self.statistics.error = f"cannot remove {self.directory}: {error.strerror or error}"
        self._written = None

    def _remove_empty(self) -> None:
        """Raises :class:`OSError` at the first directory that holds something. One that another stream is
        about to write to may go as well: that stream's round fails, and its next one makes it again."""
        directory = self.directory
        while directory != self._root and directory.is_relative_to(self._root):
            directory.rmdir()
            directory = directory.parent


class DiskOutput:
    """The asynchronous side: whoever packages says that something changed, and ``run`` writes it.

    While a round is being written the next ones are merged into one: what is behind is one image, not a
    queue. ``ephemeral`` (``live_ephemeral``) removes the directory when the stream stops.
    """

    def __init__(
        self,
        packager: LivePackager,
        directory: Path,
        *,
        ephemeral: bool,
        observe_write_s: Callable[[float], None] | None = None,
        root: Path | None = None,
    ) -> None:
        self._packager = packager
        self._directory = DiskDirectory(directory, observe_write_s, root=root)
        self.ephemeral = ephemeral
        self._changed = asyncio.Event()
        self._round: asyncio.Future[None] | None = None

    @property
    def statistics(self) -> DiskStatistics:
        return self._directory.statistics

    @property
    def disk_error(self) -> str | None:
        """Why files are missing, in plain words; None while all is written."""
        return self._directory.statistics.error

    def segment_ready(self) -> None:
        """The packager completed a segment."""
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled; then remove the directory if it is ephemeral."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                loop = asyncio.get_running_loop()
                image = disk_image(self._packager)
                self._round = loop.run_in_executor(None, self._directory.sync, image)
                await asyncio.shield(self._round)
        finally:
            if self.ephemeral:
                await self._remove()

    async def _remove(self) -> None:
        """Remove the directory once nobody writes to it: a thread cannot be cancelled. A disk that hangs is
        left alone, so that it does not hang the stream's end."""
        if self._round is not None:
            await asyncio.wait([self._round], timeout=REMOVAL_PATIENCE_S)
            if not self._round.done():
                return
        await asyncio.to_thread(self._directory.remove)
