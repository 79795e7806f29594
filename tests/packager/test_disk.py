import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from openstreamer.packager.disk import DiskDirectory, DiskImage, DiskOutput, disk_image
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import SegmentReady
from tests.support.beside import beside
from tests.support.hls_playlist import parse
from tests.support.made_streams import MadeStream
from tests.support.waiting import until
from tests.support.watching import FIRST_MSN, Watched

SMALL = PackagerOptions(window_segments=6, grace_segments=1)


def watched(seconds: float = 6, **changes: object) -> Watched:
    return Watched(options=SMALL, blind=True).run(MadeStream(seconds=seconds, **changes))  # type: ignore[arg-type]


def test_the_files_are_what_is_served(tmp_path: Path) -> None:
    live = watched()
    DiskDirectory(tmp_path / "live" / "news").sync(disk_image(live.presentation.packager))

    directory = tmp_path / "live" / "news"
    for segment in live.video:
        assert (directory / f"video_{segment.msn}.m4s").read_bytes() == b"".join(segment.chunks)
    assert (directory / "index.m3u8").read_text().endswith("video.m3u8\n")
    for name in ("video.m3u8", "audio.m3u8"):
        playlist = parse((directory / name).read_text())
        assert [s.msn for s in playlist.segments] == [FIRST_MSN, FIRST_MSN + 1, FIRST_MSN + 2]
        assert not playlist.hints
        assert playlist.part_target_s is None
        for segment in playlist.segments:
            assert (directory / str(segment.uri)).stat().st_size > 0
            assert (directory / str(segment.map_uri)).stat().st_size > 0


def test_the_index_of_a_single_track_is_a_multivariant_playlist(tmp_path: Path) -> None:
    DiskDirectory(tmp_path).sync(disk_image(watched(audio=None).presentation.packager))
    index = (tmp_path / "index.m3u8").read_text()
    assert "#EXT-X-STREAM-INF" in index
    assert index.endswith("\nvideo.m3u8\n")


def test_the_writing_of_each_segment_is_timed_once(tmp_path: Path) -> None:
    took_s: list[float] = []
    live = watched()
    directory = DiskDirectory(tmp_path, took_s.append)
    for _ in range(2):
        directory.sync(disk_image(live.presentation.packager))
    assert len(took_s) == len(list(tmp_path.glob("*.m4s"))) > 0
    assert all(each_s > 0 for each_s in took_s)


def test_files_that_slid_out_are_deleted_and_the_directory_stays_bounded(tmp_path: Path) -> None:
    directory = DiskDirectory(tmp_path)
    live = Watched(options=SMALL, blind=True)
    counts = []
    for frame in MadeStream(seconds=60).frames():
        events = live.presentation.push([frame], MadeStream().tracks, 0)
        if any(isinstance(event, SegmentReady) for event in events):
            directory.sync(disk_image(live.presentation.packager))
            counts.append(len(os.listdir(tmp_path)))

    assert max(counts) == 2 * (7 + 1) + 3  # two tracks of seven segments and an init; three playlists
    assert directory.statistics.files_deleted > 30
    named = parse((tmp_path / "video.m3u8").read_text()).segments
    assert len(named) == 6
    assert all((tmp_path / str(segment.uri)).exists() for segment in named)


def test_what_an_earlier_run_left_is_cleared(tmp_path: Path) -> None:
    for name in ("video_1.m4s", "video_init_1.mp4", "video_9.m4s.part-of-a-file", "keep.txt"):
        (tmp_path / name).write_bytes(b"old")
    DiskDirectory(tmp_path).sync(disk_image(watched().presentation.packager))

    assert (tmp_path / "keep.txt").exists()
    assert not [
        path for path in tmp_path.iterdir() if path.name.startswith(("video_1.", "video_init_1.", "video_9"))
    ]


def test_media_is_written_before_the_playlist_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[str] = []
    replace = os.replace

    def record(source: Path, target: Path) -> None:
        replaced.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", record)
    DiskDirectory(tmp_path).sync(disk_image(watched().presentation.packager))

    assert [name.endswith(".m3u8") for name in replaced] == [False] * 8 + [True] * 3
    assert replaced[-1] == "index.m3u8"


