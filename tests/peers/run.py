"""Every source with its real peer, in a browser, one after another: ``make peers``."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.peers.cases import CASES, GROUPS, Case
from tests.peers.originals import make_originals
from tests.peers.report import complaints, save, table
from tests.peers.showing import Verdict, show
from tests.peers.site import VOD, running_site
from tests.peers.watching import watch_for
from tests.support.server import running_server

RESULTS = Path(__file__).parent / "results"
AROUND_S = 20  # of the clip around what is watched: starting the browser on a busy machine, and buffers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen cases; returns 1 when anything is not as it must be."""
    options = _options(arguments)
    cases = [case for case in CASES if not options.only or {case.name, case.group} & set(options.only)]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="openstreamer-peers-") as directory:
        verdicts, failures = _run(cases, Path(directory), options.seconds, options.at_once)
    print(table(verdicts))
    print("\n".join(filter(None, (complaints(verdicts), *failures))))
    print(f"{time.monotonic() - began_s:.0f} s; {save(verdicts, RESULTS)}")
    return 1 if failures or any(verdict.problems for verdict in verdicts) else 0


def _run(
    cases: Sequence[Case], directory: Path, seconds: int, at_once: int
) -> tuple[list[Verdict], list[str]]:
    originals = make_originals(directory / "originals", seconds + AROUND_S)
    mount = f"{VOD}={originals.directory}"
    verdicts: list[Verdict] = []
    failures: list[str] = []
    with (
        running_site(directory, originals) as site,
        running_server(directory / "server", "--no-demo", "--file-root", mount) as server,
        ThreadPoolExecutor(at_once) as pool,
    ):
        asked = [(case, pool.submit(show, case, site, server, watch_for(seconds))) for case in cases]
        for case, verdict in asked:
            try:
                verdicts.append(verdict.result())
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            except Exception as err:  # noqa: BLE001 - the other cases are still worth their time
                failures.append(f"{case.name}: {type(err).__name__}: {err}")
                print(failures[-1], file=sys.stderr, flush=True)
            else:
                words = complaints(verdicts[-1:]) or f"{case.name}: as it went in"
                print(words, file=sys.stderr, flush=True)
    return verdicts, failures


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = (*GROUPS, *(case.name for case in CASES))
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="watched in the browser, each (60)")
    parser.add_argument("--at-once", type=int, default=1, help="cases at the same time (1)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    return parser.parse_args(arguments)
