"""One case from end to end: start the peer, put the stream, record, watch, compare."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.corpus.truth import Units, of_file
from tests.peers.cases import Case, Setup
from tests.peers.comparison import Comparison, compare
from tests.peers.originals import Original
from tests.peers.recorder import Recorder
from tests.peers.site import Site
from tests.support.server import Server, ffprobe, peer, until

SLACK_S = 30.0  # that starting, buffering and ending may take on a busy machine
_ROUNDING_S = 0.1


@dataclass
class Seen:
    """What a viewer in a browser saw."""

    seconds: float = 0.0
    stalls: int = 0
    latency_s: float | None = None  # median
    paused_ms: int = (
        0  # the longest that the browser's own timer of 100 ms was late: a busy machine, no server
    )
    problems: list[str] = field(default_factory=list)


# Watches a stream of this server (by code and original) for a while.
Watch = Callable[[Server, str, Original], Seen]


@dataclass(frozen=True)
class Verdict:
    """What became of a case; ``problems`` is empty when all is as it must be."""

    case: Case
    url: str
    comparison: Comparison
    seen: Seen | None
    probed: dict[str, int]  # packets by kind, as ffprobe counted them on the live playlist
    problems: list[str]

    def as_json(self) -> dict[str, Any]:
        tracks = {
            kind: {
                name: getattr(track, name) for name in ("sent", "served", "equal", "begins_s", "duration_ms")
            }
            for kind, track in self.comparison.tracks.items()
        }
        return {
            **{name: getattr(self.case, name) for name in ("name", "source", "peer")},
            "url": self.url,
            "tracks": tracks,
            "skew_ms": self.comparison.skew_ms,
            "watched_s": self.seen.seconds if self.seen else None,
            "stalls": self.seen.stalls if self.seen else None,
            "latency_s": self.seen.latency_s if self.seen else None,
            "paused_ms": self.seen.paused_ms if self.seen else None,
            "probed": self.probed,
            "problems": self.problems,
        }


def show(case: Case, site: Site, server: Server, watch: Watch | None = None) -> Verdict:
    """Run a case while the original plays once."""
    original = case.original(site.originals)
    setup = case.prepare(site)
    seen: Seen | None = None
    with contextlib.ExitStack() as stack:
        log = site.directory / f"{case.name}.log"
        if setup.command and not setup.after:
            stack.enter_context(peer(*setup.command, log=log))
            until(setup.ready, f"{case.name}: the peer is ready")
        server.put_stream(case.name, inputs=[{"url": setup.url, "priority": 0}])
        recorder = stack.enter_context(Recorder(server.url(f"/{case.name}"), original.kinds))
        if setup.command and setup.after:
            stack.enter_context(peer(*setup.command, log=log))
        until(
            lambda: all(track.media for track in recorder.tracks.values()), f"{case.name} is on the air", 40
        )
        if watch is not None:
            seen = watch(server, case.name, original)
        probed = _probe(server.url(f"/{case.name}/index.m3u8"))
        reasons = _wait_for_end(recorder, original, server, case)
        recorder.stop()
        httpx.delete(server.url(f"/streams/{case.name}"), timeout=15).raise_for_status()
    return _judge(case, setup, site, original, recorder, seen, probed, reasons)


def _probe(url: str) -> dict[str, int]:
    """ffprobe on the live playlist: packets by kind."""
    found = ffprobe(url, seconds=2, from_start=True)
    return {stream["codec_type"]: int(stream["nb_read_packets"]) for stream in found["streams"]}


def _wait_for_end(recorder: Recorder, original: Original, server: Server, case: Case) -> list[str]:
    """Until all of it was served; returns why it was not, in words."""
    within_s = original.seconds + SLACK_S
    try:
        until(lambda: recorder.has_all(original.seconds - _ROUNDING_S), case.name, within_s)
    except AssertionError:
        return [f"did not end within {within_s:g} s: {server.runtime(case.name)['reasons']}"]
    return []


def _judge(
    case: Case,
    setup: Setup,
    site: Site,
    original: Original,
    recorder: Recorder,
    seen: Seen | None,
    probed: dict[str, int],
    problems: list[str],
) -> Verdict:
    files = {
        kind: track.save(site.directory / f"{case.name}-{kind}.mp4")
        for kind, track in recorder.tracks.items()
    }
    recorded = Units(
        video=of_file(files["video"]).video if "video" in files else (),
        audio=of_file(files["audio"]).audio if "audio" in files else (),
    )
    comparison = compare(original.units, recorded, case.tail_s)
    for kind, track in recorder.tracks.items():
        problems += track.problems
        if len(track.inits) != 1:
            problems.append(f"{kind}: {len(track.inits)} initialisation segments")
        if probed.get(kind, 0) < 20:
            problems.append(f"{kind}: ffprobe read {probed.get(kind, 0)} packets")
    problems += comparison.problems + (seen.problems if seen else [])
    return Verdict(case, setup.url, comparison, seen, probed, problems)
