"""What was measured, as a table for eyes and as JSON for comparison."""

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Result:
    """One figure: the median of ``samples``; ``target`` is what it should be at most."""

    group: str
    name: str
    unit: str
    samples: tuple[float, ...]
    target: float | None = None

    @property
    def value(self) -> float:
        return statistics.median(self.samples)


@dataclass(slots=True)
class Results:
    """All figures of a run, in order."""

    console: Console
    figures: list[Result] = field(default_factory=list)

    def add(
        self, group: str, name: str, unit: str, samples: Sequence[float], target: float | None = None
    ) -> None:
        """Keep a figure, and show it at once: a run takes minutes."""
        result = Result(group, name, unit, tuple(samples), target)
        self.figures.append(result)
        self.console.print(f"  {name}: {_number(result.value)} {unit}", highlight=False)

    def print_table(self) -> None:
        """All figures with their spread and targets."""
        table = Table(title=f"Openstreamer, {machine()}")
        for heading in ("what", "", "median", "lowest", "highest", "n", "target", "unit"):
            table.add_column(heading, justify="left" if heading in ("what", "", "unit") else "right")
        group = ""
        for result in self.figures:
            if result.group != group:
                table.add_section()
            style = "" if result.target is None else "green" if result.value <= result.target else "red"
            table.add_row(
                result.group if result.group != group else "",
                result.name,
                f"[{style}]{_number(result.value)}[/]" if style else _number(result.value),
                *(_number(min(result.samples)), _number(max(result.samples)), str(len(result.samples))),
                "" if result.target is None else f"≤ {result.target:g}",
                result.unit,
            )
            group = result.group
        self.console.print(table)

    def save(self, directory: Path) -> Path:
        """Write the figures as JSON; returns the file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
        document = {
            "machine": machine(),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "load_average": os.getloadavg(),
            "figures": [{**asdict(result), "value": result.value} for result in self.figures],
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path


def machine() -> str:
    """What it was measured on."""
    name = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {name}, Python {platform.python_version()}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
