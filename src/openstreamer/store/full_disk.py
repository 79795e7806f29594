"""A store on a disk without room: it opens and is read, and changes are refused until there is some.

The processes that use an SQLite database with a write-ahead log share an index of the log in a file of
32 KiB, which is made when the first of them opens it. A process that has the database to itself keeps that
index in its memory (https://www.sqlite.org/wal.html, section 8) and needs no room at all.
"""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

ENOUGH_BYTES: Final = 256 << 10  # of free space, to share the database again: the index, and some changes
_TINY_BYTES: Final = 64 << 10  # less than the index and one change need


@dataclass(slots=True)
class Sharing:
    """How the connections of an engine are opened from now on: ``alone``, which locks other processes out for
    as long as they are open, or sharing the database with them."""

    alone: bool = False


def free_bytes(path: Path) -> int | None:
    """What an ordinary user may still write beside ``path``, or None where nobody can tell."""
    for directory in path.absolute().parents:
        try:
            found = os.statvfs(directory)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return None


def lacks_room(err: BaseException | None, path: Path) -> bool:
    """Whether SQLite failed because ``path`` is on a full disk, which it says of some of its files only."""
    number = getattr(err, "sqlite_errorcode", None)
    if number in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return True
    is_io = number is not None and number & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    free = free_bytes(path)
    return is_io and free is not None and free < _TINY_BYTES


def room_wanted(path: Path) -> str:
    """What to tell an operator: how much is free, and the remedies."""
    free = free_bytes(path)
    amount = "" if free is None else f" ({free >> 10} KiB are free on its disk)"
    return (
        f"no space for {path}{amount}: nothing was changed. Make room there, or move {path.parent}"
        " to a larger disk"
    )


@asynccontextmanager
async def connected(
    engine: AsyncEngine, sharing: Sharing, path: Path | None
) -> AsyncIterator[AsyncConnection]:
    """A connection of ``engine``; before that, the database is shared again if there is room now."""
    if sharing.alone and path is not None and (free_bytes(path) or 0) >= ENOUGH_BYTES:
        await _share_again(engine, sharing)
    async with engine.connect() as connection:
        yield connection


async def _share_again(engine: AsyncEngine, sharing: Sharing) -> None:
    """Close the connection that locks others out; stay alone if none can be opened without that."""
    async with engine.connect() as connection:  # the only one: nobody opens another meanwhile
        if not sharing.alone:
            return
        await connection.invalidate()
        sharing.alone = False
        try:
            await connection.execute(text("SELECT 1 FROM sqlite_master"))  # connects anew
        except DBAPIError:
            sharing.alone = True
            await connection.invalidate()
