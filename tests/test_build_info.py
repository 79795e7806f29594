"""Commit and time of what runs, from a wheel's file or a checkout, made with git itself."""

import json
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from openstreamer.build_info import BUILD_FILE, Build, read_build, read_checkout, write_build


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "first")
    return root


def commit_of(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


def test_a_checkout_names_its_commit_and_when_it_got_there(checkout: Path) -> None:
    build = read_checkout(checkout)
    assert build.commit == commit_of(checkout)
    age = datetime.now().astimezone() - datetime.fromisoformat(build.built_at)
    assert abs(age.total_seconds()) < 3600
    assert build.built_at.endswith("Z")


def test_packed_branches_detached_heads_and_worktrees_are_read(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "pack-refs", "--all")
    assert read_checkout(checkout).commit == commit_of(checkout)
    git(checkout, "worktree", "add", "--quiet", str(tmp_path / "second"), "-b", "other")
    git(tmp_path / "second", "commit", "--quiet", "--allow-empty", "--message", "second")
    assert read_checkout(tmp_path / "second").commit == commit_of(tmp_path / "second") != commit_of(checkout)
    git(checkout, "checkout", "--quiet", "--detach")
    assert read_checkout(checkout).commit == commit_of(checkout)


def test_a_repository_without_commits_or_a_broken_one_is_no_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert read_checkout(tmp_path).commit == ""
    (tmp_path / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert read_checkout(tmp_path) == Build()
    assert read_checkout(tmp_path / "absent") == Build()


def test_only_a_package_in_a_source_tree_looks_for_git(checkout: Path) -> None:
    source = checkout / "src" / "openstreamer"
    installed = checkout / ".venv" / "site-packages" / "openstreamer"
    for package in (source, installed):
        package.mkdir(parents=True)
    assert read_build(source).commit == commit_of(checkout)
    assert read_build(installed) == Build()


def test_a_wheel_says_what_its_build_wrote(checkout: Path, tmp_path: Path) -> None:
    package = tmp_path / "openstreamer"
    package.mkdir()
    write_build(checkout, package / BUILD_FILE, 1_700_000_000)
    assert read_build(package) == Build(commit_of(checkout), "2023-11-14T22:13:20Z")


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"commit": "x"})])
def test_a_file_that_says_nothing_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / BUILD_FILE).write_text(text)
    assert read_build(tmp_path) == Build()
