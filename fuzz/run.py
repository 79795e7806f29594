"""Fuzz every parser, or those that are named, for some seconds each: ``python fuzz/run.py --seconds 30``.

The working corpus grows in ``.fuzz/corpus``; findings are written to ``.fuzz/findings`` and make the exit
status 1. ``--keep`` minimises the working corpus into ``tests/fuzz/corpus``, which the test suite replays.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from fuzz.target import load_target, read_corpus, target_names, write_corpus  # noqa: E402 - needs the path

WORK = ROOT / ".fuzz"
RSS_LIMIT_MB = 512  # Python, atheris and instrumented modules take about 120
UNIT_TIMEOUT_S = 10  # one input of a few kB; instrumentation and a loaded machine included
KEPT_INPUTS = 250  # per target, the shortest first
KEPT_BYTES = 12_000  # per target: all targets together stay below 200 kB
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target fared."""

    name: str
    executions: int
    peak_rss_mb: int
    inputs: int
    finding: str


def main() -> int:
    """The command."""
    arguments = _parse_arguments()
    failed = False
    print(f"{'target':<14}{'runs':>10}{'peak MB':>9}{'corpus':>8}  finding")
    for name in arguments.targets or target_names():
        outcome = _keep(name) if arguments.keep else _fuzz(name, arguments.seconds)
        failed |= bool(outcome.finding)
        counts = f"{outcome.executions:>10}{outcome.peak_rss_mb:>9}{outcome.inputs:>8}"
        print(f"{name:<14}{counts}  {outcome.finding}", flush=True)
    return 1 if failed else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("targets", nargs="*", choices=[*target_names(), []], help="all when none is named")
    parser.add_argument("--seconds", type=int, default=30, help="for each target (30)")
    parser.add_argument("--keep", action="store_true", help="minimise into tests/fuzz/corpus, do not fuzz")
    return parser.parse_args()


def _fuzz(name: str, seconds: int) -> Outcome:
    corpus = _prepare_corpus(name)
    findings = WORK / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    done = _run(
        name,
        str(corpus),
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-timeout={UNIT_TIMEOUT_S}",
        f"-artifact_prefix={findings}/{name}-",
        "-print_final_stats=1",
    )
    finding = "" if done.returncode == 0 else _describe(done.stdout, findings / f"{name}.log")
    return Outcome(
        name,
        _number(_EXECUTIONS, done.stdout),
        _number(_PEAK, done.stdout),
        len(list(corpus.iterdir())),
        finding,
    )


def _keep(name: str) -> Outcome:
    """Let libFuzzer choose the fewest inputs that reach everything, then take the shortest of those."""
    corpus = _prepare_corpus(name)
    with tempfile.TemporaryDirectory() as chosen:
        done = _run(name, "-merge=1", chosen, str(corpus))
        inputs = sorted((path.read_bytes() for path in Path(chosen).iterdir()), key=len)
    kept: list[bytes] = []
    for item in inputs[:KEPT_INPUTS]:
        if sum(map(len, kept)) + len(item) <= KEPT_BYTES:
            kept.append(item)
    write_corpus(name, kept)
    return Outcome(name, 0, 0, len(kept), "" if done.returncode == 0 else "the merge failed")


def _prepare_corpus(name: str) -> Path:
    """The working corpus, with the seeds and the checked-in inputs in it."""
    corpus = WORK / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for item in [*load_target(name).seeds(), *read_corpus(name)]:
        (corpus / hashlib.sha256(item).hexdigest()[:20]).write_bytes(item)
    return corpus


def _run(name: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fuzz.one", name, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _describe(output: str, log: Path) -> str:
    """One line about a finding; the whole output goes to ``log``."""
    log.write_text(output)
    lines = output.splitlines()
    for index, line in enumerate(lines):
        if "Uncaught Python exception" in line:
            return f"{lines[index + 1].strip()[:100]} ({log.relative_to(ROOT)})"
    errors = [line for line in lines if "ERROR" in line or "Error" in line]
    return f"{errors[-1][:100] if errors else 'it died'} ({log.relative_to(ROOT)})"


def _number(pattern: "re.Pattern[str]", text: str) -> int:
    match = pattern.search(text)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    sys.exit(main())
