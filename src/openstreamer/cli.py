"""The command line. Every refusal is one line on stderr and exit status 2."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, TypeVar, cast

import typer

from openstreamer import __version__
from openstreamer.config.defaults import HTTP_ADDRESSES, HTTP_CONNECTIONS
from openstreamer.config.settings import MAX_CONNECTIONS, ServeSettings, load_settings, unknown_variables
from openstreamer.media.errors import ConfigError, OpenstreamerError

if TYPE_CHECKING:
    from openstreamer.check import Finding
    from openstreamer.store.store import Store

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
MIN_PASSWORD_CHARS: Final = 8
MAX_PASSWORD_CHARS: Final = 1024
MAX_IMPORT_BYTES: Final = 128 << 20

_Result = TypeVar("_Result")
# typer's usage errors have a common base, which it does not export; to mypy it is its best-known member.
_UsageError = cast(
    "type[typer.BadParameter]",
    next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"),
)

app = typer.Typer(
    name="openstreamer",
    help="A live media server: encoders publish, browsers play, and a stream that says it is live, is.\n\n"
    "Start it with [bold]openstreamer serve[/], then open http://127.0.0.1:8080/.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
users = typer.Typer(
    help="Users of the admin API. Without any user it answers this machine only.", no_args_is_help=True
)
app.add_typer(users, name="user")

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Directory of the store and everything else the server keeps.",
        show_default="./data",
        readable=False,  # whoever opens it says better what is wrong
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Bootstrap settings in YAML: data_dir, database_url, http, rtmp, file_roots, http_connections, "
        "http_connections_per_address, log_level, log_format.",
        show_default="./config.yaml if it is there",
    ),
]
Http = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where pages, API and HLS are served; port 0 picks a free one.",
        show_default="0.0.0.0:8080",
    ),
]
Rtmp = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where encoders publish; port 0 picks a free one.",
        show_default="0.0.0.0:1935",
    ),
]
FileRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--file-root",
        metavar="NAME=DIR",
        help="A directory that file://NAME/... inputs may be read from; repeatable. Without any, no file is.",
        show_default=False,
    ),
]
HttpConnections = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=MAX_CONNECTIONS,
        help="Most open HTTP connections. A low-latency viewer over HTTP/1.1 holds two.",
        show_default=str(HTTP_CONNECTIONS),
    ),
]


def main() -> NoReturn:
    """The ``openstreamer`` command.

    It ends without the interpreter's tear-down. All that is ours is closed by then, and the tear-down's last
    garbage collection was seen to spin for ever (CPython 3.11 with the extensions we load; one import in
    twenty on a busy machine), which left commands that had done their work hanging.
    """
    status = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = app(args=list(arguments), prog_name="openstreamer", standalone_mode=False)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OpenstreamerError as err:
        return _refuse(str(err))
    except BrokenPipeError:
        # Whoever read our output has left; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as err:
        return _refuse(f"{err.filename}: {err.strerror}" if err.filename else str(err))
    except _UsageError as err:
        message = err.format_message().replace("Value error, ", "").rstrip(".")
        # Without any argument the help was printed, and says it all.
        return _refuse(f"{message}. Try openstreamer --help") if message else EXIT_USAGE
    return status if isinstance(status, int) else 0


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(f"openstreamer {__version__}")
        raise typer.Exit


@app.command()
def serve(
    data_dir: DataDir = None,
    http: Http = None,
    rtmp: Rtmp = None,
    config: ConfigFile = None,
    no_demo: Annotated[
        bool, typer.Option("--no-demo", help="Do not create the stream 'demo' on the very first start.")
    ] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Written once everything accepts: JSON with pid, http, rtmp, rtmps as bound."
        ),
    ] = None,
    file_root: FileRoots = None,
    http_connections: HttpConnections = None,
    http_connections_per_address: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_CONNECTIONS,
            help="Most of one address; those of server.trusted_proxies are not held to it.",
            show_default=f"one in {HTTP_ADDRESSES} of all",
        ),
    ] = None,
) -> int:
    """Run the server until it is interrupted.

    What is not said here is read from OPENSTREAMER_DATA_DIR, OPENSTREAMER_HTTP
    and so on, then from the configuration file.
    """
    settings = load_settings(
        config_file=config,
        data_dir=data_dir,
        http=http,
        rtmp=rtmp,
        demo=not no_demo,
        ready_file=ready_file,
        file_roots=file_root,
        http_connections=http_connections,
        http_connections_per_address=http_connections_per_address,
    )
    for warning in unknown_variables():
        typer.echo(f"openstreamer: {warning}", err=True)
    from openstreamer import footprint

    footprint.load_lean()
    from openstreamer import app as server  # the other commands need neither the server nor its imports

    return server.run(settings)


@app.command()
def check(
    data_dir: DataDir = None,
    http: Http = None,
    rtmp: Rtmp = None,
    config: ConfigFile = None,
    http_connections: HttpConnections = None,
) -> int:
    """Say what works on this machine, and what does not and why.

    Exit status 0 when everything does, 1 when something does not. Changes nothing.
    """
    from openstreamer.check import Finding, run_checks

    try:
        settings = load_settings(
            config_file=config, data_dir=data_dir, http=http, rtmp=rtmp, http_connections=http_connections
        )
        findings = list(run_checks(settings))
    except ConfigError as err:
        if err.code == "INVALID_OPTION":
            raise
        findings = [Finding("configuration", False, str(err))]
    _print_findings(findings)
    return 0 if all(finding.ok for finding in findings) else EXIT_FAILED


@app.command()
def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="An input URL, as a stream has them.")],
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="Watch at most so long.")] = 12,
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="Sent with HTTP requests; repeatable.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="As net.timeout_sec; 0 is the protocol's default.")
    ] = 0,
    insecure_tls: Annotated[
        bool, typer.Option("--insecure-tls", help="As net.insecure_tls: take any certificate.")
    ] = False,
    program: Annotated[int, typer.Option(min=0, max=65535, help="Of MPEG-TS; 0 takes the first.")] = 0,
    pids: Annotated[
        str, typer.Option(metavar="PID,PID", help="Of MPEG-TS: read only these elementary streams.")
    ] = "",
    file_root: FileRoots = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say what the server would ingest from a URL, or why it would refuse it.

    Exit status 0 when it would, 1 when not, 2 when the URL is none.
    """
    from openstreamer import probe_command
    from openstreamer.config.base import parse
    from openstreamer.config.models import Input

    document = {
        "url": url,
        "headers": probe_command.headers_of(header or []),
        "net": {"timeout_sec": timeout, "insecure_tls": insecure_tls},
        "program": program,
        "pids": probe_command.pids_of(pids),
    }
    roots = load_settings(file_roots=file_root).file_roots
    return probe_command.run(parse(Input, document), seconds=seconds, as_json=as_json, file_roots=roots)


