"""Opening the database, and the words for everything that can be wrong with it."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from openstreamer.media.errors import StoreError
from openstreamer.store.full_disk import Sharing, lacks_room, room_wanted

BUSY_TIMEOUT_MS: Final = 5_000  # another process (export, import, user add) may hold the write lock
POOL_CONNECTIONS: Final = 4  # each SQLite connection is a thread
PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Location:
    """Where the database is: ``path`` for SQLite, None for a server. ``shown`` is safe to print."""

    url: str
    shown: str
    path: Path | None


def locate(url_or_path: str | os.PathLike[str]) -> Location:
    """What the operator wrote: a file path, or a ``sqlite://`` or ``postgresql://`` URL."""
    text = os.fspath(url_or_path)
    if "://" not in text:
        path = Path(text).absolute()
        return Location(f"sqlite+aiosqlite:///{path}", str(path), path)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as err:
        raise StoreError("the database URL is not valid", code="STORE_URL") from err
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise StoreError("the store needs a file: nothing may be lost at a restart", code="STORE_URL")
        return locate(url.database)
    if url.drivername in ("postgres", "postgresql", "postgresql+asyncpg"):
        url = url.set(drivername="postgresql+asyncpg")
        return Location(url.render_as_string(hide_password=False), url.render_as_string(), None)
    message = f"the database {url.drivername} is not supported: use SQLite or PostgreSQL"
    raise StoreError(message, code="STORE_URL")


def create_engine(location: Location, *, max_bytes: int, sharing: Sharing) -> AsyncEngine:
    """An engine on ``location``; nothing is opened yet. One that begins ``alone`` never has two connections,
    of which each would lock the other out."""
    if location.path is None:
        return create_async_engine(location.url, pool_size=POOL_CONNECTIONS, pool_pre_ping=True)
    connections = 1 if sharing.alone else POOL_CONNECTIONS
    engine = create_async_engine(location.url, pool_size=connections, max_overflow=0)
    _configure_sqlite(engine, max_pages=max(max_bytes // PAGE_BYTES, 64), sharing=sharing)
    return engine


def prepare_directory(path: Path) -> None:
    """Make the directory of an SQLite file (0700) and the file itself (0600): it holds secrets.

    Raises StoreError when a store was there and is lost.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (lost := lost_store(path)) is not None:
            raise StoreError(lost, code="STORE_LOST")
        if not path.exists():
            _create(path.resolve())
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(room_wanted(path), code="STORE_FULL") from err
        message = f"{path} cannot be opened for writing: {err.strerror}. {_check_owner(path)}"
        raise StoreError(message, code="STORE_UNWRITABLE") from err


def lost_store(path: Path) -> str | None:
    """What to do about a store that was at ``path`` and is gone; None when it is there, or never was.

    :func:`_create` makes no empty file, and SQLite no log without its database. Both would be taken for a new
    store: the one would begin without any stream, and the other would get pages of the old one mixed in.
    """
    log = path.with_name(f"{path.name}-wal")
    if path.exists():
        if path.stat().st_size:
            return None
        found = f"{path} is empty: what it held is lost"
    elif log.exists() and log.stat().st_size:
        found = f"{path} is gone, and {log.name} of it is still there"
    else:
        return None
    return (
        f"{found}. Restore a backup; or delete {path.name} and {log.name}, as far as they exist, start with "
        "an empty store and run: openstreamer import FILE"
    )


def _create(path: Path) -> None:
    """A database of one page under its name at once: an empty file there always means a loss.

    SQLite creates its journal files with the permissions of the database file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass  # another process was first
        except OSError:  # a file system without hard links
            temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def translated(location: Location) -> Iterator[None]:
    """Turn whatever the database says into a StoreError with the path and what to do."""
    try:
        yield
    except DBAPIError as err:
        raise _store_error(location, _reason(location, err.orig)) from err
    except SQLAlchemyError as err:
        raise _store_error(location, type(err).__name__) from err
    except (OSError, sqlite3.Error) as err:  # OSError: the PostgreSQL server cannot be reached
        raise _store_error(location, _reason(location, err)) from err


def _reason(location: Location, err: BaseException | None) -> str:
    if location.path is not None and lacks_room(err, location.path):
        return "database or disk is full"
    return str(err)


def verify_integrity(connection: Connection) -> None:
    """Read the whole SQLite file once (a few ms) so that damage is found before anything is written."""
    problem = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if problem != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {problem}")


def _configure_sqlite(engine: AsyncEngine, *, max_pages: int, sharing: Sharing) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # Python's sqlite3 would begin transactions behind our back, and not before DDL.
        connection.isolation_level = None
        # One damaged text must not fail the whole query that meets it.
        connection.driver_connection.text_factory = text_or_bytes
        cursor = connection.cursor()
        for pragma in (
            f"locking_mode = {'EXCLUSIVE' if sharing.alone else 'NORMAL'}",
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "foreign_keys = ON",
            "synchronous = FULL",  # a change is on the disk before it is answered
            f"max_page_count = {max_pages}",
            "journal_size_limit = 4194304",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def text_or_bytes(stored: bytes) -> str | bytes:
    """A text as SQLite stores it; the bytes when they are no UTF-8."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def use_write_ahead_log(connection: Connection) -> None:
    """Readers never wait for a writer. The setting stays in the file, so once per opening is enough."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    cursor = raw.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _store_error(location: Location, reason: str) -> StoreError:
    lowered = reason.lower()
    shown = location.shown
    if location.path is None:
        plain = re.sub(r"^\[Errno \d+\] ", "", reason)
        return StoreError(f"the database {shown} cannot be used: {plain}", code="STORE_UNREACHABLE")
    if "not a database" in lowered or "malformed" in lowered or "unsupported file format" in lowered:
        return StoreError(
            f"{shown} is damaged ({reason}) and was left untouched. Restore a backup; or move it and its "
            "-wal away, start with an empty store and run: openstreamer import FILE",
            code="STORE_CORRUPT",
        )
    if "full" in lowered:
        return StoreError(room_wanted(location.path), code="STORE_FULL")
    if "unable to open" in lowered or "readonly" in lowered or "permission" in lowered:
        return StoreError(
            f"{shown} cannot be written ({reason}). {_check_owner(location.path)}", code="STORE_UNWRITABLE"
        )
    if "locked" in lowered or "busy" in lowered:
        return StoreError(f"another process holds {shown} locked; try again", code="STORE_BUSY")
    return StoreError(f"{shown} cannot be used: {reason}", code="STORE_ERROR")


def _check_owner(path: Path) -> str:
    return f"Check that {path.parent} is a directory which the server's user may write"
