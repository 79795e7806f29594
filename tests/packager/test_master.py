from dataclasses import replace
from fractions import Fraction

from openstreamer.media.h264 import H264Config
from openstreamer.media.track import Track
from openstreamer.packager.master import Bandwidth, bandwidth, master_playlist
from openstreamer.packager.playlist import URI_END
from tests.support.hls_playlist import attributes
from tests.support.made_streams import MadeStream
from tests.support.media import AUDIO, VIDEO
from tests.support.watching import Watched

PAL = Track(
    1,
    H264Config.from_avcc(
        bytes.fromhex(
            "0164001effe100186764001eacd940b424d8208000000300800000190f8a14cb01000468fe8fcbfdf8f800"
        )
    ),
)


def master(stream: MadeStream, frame_rate: Fraction | None = Fraction(30)) -> dict[str, dict[str, str]]:
    packager = Watched(blind=True).run(stream).presentation.packager
    text = master_playlist(packager.playing, frame_rate).replace(URI_END, "")
    tags = [line[1:].partition(":") for line in text.splitlines() if line.startswith("#EXT-X-")]
    return {name: attributes(value) for name, _, value in tags if "=" in value}


def test_bandwidth_is_that_of_what_plays_together() -> None:
    packager = Watched(blind=True).run(MadeStream(seconds=20)).presentation.packager
    video, audio = (bandwidth(track.window) for track in packager.playing)
    line = master(MadeStream(seconds=20))["EXT-X-STREAM-INF"]

    assert line["BANDWIDTH"] == str(video.peak_bps + audio.peak_bps)
    assert line["AVERAGE-BANDWIDTH"] == str(video.average_bps + audio.average_bps)
    # 30 frames and one key frame a second, and the headers of fragments
    assert 29 * 100 * 8 + 900 * 8 < video.average_bps < 1.4 * (29 * 100 * 8 + 900 * 8)


def test_bandwidth_of_a_first_segment_is_that_of_its_parts() -> None:
    watched = Watched(blind=True).run(MadeStream(seconds=0.9))
    window = watched.presentation.packager.video
    assert window is not None
    assert not window.window.closed
    assert bandwidth(window.window).average_bps > 0
    empty = Watched(blind=True).run(MadeStream(seconds=0.1)).presentation.packager.video
    assert empty is not None
    assert bandwidth(empty.window) == Bandwidth(0, 0)


def test_video_alone_names_no_audio() -> None:
    tags = master(MadeStream(seconds=5, audio=None))
    assert "EXT-X-MEDIA" not in tags
    assert "AUDIO" not in tags["EXT-X-STREAM-INF"]
    assert tags["EXT-X-STREAM-INF"]["CODECS"] == VIDEO.config.codec_string


def test_audio_alone_has_no_picture() -> None:
    line = master(MadeStream(seconds=5, video=None))["EXT-X-STREAM-INF"]
    assert line["CODECS"] == "mp4a.40.2"
    assert "RESOLUTION" not in line


def test_the_resolution_is_in_square_pixels() -> None:
    assert master(MadeStream(seconds=5, video=PAL))["EXT-X-STREAM-INF"]["RESOLUTION"] == "1047x576"


def test_a_frame_rate_that_is_not_known_is_left_out() -> None:
    assert "FRAME-RATE" not in master(MadeStream(seconds=5), None)["EXT-X-STREAM-INF"]


def test_a_language_is_named_when_it_is_known() -> None:
    assert "LANGUAGE" not in master(MadeStream(seconds=5))["EXT-X-MEDIA"]
    german = replace(AUDIO, language="de")
    assert master(MadeStream(seconds=5, audio=german))["EXT-X-MEDIA"]["LANGUAGE"] == "de"
