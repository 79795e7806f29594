"""Reads a file as a file source does, without its pace: our readers, or libav in its child."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from openstreamer.media.errors import OpenstreamerError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.file.opening import MediaFile
from openstreamer.sources.file.passes import LibavPasses
from openstreamer.sources.file.readers import SNIFFED_BYTES, Container, open_pass, sniff
from openstreamer.wire.demuxer import DemuxStatistics

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Reading:
    """Everything that came out of a file. ``refusal`` is the error that ended it, if one did."""

    container: Container
    frames: list[Frame]
    tracks: tuple[Track, ...]
    statistics: DemuxStatistics
    refusal: OpenstreamerError | None = None


def read(path: Path, *, program: int | None = None) -> Reading:
    """Read ``path`` once, to its end or to the error that ends it."""
    file = MediaFile(path, path.name)
    try:
        container = sniff(file.read(0, SNIFFED_BYTES))
        if container is Container.OTHER:
            return asyncio.run(_read_by_child(file))
        return _read(file, container, program)
    finally:
        file.close()


def _read(file: MediaFile, container: Container, program: int | None) -> Reading:
    frames: list[Frame] = []
    try:
        reader = open_pass(file, container, program, [])
    except OpenstreamerError as err:
        return Reading(container, [], (), DemuxStatistics(), err)
    refusal = None
    try:
        while (more := reader.read()) is not None:
            frames += more
    except OpenstreamerError as err:
        refusal = err
    return Reading(container, frames, reader.tracks, reader.statistics, refusal)


async def _read_by_child(file: MediaFile) -> Reading:
    frames: list[Frame] = []
    refusal = None
    async with LibavPasses(file, loop=False, run_blocking=_inline) as passes:
        try:
            while (more := await passes.read()) is not None:
                frames += more
        except OpenstreamerError as err:
            refusal = err
        return Reading(Container.OTHER, frames, passes.tracks, DemuxStatistics(), refusal)


def _inline(work: Callable[[], _Result], /) -> Awaitable[_Result]:
    done: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
    done.set_result(work())
    return done
