"""``openstreamer probe``: runs a probe with a progress line, and prints what it found."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from openstreamer.config.models import Input
from openstreamer.config.urls import redact_url
from openstreamer.media.errors import ConfigError
from openstreamer.probe import ProbedTrack, ProbeReport, probe, spoken_codec
from openstreamer.stream.wiring import SourceOpener
from openstreamer.wire.demuxer import ListedProgram, ListedStream


def run(chosen: Input, *, seconds: float, as_json: bool, file_roots: Mapping[str, Path]) -> int:
    """Probe, print, and return the exit status: 0 when the server would ingest it, 1 when not."""
    opener = SourceOpener(file_roots=file_roots)
    with _progress(redact_url(chosen.url)) as progress:
        report = asyncio.run(probe(chosen, opener.open, seconds=seconds, progress=progress))
    lines = [json.dumps(report.document(), indent=2)] if as_json else list(_lines(report))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if report.ok else 1


def headers_of(texts: list[str]) -> dict[str, str]:
    """``Name: value`` for each; raises :class:`ConfigError` for what is not."""
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise ConfigError("--header is written as 'Name: value'", code="INVALID_OPTION")
        headers[name.strip()] = value.strip()
    return headers


def pids_of(text: str) -> list[int]:
    """The numbers of ``256,0x101``; raises :class:`ConfigError` for what is none."""
    try:
        return [int(each, 0) for each in text.split(",") if each.strip()]
    except ValueError as err:
        raise ConfigError("--pids is written as numbers with commas: 256,257", code="INVALID_OPTION") from err


@contextmanager
def _progress(url: str) -> Iterator[Callable[[str], None]]:
    """One line on stderr that changes, on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _said: None
        return
    with console.status(f"{url}: …") as status:
        yield lambda said: status.update(f"{url}: {said}", spinner="dots")


def _lines(report: ProbeReport) -> Iterator[str]:
    yield f"{report.url} ({report.protocol})" if report.protocol else report.url
    if len(report.programs) > 1 or any(map(_left_out, report.programs)):
        yield from (f"  {_program(program)}" for program in report.programs)
    if report.tracks:
        for track in report.tracks:
            yield f"  {_track(track)}"
        yield (
            f"  {report.bitrate_kbps} kbit/s together, seen for {report.media_s:.1f} s, "
            f"first frame after {report.first_frame_after_s or 0:.2f} s"
        )
        if report.av_offset_ms is not None:
            yield f"  audio begins {report.av_offset_ms:+d} ms from the picture"
    for note in report.notes:
        yield f"  note: {note}"
    for refusal in report.refusals:
        yield f"  refused: {refusal}"
    yield "  The server would ingest this." if report.ok else "  The server would not ingest this."


def _program(program: ListedProgram) -> str:
    if not program.streams:
        return f"program {program.number}: nothing is known of it"
    if not program.chosen:
        return f"program {program.number}: {_streams(program.streams)}"
    left_out = _left_out(program)
    read = [stream for stream in program.streams if stream not in left_out]
    said = f"program {program.number} (read): {_streams(read) or 'nothing'}"
    return f"{said}; not read: {_streams(left_out)}" if left_out else said


def _left_out(program: ListedProgram) -> list[ListedStream]:
    return [stream for stream in program.streams if program.chosen and stream.track_id is None]


def _streams(streams: Iterable[ListedStream]) -> str:
    return ", ".join(f"{stream.pid} {stream.description}" for stream in streams)


def _track(track: ProbedTrack) -> str:
    shown: dict[str, Any] = track.shown
    parts = [f"{shown['kind']:<5} {spoken_codec(shown['codec'], shown.get('codec_string') or '')}"]
    if shown.get("codec_string"):
        parts[0] += f" ({shown['codec_string']})"
    if track.pid is not None:
        parts.append(f"PID {track.pid}")
    if "width" in shown:
        parts.append(f"{shown['width']}x{shown['height']}")
        rate = shown.get("frame_rate") or track.measured_frame_rate
        parts.append(f"{rate:g} fps" if rate else "frame rate unknown")
    if "sample_rate" in shown:
        parts.append(f"{shown['sample_rate']} Hz, {shown['channels']} ch")
    parts.append(f"{shown['bitrate_kbps']} kbit/s")
    if track.gop_s is not None:
        shortest, longest = track.gop_s
        parts.append(f"GOP {longest:g} s" if shortest == longest else f"GOP {shortest:g} to {longest:g} s")
    if track.reordered:
        parts.append("B-frames")
    return ", ".join(parts)
