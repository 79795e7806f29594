"""Files in real time (virtual here): pace, loops, ends, and everything that can be wrong with a file."""

import asyncio
import itertools
import os
import signal
from pathlib import Path

import pytest

from openstreamer.media.errors import (
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame, held_bytes
from openstreamer.sources.child import ChildProcess
from openstreamer.sources.file import FileSource
from openstreamer.sources.file.opening import MediaFile
from openstreamer.sources.file.passes import LibavPasses
from openstreamer.sources.file.source import MOST_AHEAD_BYTES
from tests.contract.leftovers import nothing_left_behind
from tests.contract.source_suite import error_of, receive, sample
from tests.sources.file.conftest import Mount
from tests.support.clips import clip
from tests.support.container_files import (
    B_FRAMES,
    FRAGMENTS,
    X264,
    make,
    of_kind,
    read_by_libav,
    units_of,
)
from tests.support.flv_bytes import FLV_HEAD, framed
from tests.support.rtmp_publisher import tags_of
from tests.support.scripted_child import ENVIRONMENT, MODULE
from tests.support.virtual_time import run_virtual

AAC = ("-c:a", "aac")
LONG_FRAGMENTS = ("-movflags", "+empty_moov+separate_moof+default_base_moof", "-frag_duration", "1500000")
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mp4": (".mp4", (*B_FRAMES, *AAC)),
    "fragments": (".mp4", (*X264, *AAC, *FRAGMENTS)),
    "fragments-one-track-at-a-time": (".mp4", (*X264, *AAC, *LONG_FRAGMENTS)),
    "mov": (".mov", (*B_FRAMES, *AAC)),
    "ts": (".ts", (*X264, *AAC, "-bsf:v", "h264_mp4toannexb")),
    "flv": (".flv", (*X264, *AAC)),
}
LIBAV_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mkv": (".mkv", (*B_FRAMES, *AAC)),
    "webm": (".webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")),
    "mkv-av1-ac3": (".mkv", ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "ac3")),
    "avi": (".avi", (*B_FRAMES, "-c:a", "libmp3lame")),
}


def steps(values: list[int]) -> set[int]:
    return {b - a for a, b in itertools.pairwise(values)}


async def play(source: FileSource, frames: list[Frame]) -> SourceError:
    """Collect frames until the end, which is returned."""
    while True:
        try:
            frames += await receive(source)
        except SourceError as err:
            return err


