"""Fail when the packages that must be tested best fall below their coverage.

Reads the .coverage file of the last run. The figure is coverage.py's own for branch measurement: executed
statements and taken branches among all statements and branches.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage

GATED_PACKAGES = ("wire", "hub", "failover", "stream")
REQUIRED_PERCENT = 95.0
WORST_FILES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Tally:
    """What was reached and what there is, in statements and branches."""

    reached: int
    total: int

    @property
    def percent(self) -> float:
        return 100.0 * self.reached / self.total if self.total else 100.0


def read_files() -> dict[str, Tally]:
    """Tally per source file, by its path as coverage reports it."""
    coverage = Coverage()
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        coverage.json_report(outfile=report.name, ignore_errors=True)
        files = json.loads(Path(report.name).read_text())["files"]
    return {path: tally_of(entry["summary"]) for path, entry in files.items()}


def tally_of(summary: dict[str, int]) -> Tally:
    return Tally(
        reached=summary["covered_lines"] + summary["covered_branches"],
        total=summary["num_statements"] + summary["num_branches"],
    )


def add(tallies: Iterable[Tally]) -> Tally:
    listed = list(tallies)
    return Tally(sum(tally.reached for tally in listed), sum(tally.total for tally in listed))


def packages_of(files: dict[str, Tally]) -> dict[str, dict[str, Tally]]:
    """Files by the first folder below openstreamer/."""
    packages: dict[str, dict[str, Tally]] = {}
    for path, tally in files.items():
        inside = path.partition("openstreamer/")[2]
        package = inside.partition("/")[0] if "/" in inside else "."
        packages.setdefault(package, {})[inside] = tally
    return packages


def main() -> int:
    packages = packages_of(read_files())
    failed = False
    print(f"{'package':<12}{'coverage':>10}   required")
    for package, files in sorted(packages.items()):
        percent = add(files.values()).percent
        gated = package in GATED_PACKAGES
        print(f"{package:<12}{percent:>9.1f}%   {f'{REQUIRED_PERCENT:.0f}%' if gated else '-'}")
        if gated and percent < REQUIRED_PERCENT:
            failed = True
            for path, tally in sorted(files.items(), key=lambda item: item[1].percent)[:WORST_FILES_SHOWN]:
                print(f"    {path}: {tally.percent:.1f}%, {tally.total - tally.reached} not reached")
    absent = [package for package in GATED_PACKAGES if package not in packages]
    if absent:
        print(f"not measured at all: {', '.join(absent)}")
    return 1 if failed or absent else 0


if __name__ == "__main__":
    sys.exit(main())
