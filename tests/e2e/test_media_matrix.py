"""Every kind of media that an encoder may send: it is published as it is, and must come out as it was.

For each case: the stream is active with the right tracks; players read the right codec, size and rate; what
is served decodes without an error, is the encoder's own access units byte for byte, and keeps their times.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.encoded import AccessUnit, EncodedFile, copy_publish, encode
from tests.support.served import ServedTrack, decode, fetch_track, is_complete
from tests.support.server import Server, ffprobe, peer, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CLIP_S = 7
PARALLEL = 8  # streams at a time
SKEW_S = 0.040
ROUNDING_S = 0.0021  # RTMP counts milliseconds, and decoding and composition times are rounded each
LEAD_S = 0.100  # sound from before the first picture is not carried
NTSC_FILM, NTSC_DOUBLE = "24000/1001", "60000/1001"

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-tag:v", "hvc1")
X265_GOP = "keyint=50:min-keyint=50:scenecut=0:log-level=none"
SVT_AV1 = ("-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k")
AAC = ("-c:a", "aac", "-b:a", "64k")


@dataclass(frozen=True)
class Picture:
    """What is encoded as video, and how a player must see it."""

    codec: str = "h264"
    encoder: tuple[str, ...] = X264
    size: tuple[int, int] = (320, 180)
    rate: str = "25"
    gop: int = 50
    filters: str = "null"
    aspect: str = "1:1"
    resolution: str = ""  # of the master playlist, where it is not the size
    variable: bool = False
    seconds: float = CLIP_S
    options: tuple[str, ...] = ()

    def inputs(self) -> tuple[str, ...]:
        size = "x".join(map(str, self.size))
        source = f"testsrc2=size={size}:rate={self.rate}:duration={self.seconds:g}"
        return ("-f", "lavfi", "-i", source)

    def outputs(self) -> tuple[str, ...]:
        timing = "vfr" if self.variable else "cfr"
        return (*("-vf", self.filters, "-vsync", timing, *self.encoder, "-g", str(self.gop), *self.options),)


@dataclass(frozen=True)
class Sound:
    """What is encoded as audio, and how a player must see it."""

    codec: str = "aac"
    encoder: tuple[str, ...] = AAC
    rate: int = 48_000
    channels: int = 2
    begins_s: float = 0.0
    seconds: float = CLIP_S

    def inputs(self) -> tuple[str, ...]:
        offset = ("-itsoffset", f"{self.begins_s:g}") if self.begins_s else ()
        tone = f"sine=frequency=440:sample_rate={self.rate}:duration={self.seconds:g}"
        return (*offset, "-f", "lavfi", "-i", tone)

    def outputs(self) -> tuple[str, ...]:
        return (*self.encoder, "-ac", str(self.channels), "-ar", str(self.rate))


@dataclass(frozen=True)
class Case:
    """One stream of the matrix."""

    name: str
    video: Picture | None = field(default_factory=Picture)
    audio: Sound | None = field(default_factory=Sound)
    enhanced: bool = False  # published by Enhanced RTMP

    @property
    def seconds(self) -> float:
        return max(each.seconds for each in (self.video, self.audio) if each is not None)

    def encode(self, directory: Path) -> EncodedFile:
        media = [each for each in (self.video, self.audio) if each is not None]
        inputs = [word for each in media for word in each.inputs()]
        outputs = [word for each in media for word in each.outputs()]
        return encode(directory / f"{self.name}.mp4", *inputs, *outputs)


B_FRAMES = ("-profile:v", "high", "-bf", "3", "-b_strategy", "0", "-refs", "4")
CASES = (
    Case("h264-baseline", Picture(options=("-profile:v", "baseline"))),
    Case("h264-high-with-b-frames", Picture(options=(*B_FRAMES, "-preset", "veryfast"))),
    Case("h264-23976", Picture(rate=NTSC_FILM, gop=48, options=(*B_FRAMES, "-preset", "veryfast"))),
    Case("h264-5994", Picture(rate=NTSC_DOUBLE, gop=120)),
    Case("h264-gop-of-10-seconds", Picture(gop=250, seconds=21), Sound(seconds=21)),
    Case("h264-1080p-cropped", Picture(size=(1920, 1080), gop=25, options=("-b:v", "2M"))),
    Case(
        "h264-anamorphic",
        Picture(size=(720, 576), filters="setsar=64/45", aspect="64:45", resolution="1024x576"),
    ),
    Case(
        "h264-variable-frame-rate",
        Picture(rate="30", gop=60, filters="select='lt(mod(n,40),20)+not(mod(n,4))'", variable=True),
    ),
    Case("video-only", audio=None),
    Case("aac-44100", audio=Sound(rate=44_100)),
    Case("aac-51", audio=Sound(channels=6)),
    Case("aac-only", None),
    Case("mp3", audio=Sound("mp3", ("-c:a", "libmp3lame", "-b:a", "64k"), rate=44_100)),
    Case("mp3-only", None, Sound("mp3", ("-c:a", "libmp3lame", "-b:a", "64k"))),
    Case("h265", Picture("hevc", (*X265, "-x265-params", X265_GOP)), enhanced=True),
    Case(
        "h265-with-b-frames", Picture("hevc", (*X265, "-x265-params", X265_GOP + ":bframes=3")), enhanced=True
    ),
    Case("av1-opus", Picture("av1", SVT_AV1), Sound("opus", ("-c:a", "libopus")), enhanced=True),
    Case("vp9-opus", Picture("vp9", VP9), Sound("opus", ("-c:a", "libopus")), enhanced=True),
    Case("opus-only", None, Sound("opus", ("-c:a", "libopus")), enhanced=True),
    Case("ac3-51", audio=Sound("ac3", ("-c:a", "ac3"), channels=6), enhanced=True),
    Case("eac3", audio=Sound("eac3", ("-c:a", "eac3")), enhanced=True),
)


@dataclass(frozen=True)
class Shown:
    """What became of a case."""

    source: EncodedFile
    runtime: dict[str, Any]
    streams: dict[str, dict[str, Any]]  # as ffprobe reads the master playlist, by type
    master: str
    complaints: str
    tracks: dict[str, ServedTrack]


def show(case: Case, server: Server, directory: Path) -> Shown:
    """Publish a case, look at it from all sides, and wait for its end."""
    source = case.encode(directory)
    server.put_stream(case.name)
    url = server.publish_url(case.name)
    command = copy_publish(source.path, url)
    if case.enhanced:
        command = (sys.executable, "-m", "tests.support.remux_publisher", str(source.path), url)
    log = directory / f"{case.name}.log"
    kinds = [kind for kind in ("video", "audio") if getattr(case, kind) is not None]
    with peer(*command, log=log) as publisher:
        until(
            lambda: publisher.poll() is not None or server.runtime(case.name)["status"] == "active",
            f"{case.name} is active",
            40,
        )
        assert publisher.poll() is None, log.read_text()
        runtime = server.runtime(case.name)
        assert publisher.wait(100) == 0, log.read_text()
    server.wait_for_status(case.name, "idle", 40)
    until(lambda: all(is_complete(server.url(f"/{case.name}"), kind) for kind in kinds), "the last segments")
    index = server.url(f"/{case.name}/index.m3u8")
    probe = ffprobe(index, from_start=True)
    return Shown(
        source,
        runtime,
        {stream["codec_type"]: stream for stream in probe["streams"]},
        server.get(f"/{case.name}/index.m3u8").text,
        probe["stderr"] + decode(index, seconds=5, from_start=True),
        {kind: fetch_track(server.url(f"/{case.name}"), kind) for kind in kinds},
    )


@pytest.fixture(scope="module")
def shows(
    request: pytest.FixtureRequest, shared_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[Shown]"]]:
    """All cases at once, as many at a time as the machine can show in real time."""
    directory = tmp_path_factory.mktemp("matrix")
    asked: set[Case] = {
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    }
    longest_first = sorted(asked, key=lambda case: (-case.seconds, CASES.index(case)))
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield {case.name: pool.submit(show, case, shared_server, directory) for case in longest_first}


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def shown(case: Case, shows: dict[str, "Future[Shown]"]) -> Shown:
    return shows[case.name].result()


def test_the_stream_is_active_with_the_encoders_tracks(case: Case, shown: Shown) -> None:
    assert shown.runtime["reasons"] == []
    seen = {track["kind"]: track for track in shown.runtime["inputs"][0]["tracks"]}
    assert set(seen) == set(shown.tracks)
    if case.video is not None:
        names = {"hevc": "h265"}
        assert seen["video"]["codec"] == names.get(case.video.codec, case.video.codec)
        assert (seen["video"]["width"], seen["video"]["height"]) == case.video.size
    if case.audio is not None:
        assert seen["audio"]["codec"] == case.audio.codec
        assert (seen["audio"]["sample_rate"], seen["audio"]["channels"]) == (
            case.audio.rate,
            case.audio.channels,
        )


def test_players_read_codec_size_and_rate(case: Case, shown: Shown) -> None:
    assert set(shown.streams) == set(shown.tracks)
    if case.video is not None:
        video = shown.streams["video"]
        assert video["codec_name"] == case.video.codec
        assert (video["width"], video["height"]) == case.video.size
        assert video.get("sample_aspect_ratio", "1:1") == case.video.aspect
        if case.audio is not None:
            resolution = case.video.resolution or "x".join(map(str, case.video.size))
            assert f"RESOLUTION={resolution}," in shown.master
        if not case.video.variable:
            numerator, _, denominator = case.video.rate.partition("/")
            rate = int(numerator) / int(denominator or 1)
            assert case.audio is None or f"FRAME-RATE={rate:.3f}," in shown.master
            read = [float(part) for part in video["avg_frame_rate"].split("/")]
            assert read[0] / read[1] == pytest.approx(rate, rel=0.002)
    if case.audio is not None:
        audio = shown.streams["audio"]
        assert audio["codec_name"] == case.audio.codec
        assert (int(audio["sample_rate"]), audio["channels"]) == (case.audio.rate, case.audio.channels)


def test_what_is_served_decodes_without_an_error(shown: Shown) -> None:
    assert shown.complaints == ""


def test_access_units_are_the_encoders_own(shown: Shown) -> None:
    for kind, track in shown.tracks.items():
        source = getattr(shown.source, kind)
        served = [unit.data for unit in track.units]
        lead = _lead(shown, kind)
        assert served == [unit.data for unit in source[lead:]], kind
        assert source[lead].dts_s - source[0].dts_s <= LEAD_S


def test_times_and_the_offset_of_sound_to_picture_are_the_encoders(case: Case, shown: Shown) -> None:
    errors_s: list[float] = []
    for kind, track in shown.tracks.items():
        source = getattr(shown.source, kind)[_lead(shown, kind) :]
        errors_s += [out.pts_s - into.pts_s for out, into in zip(track.units, source, strict=True)]
        for one, other in pairwise(track.units):
            assert one.dts_s < other.dts_s
    assert max(errors_s) - min(errors_s) < SKEW_S
    if case.audio is None:
        assert max(errors_s) - min(errors_s) <= 2 * ROUNDING_S


def test_one_encoder_is_one_continuous_presentation(case: Case, shown: Shown) -> None:
    for track in shown.tracks.values():
        assert track.discontinuities == []
        assert len(track.inits) == 1
        assert not any(segment.gap for segment in track.playlist.segments)
    numbers = {tuple(segment.msn for segment in track.playlist.segments) for track in shown.tracks.values()}
    assert len(numbers) == 1
    if case.name == "h264-gop-of-10-seconds":
        assert {track.playlist.target_duration_s for track in shown.tracks.values()} == {10}


def _lead(shown: Shown, kind: str) -> int:
    """How many access units at the start are not served: sound from before the first picture."""
    if kind == "video" or "video" not in shown.tracks:
        return 0
    first: AccessUnit = shown.tracks["audio"].units[0]
    source: Sequence[AccessUnit] = shown.source.audio
    return next(index for index, unit in enumerate(source) if unit.data == first.data)
