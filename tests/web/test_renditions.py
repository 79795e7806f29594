"""When the player page starts anew because its stream has other tracks."""

import json
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
ASK = """
const { isOutdated } = await import(process.argv[1]);
const [played, offered, moves] = JSON.parse(process.argv[2]);
console.log(JSON.stringify(isOutdated(played, offered, moves)));
"""
VIDEO, AUDIO = "video.m3u8", "audio.m3u8"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's script as JavaScript."""
    built = tmp_path_factory.mktemp("web") / "renditions.mjs"
    bundler = WEB / "node_modules" / ".bin" / "esbuild"
    source = WEB / "src" / "play" / "renditions.ts"
    subprocess.run([bundler, source, "--format=esm", f"--outfile={built}", "--log-level=error"], check=True)
    return built


@pytest.mark.parametrize(
    ("played", "offered", "moves", "outdated"),
    [
        ([VIDEO], [AUDIO, VIDEO], True, True),
        ([AUDIO], [AUDIO, VIDEO], True, True),
        ([AUDIO, VIDEO], [AUDIO], True, True),
        ([VIDEO], [AUDIO], True, True),
        ([AUDIO, VIDEO], [VIDEO, AUDIO], False, False),
        ([VIDEO], [VIDEO], False, False),
        # Sound that is gone is silence, as long as the picture moves.
        ([AUDIO, VIDEO], [VIDEO], True, False),
        ([AUDIO, VIDEO], [VIDEO], False, True),
    ],
)
def test_an_engine_is_outdated_when_it_misses_a_track_or_waits_for_one(
    script: Path, played: list[str], offered: list[str], moves: bool, outdated: bool
) -> None:
    result = subprocess.run(
        ["node", "--input-type=module", "-e", ASK, str(script), json.dumps([played, offered, moves])],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert json.loads(result.stdout) is outdated
