"""HE-AAC in MP4 whose sample entry says AAC-LC: the frames tell."""

from pathlib import Path

from openstreamer.media.aac import AacConfig, split_adts
from openstreamer.media.aac_sbr import FRAMES_LOOKED_AT
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.mp4.fragment import audio_fragment
from openstreamer.wire.mp4.init import init_segment
from openstreamer.wire.mp4.reader import Fmp4Demuxer
from tests.support.container_files import X264, make
from tests.support.media import AUDIO

FIXTURE = Path(__file__).parents[2] / "fixtures" / "aac" / "he_aac.adts"
HE_AAC = [payload for _, payload in split_adts(FIXTURE.read_bytes())]
SAYS_LC = init_segment(Track(2, AacConfig(bytes.fromhex("1310"))))
SAMPLES = 1024
TICKS_PER_FRAME = SAMPLES * 90_000 // 24_000


def part(first: int, last: int) -> bytes:
    payloads = HE_AAC[first:last]
    table = [value for payload in payloads for value in (SAMPLES, len(payload))]
    return audio_fragment(first + 1, first * SAMPLES, table, payloads)


def codec_strings(frames: list[Frame]) -> list[str]:
    return [frame.track.config.codec_string for frame in frames]


def test_frames_come_when_enough_of_them_have_told() -> None:
    demuxer = Fmp4Demuxer()
    assert demuxer.receive_data(SAYS_LC + part(0, FRAMES_LOOKED_AT - 1)) == []
    frames = demuxer.receive_data(part(FRAMES_LOOKED_AT - 1, 12))
    assert [frame.payload for frame in frames] == HE_AAC[:12]
    assert [frame.pts_90k for frame in frames] == [number * TICKS_PER_FRAME for number in range(12)]
    assert {frame.track for frame in frames} == set(demuxer.tracks)
    assert codec_strings(frames) == ["mp4a.40.5"] * 12


def test_a_few_frames_are_enough_at_the_end() -> None:
    demuxer = Fmp4Demuxer()
    assert demuxer.receive_data(SAYS_LC + part(0, 3)) == []
    frames = demuxer.receive_eof()
    assert [frame.payload for frame in frames] == HE_AAC[:3]
    assert codec_strings(frames) == ["mp4a.40.5"] * 3


def test_another_description_ends_the_wait() -> None:
    demuxer = Fmp4Demuxer()
    assert demuxer.receive_data(SAYS_LC + part(0, 3)) == []
    later = audio_fragment(9, 4 * 2 * SAMPLES, [SAMPLES, 20], [bytes(range(20))])
    frames = demuxer.receive_data(init_segment(AUDIO) + later)
    assert codec_strings(frames) == ["mp4a.40.5"] * 3 + ["mp4a.40.2"]


def test_sound_that_does_not_come_holds_the_picture_up_for_a_second_only() -> None:
    data = make(
        ".mp4",
        *(*X264, "-c:a", "aac", "-ar", "24000"),
        *("-movflags", "+frag_keyframe+empty_moov+separate_moof+default_base_moof"),
    )
    demuxer = Fmp4Demuxer()
    frames = demuxer.receive_data(b"".join(box for box in boxes(data) if not is_of_track(2, box)))
    assert len([frame for frame in frames if frame.track.is_video]) == 50
    assert [track.config.codec for track in demuxer.tracks] == ["h264", "aac"]


def boxes(data: bytes) -> list[bytes]:
    """The boxes of a file; media data together with the fragment in front of it."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"mdat":
            found[-1] += data[at:end]
        else:
            found.append(data[at:end])
        at = end
    return found


def is_of_track(number: int, box: bytes) -> bool:
    at = box.find(b"tfhd")
    return box[4:8] == b"moof" and int.from_bytes(box[at + 8 : at + 12], "big") == number
