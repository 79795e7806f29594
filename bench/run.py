"""Measures the server and prints a table: ``make bench``.

Only the CPU time and the memory of the server's process count; the load generators are processes of their
own. Whatever else runs on the machine disturbs a little through shared caches: quote figures of a quiet one.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from bench import pulling, scenarios
from bench.clip import cached_clip, load_clip
from bench.first_picture import first_picture
from bench.nginx import is_installed
from bench.results import Results
from bench.speed import loop_ms

RESULTS = Path(__file__).parent / "results"
TABLE_COLUMNS = 140
GROUPS = (
    *("start", "idle", "first-frame", "first-picture", "publishers", "viewers", "nginx"),
    *("pulling", "pulling-memory", "demuxer"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen groups; returns the exit status."""
    options = _options(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_COLUMNS)
    results = Results(console)
    clip = cached_clip()
    console.print(f"the clip: 720p30 H.264 and AAC, {load_clip(clip).bitrate_kbps} kbit/s", highlight=False)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="openstreamer-bench-") as directory:
        plan = scenarios.Plan(
            clip=clip,
            directory=Path(directory),
            window_s=options.window,
            windows=options.windows,
            publishers=tuple(options.publishers),
            classic_viewers=tuple(options.viewers),
            ll_viewers=tuple(options.ll_viewers),
            pulled_kinds=tuple(options.pulled),
        )
        for title, step in _steps(plan, results, options.only):
            console.print(f"[bold]{title}[/]")
            results.add(title, "a loop that is always the same", "ms", loop_ms())
            step()
    results.print_table()
    path = results.save(RESULTS)
    console.print(f"{time.monotonic() - began_s:.0f} s; {path}", highlight=False)
    return 0


def _steps(
    plan: scenarios.Plan, results: Results, only: Sequence[str]
) -> list[tuple[str, Callable[[], None]]]:
    steps: list[tuple[str, str, Callable[[], None]]] = [
        ("start", "start", partial(scenarios.start_up, plan, results)),
        ("idle", "idle", partial(scenarios.idle, plan, results)),
        ("first-frame", "first frame", partial(scenarios.first_frame, plan, results)),
        ("first-picture", "first picture", partial(first_picture, plan, results)),
        *(
            ("publishers", f"{count} publishers", partial(scenarios.publishing, plan, results, count))
            for count in plan.publishers
        ),
        ("viewers", "viewers", partial(scenarios.watching, plan, results)),
        *(
            [("nginx", "viewers of nginx", partial(scenarios.watching_nginx, plan, results))]
            if is_installed()
            else []
        ),
        *(
            ("pulling", f"pulling: {kind}", partial(pulling.pulling, plan, results, kind))
            for kind in plan.pulled_kinds
        ),
        ("pulling-memory", "memory of pulling", partial(pulling.memory, plan, results)),
        ("demuxer", "demuxer", partial(pulling.demuxing, results)),
    ]
    return [(title, step) for group, title, step in steps if group in only]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="groups of figures")
    parser.add_argument("--window", type=float, default=20.0, metavar="S", help="length of a window (20)")
    parser.add_argument("--windows", type=int, default=2, help="windows per figure (2)")
    parser.add_argument("--publishers", type=int, nargs="+", default=(1, 20, 60), metavar="N")
    parser.add_argument("--viewers", type=int, nargs="*", default=(100, 400), metavar="N")
    parser.add_argument("--ll-viewers", type=int, nargs="*", default=(100,), metavar="N")
    parser.add_argument(
        "--pulled", nargs="*", choices=scenarios.PULLED_KINDS, default=scenarios.PULLED_KINDS, help="inputs"
    )
    return parser.parse_args(arguments)