class TestPlaying:
    @pytest.mark.parametrize("name", FILES)
    def test_every_access_unit_comes_once_when_it_is_due(self, mount: Mount, name: str) -> None:
        suffix, arguments = FILES[name]
        data = make(suffix, *arguments)
        mount.put(f"a{suffix}", data)

        seen, error = mount.play(f"a{suffix}")

        expected = read_by_libav(data, suffix)
        frames = [frame for _, frame, _, _ in seen]
        if suffix != ".ts":  # libav keeps access unit delimiters and Annex B
            assert of_kind(units_of(frames), "video") == of_kind(expected, "video")
        assert len(of_kind(units_of(frames), "video")) == 50
        assert 92 <= len(of_kind(units_of(frames), "audio")) <= 95
        assert isinstance(error, SourceEnded)
        first_s, first_90k = seen[0][0], seen[0][3]
        assert first_s == 0
        for at_s, _, _, dts_90k in seen:
            assert -0.001 <= (dts_90k - first_90k) / 90_000 - at_s <= 0.081
        times = [dts_90k for _, _, _, dts_90k in seen]
        assert times == sorted(times)

    def test_the_end_comes_when_the_last_frame_is_over(self, mount: Mount) -> None:
        mount.put("a.mp4", make(".mp4", *X264, audio=False))

        async def main() -> float:
            start_s = asyncio.get_running_loop().time()
            async with mount.source("a.mp4") as source:
                assert isinstance(await error_of(source), SourceEnded)
                assert isinstance(await error_of(source), SourceEnded)
            return asyncio.get_running_loop().time() - start_s

        assert run_virtual(lambda _: main()) == pytest.approx(2.0, abs=0.001)

    def test_it_wakes_up_about_a_dozen_times_a_second(self, mount: Mount) -> None:
        mount.put("a.mp4", make(".mp4", *X264, *AAC))
        seen, _ = mount.play("a.mp4")
        assert 20 <= len({at_s for at_s, *_ in seen}) <= 30

    def test_packed_audio_alone_is_played(self, mount: Mount) -> None:
        mount.put("a.mp3", make(".mp3", "-c:a", "libmp3lame", video=False))
        seen, error = mount.play("a.mp3")
        assert isinstance(error, SourceEnded)
        assert all(frame.key for _, frame, _, _ in seen)
        assert seen[-1][0] > 1.8

    def test_a_container_is_known_by_its_content(self, mount: Mount) -> None:
        mount.put("a.ts", make(".mp4", *X264, *AAC))
        seen, _ = mount.play("a.ts")
        assert len(seen) > 100

    def test_who_comes_late_gets_no_burst(self, mount: Mount) -> None:
        mount.put("a.mp4", make(".mp4", *X264, *AAC))

        async def main() -> float:
            async with mount.source("a.mp4") as source:
                await source.receive()
                await asyncio.sleep(30)
                late_s = asyncio.get_running_loop().time()
                await error_of(source)
                return asyncio.get_running_loop().time() - late_s

        assert run_virtual(lambda _: main()) > 1.8

    def test_what_is_read_ahead_is_bounded_in_memory_when_times_stand_still(self, mount: Mount) -> None:
        tags = tags_of(clip("h264"))
        picture = tags[-1]._replace(payload=tags[-1].payload + bytes(10_000))
        mount.put("a.flv", FLV_HEAD + b"".join(map(framed, tags)) + framed(picture) * 2000)

        async def main(_loop: asyncio.AbstractEventLoop) -> None:
            async with mount.source("a.flv") as source:
                while len(frames := await receive(source)) < 100:  # all of the rest are due by now
                    pass
                assert MOST_AHEAD_BYTES <= held_bytes(frames) < MOST_AHEAD_BYTES + (1 << 20)

        run_virtual(main)


