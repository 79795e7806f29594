"""HE-AAC behind a sequence header that says AAC-LC: the frames tell."""

from pathlib import Path

from openstreamer.media.aac import split_adts
from openstreamer.media.aac_sbr import FRAMES_LOOKED_AT
from openstreamer.media.frame import Frame
from openstreamer.wire.flv import FlvDecoder
from tests.support.clips import clip

FIXTURE = Path(__file__).parents[2] / "fixtures" / "aac" / "he_aac.adts"
HE_AAC = [payload for _, payload in split_adts(FIXTURE.read_bytes())]
SAYS_LC = b"\xaf\x00\x13\x10"
LC_48K = b"\xaf\x00\x11\x90"
FRAME_MS = 1024 / 24


def feed(decoder: FlvDecoder, first: int, last: int) -> list[Frame]:
    frames: list[Frame] = []
    for number in range(first, last):
        frames += decoder.audio(round(number * FRAME_MS), b"\xaf\x01" + HE_AAC[number])
    return frames


def sound_alone() -> FlvDecoder:
    decoder = FlvDecoder()
    decoder.metadata({"audiocodecid": 10.0})
    decoder.audio(0, SAYS_LC)
    return decoder


def codec_strings(frames: list[Frame]) -> list[str]:
    return [frame.track.config.codec_string for frame in frames]


def test_frames_come_when_enough_of_them_have_told() -> None:
    decoder = sound_alone()
    assert feed(decoder, 0, FRAMES_LOOKED_AT - 1) == []
    frames = feed(decoder, FRAMES_LOOKED_AT - 1, 12)
    assert [frame.payload for frame in frames] == HE_AAC[:12]
    assert [frame.dts_90k for frame in frames] == [round(number * FRAME_MS) * 90 for number in range(12)]
    assert all(frame.key and frame.track is decoder.tracks[0] for frame in frames)
    assert codec_strings(frames) == ["mp4a.40.5"] * 12


def test_a_header_that_is_repeated_changes_nothing() -> None:
    decoder = sound_alone()
    feed(decoder, 0, FRAMES_LOOKED_AT)
    (track,) = decoder.tracks
    assert decoder.audio(400, SAYS_LC) == []
    assert [frame.track is track for frame in feed(decoder, 10, 12)] == [True, True]


def test_a_few_frames_are_enough_at_the_end() -> None:
    decoder = sound_alone()
    assert feed(decoder, 0, 3) == []
    frames = decoder.end()
    assert [frame.payload for frame in frames] == HE_AAC[:3]
    assert codec_strings(frames) == ["mp4a.40.5"] * 3
    assert decoder.end() == []


def test_another_header_ends_the_wait() -> None:
    decoder = sound_alone()
    assert feed(decoder, 0, 3) == []
    assert codec_strings(decoder.audio(128, LC_48K)) == ["mp4a.40.5"] * 3
    assert codec_strings(decoder.audio(128, b"\xaf\x01" + bytes(20))) == ["mp4a.40.2"]


def test_another_codec_ends_the_wait() -> None:
    decoder = sound_alone()
    assert feed(decoder, 0, 3) == []
    frames = decoder.audio(128, b"\x2f" + clip(None, "mp3")[0].payload)
    assert [frame.track.codec for frame in frames] == ["aac", "aac", "aac", "mp3"]
