"""Makes the clips of the recipes, once: they are kept outside the tree, named by a hash of their recipe."""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.corpus import remux
from tests.corpus.recipes import recipe

FIXTURES = Path(__file__).parent.parent / "fixtures"
_ROOT = Path(__file__).parent.parent.parent
_CLIP = re.compile(r"\{([^{}]+)\}")
_DEADLINE_S = 100


def directory() -> Path:
    """Where clips are kept. ``OPENSTREAMER_CORPUS`` may name another place."""
    named = os.environ.get("OPENSTREAMER_CORPUS")
    path = Path(named) if named else Path(tempfile.gettempdir()) / f"openstreamer-corpus-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@cache
def clip(name: str) -> Path:
    """The file of this name, made if it is not there."""
    made = recipe(name)
    parts = [name for name in _CLIP.findall(made.command) if name not in ("out", "fixtures")]
    paths = {part: str(clip(part)) for part in parts}
    target = directory() / f"{_key(made.command, *paths.values())}{made.suffix}"
    if not target.exists():
        _run(made.command, {**paths, "fixtures": str(FIXTURES)}, target)
    return target


def _key(*described: str) -> str:
    tools = (Path(remux.__file__).read_text(), _ffmpeg_version())
    return hashlib.sha256("\n".join((*described, *tools)).encode()).hexdigest()[:24]


@cache
def _ffmpeg_version() -> str:
    return subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout


def _run(command: str, paths: dict[str, str], target: Path) -> None:
    """Make ``target`` whole or not at all: two processes may want it at once."""
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        unfinished = Path(work) / f"clip{target.suffix}"
        values = {**paths, "out": str(unfinished)}
        arguments = [_CLIP.sub(lambda found: values[found[1]], part) for part in shlex.split(command)]
        if arguments[0] == "python":
            arguments[0] = sys.executable
        done = subprocess.run(arguments, capture_output=True, timeout=_DEADLINE_S, check=False, cwd=_ROOT)
        assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stderr.decode(errors='replace')}"
        unfinished.replace(target)
