"""How fast the player page plays: calm near the live edge, and back there gently from farther away."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "web"
LOOK_S = 0.5
TARGET_S = 1.336
# A player with a clock of its own: it is `offS` too far from the live edge, sees that with the noise that a
# playlist of parts brings, and plays at the rate it is told.
PLAYER = """
const { LiveSpeed } = await import(process.argv[1]);
const { offS, noise, aheadS, looks, lookS, targetS } = JSON.parse(process.argv[2]);
const speed = new LiveSpeed();
const rates = [];
let off = offS;
for (let look = 0; look < looks; look += 1) {
  speed.look(off + noise[look % noise.length], aheadS, targetS);
  rates.push(speed.rate);
  off -= lookS * (speed.rate - 1);
}
console.log(JSON.stringify({ rates, offS: off }));
"""
PLAYLIST_NOISE_S = [0.0, 0.13, -0.08, 0.17, -0.15, 0.04, -0.11]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's script as JavaScript."""
    built = tmp_path_factory.mktemp("web") / "speed.mjs"
    bundler = WEB / "node_modules" / ".bin" / "esbuild"
    source = WEB / "src" / "play" / "speed.ts"
    subprocess.run([bundler, source, "--format=esm", f"--outfile={built}", "--log-level=error"], check=True)
    return built


def play(script: Path, *, off_s: float, seconds: float, ahead_s: float = TARGET_S) -> dict[str, Any]:
    """The rates of a player that begins ``off_s`` beyond its target, and where it is in the end."""
    told = {
        "offS": off_s,
        "noise": PLAYLIST_NOISE_S,
        "aheadS": ahead_s,
        "looks": round(seconds / LOOK_S),
        "lookS": LOOK_S,
        "targetS": TARGET_S,
    }
    run = subprocess.run(
        ["node", "--input-type=module", "-e", PLAYER, script, json.dumps(told)],
        check=True,
        capture_output=True,
        text=True,
    )
    said: dict[str, Any] = json.loads(run.stdout)
    return said


@pytest.mark.parametrize("off_s", [0.0, 0.15, -0.15])
def test_near_the_target_the_rate_never_changes(script: Path, off_s: float) -> None:
    assert set(play(script, off_s=off_s, seconds=600)["rates"]) == {1}


@pytest.mark.parametrize("off_s", [0.6, 3.0, -0.8])
def test_from_farther_away_it_comes_back_in_few_steps_and_stays(script: Path, off_s: float) -> None:
    played = play(script, off_s=off_s, seconds=180)
    rates = played["rates"]
    changes = sum(before != after for before, after in pairwise(rates))
    assert abs(played["offS"]) <= 0.2
    assert rates[-1] == 1
    assert changes <= 3
    assert all(0.97 <= rate <= 1.05 for rate in rates)


def test_a_thin_buffer_is_never_played_faster(script: Path) -> None:
    assert set(play(script, off_s=2.0, seconds=60, ahead_s=0.5)["rates"]) == {1}