def test_a_full_disk_is_said_and_caught_up_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = DiskDirectory(tmp_path)
    live = watched()
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == f"video_{FIRST_MSN + 1}.m4s":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    directory.sync(disk_image(live.presentation.packager))
    assert directory.statistics.failures == 1
    assert directory.statistics.error == f"cannot write live files to {tmp_path}: No space left on device"
    assert not (tmp_path / "video.m3u8").exists()  # never a playlist that names what is not there
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part-of-a-file")]

    monkeypatch.setattr(os, "replace", replace)
    directory.sync(disk_image(live.presentation.packager))
    assert directory.statistics.error is None
    assert all((tmp_path / f"video_{segment.msn}.m4s").exists() for segment in live.video)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    directory = DiskDirectory(tmp_path / "taken" / "news")
    directory.sync(disk_image(watched().presentation.packager))

    assert directory.statistics.error is not None
    assert "Not a directory" in directory.statistics.error


@pytest.mark.parametrize("ephemeral", [True, False])
async def test_an_ephemeral_directory_ends_with_its_stream(tmp_path: Path, ephemeral: bool) -> None:
    stream = MadeStream(seconds=6)
    live = Watched(options=SMALL, blind=True)
    output = DiskOutput(live.presentation.packager, tmp_path / "news", ephemeral=ephemeral)
    async with beside(output.run()):
        live.run(stream)
        output.segment_ready()
        assert await until((tmp_path / "news" / "index.m3u8").exists)
        assert output.disk_error is None

    assert (tmp_path / "news").exists() is not ephemeral


async def test_an_end_during_a_write_leaves_nothing_behind(tmp_path: Path) -> None:
    live = watched(20)
    output = DiskOutput(live.presentation.packager, tmp_path / "news", ephemeral=True)
    async with beside(output.run()):
        output.segment_ready()
        await asyncio.sleep(0)

    assert not (tmp_path / "news").exists()


def test_the_end_of_a_stream_deletes_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    outer = DiskDirectory(tmp_path / "region")
    outer.sync(DiskImage({"video_1.m4s": (b"x",)}, {"index.m3u8": b"#EXTM3U\n"}))
    inner = tmp_path / "region" / "north" / "video_1.m4s"
    inner.parent.mkdir()
    inner.write_bytes(b"the other stream's")
    (tmp_path / "region" / "logo.png").write_bytes(b"the operator's")

    outer.remove()

    assert inner.exists()
    assert sorted(path.name for path in (tmp_path / "region").iterdir()) == ["logo.png", "north"]
    assert outer.statistics.error is None


@pytest.mark.parametrize("neighbour", [False, True])
def test_the_end_of_a_stream_leaves_no_empty_directory_of_its_code(tmp_path: Path, neighbour: bool) -> None:
    directory = DiskDirectory(tmp_path / "hd" / "deep" / "er", root=tmp_path / "hd")
    directory.sync(DiskImage({"video_1.m4s": (b"x",)}, {"index.m3u8": b"#EXTM3U\n"}))
    if neighbour:
        (tmp_path / "hd" / "deep" / "other").mkdir()

    directory.remove()

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == ({"hd", "hd/deep", "hd/deep/other"} if neighbour else {"hd"})
    assert directory.statistics.error is None


def test_the_operators_own_recordings_beside_live_files_are_never_deleted(tmp_path: Path) -> None:
    own = {"holiday.mp4", "chunk-1.m4s", "playlist.m3u8", "video_final.m4s"}
    for name in own:
        (tmp_path / name).write_bytes(b"the operator's")
    directory = DiskDirectory(tmp_path)
    directory.sync(disk_image(watched().presentation.packager))
    assert own < {path.name for path in tmp_path.iterdir()}
    directory.remove()
    assert {path.name for path in tmp_path.iterdir()} == own


def test_a_directory_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    directory = DiskDirectory(tmp_path / "news")
    live = watched()
    directory.sync(disk_image(live.presentation.packager))
    shutil.rmtree(tmp_path / "news")
    directory.sync(disk_image(live.presentation.packager))
    assert directory.statistics.error is not None

    directory.sync(disk_image(live.presentation.packager))
    assert directory.statistics.error is None
    assert all((tmp_path / "news" / f"video_{segment.msn}.m4s").exists() for segment in live.video)
