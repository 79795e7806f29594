"""What a stream serves over HLS, fetched over HTTP and taken apart."""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.encoded import AccessUnit
from tests.support.hls_playlist import ListedSegment, MediaPlaylist, parse
from tests.support.mp4_reader import Box, boxes, samples


@dataclass(frozen=True)
class ServedTrack:
    """A media playlist with everything that it names."""

    playlist: MediaPlaylist
    inits: dict[str, bytes]
    media: dict[int, bytes]  # of each complete segment that is no gap, by media sequence number

    @property
    def units(self) -> list[AccessUnit]:
        """All access units in decoding order."""
        found = []
        for segment in self.playlist.segments:
            if segment.gap:
                continue
            assert segment.map_uri is not None
            timescale_hz = timescale(self.inits[segment.map_uri])
            found += [
                AccessUnit(
                    sample.decode_time / timescale_hz,
                    (sample.decode_time + sample.composition_offset) / timescale_hz,
                    sample.data,
                )
                for sample in samples(self.media[segment.msn])
            ]
        return found

    @property
    def discontinuities(self) -> list[int]:
        """Where a discontinuity is: media sequence numbers."""
        return [segment.msn for segment in self.playlist.segments if segment.discontinuity]

    def generations(self) -> list[bytes]:
        """The media as one file for each initialisation segment."""
        files: dict[str, list[bytes]] = {}
        for segment in self.playlist.segments:
            if not segment.gap:
                assert segment.map_uri is not None
                files.setdefault(segment.map_uri, [self.inits[segment.map_uri]]).append(
                    self.media[segment.msn]
                )
        return [b"".join(parts) for parts in files.values()]


def fetch_track(base_url: str, kind: str) -> ServedTrack:
    """Fetch ``video.m3u8`` or ``audio.m3u8`` below ``base_url``, and all that it names."""
    with httpx.Client(base_url=base_url + "/", timeout=20) as client:
        playlist = parse(_get(client, f"{kind}.m3u8").decode())
        maps = {segment.map_uri for segment in playlist.segments if segment.map_uri is not None}
        return ServedTrack(
            playlist,
            {uri: _get(client, uri) for uri in maps},
            {segment.msn: _segment(client, segment) for segment in playlist.segments if not segment.gap},
        )


def is_complete(base_url: str, kind: str) -> bool:
    """Whether the playlist hints at no further part: the source ended, and what was held back is out."""
    answer = httpx.get(f"{base_url}/{kind}.m3u8", timeout=20)
    return answer.status_code == 200 and not parse(answer.text).hints


def _get(client: httpx.Client, uri: str) -> bytes:
    answer = client.get(uri)
    assert answer.status_code == 200, f"{uri}: {answer.status_code} {answer.text}"
    return answer.content


def _segment(client: httpx.Client, segment: ListedSegment) -> bytes:
    assert segment.uri is not None
    return _get(client, segment.uri)


def timescale(init: bytes) -> int:
    """Ticks per second of the track of an initialisation segment (ISO/IEC 14496-12 section 8.4.2)."""
    (moov,) = (box for box in boxes(init) if box.kind == b"moov")
    header: Box = moov.find(b"trak", b"mdia", b"mdhd")
    long = header.content[0] == 1
    value: int = struct.unpack_from(">I", header.content, 20 if long else 12)[0]
    return value


def decode(source: str | Path, *, seconds: float | None = None, from_start: bool = False) -> str:
    """Decode with ffmpeg, stopping at the first error; returns what it complained about. ``from_start``
    begins a live playlist with its oldest segment."""
    begin = ("-live_start_index", "0") if from_start else ()
    limit = ("-t", f"{seconds:g}") if seconds is not None else ()
    result = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-xerror",
            "-nostdin",
            *begin,
            "-i",
            str(source),
            *limit,
            "-f",
            "null",
            "-",
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    complaints = result.stderr.decode(errors="replace")
    return complaints if result.returncode == 0 else f"exit {result.returncode}: {complaints}"
