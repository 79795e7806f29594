"""The command line as a person meets it: its exit status and what it prints."""

import io
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from openstreamer import __version__, cli

_HASH_PREFIX = "$argon2id$"


@dataclass(frozen=True)
class Done:
    """How a command line ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]
Ok = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in ``tmp_path``, without the environment of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.startswith("OPENSTREAMER_")]:
        monkeypatch.delenv(name)

    def run_it(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = cli.run(arguments)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return run_it


@pytest.fixture
def ok(run: Run) -> Ok:
    """The same, for what must succeed; returns what it printed."""

    def run_it(*arguments: str, stdin: str = "") -> str:
        done = run(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run_it


def _child(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "openstreamer", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_ends_with_the_status_and_the_words_of_its_command_line(tmp_path: Path) -> None:
    version = _child("--version", cwd=tmp_path)
    assert (version.returncode, version.stdout, version.stderr) == (0, f"openstreamer {__version__}\n", "")
    wrong = _child("serve", "--http", "8080", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "openstreamer: --http: '8080' is not HOST:PORT, such as 0.0.0.0:8080\n"


def test_a_command_ends_without_the_tear_down_of_the_interpreter(tmp_path: Path) -> None:
    program = (
        "import atexit, sys; from openstreamer import cli; atexit.register(print, 'torn down');"
        "sys.argv = ['openstreamer', *sys.argv[1:]]; cli.main()"
    )
    command = [sys.executable, "-c", program, "import", "-"]
    text = "streams: [{code: a}]"
    done = subprocess.run(
        command, cwd=tmp_path, input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "created stream a\n", "")


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run()
    assert done.returncode == 2
    assert "serve" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ("serve", "check", "export", "import", "user")),
        (
            ("serve",),
            (
                "--data-dir",
                "--http",
                "--rtmp",
                "--no-demo",
                "--config",
                "--ready-file",
                "0.0.0.0:8080",
                "8192",
            ),
        ),
        (("check",), ("Exit status",)),
        (("export",), ("YAML", "--mask-secrets")),
        (("import",), ("nothing",)),
        (("user", "add"), ("--password-stdin", "--role")),
    ],
)
def test_help_explains(ok: Ok, command: tuple[str, ...], words: tuple[str, ...]) -> None:
    text = ok(*command, "--help")
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("bogus",), "bogus"),
        (("serve", "--nope"), "--nope"),
        (("serve", "--http", "8080"), "--http: '8080' is not HOST:PORT"),
        (("check", "--rtmp", "x"), "--rtmp"),
        (("serve", "--http-connections", "0"), "--http-connections"),
        (("serve", "--config", "absent.yaml"), "absent.yaml: cannot be read"),
        (("export",), "there is no store at"),
        (("import", "broken.yaml"), "broken.yaml: line 2: "),
        (("serve", "--config", "broken.yaml"), "broken.yaml: is not YAML (line 2)"),
        (("import",), "FILE"),
        (("import", "absent.yaml"), "absent.yaml: No such file or directory"),
        (("user", "list"), "there is no store at"),
        (("user", "add", "ann", "--role", "admin"), "--role"),
        (("user", "add", "a:b", "--password-stdin"), "username"),
        (("user", "remove", "ann"), "there is no store at"),
    ],
)
def test_a_refusal_is_one_line_and_status_2(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "broken.yaml").write_text("a: 1\nb: [")
    done = run(*arguments, stdin="hunter2222\n")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("openstreamer: ")
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("taken", "free", "setting"),
    [("--http", "--rtmp", "server.http_addr"), ("--rtmp", "--http", "listeners.rtmp.port")],
)
def test_a_port_that_is_taken_is_one_line_that_names_the_setting(
    tmp_path: Path, taken: str, free: str, setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        arguments = ["serve", "--no-demo", "--data-dir", "data", taken, address, free, "127.0.0.1:0"]
        command = [sys.executable, "-m", "openstreamer", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"openstreamer: cannot listen on {address}: address already in use ({setting})\n"


def test_an_export_that_cannot_be_written_names_the_file_that_was_asked_for(ok: Ok, run: Run) -> None:
    ok("import", "-", stdin="streams: [{code: a}]")
    done = run("export", "absent/all.yaml")
    assert done.returncode == 2
    assert done.stderr == "openstreamer: absent/all.yaml: cannot be written: No such file or directory\n"


def test_an_unreachable_database_is_told_in_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("OPENSTREAMER_DATABASE_URL", f"postgresql://ann:secret@127.0.0.1:{port}/x")
        done = run("export")
    assert done.returncode == 2
    assert "secret" not in done.stderr
    assert "Errno" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_store_is_one_line_and_status_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "openstreamer.db").write_bytes(b"no database" * 500)
    done = run("export")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "openstreamer.db is damaged" in done.stderr


def test_users_are_added_listed_and_removed(ok: Ok, run: Run) -> None:
    added = ok("user", "add", "ann", "--role", "read", "--password-stdin", stdin="hunter2222\n")
    assert added == "user ann may read\n"
    ok("user", "add", "bob", "--password-stdin", stdin="hunter3333\n")
    assert ok("user", "list") == "ann\tread\nbob\twrite\n"
    exported = ok("export")
    assert exported.count(_HASH_PREFIX) == 2
    assert "hunter2222" not in exported
    assert ok("user", "remove", "ann") == "user ann removed\n"
    again = run("user", "remove", "ann")
    assert (again.returncode, again.stderr) == (2, "openstreamer: there is no user 'ann'\n")


def test_the_password_that_was_given_is_the_one_that_is_stored(ok: Ok) -> None:
    from argon2 import PasswordHasher
    from ruamel.yaml import YAML

    ok("user", "add", "ann", "--password-stdin", stdin="päss wörd 1\n")
    document = YAML(typ="safe", pure=True).load(ok("export"))
    assert PasswordHasher().verify(document["users"][0]["password_hash"], "päss wörd 1")


@pytest.mark.parametrize("password", ["short", "", "x" * 1025])
def test_a_password_of_the_wrong_length_is_refused(run: Run, password: str) -> None:
    done = run("user", "add", "ann", "--password-stdin", stdin=password + "\n")
    assert done.returncode == 2
    assert "8 to 1024 characters" in done.stderr


def test_without_a_terminal_the_password_is_not_asked_for(run: Run) -> None:
    done = run("user", "add", "ann", stdin="hunter2222\nhunter2222\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--password-stdin" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_document_on_standard_input_is_refused_rather_than_cut_short(
    run: Run, ok: Ok, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok("import", "-", stdin="streams: [{code: a}, {code: b}]")
    monkeypatch.setattr(cli, "MAX_IMPORT_BYTES", 20)
    done = run("import", "-", stdin="streams:\n- code: a\n- code: b\n")  # its first 20 bytes are a document
    assert done.returncode == 2
    assert "larger than" in done.stderr
    assert "code: b" in ok("export")


def test_what_is_exported_can_be_imported_elsewhere(ok: Ok, tmp_path: Path) -> None:
    document = "streams:\n- code: news\n  stream_key: s3cr3t\n  inputs:\n  - url: publish://\n"
    imported = ok("import", "-", "--data-dir", "one", stdin=document)
    assert imported == "created stream news\n"
    assert ok("export", "all.yaml", "--data-dir", "one") == ""
    assert stat.S_IMODE((tmp_path / "all.yaml").stat().st_mode) == 0o600
    assert "s3cr3t" in (tmp_path / "all.yaml").read_text()
    assert "s3cr3t" not in ok("export", "--mask-secrets", "--data-dir", "one")
    ok("import", "all.yaml", "--data-dir", "two")
    assert ok("export", "--data-dir", "two") == (tmp_path / "all.yaml").read_text()
    assert ok("import", "all.yaml", "--data-dir", "two") == "nothing differs\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.yaml", "one", "two"]


@pytest.mark.parametrize("document", ["streams: [{code: a, nam: x}]", "a: 1\nb: ["])
def test_a_refused_import_makes_no_store(run: Run, tmp_path: Path, document: str) -> None:
    assert run("import", "-", "--data-dir", "new", stdin=document).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_an_export_says_what_it_could_not_read(run: Run, ok: Ok, tmp_path: Path) -> None:
    ok("import", "-", "--data-dir", "data", stdin="streams: [{code: bad}, {code: good}]")
    with closing(sqlite3.connect(tmp_path / "data" / "openstreamer.db")) as connection:
        connection.execute("UPDATE streams SET document = '{bad' WHERE code = 'bad'")
        connection.commit()
    done = run("export", "--data-dir", "data")
    assert done.returncode == 0
    assert "code: good" in done.stdout
    assert "code: bad" not in done.stdout
    assert done.stderr.endswith(
        "openstreamer: left out: stream bad, which is damaged: the document is not JSON "
        "(Expecting property name enclosed in double quotes at character 1)\n"
    )
    ok("import", "-", "--data-dir", "elsewhere", stdin=done.stdout)


def test_a_wrong_import_names_the_place_and_changes_nothing(ok: Ok, run: Run) -> None:
    ok("import", "-", stdin="streams: [{code: kept}]")
    done = run("import", "-", stdin="streams: [{code: a}, {code: b, nam: x}]")
    assert done.returncode == 2
    assert done.stderr == "openstreamer: streams[1].nam: is not a known field\n"
    assert "kept" in ok("export")


def test_an_import_that_would_keep_the_server_from_starting_is_refused(ok: Ok, run: Run) -> None:
    ok("import", "-", stdin="streams: [{code: kept}]")
    done = run("import", "-", stdin="global_config: {server: {tls: {cert: /no.pem, key: /no.key}}}")
    assert done.returncode == 2
    assert done.stderr == (
        "openstreamer: global_config.server.tls.cert: cannot read /no.pem: no such file or directory\n"
    )


def test_an_import_says_what_is_not_served_as_it_is_written(ok: Ok) -> None:
    printed = ok("import", "-", stdin="global_config: {publisher: {hls: {live_window: 3}}}")
    assert "note: publisher.hls.live_window: 3 is served as 6" in printed


def test_the_environment_says_where_the_data_is(
    ok: Ok, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENSTREAMER_DATA_DIR", "elsewhere")
    ok("import", "-", stdin="streams: [{code: a}]")
    assert (tmp_path / "elsewhere" / "openstreamer.db").exists()


def test_check_of_a_fresh_machine_is_all_ok(ok: Ok, tmp_path: Path) -> None:
    text = ok("check", "--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0")
    for subject in (
        "configuration",
        "data directory",
        "store",
        "HTTP port",
        "RTMP port",
        "open files",
        "TLS",
        "libx264",
        "aac",
    ):
        assert subject in text
    assert "NO" not in text
    assert list(tmp_path.iterdir()) == []  # it changes nothing


def test_check_names_what_is_wrong_and_says_so_in_its_status(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "openstreamer.db").write_bytes(b"no database" * 500)
        done = run("check", "--http", address, "--rtmp", ":0")
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("NO")]
    assert [line.split()[1] for line in failed] == ["store", "HTTP"]
    assert "in use" in failed[1]
    assert "not a database" in failed[0]


def test_check_reports_a_wrong_configuration_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("storage: {driver: json}\n")
    done = run("check")
    assert done.returncode == 1
    assert "storage: is not a known field" in done.stdout