class TestLooping:
    @pytest.mark.parametrize("name", ["mp4", "mov", "ts", "flv"])
    def test_passes_follow_each_other_without_a_gap(self, mount: Mount, name: str) -> None:
        suffix, arguments = FILES[name]
        mount.put(f"a{suffix}", make(suffix, *arguments, seconds="1.28"))  # 32 pictures, 60 AAC frames

        seen, error = mount.play(f"a{suffix}", loop=True, until_s=10)

        assert error is None
        for is_video in (True, False):
            frames = [(frame, pts, dts) for _, frame, pts, dts in seen if frame.track.is_video is is_video]
            decoded = [dts for _, _, dts in frames]
            assert decoded == sorted(set(decoded))
            presented = sorted(pts for _, pts, _ in frames)[
                :-3
            ]  # pictures in front of these are still to come
            gaps = steps(presented)
            if is_video:
                assert min(gaps) >= 3600 - 90  # FLV has whole milliseconds
                assert max(gaps) <= 3600 + 90
            else:
                assert min(gaps) >= 1920 - 90
                assert max(gaps) <= 2 * 1920 + 90
            assert {frame.track for frame, _, _ in frames} == {frames[0][0].track}
            assert all(frame.track is frames[0][0].track for frame, _, _ in frames)
        assert sum(frame.key and pts > 0 for _, frame, pts, _ in seen) > 10

    def test_a_file_whose_tracks_are_of_one_length_has_no_seam_at_all(self, mount: Mount) -> None:
        # 1.28 s are 32 pictures and 60 AAC frames, and one more of the encoder's priming that is played once.
        mount.put("a.mp4", make(".mp4", *X264, *AAC, seconds="1.28"))
        seen, _ = mount.play("a.mp4", loop=True, until_s=20)
        assert steps([dts for _, frame, _, dts in seen if frame.track.is_video]) == {3600}
        assert steps([dts for _, frame, _, dts in seen if not frame.track.is_video]) == {1920}

    @pytest.mark.parametrize("suffix", [".mp4", ".ts"])
    def test_pictures_keep_their_pace_though_the_sound_is_a_little_longer(
        self, mount: Mount, suffix: str
    ) -> None:
        mount.put(f"a{suffix}", make(suffix, *X264, *AAC, seconds="1"))  # 25 pictures, 48 AAC frames
        seen, _ = mount.play(f"a{suffix}", loop=True, until_s=20)
        assert steps([dts for _, frame, _, dts in seen if frame.track.is_video]) == {3600}
        assert steps([dts for _, frame, _, dts in seen if not frame.track.is_video]) == {1920}

    def test_it_stays_in_real_time(self, mount: Mount) -> None:
        mount.put("a.mp4", make(".mp4", *X264, *AAC, seconds="1.28"))
        seen, _ = mount.play("a.mp4", loop=True, until_s=120)
        at_s, _, _, dts_90k = seen[-1]
        assert (dts_90k - seen[0][3]) / 90_000 == pytest.approx(at_s, abs=0.1)

    def test_a_file_that_is_replaced_ends_the_source_at_its_next_pass(self, mount: Mount) -> None:
        path = mount.put("a.mp4", make(".mp4", *X264, *AAC, seconds="1.28"))

        async def main() -> SourceError:
            async with mount.source("a.mp4", loop=True) as source:
                await source.receive()
                new = mount.put("new", path.read_bytes())
                new.rename(path)
                return await error_of(source)

        error = run_virtual(lambda _: main())
        assert isinstance(error, SourceUnreachable)
        assert "vod/a.mp4 was replaced" in str(error)


