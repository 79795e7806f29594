"""The clips that peers send, encoded by FFmpeg, and what libav reads in them."""

from dataclasses import dataclass
from pathlib import Path

from tests.corpus.truth import Units, of_file
from tests.support.container_files import run_ffmpeg

SIZE = (640, 360)
RATE = 25
_PICTURE = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={RATE}:duration={{seconds}}"
# Noise, because no two access units of it are alike: a tone comes round again
_SOUND = "anoisesrc=seed=7:color=pink:amplitude=0.1:sample_rate=48000:duration={seconds}"
_H264 = (
    *("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-b_strategy", "0", "-pix_fmt", "yuv420p"),
    *("-g", str(RATE), "-sc_threshold", "0", "-b:v", "1M", "-maxrate", "1.5M", "-bufsize", "2M"),
)
_VP9 = (
    *("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"),
    *("-g", str(RATE), "-b:v", "1M"),
)
_AAC = ("-c:a", "aac", "-b:a", "96k", "-ac", "2")
_OPUS = ("-c:a", "libopus", "-b:a", "96k", "-ac", "2")
_COPIES = ("ts", "flv", "mkv", "mov")
_FRAGMENTED = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")


@dataclass(frozen=True)
class Original:
    """A clip and its access units."""

    path: Path
    units: Units
    seconds: float

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which tracks it has: ``video``, ``audio``."""
        return tuple(kind for kind in ("video", "audio") if getattr(self.units, kind))


@dataclass(frozen=True)
class Originals:
    """All clips, in one directory: ``film`` (in several containers), ``web`` (VP9 and Opus), ``radio``."""

    directory: Path
    film: Original
    web: Original
    radio: Original


def make_originals(directory: Path, seconds: int) -> Originals:
    """Encode every clip and copy the film into the other containers."""
    directory.mkdir(parents=True)
    picture = ("-f", "lavfi", "-i", _PICTURE.format(seconds=seconds))
    sound = ("-f", "lavfi", "-i", _SOUND.format(seconds=seconds))
    film, web, radio = (directory / name for name in ("film.mp4", "web.webm", "radio.mp4"))
    run_ffmpeg(*picture, *sound, *_H264, *_AAC, str(film))
    run_ffmpeg(*picture, *sound, *_VP9, *_OPUS, str(web))
    run_ffmpeg(*sound, *_AAC, str(radio))
    for suffix in _COPIES:
        run_ffmpeg("-i", str(film), "-c", "copy", str(directory / f"film.{suffix}"))
    run_ffmpeg("-i", str(film), "-c", "copy", *_FRAGMENTED, str(directory / "film.frag.mp4"))
    return Originals(directory, *(Original(path, of_file(path), seconds) for path in (film, web, radio)))
