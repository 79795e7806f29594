"""What keeps the serving process small and its start short."""

import ctypes
import gc
import importlib
import sys


def load_structlog() -> None:
    """Import structlog, to be called before anything else does.

    It imports Rich, and with it Pygments, to print exceptions in colours, which our logs do not: 4 MB, and a
    tenth of the start. Where Rich cannot be imported it does without.
    """
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # documented: importing it fails then
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


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
