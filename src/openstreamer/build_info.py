"""Which commit is running and when it was built, for ``version`` of ``GET /config``.

A wheel carries a file that its build wrote. In a checkout git's own files are read, without git: what was
checked out last is what runs. Where there is neither, both stay empty; nothing here ever fails.
"""

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

BUILD_FILE: Final = "build.json"  # in the package of a wheel
_PACKAGE: Final = Path(__file__).parent
_MAX_FILE_BYTES: Final = 16 << 20  # packed-refs of a repository with very many tags
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)  # SHA-1, SHA-256


@dataclass(frozen=True, slots=True)
class Build:
    """A full commit id and an RFC 3339 time in UTC; empty is unknown."""

    commit: str = ""
    built_at: str = ""


def read_build(package: Path = _PACKAGE) -> Build:
    """Of what this process runs."""
    try:
        said = json.loads((package / BUILD_FILE).read_text("utf-8"))
        return Build(str(said["commit"]), str(said["built_at"]))
    except (OSError, ValueError, TypeError, KeyError):
        # src/openstreamer in a checkout; site-packages of a virtual environment may lie in one, too.
        return read_checkout(package.parents[1]) if package.parent.name == "src" else Build()


def read_checkout(root: Path) -> Build:
    """Of the working tree at ``root``: what HEAD names, and when HEAD last moved here."""
    try:
        directory = _git_directory(root)
        head = _text(directory / "HEAD")
        # With worktrees the branches are in the directory that all of them share (gitrepository-layout(5)).
        shared = directory / "commondir"
        common = (directory / _text(shared)).resolve() if shared.exists() else directory
        commit = _resolve(common, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
        moved = next(path for path in (directory / "logs" / "HEAD", directory / "HEAD") if path.exists())
        return Build(commit if _COMMIT.fullmatch(commit) else "", _rfc3339(moved.stat().st_mtime))
    except (OSError, ValueError):
        return Build()


def write_build(root: Path, file: Path, now_unix_s: float) -> None:
    """Put into ``file`` what a wheel that is built now from ``root`` should say of itself."""
    build = Build(read_checkout(root).commit, _rfc3339(now_unix_s))
    file.write_text(json.dumps(asdict(build)), "utf-8")


def _git_directory(root: Path) -> Path:
    path = root / ".git"
    if path.is_dir():
        return path
    return root / _text(path).removeprefix("gitdir: ")  # of a worktree or a submodule


def _resolve(common: Path, reference: str) -> str:
    loose = common / reference
    if loose.is_file():
        return _text(loose)
    for line in _text(common / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return ""


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_MAX_FILE_BYTES).strip()


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
