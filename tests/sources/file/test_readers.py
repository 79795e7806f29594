"""Files are known by their content; their blocks are read once; what libav gives becomes our packets."""

import itertools
import os
import struct
from pathlib import Path

import av
import pytest

from openstreamer.media.errors import RemoteProtocolError, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.media.nal import split_annex_b, to_length_prefixed
from openstreamer.sources.file.libav_child import Refused, _choose, _frames
from openstreamer.sources.file.opening import MediaFile
from openstreamer.sources.file.readers import BlockCache, Container, open_pass, sniff
from tests.sources.file.conftest import Mount
from tests.support.container_files import (
    B_FRAMES,
    FRAGMENTS,
    X264,
    make,
    of_kind,
    read_by_libav,
    units_of,
)

AAC = ("-c:a", "aac")
PACKET = b"\x47\x1f\xff\x10" + bytes(184)


class TestSniff:
    @pytest.mark.parametrize(
        ("head", "expected"),
        [
            (b"FLV\x01\x05", Container.FLV),
            (b"\0\0\0\x18ftypisom", Container.MP4),
            (b"\0\0\0\x08wide\0\0\0\0mdat", Container.MP4),
            (PACKET * 8, Container.MPEG_TS),
            (PACKET, Container.MPEG_TS),
            (b"junk" * 9 + PACKET * 8, Container.MPEG_TS),
            ((PACKET + bytes(16)) * 8, Container.MPEG_TS),
            (b"ID3\x04", Container.PACKED_AUDIO),
            (b"\xff\xf1\x50\x80", Container.PACKED_AUDIO),
            (b"\x1a\x45\xdf\xa3", Container.OTHER),
            (b"RIFF\0\0\0\0AVI ", Container.OTHER),
            (b"GGGG", Container.OTHER),
            (b"", Container.OTHER),
        ],
    )
    def test_by_the_first_bytes(self, head: bytes, expected: Container) -> None:
        assert sniff(head) is expected


class TestBlocks:
    @pytest.fixture
    def file(self, tmp_path: Path) -> MediaFile:
        path = tmp_path / "file"
        path.write_bytes(bytes(range(250)))
        return MediaFile(path, "file")

    def test_any_place_and_size(self, file: MediaFile) -> None:
        blocks = BlockCache(file, block_bytes=16, blocks=2)
        for offset in range(0, 250, 3):
            for size in (0, 1, 15, 16, 17, 40):
                assert blocks.read(offset, size) == bytes(range(250))[offset : offset + size]
        file.close()

    def test_a_block_is_read_once_while_it_is_kept(
        self, file: MediaFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads: list[int] = []
        real = os.pread

        def pread(fd: int, size: int, offset: int) -> bytes:
            reads.append(offset)
            return real(fd, size, offset)

        monkeypatch.setattr("os.pread", pread)
        blocks = BlockCache(file, block_bytes=16, blocks=2)
        for offset in (0, 1, 100, 2, 101, 3, 200, 102):
            blocks.read(offset, 1)
        assert reads == [0, 96, 192, 96]
        file.close()


class TestMp4:
    def open(self, tmp_path: Path, data: bytes) -> list[Frame]:
        path = tmp_path / "a.mp4"
        path.write_bytes(data)
        file = MediaFile(path, "a")
        try:
            reader = open_pass(file, Container.MP4, None, [])
            frames: list[Frame] = []
            while (some := reader.read()) is not None:
                frames += some
            assert reader.read() is None
            return frames
        finally:
            file.close()

    def test_the_moov_may_be_anywhere(self, tmp_path: Path) -> None:
        data = make(".mp4", *X264, *AAC, seconds="0.4")
        large = struct.pack(">I4sQ", 1, b"free", 16 + 1000) + bytes(1000)
        assert len(self.open(tmp_path, data)) == len(self.open(tmp_path, data + large))

    def test_many_boxes_without_a_moov_end(self, tmp_path: Path) -> None:
        with pytest.raises(RemoteProtocolError, match="no moov box"):
            self.open(tmp_path, b"\0\0\0\x08free" * 1000)

    def test_boxes_of_no_size_do_not_go_round(self, tmp_path: Path) -> None:
        with pytest.raises(RemoteProtocolError, match="'free' of 0 bytes"):
            self.open(tmp_path, struct.pack(">I4sQ", 1, b"free", 0) + bytes(100))
        with pytest.raises(RemoteProtocolError, match="no moov box"):
            self.open(tmp_path, b"\0\0\0\0free" + bytes(100))

    def test_a_huge_moov_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RemoteProtocolError, match="a moov box of 1073741824 bytes"):
            self.open(tmp_path, b"\x40\0\0\0moov" + bytes(100))

    def test_fragments_are_read_as_a_stream(self, tmp_path: Path) -> None:
        data = make(".mp4", *X264, *AAC, *FRAGMENTS, seconds="0.4")
        assert units_of(self.open(tmp_path, data))[0].key

    def test_a_file_that_changes_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(make(".mp4", *X264, *AAC, seconds="0.4"))
        file = MediaFile(path, "a")
        reader = open_pass(file, Container.MP4, None, [])
        path.write_bytes(b"other")
        with pytest.raises(SourceUnreachable, match="changed"):
            reader.read()
        file.close()


