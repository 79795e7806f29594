"""Records everything that a stream serves, from its first segment on, as a patient viewer would."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.support.hls_playlist import ListedSegment, parse

LOOK_EVERY_S = 0.25
_TIMEOUT_S = 20.0


@dataclass
class Recording:
    """One track: its initialisation segments, and its media by media sequence number."""

    inits: dict[str, bytes] = field(default_factory=dict)
    media: dict[int, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    complete: bool = False  # the playlist hints at nothing further
    problems: list[str] = field(default_factory=list)

    def save(self, path: Path) -> Path:
        """Write it as one file, which it is when the decoder configuration never changed."""
        media = [self.media[msn] for msn in sorted(self.media)]
        path.write_bytes(b"".join([*list(self.inits.values())[:1], *media]))
        return path


class Recorder:
    """Follows the media playlists of ``kinds`` in a thread of its own, within the block."""

    def __init__(self, stream_url: str, kinds: tuple[str, ...]) -> None:
        self.tracks = {kind: Recording() for kind in kinds}
        self._url = stream_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recorder of {stream_url}")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def has_all(self, seconds: float) -> bool:
        """Whether the source has ended, or this much of every track is here."""
        if self._failure is not None:
            raise self._failure
        return all(track.complete or track.seconds >= seconds for track in self.tracks.values())

    def _run(self) -> None:
        try:
            with httpx.Client(base_url=f"{self._url}/", timeout=_TIMEOUT_S) as client:
                while not self._stop.wait(LOOK_EVERY_S):
                    for kind, track in self.tracks.items():
                        self._look(client, kind, track)
        except BaseException as err:  # noqa: BLE001 - the thread that asks shall see it
            self._failure = err

    def _look(self, client: httpx.Client, kind: str, track: Recording) -> None:
        answer = client.get(f"{kind}.m3u8")
        if answer.status_code != 200:
            if track.media:
                track.problems.append(f"{kind}.m3u8: {answer.status_code}")
            return
        playlist = parse(answer.text)
        for segment in playlist.segments:
            if segment.msn not in track.media:
                self._take(client, kind, track, segment)
        track.complete = bool(track.media) and not playlist.hints

    def _take(self, client: httpx.Client, kind: str, track: Recording, segment: ListedSegment) -> None:
        where = f"{kind} segment {segment.msn}"
        if track.media and segment.msn != max(track.media) + 1:
            track.problems.append(f"{where} comes after {max(track.media)}")
        if segment.gap:
            track.problems.append(f"{where} is a gap")
        if segment.discontinuity and track.media:
            track.problems.append(f"{where} is a discontinuity")
        assert segment.map_uri is not None
        assert segment.uri is not None
        if segment.map_uri not in track.inits:
            track.inits[segment.map_uri] = _body(client, segment.map_uri)
        track.media[segment.msn] = b"" if segment.gap else _body(client, segment.uri)
        track.seconds += segment.duration_s or 0.0


def _body(client: httpx.Client, uri: str) -> bytes:
    return client.get(uri).raise_for_status().content
