"""Segments of any container become frames of the same two tracks."""

import pytest

from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.sources.hls.segments import AUDIO_TRACK_ID, VIDEO_TRACK_ID, SegmentReader
from tests.support.hls_origin import make_hls
from tests.support.mpegts import muxed, picture

FMP4 = ("-hls_segment_type", "fmp4")


def read(reader: SegmentReader, files: dict[str, bytes], *names: str, piece_bytes: int = 5000) -> list[Frame]:
    frames = []
    initialization = files.get("init.mp4", b"")
    for name in names:
        reader.begin_segment((0, 0), initialization)
        data = files[name]
        for at in range(0, len(data), piece_bytes):
            frames += reader.feed(data[at : at + piece_bytes])
    return frames


def names_of(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name.endswith((".ts", ".m4s")))


@pytest.mark.parametrize("options", [(), FMP4])
def test_pictures_are_track_0_and_sound_is_track_1(options: tuple[str, ...]) -> None:
    files = make_hls(*options)
    reader = SegmentReader()
    frames = read(reader, files, *names_of(files)) + reader.end()
    assert {frame.track.id: frame.track.codec for frame in frames} == {
        VIDEO_TRACK_ID: "h264",
        AUDIO_TRACK_ID: "aac",
    }
    assert sum(frame.track.is_video for frame in frames) == 100
    assert reader.tracks == (frames[0].track, next(f.track for f in frames if not f.track.is_video))


@pytest.mark.parametrize("piece_bytes", [1, 11, 188, 100_000])
def test_any_split_gives_the_same_frames(piece_bytes: int) -> None:
    for options in ((), FMP4):
        files = make_hls(*options, seconds=1)
        one, other = SegmentReader(), SegmentReader()
        expected = [(f.dts_90k, f.payload) for f in read(one, files, names_of(files)[0])]
        found = read(other, files, names_of(files)[0], piece_bytes=piece_bytes)
        assert [(f.dts_90k, f.payload) for f in found] == expected


@pytest.mark.parametrize("options", [(), FMP4])
def test_tracks_that_stay_the_same_are_the_same_objects_after_a_loss(options: tuple[str, ...]) -> None:
    files = make_hls(*options)
    names = names_of(files)
    reader = SegmentReader()
    before = read(reader, files, names[0])
    reader.feed(files[names[1]][:1000])
    reader.lose()
    after = read(reader, files, names[2], names[3])
    assert {id(frame.track) for frame in before} == {id(frame.track) for frame in after}
    assert after[0].track.is_video
    assert after[0].key


def test_only_wanted_tracks_are_taken() -> None:
    files = make_hls()
    reader = SegmentReader(wanted=lambda is_video: not is_video)
    frames = read(reader, files, *names_of(files))
    assert {frame.track.codec for frame in frames} == {"aac"}
    assert [track.codec for track in reader.tracks] == ["aac"]


def test_statistics_outlive_demuxers() -> None:
    files = make_hls()
    reader = SegmentReader()
    read(reader, files, "0.ts")
    packets = reader.statistics.packets
    assert packets == len(files["0.ts"]) // 188
    reader.lose()
    read(reader, files, "1.ts")
    assert reader.statistics.packets == packets + len(files["1.ts"]) // 188


def test_pictures_before_a_key_frame_are_a_loss_in_the_middle_only() -> None:
    files = {"0.ts": muxed([picture(n * 3600, key=n == 3) for n in range(6)])}
    reader = SegmentReader()
    assert sum(frame.key for frame in read(reader, files, "0.ts") + reader.end()) == 1
    assert reader.statistics.dropped_frames == 0
    assert sum(frame.key for frame in read(reader, files, "0.ts") + reader.end()) == 1
    assert reader.statistics.dropped_frames == 3


def test_what_is_no_media_is_refused_with_words() -> None:
    with pytest.raises(RemoteProtocolError, match="neither MPEG-TS nor fragmented MP4 nor packed audio"):
        SegmentReader().feed(b"<html><body>not found")
    with pytest.raises(SourceRejected, match="subtitles"):
        SegmentReader().feed(b"WEBVTT\n\n00:00.000 --> 00:01.000\nhi")
