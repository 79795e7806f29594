"""``openstreamer check``: what this machine and this configuration would let the server do.

Nothing is changed: the store is opened read-only and not migrated, ports are bound and let go again.
"""

import asyncio
import errno
import json
import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from openstreamer import open_files
from openstreamer.config.addresses import Address
from openstreamer.config.base import parse
from openstreamer.config.models import GlobalConfig, Hook, Policy, Stream, Template
from openstreamer.config.settings import DATABASE_FILE, ServeSettings
from openstreamer.listen.http.tls import tls_context
from openstreamer.media.errors import ConfigError, StoreError
from openstreamer.store.database import locate, lost_store, text_or_bytes
from openstreamer.store.full_disk import ENOUGH_BYTES, free_bytes, lacks_room, room_wanted
from openstreamer.store.schema import HEAD, REVISIONS

PROBE_DEADLINE_S: Final = 30.0
ENCODERS: Final = {
    "libx264": "H.264: test:// inputs, transcoding",
    "libx265": "H.265: transcoding",
    "libsvtav1": "AV1: transcoding",
    "aac": "AAC: test:// inputs, transcoding",
    "libopus": "Opus: WebRTC",
}
_LIBRARIES: Final = (
    "pydantic", "sqlalchemy", "alembic", "aiosqlite", "asyncpg", "uvloop", "fastapi", "httptools", "av",
    "pillow", "argon2-cffi", "structlog", "prometheus-client",
)  # fmt: skip
_KINDS: Final[tuple[tuple[str, Any], ...]] = (
    ("streams", Stream),
    ("templates", Template),
    ("policies", Policy),
    ("hooks", Hook),
    ("global_config", GlobalConfig),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table. ``detail`` says what was found, or why not and what to do."""

    subject: str
    ok: bool
    detail: str


def run_checks(settings: ServeSettings) -> Iterator[Finding]:
    """Every finding, in the order in which a start would meet them."""
    yield Finding("configuration", True, _configuration_origin(settings))
    yield _data_directory(settings.data_dir)
    store, global_config = _store(settings)
    # SQLite describes damage in paragraphs, and a damaged name may hold anything: a row is a line
    yield replace(store, detail=" ".join(store.detail.splitlines()))
    yield _port("HTTP port", settings.http_address(global_config))
    rtmp = settings.rtmp_address(global_config)
    yield Finding("RTMP port", True, "switched off") if rtmp is None else _port("RTMP port", rtmp)
    if (rtmps := settings.rtmps_address(global_config)) is not None:
        yield _port("RTMPS port", rtmps)
    yield _open_files(open_files.needed(settings, global_config))
    yield _tls(global_config)
    yield _libraries()
    yield from _encoders()


def _configuration_origin(settings: ServeSettings) -> str:
    if settings.config_file is None:
        return "no configuration file; defaults, environment and options"
    return str(settings.config_file)


def _data_directory(path: Path) -> Finding:
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return Finding("data directory", False, f"{existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("data directory", False, f"{existing} may not be written by user {os.getuid()}")
    free = free_bytes(path / DATABASE_FILE)
    if free is not None and free < ENOUGH_BYTES:
        reason = f"the disk of {path} is full ({free >> 10} KiB are free): changes will be refused; make room"
        return Finding("data directory", False, reason)
    return Finding("data directory", True, str(path) if path.exists() else f"{path} will be made")


def _store(settings: ServeSettings) -> tuple[Finding, GlobalConfig]:
    try:
        location = locate(settings.store_location)
    except StoreError as err:
        return Finding("store", False, str(err)), GlobalConfig()
    if location.path is None:
        return _postgresql(location.url, location.shown), GlobalConfig()
    try:
        if (lost := lost_store(location.path)) is not None:
            return Finding("store", False, lost), GlobalConfig()
        if not location.path.exists():
            return Finding("store", True, f"{location.path} will be made"), GlobalConfig()
        with closing(sqlite3.connect(f"{location.path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = text_or_bytes
            return _read_store(connection, str(location.path))
    except PermissionError:
        reason = f"{location.path} may not be read by user {os.getuid()}"
        return Finding("store", False, reason), GlobalConfig()
    except sqlite3.Error as err:
        if lacks_room(err, location.path):
            return Finding("store", False, room_wanted(location.path)), GlobalConfig()
        return Finding("store", False, f"{location.path}: {err}"), GlobalConfig()


def _read_store(connection: sqlite3.Connection, shown: str) -> tuple[Finding, GlobalConfig]:
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        return Finding("store", False, f"{shown} is damaged: {problem}"), GlobalConfig()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return Finding("store", True, f"{shown} is empty and will be filled"), GlobalConfig()
    if "alembic_version" not in tables:
        return Finding("store", False, f"{shown} was not made by openstreamer"), GlobalConfig()
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    if revision not in REVISIONS:
        return Finding("store", False, f"{shown} was written by a newer version ({revision})"), GlobalConfig()
    global_config, counts, problems = _read_documents(connection)
    if problems:
        return Finding("store", False, "; ".join(problems[:5])), global_config
    migrated = "" if revision == HEAD else f", to be migrated from schema {revision} to {HEAD}"
    return Finding("store", True, f"{shown}: {counts}{migrated}"), global_config


def _read_documents(connection: sqlite3.Connection) -> tuple[GlobalConfig, str, list[str]]:
    global_config = GlobalConfig()
    counts, problems = [], []
    for table, model in _KINDS:
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a constant above
        if table != "global_config":
            counts.append(f"{len(rows)} {table}")
        for key, document, revision, *times in rows:
            try:
                spec = parse(model, _sound(key, document, revision, times))
            except (ConfigError, ValueError, TypeError) as err:
                shown = key.decode(errors="backslashreplace") if isinstance(key, bytes) else key
                problems.append(f"{table} {shown}: {err}")
                continue
            if isinstance(spec, GlobalConfig):
                global_config = spec
    return global_config, ", ".join(counts), problems


def _sound(key: object, document: object, revision: object, times: list[str]) -> dict[str, Any]:
    """The document of a row; raises ValueError or TypeError when the row is damaged."""
    if isinstance(key, bytes):
        raise ValueError("damaged: its name is not UTF-8 text")
    try:
        text = document.decode() if isinstance(document, bytes) else document
        loaded = json.loads(text) if isinstance(text, str) else text
    except UnicodeDecodeError as err:
        raise ValueError("damaged: the document is not UTF-8 text") from err
    except (ValueError, RecursionError) as err:
        raise ValueError(f"damaged: the document is not JSON ({err})") from err
    if not isinstance(loaded, dict):
        raise TypeError("damaged: the document is not a JSON object")
    for name, value in zip(("created_at", "updated_at"), times, strict=True):
        try:
            datetime.fromisoformat(value)
        except (ValueError, TypeError) as err:
            raise ValueError(f"damaged: {name} is not a time") from err
    if not isinstance(revision, int):
        raise TypeError("damaged: its revision is not a number")
    return loaded


def _postgresql(url: str, shown: str) -> Finding:
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    try:
        with socket.create_connection((parts.host or "localhost", parts.port or 5432), timeout=5):
            return Finding(
                "store", True, f"{shown}: the server answers (the database is opened at the start)"
            )
    except OSError as err:
        return Finding("store", False, f"{shown} cannot be reached: {err.strerror or err}")


def _port(subject: str, address: Address) -> Finding:
    if address.port == 0:
        return Finding(subject, True, f"{address.host}: any free port")
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address.host, address.port))
            listener.listen(1)
    except OSError as err:
        hint = " (is a server running already?)" if err.errno == errno.EADDRINUSE else ""
        return Finding(subject, False, f"{address}: {err.strerror or err}{hint}")
    return Finding(subject, True, f"{address} is free")


def _open_files(needed: int) -> Finding:
    allowed = open_files.allowed()
    if allowed is not None and allowed < needed:
        detail = (
            f"{allowed} may be open, {needed} are needed for all connections; raise the hard limit "
            "(ulimit -Hn, LimitNOFILE= of systemd) or lower --http-connections"
        )
        return Finding("open files", False, detail)
    return Finding("open files", True, f"{needed} are needed, {allowed or 'any number'} may be open")


def _tls(global_config: GlobalConfig) -> Finding:
    tls = global_config.server.tls
    if not tls.cert:
        return Finding("TLS", True, "not configured")
    try:
        tls_context(tls.cert, tls.key)
    except ConfigError as err:
        return Finding("TLS", False, str(err))
    return Finding("TLS", True, tls.cert)


def _libraries() -> Finding:
    missing = []
    for name in _LIBRARIES:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            "Python libraries", False, f"missing: {', '.join(missing)}; run pip install openstreamer"
        )
    python = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python libraries", True, f"Python {python}, PyAV {version('av')}")


def _encoders() -> Iterator[Finding]:
    try:
        results = asyncio.run(_probe_encoders())
    except (OSError, TimeoutError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err) or type(err).__name__
        yield Finding("encoders", False, f"the probe failed: {reason}")
        return
    for name, purpose in ENCODERS.items():
        problem = results.get(name, "was not probed")
        yield Finding(f"encoder {name}", not problem, f"does not open: {problem}" if problem else purpose)


async def _probe_encoders() -> dict[str, str]:
    """Open each encoder in a child: libav may crash, and only the child with it."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openstreamer.encoder_probe", *ENCODERS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # the encoders greet at length
    )
    try:
        async with asyncio.timeout(PROBE_DEADLINE_S):
            output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise ValueError(f"it ended with status {child.returncode}")
    results: dict[str, str] = json.loads(output)
    return results
