"""What a probe says of a source, and how the command line says it."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from openstreamer import cli
from openstreamer.config.models import Input
from openstreamer.media.errors import ConfigError, SourceEnded, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.probe import DEFAULT_S, ProbeReport, probe
from openstreamer.sources.base import Source
from openstreamer.wire.demuxer import ListedProgram, ListedStream
from tests.support.clips import clip
from tests.support.media import AUDIO, VIDEO
from tests.support.sources import MidGopSource, ScriptedSource
from tests.support.streams import EndlessSource
from tests.support.virtual_time import run_virtual

CHOSEN = Input.model_validate({"url": "test://"})


def opens(source: Source) -> Callable[..., Awaitable[Source]]:
    """What opens nothing but ``source``."""

    async def open_source(*_: object) -> Source:
        return source

    return open_source


def report_of(source: Source, *, seconds: float = 5) -> ProbeReport:
    """A probe of ``source`` on virtual time."""
    return run_virtual(lambda _loop: probe(CHOSEN, opens(source), seconds=seconds))


def at_25_fps(count: int, *, gop: int) -> list[Frame]:
    return [Frame(VIDEO, n * 3600, n * 3600, n % gop == 0, bytes(1000)) for n in range(count)]


def scripted(
    frames: list[Frame], *more: list[Frame] | Exception, tracks: tuple[Track, ...] = (VIDEO,)
) -> ScriptedSource:
    return ScriptedSource([[frame] for frame in frames] + list(more), tracks)  # type: ignore[arg-type]


class LiveSource(ScriptedSource):
    """25 fps in real time."""

    def __init__(self, gop: int) -> None:
        super().__init__([[frame] for frame in at_25_fps(1000, gop=gop)], (VIDEO,))

    async def receive(self) -> list[Frame]:
        await asyncio.sleep(0.04)
        return await super().receive()


def test_tracks_rates_and_gops_are_those_of_the_source() -> None:
    report = report_of(scripted(at_25_fps(100, gop=25)))
    video = report.tracks[0]
    assert report.ok
    assert video.measured_frame_rate == 25
    assert video.gop_s == (1.0, 1.0)
    assert not video.reordered
    assert video.shown["bitrate_kbps"] == 200
    assert "there is no audio" in report.notes


def test_it_stops_when_more_would_teach_nothing() -> None:
    source = EndlessSource()
    report = report_of(source, seconds=60)
    assert report.media_s < 6
    assert not source.open


@pytest.mark.parametrize(("gop", "watched_s"), [(25, 3), (50, 5), (75, 5), (125, 5), (250, 10), (1000, 12)])
def test_it_watches_for_a_few_seconds_and_longer_only_for_a_long_gop(gop: int, watched_s: float) -> None:
    report = report_of(LiveSource(gop), seconds=DEFAULT_S)
    assert report.media_s == pytest.approx(watched_s, abs=0.1)
    assert (report.tracks[0].gop_s is None) is (gop == 1000)


def test_b_frames_and_the_offset_of_audio_are_seen() -> None:
    frames = list(clip("h264-bframes", frames=90))
    tracks = tuple({frame.track.id: frame.track for frame in frames}.values())
    report = report_of(scripted(frames, SourceEnded("done"), tracks=tracks))
    assert report.ok
    assert report.tracks[0].reordered
    first = {
        is_video: min(f.pts_90k for f in frames if f.track.is_video is is_video) for is_video in (True, False)
    }
    assert report.av_offset_ms == round((first[False] - first[True]) / 90)


def test_long_gops_are_noted() -> None:
    report = report_of(scripted(at_25_fps(300, gop=250), SourceEnded("done")))
    assert any("10 s apart" in note for note in report.notes)


def test_a_gop_that_did_not_end_is_noted() -> None:
    report = report_of(scripted(at_25_fps(200, gop=1000), SourceEnded("done")))
    assert any("more than 8.0 s apart" in note for note in report.notes)


def test_a_track_of_which_nothing_came_is_noted() -> None:
    report = report_of(scripted(at_25_fps(100, gop=25), tracks=(VIDEO, AUDIO)))
    assert any("nothing of it came" in note for note in report.notes)


def test_a_refusal_is_told_in_its_words() -> None:
    report = report_of(ScriptedSource([SourceRejected("video: MPEG-2 is not carried")]))
    assert not report.ok
    assert report.refusals == ["video: MPEG-2 is not carried"]


def test_silence_is_a_refusal() -> None:
    report = report_of(ScriptedSource([]))
    assert report.refusals == ["connected, but no media within 5 s"]


def test_a_long_gop_is_waited_for_as_a_stream_does() -> None:
    assert report_of(MidGopSource(pause_s=10.4, sends_s=60, then=[at_25_fps(1, gop=1)])).ok


def test_bytes_without_a_key_frame_are_a_refusal() -> None:
    source = MidGopSource(pause_s=600, sends_s=600, then=[])
    assert report_of(source).refusals == ["connected, but no key frame within 12 s"]


class OfTwoPrograms(ScriptedSource):
    """A transport stream of two programs, of one of which not all is read."""

    programs = (
        ListedProgram(1, False, (ListedStream(256, "h264", True),)),
        ListedProgram(
            2,
            True,
            (
                ListedStream(512, "MPEG-2 video", False),
                ListedStream(513, "aac", True, track_id=VIDEO.id + 1),
                ListedStream(514, "ac3", True, scrambled=True),
            ),
        ),
    )


def test_what_is_not_read_of_a_multiplex_is_noted_even_when_it_is_refused() -> None:
    for script in ([at_25_fps(100, gop=25), SourceEnded("over")], [SourceRejected("nothing")]):
        report = report_of(OfTwoPrograms(script))
        notes = "\n".join(report.notes)
        assert "MPEG-2 video on PID 512 is not carried" in notes
        assert "ac3 on PID 514 is scrambled" in notes
        assert "several programs" in notes
        assert report.document()["programs"][1]["streams"][1]["pid"] == 513


def test_an_end_before_the_first_frame_is_a_refusal_and_later_it_is_none() -> None:
    assert not report_of(ScriptedSource([SourceEnded("over")])).ok
    assert report_of(scripted(at_25_fps(5, gop=25), SourceEnded("over"))).ok


def test_nothing_can_be_probed_where_an_encoder_connects_to_us() -> None:
    chosen = Input.model_validate({"url": "publish://"})
    with pytest.raises(ConfigError):
        run_virtual(lambda _loop: probe(chosen, opens(EndlessSource())))


# ---------------------------------------------------------------------- the command


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch) -> Callable[[Source], None]:
    """Lets every URL open a given source."""

    def use(source: Source) -> None:
        monkeypatch.setattr("openstreamer.stream.wiring.SourceOpener.open", opens(source))

    return use


def test_the_command_prints_what_would_be_ingested(
    opening: Callable[[Source], None], capsys: pytest.CaptureFixture[str]
) -> None:
    opening(scripted(at_25_fps(100, gop=25), SourceEnded("over")))
    assert cli.run(["probe", "http://u:geheim@host/x?token=geheim"]) == 0
    printed = capsys.readouterr()
    assert "GOP 1 s" in printed.out
    assert "would ingest" in printed.out
    assert printed.err == ""
    assert "geheim" not in printed.out


def test_the_command_lists_programs_when_there_are_several(
    opening: Callable[[Source], None], capsys: pytest.CaptureFixture[str]
) -> None:
    opening(OfTwoPrograms([at_25_fps(100, gop=25), SourceEnded("over")]))
    assert cli.run(["probe", "udp://239.1.1.1:5000"]) == 0
    printed = capsys.readouterr().out
    assert "program 1: 256 h264" in printed
    assert "program 2 (read): 513 aac; not read: 512 MPEG-2 video, 514 ac3" in printed


class OfOneProgram(ScriptedSource):
    """A transport stream of which all is read."""

    programs = (ListedProgram(1, True, (ListedStream(256, "h264", True, track_id=VIDEO.id),)),)


def test_the_pid_of_each_track_is_said(
    opening: Callable[[Source], None], capsys: pytest.CaptureFixture[str]
) -> None:
    opening(OfOneProgram([at_25_fps(100, gop=25), SourceEnded("over")]))
    assert cli.run(["probe", "udp://239.1.1.1:5000"]) == 0
    printed = capsys.readouterr().out
    assert "PID 256" in printed
    assert "program 1" not in printed


def test_programs_and_pids_are_chosen_as_an_input_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Input] = []

    async def open_source(_: object, chosen: Input) -> Source:
        asked.append(chosen)
        return scripted(at_25_fps(5, gop=25), SourceEnded("over"))

    monkeypatch.setattr("openstreamer.stream.wiring.SourceOpener.open", open_source)
    assert cli.run(["probe", "udp://239.1.1.1:5000", "--program", "2", "--pids", "256,0x101"]) == 0
    assert [(each.program, each.pids) for each in asked] == [(2, (256, 257))]


def test_json_is_json(opening: Callable[[Source], None], capsys: pytest.CaptureFixture[str]) -> None:
    opening(scripted(at_25_fps(100, gop=25), SourceEnded("over")))
    assert cli.run(["probe", "--json", "test://"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert document["tracks"][0]["gop_sec"] == [1.0, 1.0]


def test_a_refused_source_is_exit_status_1(
    opening: Callable[[Source], None], capsys: pytest.CaptureFixture[str]
) -> None:
    opening(ScriptedSource([SourceRejected("no such stream")]))
    assert cli.run(["probe", "test://"]) == 1
    assert "refused: no such stream" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["publish://"],
        ["test://", "--header", "x"],
        ["test://", "--pids", "a"],
        ["http://host:99999/"],
    ],
)
def test_what_cannot_be_probed_is_exit_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["probe", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("openstreamer: ")
    assert printed.err.count("\n") == 1