@app.command("export")
def export_(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write; stdout if omitted.")
    ] = None,
    mask_secrets: Annotated[
        bool, typer.Option("--mask-secrets", help="Replace keys and passwords by asterisks.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Write the whole configuration as one YAML document, secrets included.

    The file can be imported into another server; it is readable by you alone (mode 0600).
    """
    settings = load_settings(config_file=config, data_dir=data_dir)
    text = _with_store(settings, lambda store: store.export_yaml(secrets=not mask_secrets), must_exist=True)
    if file is None:
        typer.echo(text, nl=False)
    else:
        _write_private(file, text)
    for name, reason in _with_store(settings, lambda store: store.damaged_records()).items():
        typer.echo(f"openstreamer: left out: {name}, which is damaged: {reason}", err=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A document made by export; - is stdin.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Replace the configuration by a YAML document: all of it or, if anything is wrong, nothing.

    Kinds of records that the document does not name stay as they are.
    A running server follows within seconds.
    """
    from openstreamer.store.yaml_reader import read_yaml

    settings = load_settings(config_file=config, data_dir=data_dir)
    text = _read_import(file)
    try:
        document = asyncio.run(read_yaml(text))
        _rehearse(settings, document)
        result = _with_store(settings, lambda store: store.import_document(document))
    except ConfigError as err:
        if str(file) == "-":
            raise
        raise ConfigError(f"{file}: {err}", field=err.field, code=err.code) from err
    for kind in ("streams", "templates", "policies", "hooks", "users"):
        changes = getattr(result, kind)
        for verb in ("created", "updated", "deleted"):
            for key in getattr(changes, verb):
                typer.echo(f"{verb} {kind.removesuffix('s') if kind != 'policies' else 'policy'} {key}")
    if result.global_config:
        typer.echo("updated global configuration")
        for notice in _with_store(settings, _notices):
            typer.echo(f"note: {notice}")
    if not result:
        typer.echo("nothing differs")


@users.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="Name to log in with.")],
    role: Annotated[
        Literal["read", "write"], typer.Option(help="read may look, write may change as well.")
    ] = "write",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Add a user, or give an existing one a new password and role. The password is asked for."""
    from argon2 import PasswordHasher

    settings = load_settings(config_file=config, data_dir=data_dir)
    hashed = PasswordHasher().hash(_password(from_stdin=password_stdin))
    user = _with_store(settings, lambda store: store.put_user(name, hashed, role))
    typer.echo(f"user {user.name} may {user.role}")


@users.command("remove")
def user_remove(
    name: Annotated[str, typer.Argument(help="Name of the user.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Remove a user. After the last one is gone, the admin API answers this machine only."""
    settings = load_settings(config_file=config, data_dir=data_dir)
    if not _with_store(settings, lambda store: store.delete_user(name), must_exist=True):
        raise ConfigError(f"there is no user {name!r}")
    typer.echo(f"user {name} removed")


