"""Frames of every codec come back from their FLV tags as they went in."""

from collections.abc import Iterable

import pytest

from openstreamer.media.clock import ticks_to_ms
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.flv import FlvDecoder, FlvEncoder, FlvTag, metadata_of
from tests.support.clips import clip

VIDEO = ["h264", "h264-bframes", "h265", "av1", "vp9"]
AUDIO = ["aac", "opus", "mp3", "ac3", "eac3"]


def tags_of(frames: Iterable[Frame]) -> list[FlvTag]:
    encoder = FlvEncoder()
    return [tag for frame in frames for tag in encoder.encode(frame)]


def tracks_of(frames: Iterable[Frame]) -> list[Track]:
    return sorted({frame.track.id: frame.track for frame in frames}.values(), key=lambda track: track.id)


def decode(tags: Iterable[FlvTag], decoder: FlvDecoder, *, with_end: bool = True) -> list[Frame]:
    frames: list[Frame] = []
    for tag in tags:
        feed = decoder.video if tag.is_video else decoder.audio
        frames += feed(tag.timestamp_ms & 0xFFFFFFFF, tag.payload)
    return frames + (decoder.end() if with_end else [])


def content(frames: Iterable[Frame], *, video: bool) -> list[tuple[bytes, bool]]:
    return [(frame.payload, frame.key) for frame in frames if frame.track.is_video == video]


@pytest.mark.parametrize(
    ("video", "audio"), [*((name, "aac") for name in VIDEO), *(("h264", name) for name in AUDIO)]
)
def test_every_codec_survives_the_way_through_flv(video: str, audio: str) -> None:
    sent = clip(video, audio)
    decoder = FlvDecoder()
    decoder.metadata(metadata_of(tracks_of(sent)))
    received = decode(tags_of(sent), decoder)
    assert [track.config for track in decoder.tracks] == [track.config for track in tracks_of(sent)]
    start_ms = next(ticks_to_ms(frame.dts_90k) for frame in sent if frame.track.is_video)
    kept = [frame for frame in sent if frame.track.is_video or ticks_to_ms(frame.dts_90k) >= start_ms]
    assert content(received, video=True) == content(kept, video=True)
    assert content(received, video=False) == content(kept, video=False)
    assert decoder.statistics.before_key_frame == len(sent) - len(kept)
    assert decoder.statistics.dropped_frames == 0
    for got, expected in zip(received, kept, strict=True):
        assert abs(got.dts_90k - expected.dts_90k) <= 45
        assert abs(got.pts_90k - expected.pts_90k) <= 90


@pytest.mark.parametrize("audio", AUDIO)
def test_audio_alone_is_a_stream_whose_every_frame_is_a_key_frame(audio: str) -> None:
    sent = clip(None, audio)
    decoder = FlvDecoder()
    received = decode(tags_of(sent), decoder)
    assert content(received, video=False) == [(frame.payload, True) for frame in sent]
    assert decoder.statistics.dropped_frames == 0


@pytest.mark.parametrize("video", VIDEO)
def test_video_alone_is_a_stream(video: str) -> None:
    sent = clip(video, None)
    decoder = FlvDecoder()
    decoder.metadata(metadata_of(tracks_of(sent)))
    tags = tags_of(sent)
    early = decode(tags[:2], decoder, with_end=False)  # the sequence header and the first frame
    assert early[0].key, "metadata announced no audio: nothing to wait for"
    received = early + decode(tags[2:], decoder)
    assert content(received, video=True) == content(sent, video=True)


def test_composition_times_of_b_frames_are_kept() -> None:
    sent = clip("h264-bframes", None)
    received = decode(tags_of(sent), FlvDecoder())
    assert any(frame.pts_90k != frame.dts_90k for frame in sent)
    offsets = [frame.pts_90k - frame.dts_90k for frame in received]
    assert offsets == pytest.approx([frame.pts_90k - frame.dts_90k for frame in sent], abs=90)


def test_metadata_describes_the_tracks() -> None:
    values = metadata_of(tracks_of(clip("av1", "opus")))
    assert values["videocodecid"] == float(int.from_bytes(b"av01", "big"))
    assert values["audiocodecid"] == float(int.from_bytes(b"Opus", "big"))
    assert (values["width"], values["height"], values["audiosamplerate"]) == (160.0, 96.0, 48_000.0)
    legacy = metadata_of(tracks_of(clip("h264", "aac")))
    assert (legacy["videocodecid"], legacy["audiocodecid"]) == (7.0, 10.0)
