"""A stream that is packaged while a strict player looks at every playlist of it."""

import asyncio
from collections.abc import Iterable

from openstreamer.media.track import TrackKind
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.presentation import Presentation
from openstreamer.packager.segment import PackagerEvent, PartReady, Segment, SegmentReady
from tests.support.hls_checker import HlsChecker
from tests.support.made_streams import MadeStream, batches
from tests.support.mp4_reader import Sample, samples

FIRST_MSN = 5_000


class Watched:
    """Pushes streams into a presentation; after each batch that made something ready, fetches all media
    playlists, in full and as delta updates in turn, and feeds the checker. ``blind`` looks at nothing."""

    def __init__(
        self,
        checker: HlsChecker | None = None,
        options: PackagerOptions | None = None,
        batch: int = 3,
        blind: bool = False,
    ) -> None:
        self.options = options or PackagerOptions()
        self.presentation = Presentation(self.options, FIRST_MSN, clock_ns=lambda: 0)
        self.checker = checker or HlsChecker()
        self.events: list[PackagerEvent] = []
        self.wall_offset_ms = 300
        self._batch = batch
        self._blind = blind
        self._fetches = 0

    def run(self, *streams: MadeStream) -> "Watched":
        for stream in streams:
            for batch in batches(stream.frames(), self._batch):
                newest = max(frame.pts_90k for frame in batch)
                self.take(self.presentation.push(batch, stream.tracks, newest // 90 + self.wall_offset_ms))
        return self

    def assert_no_problems(self) -> None:
        """Nothing is to be said against what was seen, and enough was."""
        self.checker.finish()
        assert not self.checker.problems
        assert self.checker.playlists_checked > 50

    def flush(self) -> "Watched":
        self.take(self.presentation.flush())
        return self

    def take(self, events: Iterable[PackagerEvent]) -> None:
        events = list(events)
        self.events += events
        if events and not self._blind:
            asyncio.run(self._look())

    async def _look(self) -> None:
        if self.presentation.packager.settled:
            index = (await self.presentation.fetch("index.m3u8", {})).chunks[0].decode()
            self.checker.feed("index.m3u8", self._fetches / 10, index)
        for track in self.presentation.packager.playing:
            if not self.presentation.packager.settled:
                return
            self._fetches += 1
            name = f"{track.kind.value}.m3u8"
            query = {"_HLS_skip": "YES"} if self._fetches % 4 == 0 else {}
            response = await self.presentation.fetch(name, query)
            self.checker.feed(name, self._fetches / 10, response.chunks[0].decode())

    def text(self, name: str, **query: str) -> str:
        """A playlist as a player would get it now."""
        response = asyncio.run(self.presentation.fetch(name, query))
        return b"".join(response.chunks).decode()

    def segments(self, kind: TrackKind) -> list[Segment]:
        """Every complete segment so far."""
        return [
            event.segment for event in self.events if isinstance(event, SegmentReady) and event.kind is kind
        ]

    @property
    def video(self) -> list[Segment]:
        return self.segments(TrackKind.VIDEO)

    @property
    def audio(self) -> list[Segment]:
        return self.segments(TrackKind.AUDIO)

    def parts(self, kind: TrackKind) -> list[PartReady]:
        return [event for event in self.events if isinstance(event, PartReady) and event.kind is kind]


def media(segments: Iterable[Segment]) -> list[Sample]:
    """The samples of segments one after another, as players would see them."""
    return [sample for segment in segments if not segment.gap for sample in samples(b"".join(segment.chunks))]
