"""What of a stream the player page plays in a browser that lacks codecs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "web"
ASK = """
const { judge, variantsOf } = await import(process.argv[1]);
const { playlist, lacks } = JSON.parse(process.argv[2]);
const supports = (type) => /^(video|audio).mp4; codecs="[^"]+"$/.test(type) && !lacks.includes(type);
console.log(JSON.stringify(judge(variantsOf(playlist, "http://host/a/index.m3u8?token=t"), supports)));
"""
MP3, AC3, EAC3 = 'audio/mp4; codecs="mp4a.40.34"', 'audio/mp4; codecs="ac-3"', 'audio/mp4; codecs="ec-3"'
H265, AV1 = 'video/mp4; codecs="hvc1.1.6.L63.90"', 'video/mp4; codecs="av01.0.01M.08"'
EVERYTHING = {"kind": "everything"}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's script as JavaScript."""
    built = tmp_path_factory.mktemp("web") / "codecs.mjs"
    bundler = WEB / "node_modules" / ".bin" / "esbuild"
    source = WEB / "src" / "play" / "codecs.ts"
    subprocess.run([bundler, source, "--format=esm", f"--outfile={built}", "--log-level=error"], check=True)
    return built


def verdict(script: Path, playlist: str, lacks: list[str]) -> Any:
    """What a browser that lacks the types ``lacks`` is to play of a playlist."""
    asked = json.dumps({"playlist": playlist, "lacks": lacks})
    result = subprocess.run(
        ["node", "--input-type=module", "-e", ASK, script, asked],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    return json.loads(result.stdout)


def index(*variants: tuple[str, str]) -> str:
    """A multivariant playlist of (CODECS, URI), with a sound group."""
    lines = ["#EXTM3U", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio",URI="audio.m3u8?token=t"']
    for codecs, uri in variants:
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="{codecs}",AUDIO="audio"', uri]
    return "\n".join(lines) + "\n"


def nothing(missing: str) -> dict[str, str]:
    return {"kind": "nothing", "missing": missing}


def picture(missing: str, name: str = "video.m3u8?token=t") -> dict[str, str]:
    return {"kind": "picture", "url": f"http://host/a/{name}", "missing": missing}


@pytest.mark.parametrize(
    ("codecs", "lacks", "expected"),
    [
        ("avc1.42c00c,mp4a.40.2", [MP3, AC3, EAC3, H265], EVERYTHING),
        ("avc1.42c00c,mp4a.40.34", [], EVERYTHING),
        ("avc1.42c00c,mp4a.40.34", [MP3], picture("MP3")),
        ("avc1.42c00c, ac-3", [AC3], picture("AC-3")),
        ("hvc1.1.6.L63.90,ec-3", [EAC3], picture("E-AC-3")),
        ("mp4a.40.34", [MP3], nothing("MP3")),
        ("hvc1.1.6.L63.90", [H265], nothing("H.265")),
        # Sound without its picture is not the stream.
        ("hvc1.1.6.L63.90,mp4a.40.2", [H265], nothing("H.265")),
        ("hvc1.1.6.L63.90,ec-3", [H265, EAC3], nothing("H.265 and E-AC-3")),
        ("av01.0.01M.08,Opus", [AV1], nothing("AV1")),
        ("xyz1.2", ['audio/mp4; codecs="xyz1.2"'], nothing("xyz1.2")),
        # A playlist that does not say is tried.
        ("", [MP3, H265], EVERYTHING),
    ],
)
def test_a_picture_goes_without_its_sound_and_no_sound_without_its_picture(
    script: Path, codecs: str, lacks: list[str], expected: dict[str, str]
) -> None:
    assert verdict(script, index((codecs, "video.m3u8?token=t")), lacks) == expected


@pytest.mark.parametrize(
    ("lacks", "expected"),
    [
        # Players leave out by themselves what they cannot play.
        ([H265], EVERYTHING),
        ([MP3], EVERYTHING),
        ([H265, MP3], picture("MP3", "720.m3u8")),
    ],
)
def test_one_variant_that_plays_whole_is_enough(
    script: Path, lacks: list[str], expected: dict[str, str]
) -> None:
    variants = index(
        ("hvc1.1.6.L63.90,mp4a.40.2", "1080.m3u8"),
        ("avc1.42c00c,mp4a.40.34", "720.m3u8"),
    )
    assert verdict(script, variants, lacks) == expected


def test_a_media_playlist_says_nothing_of_codecs_and_is_tried(script: Path) -> None:
    assert verdict(script, "#EXTM3U\n#EXTINF:2.0,\n0.m4s\n", [MP3, H265]) == EVERYTHING
