"""Nothing outside the roots is read, whatever a name or a link says; what cannot be opened is told."""

import os
from pathlib import Path

import pytest

from openstreamer.config.input_urls import FileInput
from openstreamer.media.errors import SourceRejected, SourceUnreachable
from openstreamer.sources.file.opening import MediaFile, resolve


@pytest.fixture
def vod(tmp_path: Path) -> Path:
    """A mount with a file, beside a secret."""
    root = tmp_path / "vod"
    (root / "films").mkdir(parents=True)
    (root / "films" / "a.mp4").write_bytes(b"film")
    (tmp_path / "secret").write_bytes(b"secret")
    return root


def in_mount(path: str, mount: str = "vod") -> FileInput:
    return FileInput(mount, path, loop=False)


class TestResolve:
    def test_a_path_in_a_mount(self, vod: Path) -> None:
        assert resolve(in_mount("films/a.mp4"), {"vod": vod}) == vod / "films" / "a.mp4"

    def test_an_absolute_path_inside_any_root(self, vod: Path) -> None:
        chosen = in_mount(str(vod / "films" / "a.mp4"), mount="")
        assert resolve(chosen, {"other": Path("/nowhere"), "vod": vod}) == vod / "films" / "a.mp4"

    def test_a_root_may_be_a_symbolic_link_itself(self, vod: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(vod)
        assert resolve(in_mount("films/a.mp4"), {"vod": tmp_path / "link"}) == vod / "films" / "a.mp4"

    def test_a_link_that_stays_inside_is_followed(self, vod: Path) -> None:
        (vod / "b.mp4").symlink_to("films/a.mp4")
        assert resolve(in_mount("b.mp4"), {"vod": vod}) == vod / "films" / "a.mp4"

    @pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "films/../../secret"])
    def test_a_link_that_leads_out_is_refused(self, vod: Path, target: str) -> None:
        (vod / "link").symlink_to(target)
        with pytest.raises(SourceRejected, match="vod/link is outside of the directories"):
            resolve(in_mount("link"), {"vod": vod})

    def test_a_directory_on_the_way_that_leads_out_is_refused(self, vod: Path) -> None:
        (vod / "up").symlink_to("..")
        with pytest.raises(SourceRejected, match="outside"):
            resolve(in_mount("up/secret"), {"vod": vod})

    @pytest.mark.parametrize("path", ["../secret", "films/../../secret"])
    def test_steps_up_are_refused(self, vod: Path, path: str) -> None:
        with pytest.raises(SourceRejected, match="outside"):
            resolve(in_mount(path), {"vod": vod})

    def test_a_directory_with_a_similar_name_is_outside(self, vod: Path) -> None:
        (vod.parent / "vod2").mkdir()
        with pytest.raises(SourceRejected, match="outside"):
            resolve(in_mount(str(vod.parent / "vod2" / "x"), mount=""), {"vod": vod})

    def test_an_absolute_path_outside_says_nothing_about_the_file(self, vod: Path) -> None:
        words = []
        for path in ("/etc/passwd", "/etc/does-not-exist"):
            with pytest.raises(SourceRejected) as refused:
                resolve(in_mount(path, mount=""), {"vod": vod})
            words.append(str(refused.value).replace(path, ""))
        assert words[0] == words[1]

    def test_an_unknown_mount_is_named_with_those_there_are(self, vod: Path) -> None:
        with pytest.raises(SourceRejected, match="no mount 'tv'; there are: vod"):
            resolve(in_mount("a", mount="tv"), {"vod": vod})

    @pytest.mark.parametrize("mount", ["", "vod"])
    def test_without_any_root_nothing_is_read(self, mount: str) -> None:
        with pytest.raises(SourceRejected, match="none is configured"):
            resolve(in_mount("/etc/passwd", mount=mount), {})

    def test_links_in_a_circle_are_refused_or_not_found(self, vod: Path) -> None:
        (vod / "one").symlink_to("two")
        (vod / "two").symlink_to("one")
        with pytest.raises((SourceRejected, SourceUnreachable)):
            MediaFile(resolve(in_mount("one"), {"vod": vod}), "vod/one")

    def test_a_name_that_is_too_long_is_told(self, vod: Path) -> None:
        with pytest.raises((SourceRejected, SourceUnreachable), match="too long"):
            MediaFile(resolve(in_mount("x" * 300), {"vod": vod}), "vod/x")


