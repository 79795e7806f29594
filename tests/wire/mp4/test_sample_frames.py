"""Configurations that are in the samples, changes of sample entries, and samples that nobody can decode."""

import pytest

from openstreamer.media.ac3 import Eac3Config
from openstreamer.media.errors import SourceRejected
from openstreamer.media.h264 import H264Config, to_length_prefixed
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.track import CodecConfig
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.sample_entry_reader import SampleEntry, SampleFormat
from openstreamer.wire.mp4.sample_frames import MAX_UNCONFIGURED_SAMPLES, SampleFrames
from tests.support.clips import clip
from tests.support.media import PPS, SPS, VIDEO, video
from tests.support.tracks import X264_HIGH_PPS, X264_HIGH_SPS

FORMATS = {
    "h264": SampleFormat.H264,
    "h265": SampleFormat.H265,
    "av1": SampleFormat.AV1,
    "vp9": SampleFormat.VP9,
    "mp3": SampleFormat.MP3,
    "ac3": SampleFormat.AC3,
    "eac3": SampleFormat.EAC3,
}


def frames_of(entry: SampleEntry) -> SampleFrames:
    return SampleFrames(0, "und", entry, DemuxStatistics(started=True))


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "vp9"])
def test_video_may_carry_its_configuration_itself(codec: str) -> None:
    frame = next(iter(clip(codec, None)))
    config: CodecConfig = frame.track.config
    payload = frame.payload
    if isinstance(config, H264Config):
        payload = to_length_prefixed([*config.sps, *config.pps]) + payload
    elif codec == "h265":
        payload = to_length_prefixed([*config.vps, *config.sps, *config.pps]) + payload  # type: ignore[union-attr]
    frames = frames_of(SampleEntry(FORMATS[codec]))
    assert frames.track is None
    made = frames.video(0, 0, True, payload)
    assert made is not None
    assert made.key
    assert made.track.config == config
    assert frames.track is made.track


@pytest.mark.parametrize("codec", ["mp3", "ac3", "eac3"])
def test_sound_may_carry_its_configuration_itself(codec: str) -> None:
    frame = next(iter(clip(None, codec)))
    frames = frames_of(SampleEntry(FORMATS[codec]))
    (made,) = frames.audio(0, frame.payload)
    assert made.track.config == frame.track.config
    assert isinstance(made.track.config, Mp3Config | Eac3Config) or codec == "ac3"


def test_damaged_sound_without_a_configuration_is_counted() -> None:
    frames = frames_of(SampleEntry(SampleFormat.MP3))
    assert frames.audio(0, b"\0" * 30) == []
    assert (frames.statistics.malformed, frames.statistics.dropped_frames) == (1, 1)


def test_a_damaged_header_does_not_take_the_configuration_away() -> None:
    frame = next(iter(clip(None, "mp3")))
    frames = frames_of(SampleEntry(SampleFormat.MP3))
    first, second = frames.audio(0, frame.payload) + frames.audio(1, b"\0" * 30)
    assert second.track is first.track


def test_in_band_parameter_sets_change_the_track_at_a_key_frame() -> None:
    frames = frames_of(SampleEntry(SampleFormat.H264, H264Config((SPS,), (PPS,))))
    before = frames.video(0, 0, True, video(0, key=True).payload)
    changed = to_length_prefixed([X264_HIGH_SPS, X264_HIGH_PPS]) + video(0, key=True).payload
    after = frames.video(3600, 3600, True, changed)
    assert before is not None
    assert after is not None
    assert before.track.config != after.track.config
    assert before.track.id == after.track.id


def test_another_sample_entry_needs_a_key_frame_first() -> None:
    frames = frames_of(SampleEntry(SampleFormat.H264, VIDEO.config))
    assert frames.video(0, 0, True, video(0, key=True).payload) is not None
    frames.select(SampleEntry(SampleFormat.H264, H264Config((X264_HIGH_SPS,), (X264_HIGH_PPS,))))
    assert frames.video(1, 1, False, video(0, key=False).payload) is None
    made = frames.video(2, 2, True, video(0, key=True).payload)
    assert made is not None
    assert made.track.video.profile == 100
    assert frames.statistics.dropped_frames == 1


def test_the_sync_flag_is_believed_while_the_bit_stream_has_no_key_frames() -> None:
    frames = frames_of(SampleEntry(SampleFormat.H264, VIDEO.config))
    intra_refresh = video(0, key=False).payload
    made = frames.video(0, 0, True, intra_refresh)
    assert made is not None
    assert made.key
    frames.video(1, 1, True, video(0, key=True).payload)
    again = frames.video(2, 2, True, intra_refresh)
    assert again is not None
    assert not again.key


def test_video_that_nobody_can_decode_is_refused_in_the_end() -> None:
    frames = frames_of(SampleEntry(SampleFormat.H264))
    payload = video(0, key=True).payload
    for number in range(MAX_UNCONFIGURED_SAMPLES):
        assert frames.video(number, number, True, payload) is None
    with pytest.raises(SourceRejected, match="H264 without its decoder configuration for 1501 samples"):
        frames.video(0, 0, True, payload)
