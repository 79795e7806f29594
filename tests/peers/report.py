"""The verdicts as a table, which is Markdown, and as JSON."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tests.peers.comparison import Comparison
from tests.peers.showing import Verdict

HEADINGS = ("source", "peer", "pictures", "sound", "duration", "skew", "equal", "stalls", "latency")


def table(verdicts: Sequence[Verdict]) -> str:
    """One row per case. Frames are ``served/sent``; ``duration`` and ``skew`` in ms."""
    rows = [HEADINGS, *(_row(verdict) for verdict in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def complaints(verdicts: Sequence[Verdict]) -> str:
    """What is not as it must be, a line each."""
    return "\n".join(
        f"{verdict.case.name}: {problem}" for verdict in verdicts for problem in verdict.problems
    )


def save(verdicts: Sequence[Verdict], directory: Path) -> Path:
    """Write everything as JSON; returns the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    document = {"load_average": os.getloadavg(), "cases": [verdict.as_json() for verdict in verdicts]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _row(verdict: Verdict) -> tuple[str, ...]:
    comparison, seen = verdict.comparison, verdict.seen
    tracks = comparison.tracks.values()
    longest_ms = max((track.duration_ms for track in tracks), key=abs, default=0.0)
    return (
        *(verdict.case.source, verdict.case.peer),
        *(_frames(comparison, kind) for kind in ("video", "audio")),
        f"{longest_ms:.1f}",
        f"{comparison.skew_ms:.1f}",
        "all" if all(track.equal == track.served for track in tracks) else f"{_equal(comparison):.2%}",
        str(seen.stalls) if seen else "",
        f"{seen.latency_s:.1f} s" if seen and seen.latency_s is not None else "",
    )


def _equal(comparison: Comparison) -> float:
    tracks = comparison.tracks.values()
    return sum(track.equal for track in tracks) / sum(track.served for track in tracks)


def _frames(comparison: Comparison, kind: str) -> str:
    track = comparison.tracks.get(kind)
    return f"{track.served}/{track.sent}" if track is not None else ""