class TestMediaFile:
    def test_it_is_read_anywhere(self, vod: Path) -> None:
        file = MediaFile(vod / "films" / "a.mp4", "a")
        assert (file.read(1, 2), file.read(2, 100), file.read(10, 1)) == (b"il", b"lm", b"")
        file.close()
        assert file.read(0, 4) == b""

    def test_a_missing_file_is_unreachable(self, vod: Path) -> None:
        with pytest.raises(SourceUnreachable, match=r"vod/b\.mp4 cannot be opened: No such file"):
            MediaFile(vod / "b.mp4", "vod/b.mp4")

    def test_a_directory_is_refused(self, vod: Path) -> None:
        with pytest.raises(SourceRejected, match="films is a directory"):
            MediaFile(vod / "films", "films")

    def test_an_empty_file_is_refused(self, vod: Path) -> None:
        (vod / "empty").touch()
        with pytest.raises(SourceRejected, match="is empty"):
            MediaFile(vod / "empty", "empty")

    def test_a_pipe_is_refused_at_once(self, vod: Path) -> None:
        os.mkfifo(vod / "pipe")
        with pytest.raises(SourceRejected, match="no regular file"):
            MediaFile(vod / "pipe", "pipe")

    def test_a_link_that_was_put_in_its_place_is_not_followed(self, vod: Path) -> None:
        path = resolve(in_mount("films/a.mp4"), {"vod": vod})
        path.unlink()
        path.symlink_to("../../secret")
        with pytest.raises(SourceUnreachable, match="cannot be opened"):
            MediaFile(path, "a")

    def test_a_file_that_changes_is_noticed_at_the_next_read(self, vod: Path) -> None:
        path = vod / "films" / "a.mp4"
        file = MediaFile(path, "a")
        path.write_bytes(b"longer than before")
        with pytest.raises(SourceUnreachable, match="a changed while it was played"):
            file.read(0, 1)
        with pytest.raises(SourceUnreachable, match="replaced or changed"):
            file.check_unchanged()
        file.close()

    def test_a_file_that_is_replaced_is_noticed_when_asked(self, vod: Path) -> None:
        path = vod / "films" / "a.mp4"
        file = MediaFile(path, "a")
        file.check_unchanged()
        other = vod / "new"
        other.write_bytes(b"film")
        other.rename(path)
        assert file.read(0, 4) == b"film"
        with pytest.raises(SourceUnreachable, match="replaced"):
            file.check_unchanged()
        path.unlink()
        with pytest.raises(SourceUnreachable, match="is gone"):
            file.check_unchanged()
        file.close()

    def test_closing_it_during_a_read_closes_it_when_the_read_is_done(
        self, vod: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = len(os.listdir("/proc/self/fd"))
        file = MediaFile(vod / "films" / "a.mp4", "a")
        real = os.pread

        def pread(fd: int, size: int, offset: int) -> bytes:
            file.close()
            return real(fd, size, offset)  # the descriptor is still that of the file

        monkeypatch.setattr("os.pread", pread)
        assert file.read(0, 4) == b"film"
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_disk_that_fails_is_told(self, vod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def pread(fd: int, size: int, offset: int) -> bytes:
            raise OSError(5, "Input/output error")

        file = MediaFile(vod / "films" / "a.mp4", "a")
        monkeypatch.setattr("os.pread", pread)
        with pytest.raises(SourceUnreachable, match="a cannot be read: Input/output error"):
            file.read(0, 4)
        file.close()

    def test_nothing_stays_open(self, vod: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        (vod / "empty").touch()
        for name in ("empty", "films"):
            with pytest.raises(SourceRejected):
                MediaFile(vod / name, name)
        MediaFile(vod / "films" / "a.mp4", "a").close()
        assert len(os.listdir("/proc/self/fd")) == before
