"""What keeps the serving process small and its start short.

Two libraries load far more than we use of them, and offer no other way to load less. ``load_lean`` keeps that
out; without it everything works the same and takes 9 MB and half a second more.
"""

import ctypes
import gc
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Unused(ModuleType):
    """A module that has every name, and none of use."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def load_lean() -> None:
    """Import structlog and SQLAlchemy; to be called before anything else does.

    structlog imports Rich, and with it Pygments, to print exceptions in colours, which our logs do not; where
    Rich cannot be imported it does without. SQLAlchemy's asyncio package imports its whole ORM for the sake
    of sessions; the store speaks through connections.
    """
    _import("structlog", {"rich": None})
    package = "sqlalchemy.ext.asyncio"
    _import(package, {name: _Unused(name) for name in (f"{package}.scoping", f"{package}.session")})


def _import(name: str, instead: Mapping[str, ModuleType | None]) -> None:
    if name not in sys.modules:
        with _replaced(instead):
            importlib.import_module(name)


@contextmanager
def _replaced(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Have ``modules`` in place of the real ones, unless these are there; None lets the import fail."""
    loaded: dict[str, Any] = sys.modules
    absent = {name: module for name, module in modules.items() if name not in loaded}
    loaded.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del loaded[name]


def settle() -> None:
    """Everything is loaded: nearly all that is in memory now lives as long as the process.

    The garbage collector need not look at it again and again, and the C library gives back what only the
    start needed.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