@users.command("list")
def user_list(data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """List the users and what they may do."""
    settings = load_settings(config_file=config, data_dir=data_dir)
    for user in _with_store(settings, lambda store: store.list_users(), must_exist=True):
        typer.echo(f"{user.name}\t{user.role}")


def _print_findings(findings: "Sequence[Finding]") -> None:
    """A table for eyes; when piped, one finding a line, never cut short."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            typer.echo(f"{'ok' if finding.ok else 'NO'}  {finding.subject:<{width}}  {finding.detail}")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[bold red]NO[/]"
        table.add_row(mark, escape(finding.subject), escape(finding.detail))
    console.print(table)


def _with_store(
    settings: ServeSettings, work: "Callable[[Store], Awaitable[_Result]]", *, must_exist: bool = False
) -> _Result:
    from openstreamer.settings_check import check_settings
    from openstreamer.store.database import locate
    from openstreamer.store.store import Store

    location = locate(settings.store_location)
    if must_exist and location.path is not None and not location.path.exists():
        raise ConfigError(f"there is no store at {location.path} (--data-dir says where it is)")

    async def open_and_work() -> _Result:
        async with Store.open(settings.store_location, check_settings=check_settings) as store:
            return await work(store)

    return asyncio.run(open_and_work())


def _rehearse(settings: ServeSettings, document: Mapping[str, Any]) -> None:
    """Where there is no store yet, import into one for the bin first: a refused document shall make none."""
    from tempfile import TemporaryDirectory

    from openstreamer.store.database import locate

    path = locate(settings.store_location).path
    if path is None or path.exists():
        return
    with TemporaryDirectory() as directory:
        rehearsal = replace(settings, data_dir=Path(directory), database_url=None)
        _with_store(rehearsal, lambda store: store.import_document(document))


async def _notices(store: "Store") -> list[str]:
    from openstreamer.config.notices import raised_windows

    return raised_windows(await store.global_config())


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline(MAX_PASSWORD_CHARS + 2).rstrip("\r\n")
    elif not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask for the password on; give it with --password-stdin")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise ConfigError(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    return password


def _read_import(file: Path) -> str:
    try:
        if str(file) == "-":
            text = sys.stdin.read(MAX_IMPORT_BYTES + 1)
            if len(text) > MAX_IMPORT_BYTES:
                raise ConfigError(f"standard input is larger than {MAX_IMPORT_BYTES >> 20} MiB")
            return text
        if file.stat().st_size > MAX_IMPORT_BYTES:
            raise ConfigError(f"{file} is larger than {MAX_IMPORT_BYTES >> 20} MiB")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise ConfigError(f"{file} is not UTF-8 text") from err


def _write_private(file: Path, text: str) -> None:
    """Write beside the target and rename, so that an interrupted export leaves the old file."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        temporary.replace(file)
    except OSError as err:
        raise ConfigError(f"{file}: cannot be written: {err.strerror}") from err
    finally:
        temporary.unlink(missing_ok=True)


def _refuse(message: str) -> int:
    typer.echo(f"openstreamer: {' '.join(message.split())}", err=True)
    return EXIT_USAGE


if __name__ == "__main__":
    main()
