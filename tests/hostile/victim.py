"""Inputs under attack, each in a process of its own: reads a table as JSON, prints a line of JSON per input.

    python -m tests.hostile.victim < table.json

The modules are loaded once and every input runs in a fork, so that what a process had before, and the most
it ever had, are those of one input.
"""

import asyncio
import json
import logging
import os
import re
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import structlog
import uvloop

from openstreamer.config.global_config import Ingestor
from openstreamer.config.models import Input
from openstreamer.failover.timeline import Timeline
from openstreamer.hub import Hub
from openstreamer.sources import file, hls, http, rtmp_pull, udp
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.ingest import Ingest, IngestTotals
from openstreamer.stream.wiring import SourceOpener
from tests.support.beside import beside

LOADED = (file, hls, http, rtmp_pull, udp)
AT_ONCE = 3 * (os.cpu_count() or 1)  # with more, a deadline of a second wins over what a row is to find
SILENCE_S = 2.0  # manager.input_packet_timeout_sec as it is by default
TICK_S = 0.01
GRACE_S = 15.0  # to end after the last moment


def peak_kb() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def withstand(row: dict[str, Any]) -> dict[str, Any]:
    """Run the input for ``seconds`` and until it failed as it should, at most for ``most_s``; how it went."""
    opener = SourceOpener(
        Ingestor(allow_private_addresses=row["private"]),
        {name: Path(path) for name, path in row["roots"].items()},
    )
    chosen = Input.model_validate(row["input"])
    totals, hub = IngestTotals(), Hub()
    ingest = Ingest(
        row["name"],
        url=chosen.url,
        priority=0,
        hub=hub,
        timeline=Timeline(0),
        silence_s=SILENCE_S,
        totals=totals,
        latency=Histogram((0.1,)),
        open_source=lambda: opener.open(chosen),
    )
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    before_kb = peak_kb()
    held_s, first_failure_s, cpu_s = 0.0, None, time.thread_time()
    words: list[str] = []
    async with beside(ingest.run()):
        while True:
            await asyncio.sleep(TICK_S)
            now_cpu_s = time.thread_time()
            held_s, cpu_s = max(held_s, now_cpu_s - cpu_s), now_cpu_s
            passed_s = loop.time() - started_s
            words += [each.message for each in ingest.failures if each.message not in words]
            if first_failure_s is None and words:
                first_failure_s = passed_s
            is_over = not row["words"] or any(re.search(row["words"], each) for each in words)
            if (passed_s >= row["seconds"] and is_over) or passed_s >= row["most_s"]:
                break
        counted = sum(each.received_bytes for each in totals.with_source(ingest.source).values())
    return {
        "name": row["name"],
        "kinds": sorted(totals.failures),
        "words": words,
        "frames": hub.end,
        "first_failure_s": first_failure_s,
        "grown_kb": peak_kb() - before_kb,
        "held_s": round(held_s, 3),
        "received_bytes": counted,
    }


def run_forked(row: dict[str, Any]) -> tuple[int, int]:
    """Start the row in a fork; its process and the pipe it answers on."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        os.close(reading)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(withstand(row))
        os.write(writing, json.dumps(found).encode())
    except BaseException as err:
        os.write(writing, json.dumps({"name": row["name"], "broken": repr(err)}).encode())
        raise
    finally:
        os._exit(0)


def main() -> None:
    """Run all rows, a few at a time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    waiting: list[dict[str, Any]] = json.load(sys.stdin)
    running: dict[int, tuple[int, str, float]] = {}  # process, name and deadline by pipe
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            row = waiting.pop(0)
            process, reading = run_forked(row)
            running[reading] = process, row["name"], time.monotonic() + row["most_s"] + GRACE_S
        soonest_s = min(deadline_s for _, _, deadline_s in running.values()) - time.monotonic()
        answered, _, _ = select.select(list(running), [], [], max(0.0, soonest_s))
        overdue = [pipe for pipe, (_, _, deadline_s) in running.items() if deadline_s <= time.monotonic()]
        for pipe in answered or overdue:
            process, name, _ = running.pop(pipe)
            if not answered:
                os.kill(process, signal.SIGKILL)
            said = os.read(pipe, 1 << 16) or json.dumps({"name": name, "broken": "it did not end"}).encode()
            os.close(pipe)
            os.waitpid(process, 0)
            sys.stdout.write(said.decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