class TestLibav:
    """What runs in the child, here in this process."""

    def frames(self, mount: Mount, suffix: str, data: bytes) -> list[Frame]:
        path = mount.put(f"a{suffix}", data)
        with av.open(path) as container:
            chosen, _ = _choose(container)
            return [frame for _, frame in _frames(container, chosen)]

    def test_annex_b_and_adts_become_ours(self, mount: Mount) -> None:
        data = make(".ts", *X264, *AAC, seconds="0.8")
        frames = self.frames(mount, ".ts", data)
        units, expected = units_of(frames), read_by_libav(data, ".ts")
        assert [unit.payload for unit in of_kind(units, "video")] == [
            to_length_prefixed(split_annex_b(unit.payload)) for unit in of_kind(expected, "video")
        ]
        sounds = {unit.payload[7:] for unit in of_kind(expected, "audio")}
        assert {unit.payload for unit in of_kind(units, "audio")} <= sounds
        assert len(of_kind(units, "audio")) > 30

    def test_h265_in_annex_b(self, mount: Mount) -> None:
        hevc = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-c:a", "eac3")
        frames = self.frames(mount, ".ts", make(".ts", *hevc, seconds="0.4"))
        assert {frame.track.codec for frame in frames} == {"h265", "eac3"}
        assert next(frame for frame in frames if frame.track.is_video).key

    def test_decoding_times_that_matroska_lacks_are_counted_back(self, mount: Mount) -> None:
        frames = self.frames(mount, ".mkv", make(".mkv", *B_FRAMES, audio=False, seconds="0.8"))
        times = [frame.dts_90k for frame in frames]
        assert {second - first for first, second in itertools.pairwise(times)} == {3600}
        assert times == sorted(set(times))
        assert all(frame.pts_90k >= frame.dts_90k for frame in frames)

    def test_a_few_pictures_without_any_decoding_time(self, mount: Mount) -> None:
        frames = self.frames(mount, ".mkv", make(".mkv", *B_FRAMES, audio=False, seconds="0.04"))
        assert len(frames) == 1

    def test_sound_alone_is_random_access(self, mount: Mount) -> None:
        frames = self.frames(mount, ".ogg", make(".ogg", "-c:a", "libopus", video=False, seconds="0.4"))
        assert all(frame.key for frame in frames)
        assert frames[0].track.codec == "opus"

    def test_a_cover_picture_is_no_video(self, mount: Mount) -> None:
        cover = (
            "-map",
            "1:a",
            "-map",
            "0:v",
            "-frames:v",
            "1",
            "-c:v",
            "png",
            "-disposition:v",
            "attached_pic",
        )
        data = make(".mp3", *cover, "-c:a", "libmp3lame", seconds="0.4")
        frames = self.frames(mount, ".mp3", data)
        assert {frame.track.codec for frame in frames} == {"mp3"}

    def test_sound_that_cannot_be_carried_is_left_out_with_words(self, mount: Mount) -> None:
        path = mount.put("a.mkv", make(".mkv", *X264, "-c:a", "flac", seconds="0.2"))
        with av.open(path) as container:
            chosen, left_out = _choose(container)
            assert left_out == "audio: flac is not supported"
            assert {frame.track.codec for _, frame in _frames(container, chosen)} == {"h264"}

    def test_a_picture_that_cannot_be_carried_is_refused_with_its_sound(self, mount: Mount) -> None:
        data = make(".mkv", "-c:v", "mpeg4", *AAC, seconds="0.2")
        with pytest.raises(Refused, match="video: mpeg4 is not supported"):
            self.frames(mount, ".mkv", data)

    def test_languages_are_kept(self, mount: Mount) -> None:
        data = make(".mkv", *X264, *AAC, "-metadata:s:a:0", "language=ger", seconds="0.2")
        languages = {frame.track.language for frame in self.frames(mount, ".mkv", data)}
        assert languages == {"und", "ger"}