class TestWrongFiles:
    def error(self, mount: Mount, name: str) -> SourceError:
        async def main() -> SourceError:
            try:
                async with mount.source(name) as source:
                    return await error_of(source)
            except SourceError as err:
                return err

        return run_virtual(lambda _: main())

    def test_a_missing_file(self, mount: Mount) -> None:
        error = self.error(mount, "a.mp4")
        assert isinstance(error, SourceUnreachable)
        assert "vod/a.mp4 cannot be opened: No such file" in str(error)

    def test_an_empty_file(self, mount: Mount) -> None:
        mount.put("a.mp4", b"")
        assert "vod/a.mp4 is empty" in str(self.error(mount, "a.mp4"))

    def test_an_mp4_that_was_never_finished(self, mount: Mount) -> None:
        data = make(".mp4", *X264, *AAC)
        mount.put("a.mp4", data[: data.index(b"moov") - 4])
        error = self.error(mount, "a.mp4")
        assert isinstance(error, SourceRejected)
        assert "vod/a.mp4: MP4: there is no moov box: it is cut off" in str(error)

    def test_an_mp4_whose_media_is_cut_off_plays_what_there_is(self, mount: Mount) -> None:
        data = make(".mp4", *X264, *AAC, "-movflags", "+faststart")
        mount.put("a.mp4", data[: len(data) * 2 // 3])
        seen, error = mount.play("a.mp4")
        assert isinstance(error, SourceEnded)
        assert "it is cut off" in str(error)
        assert 60 < len(seen) < 130

    def test_what_cannot_be_carried_is_named(self, mount: Mount) -> None:
        mount.put("a.mp4", make(".mp4", "-c:v", "mpeg4", *AAC))
        error = self.error(mount, "a.mp4")
        assert isinstance(error, SourceRejected)
        assert "vod/a.mp4: MP4 video: MPEG-4 part 2 (mp4v) is not supported" in str(error)

    def test_tables_that_lie_are_refused(self, mount: Mount) -> None:
        data = make(".mp4", *X264, *AAC)
        at = data.index(b"stsz") + 12
        mount.put("a.mp4", data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
        error = self.error(mount, "a.mp4")
        assert isinstance(error, SourceRejected)
        assert "'stsz' is too short" in str(error)

    def test_a_file_that_changes_ends_the_source(self, mount: Mount) -> None:
        path = mount.put("a.ts", make(".ts", "-c:v", "libx264", "-qp", "0", "-s", "640x360", *AAC))

        async def main() -> SourceError:
            async with mount.source("a.ts") as source:
                await source.receive()
                with path.open("ab") as file:
                    file.write(b"\x47")
                return await error_of(source)

        assert path.stat().st_size > 512 << 10
        error = run_virtual(lambda _: main())
        assert isinstance(error, SourceUnreachable)
        assert "changed while it was played" in str(error)

    @pytest.mark.parametrize("name", ["mp4", "fragments", "ts", "flv"])
    def test_every_truncation_is_played_or_refused_in_words(self, mount: Mount, name: str) -> None:
        suffix, arguments = FILES[name]
        data = make(suffix, *arguments, seconds="0.2")
        for size in range(400, len(data), max(1, len(data) // 40)):  # less is not known by its content
            path = mount.put(f"a{suffix}", data[:size])
            error = self.error(mount, path.name)
            assert isinstance(error, SourceEnded | SourceRejected), f"{size} bytes: {error!r}"
            assert f"vod/a{suffix}" in str(error)


class TestLibav:
    @pytest.mark.parametrize("name", LIBAV_FILES)
    async def test_other_containers_are_read_in_a_child(self, mount: Mount, name: str) -> None:
        suffix, arguments = LIBAV_FILES[name]
        data = make(suffix, *arguments, seconds="0.8")
        mount.put(f"a{suffix}", data)
        frames: list[Frame] = []
        async with nothing_left_behind(), mount.source(f"a{suffix}", inline=False) as source:
            assert isinstance(source.passes, LibavPasses)
            assert isinstance(await play(source, frames), SourceEnded)
        units, expected = units_of(frames), read_by_libav(data, suffix)
        assert [unit.payload for unit in of_kind(units, "audio")] == [
            unit.payload for unit in of_kind(expected, "audio") if unit.dts_90k >= units[0].dts_90k
        ][: len(of_kind(units, "audio"))]
        if suffix != ".avi":  # Annex B there
            timed = of_kind(expected, "video")  # libav leaves the first decoding times of Matroska open
            assert of_kind(units, "video")[-len(timed) :] == timed
            assert len(timed) >= 18
        pictures = of_kind(units, "video")
        assert len(pictures) == 20
        assert pictures[0].key
        assert all(unit.pts_90k >= unit.dts_90k for unit in pictures)

    @pytest.mark.parametrize(("suffix", "codec"), [(".mov", "pcm_s16le"), (".mkv", "flac")])
    async def test_sound_that_is_not_carried_is_left_out_in_words(
        self, mount: Mount, suffix: str, codec: str
    ) -> None:
        mount.put(f"a{suffix}", make(suffix, *X264, "-c:a", codec, seconds="0.2"))
        frames: list[Frame] = []
        async with mount.source(f"a{suffix}", inline=False) as source:
            assert isinstance(await play(source, frames), SourceEnded)
            assert "is not supported" in str(source.left_out)
        assert {frame.track.is_video for frame in frames} == {True}

    async def test_a_loop_goes_on_in_the_same_child(self, mount: Mount) -> None:
        mount.put("a.mkv", make(".mkv", *X264, *AAC, seconds="0.64"))
        async with mount.source("a.mkv", loop=True, inline=False) as source:
            assert isinstance(source.passes, LibavPasses)
            pid = source.passes.child.pid
            frames = await sample(source, 130)
            assert source.passes.child.pid == pid
        assert len({frame.track for frame in frames}) == 2
        pictures = [frame.dts_90k for frame in frames if frame.track.is_video]
        assert pictures == sorted(set(pictures))
        assert max(steps(pictures)) < 3600 + 1920

    async def test_what_is_no_media_is_refused_in_words(self, mount: Mount) -> None:
        mount.put("a.txt", b"This is no film.\n" * 100)
        async with mount.source("a.txt", inline=False) as source:
            error = await error_of(source)
        assert isinstance(error, SourceRejected)
        assert "vod/a.txt: libav cannot read it" in str(error)

    async def test_a_codec_that_cannot_be_carried_is_named(self, mount: Mount) -> None:
        mount.put("a.mkv", make(".mkv", "-c:v", "mpeg2video", *AAC, seconds="0.2"))
        async with mount.source("a.mkv", inline=False) as source:
            error = await error_of(source)
        assert isinstance(error, SourceRejected)
        assert "video: mpeg2video is not supported" in str(error)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("list.ffconcat", "ffconcat version 1.0\nfile '{secret}'\n"),
            ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"),
        ],
    )
    async def test_a_file_that_names_others_is_not_followed(
        self, mount: Mount, tmp_path: Path, name: str, text: str
    ) -> None:
        secret = tmp_path / "secret.mkv"
        secret.write_bytes(make(".mkv", *X264, *AAC, seconds="0.2"))
        mount.put(name, text.format(secret=secret).encode())
        async with mount.source(name, inline=False) as source:
            assert isinstance(await error_of(source), SourceRejected)

    async def test_a_child_that_cannot_be_started_leaves_nothing_open(
        self, mount: Mount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mount.put("a.mkv", make(".mkv", *X264, *AAC, seconds="0.64"))
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        async with nothing_left_behind():
            with pytest.raises(
                SourceUnreachable, match=r"vod/a\.mkv: the reader of files: cannot be started"
            ):
                await mount.source("a.mkv", inline=False).__aenter__()

    async def test_a_child_that_does_not_start_is_told_and_leaves_nothing(
        self, mount: Mount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("openstreamer.sources.file.passes.START_DEADLINE_S", 0.3)
        mount.put("a.mkv", b"never read")
        mute = ChildProcess(MODULE, ("mute",), name="a child", environment=ENVIRONMENT)
        async with nothing_left_behind():
            file = MediaFile(mount.root / "a.mkv", "a.mkv")
            passes = LibavPasses(file, loop=False, run_blocking=asyncio.to_thread, child=mute)
            with pytest.raises(SourceStalled, match=r"its reader said nothing for 0\.3 s"):
                await passes.__aenter__()
            file.close()

    async def test_one_that_has_started_is_waited_for_no_longer_than_for_a_packet(
        self, mount: Mount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("openstreamer.sources.file.passes.CHILD_DEADLINE_S", 0.0)
        mount.put("a.mkv", make(".mkv", *X264, *AAC, seconds="0.64"))
        async with mount.source("a.mkv", inline=False) as source:
            assert source.passes is not None

    async def test_a_killed_child_is_unreachable(self, mount: Mount) -> None:
        mount.put("a.mkv", make(".mkv", *X264, *AAC, seconds="0.64"))
        async with nothing_left_behind(), mount.source("a.mkv", loop=True, inline=False) as source:
            await receive(source)
            assert isinstance(source.passes, LibavPasses)
            os.kill(source.passes.child.pid, signal.SIGKILL)
            error = await error_of(source)
        assert isinstance(error, SourceUnreachable)
        assert "SIGKILL" in str(error)

    async def test_a_child_that_hangs_is_told(self, mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("openstreamer.sources.file.passes.CHILD_DEADLINE_S", 0.3)
        mount.put("a.mkv", make(".mkv", *X264, *AAC, seconds="0.64"))
        async with nothing_left_behind(), mount.source("a.mkv", loop=True, inline=False) as source:
            assert isinstance(source.passes, LibavPasses)
            os.kill(source.passes.child.pid, signal.SIGSTOP)
            assert isinstance(await error_of(source), SourceStalled)
