"""What a person without root is told about the packages that are missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "system_packages.sh"


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with a shell and its tools, for a user who is not root, and nothing that Openstreamer needs."""
    for name in ("bash", "cut", "find"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    identity = tmp_path / "id"
    identity.write_text("#!/bin/sh\necho 1000\n")
    identity.chmod(0o755)
    return tmp_path


def refusal(purpose: str, path: Path) -> str:
    command = [path / "bash", SCRIPT, purpose]
    done = subprocess.run(
        command,
        env={"PATH": str(path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_who_is_not_root_is_told_the_names_of_the_missing_packages(bare_path: Path) -> None:
    assert "these packages are missing: nodejs npm\n" in refusal("run", bare_path)
    for package in ("ffmpeg", "chromium", "curl", "vlc-bin", "vlc-plugin-base"):
        assert package in refusal("test", bare_path)


def test_a_program_that_only_the_path_of_root_finds_is_not_missing(bare_path: Path) -> None:
    assert "nginx-light" not in refusal("test", bare_path)
