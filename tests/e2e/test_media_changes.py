"""What may happen to the media while a stream is on the air: parameters change, sound comes late or stops."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from openstreamer.media.aac import AacConfig
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from tests.support.clips import clip
from tests.support.encoded import copy_publish, encode
from tests.support.rtmp_publisher import RtmpPublisher
from tests.support.served import ServedTrack, decode, fetch_track, is_complete
from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PICTURES = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=9")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-sc_threshold", "0")


def published_whole(server: Server, code: str) -> tuple[ServedTrack, ServedTrack]:
    """Wait for the end of the publication; what is served of video and audio."""
    server.wait_for_status(code, "idle", 40)
    base = server.url(f"/{code}")
    for kind in ("video", "audio"):
        until(lambda kind=kind: is_complete(base, kind), "the last segments are out")
    return fetch_track(base, "video"), fetch_track(base, "audio")


def publish(server: Server, code: str, frames: Iterable[Frame]) -> None:
    """Publish frames in one connection, as fast as the server takes them."""
    host, _, port = server.rtmp.rpartition(":")

    async def run() -> None:
        async with RtmpPublisher(host, int(port), code) as publisher:
            await publisher.send(frames)

    asyncio.run(run())


def later(frames: Iterable[Frame], seconds: float) -> list[Frame]:
    """Copies of frames, moved in time."""
    ticks = round(seconds * 90_000)
    return [
        Frame(frame.track, frame.pts_90k + ticks, frame.dts_90k + ticks, frame.key, frame.payload)
        for frame in frames
    ]


def assert_one_change(
    video: ServedTrack, audio: ServedTrack, tmp_path: Path, sizes: list[tuple[int, int]]
) -> None:
    """One discontinuity, at the same number everywhere; a new init there; every piece decodes."""
    assert len(video.discontinuities) == 1
    assert audio.discontinuities == video.discontinuities
    (at,) = video.discontinuities
    before = {segment.map_uri for segment in video.playlist.segments if segment.msn < at}
    after = {segment.map_uri for segment in video.playlist.segments if segment.msn >= at}
    assert len(before) == len(after) == 1
    assert before != after
    shown = []
    for number, media in enumerate(video.generations()):
        path = tmp_path / f"generation{number}.mp4"
        path.write_bytes(media)
        assert decode(path) == ""
        (stream,) = ffprobe(str(path))["streams"]
        shown.append((stream["width"], stream["height"]))
    assert shown == sizes
    for track in (video, audio):
        times = [unit.dts_s for unit in track.units]
        assert times == sorted(times)


def test_another_encoder_with_another_size_is_one_discontinuity(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    url = server.publish_url("news")
    sizes = [(640, 360), (320, 180)]
    for size in sizes:
        command = ffmpeg_publish(url, size="x".join(map(str, size)))
        with peer(*command, log=tmp_path / "ffmpeg.log"):
            server.wait_for_status("news", "active")
            until(lambda size=size: _shown_size(server) == size, f"players see {size}")
            begun = _segments(server)
            until(lambda begun=begun: _segments(server) >= begun + 3, "three more segments")
        server.wait_for_status("news", "idle")
    assert_one_change(*published_whole(server, "news"), tmp_path, sizes)


def _shown_size(server: Server) -> tuple[int, int] | None:
    master = server.get("/news/index.m3u8").text
    _, found, rest = master.partition("RESOLUTION=")
    if not found:
        return None
    width, _, height = rest.partition(",")[0].partition("x")
    return int(width), int(height)


def _segments(server: Server) -> int:
    """Media sequence number of the newest complete segment."""
    return fetch_track(server.url("/news"), "video").playlist.segments[-1].msn


def test_a_new_sequence_header_in_the_same_connection_is_one_discontinuity(
    shared_server: Server, tmp_path: Path
) -> None:
    shared_server.put_stream("resized")
    first = clip(frames=150, size=(160, 96))
    second = clip(frames=150, size=(320, 192))
    publish(shared_server, "resized", [*first, *later(second, 5)])
    video, audio = published_whole(shared_server, "resized")
    assert_one_change(video, audio, tmp_path, [(160, 96), (320, 192)])
    pictures = [frame.payload for frame in (*first, *second) if frame.track.is_video]
    assert [unit.data for unit in video.units] == pictures


def test_another_codec_in_the_same_connection_is_one_discontinuity(
    shared_server: Server, tmp_path: Path
) -> None:
    shared_server.put_stream("recoded")
    first, second = clip(frames=150), clip("h265", frames=150, size=(320, 192))
    publish(shared_server, "recoded", [*first, *later(second, 5)])
    video, audio = published_whole(shared_server, "recoded")
    assert_one_change(video, audio, tmp_path, [(160, 96), (320, 192)])


def test_sound_of_another_kind_in_the_same_connection_is_one_discontinuity(shared_server: Server) -> None:
    shared_server.put_stream("resounded")
    first, second = clip(frames=150), clip(audio="opus", frames=150)
    publish(shared_server, "resounded", [*first, *later(second, 5)])
    video, audio = published_whole(shared_server, "resounded")
    assert len(video.discontinuities) == 1
    assert audio.discontinuities == video.discontinuities
    assert (len(video.inits), len(audio.inits)) == (1, 2)


def test_high_efficiency_aac_plays_at_its_output_rate(shared_server: Server, tmp_path: Path) -> None:
    """No free encoder makes HE-AAC: AAC-LC at 24 kHz stands for its core, and an AudioSpecificConfig with
    explicit SBR (ISO/IEC 14496-3 section 1.6.5) says so; decoders then put out 48 kHz."""
    source = encode(
        tmp_path / "core.mp4", *PICTURES, "-f", "lavfi", "-i", "sine=sample_rate=24000:duration=9", *H264,
        *("-c:a", "aac", "-ac", "2"),
    )  # fmt: skip
    pictures = clip(audio=None, frames=150)
    sound = Track(1, AacConfig(bytes.fromhex("2b118800")))
    assert (sound.audio.sample_rate, sound.audio.codec_string) == (48_000, "mp4a.40.5")
    frames = [
        Frame(sound, ticks, ticks, False, unit.data)
        for ticks, unit in (
            (number * 1024 * 90_000 // 24_000, unit) for number, unit in enumerate(source.audio)
        )
        if ticks < 5 * 90_000
    ]
    shared_server.put_stream("he-aac")
    publish(shared_server, "he-aac", sorted([*pictures, *frames], key=lambda frame: frame.dts_90k))
    _, audio = published_whole(shared_server, "he-aac")
    assert [unit.data for unit in audio.units] == [frame.payload for frame in frames]
    index = shared_server.url("/he-aac/index.m3u8")
    assert "mp4a.40.5" in shared_server.get("/he-aac/index.m3u8").text
    (found,) = (
        stream for stream in ffprobe(index, from_start=True)["streams"] if stream["codec_type"] == "audio"
    )
    assert (found["codec_name"], found["sample_rate"]) == ("aac", "48000")
    assert decode(index, seconds=4, from_start=True) == ""


def test_sound_that_begins_late_is_in_its_place(shared_server: Server, tmp_path: Path) -> None:
    source = encode(
        tmp_path / "late.mp4", *PICTURES, "-itsoffset", "4.5", "-f", "lavfi", "-i", "sine=duration=4.5",
        *H264, "-c:a", "aac",
    )  # fmt: skip
    shared_server.put_stream("late")
    with peer(*copy_publish(source.path, shared_server.publish_url("late")), log=tmp_path / "log") as encoder:
        shared_server.wait_for_status("late", "active")
        assert encoder.wait(60) == 0
    video, audio = published_whole(shared_server, "late")
    assert [unit.data for unit in video.units] == [unit.data for unit in source.video]
    assert [unit.data for unit in audio.units][-len(source.audio) :] == [unit.data for unit in source.audio]
    offset_s = video.units[0].pts_s - source.video[0].pts_s
    for out, into in zip(audio.units[-len(source.audio) :], source.audio, strict=True):
        assert out.pts_s - into.pts_s == pytest.approx(offset_s, abs=0.04)
    assert video.discontinuities == audio.discontinuities == []


def test_sound_that_stops_is_said_and_the_picture_goes_on(shared_server: Server, tmp_path: Path) -> None:
    source = encode(
        tmp_path / "stops.mp4", *PICTURES, "-f", "lavfi", "-i", "sine=duration=3", *H264, "-c:a", "aac"
    )
    shared_server.put_stream("stops")
    with peer(
        *copy_publish(source.path, shared_server.publish_url("stops")), log=tmp_path / "log"
    ) as encoder:
        shared_server.wait_for_status("stops", "active")
        runtime = shared_server.wait_for_status("stops", "degraded")
        assert any("no audio frames" in reason for reason in runtime["reasons"])
        assert encoder.wait(60) == 0
    video, audio = published_whole(shared_server, "stops")
    assert [unit.data for unit in video.units] == [unit.data for unit in source.video]
    served = {unit.data for unit in audio.units}
    assert all(unit.data in served for unit in source.audio[5:])
    assert [s.msn for s in video.playlist.segments] == [s.msn for s in audio.playlist.segments]
    assert video.discontinuities == audio.discontinuities == []
