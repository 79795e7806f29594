"""``test://`` as a source: the contract of all sources, its clock, and its failures."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import pytest

from openstreamer.config.input_urls import TestInput
from openstreamer.media.aac import AacConfig
from openstreamer.media.errors import (
    SourceEnded,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.sources.child import ChildProcess
from openstreamer.sources.testcard import TestcardSource
from tests.contract.source_suite import SourceContract, SourceRig, error_of, sample
from tests.support.pictures import decode_video, read_timecode
from tests.support.scripted_child import ENVIRONMENT, MODULE

SMALL = TestInput(320, 240, Fraction(50), 300_000)


class TestContract(SourceContract):
    buffer_bound_bytes = 64 * 1024 + 20_000

    @staticmethod
    def rig_of(source: TestcardSource) -> SourceRig:
        async def send_signal(number: signal.Signals) -> None:
            os.kill(source.child.pid, number)

        return SourceRig(
            source,
            kill_peer=lambda: send_signal(signal.SIGKILL),
            silence_peer=lambda: send_signal(signal.SIGSTOP),
            buffered_bytes=lambda: source.child.pending_bytes,
            blocked=lambda: source.child.blocked,
        )

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[SourceRig]:
        yield self.rig_of(TestcardSource(SMALL))

    @asynccontextmanager
    async def backlogged_rig(self) -> AsyncIterator[SourceRig]:
        yield self.rig_of(TestcardSource(SMALL, pending_bytes=20_000))


def times_of(frames: list[Frame], *, video: bool) -> list[int]:
    return [frame.pts_90k for frame in frames if frame.track.is_video is video]


class TestMedia:
    async def test_tracks_say_what_was_asked_for(self) -> None:
        async with TestcardSource(TestInput(640, 360, Fraction(30_000, 1001), 500_000)) as source:
            video, audio = source.tracks
        assert isinstance(video.config, H264Config)
        assert (video.config.width, video.config.height) == (640, 360)
        assert video.config.frame_rate == Fraction(30_000, 1001)
        assert isinstance(audio.config, AacConfig)
        assert (audio.config.sample_rate, audio.config.channels) == (48_000, 2)

    async def test_its_clock_shows_the_time(self) -> None:
        before_ms = time.time_ns() // 1_000_000
        async with TestcardSource(TestInput(640, 360, Fraction(50))) as source:
            frames = [frame for frame in await sample(source, 60) if frame.track.is_video]
        codes = [read_timecode(picture) for picture in decode_video(frames)]
        assert before_ms <= codes[0]
        assert codes[-1] <= time.time_ns() // 1_000_000
        assert codes == sorted(set(codes))


def scripted(behaviour: str) -> ChildProcess:
    return ChildProcess(MODULE, [behaviour], name="a child", environment=ENVIRONMENT)


class TestFailures:
    async def test_silence_is_told(self) -> None:
        async with TestcardSource(SMALL, silence_s=0.3) as source:
            await sample(source, 10)
            os.kill(source.child.pid, signal.SIGSTOP)
            assert isinstance(await error_of(source), SourceStalled)

    async def test_a_killed_child_is_unreachable_with_its_reason(self) -> None:
        async with TestcardSource(SMALL) as source:
            os.kill(source.child.pid, signal.SIGKILL)
            error = await error_of(source)
        assert isinstance(error, SourceUnreachable)
        assert "SIGKILL" in str(error)

    async def test_a_child_that_cannot_start_is_unreachable(self) -> None:
        with pytest.raises(SourceUnreachable, match="No module named"):
            async with TestcardSource(SMALL, child=ChildProcess("openstreamer.nothing", name="a child")):
                pass

    async def test_a_pipe_that_ends_on_purpose_has_ended(self) -> None:
        async with TestcardSource(SMALL, child=scripted("end")) as source:
            assert len(await source.receive()) == 1
            assert isinstance(await error_of(source), SourceEnded)

    async def test_a_child_that_cannot_encode_is_rejected(self) -> None:
        with pytest.raises(SourceRejected, match="cannot encode: no libx264"):
            async with TestcardSource(SMALL, child=scripted("error")):
                pass

    async def test_after_a_stall_pictures_are_left_out_not_sent_in_a_burst(self) -> None:
        async with TestcardSource(SMALL) as source:
            frames = await sample(source, 10)
            os.kill(source.child.pid, signal.SIGSTOP)
            await asyncio.sleep(1.0)  # the stall itself
            os.kill(source.child.pid, signal.SIGCONT)
            frames += await sample(source, 120)
            dropped = source.statistics.dropped_frames
        times = times_of(frames, video=True)
        gaps = [second - first for first, second in itertools.pairwise(times)]
        assert dropped > 10
        assert max(gaps) == (dropped + 1) * 1800
        after_gap = times[gaps.index(max(gaps)) + 1]
        assert next(frame for frame in frames if frame.track.is_video and frame.pts_90k == after_gap).key
