"""What a fuzz target is, and the file format of its corpus.

A target takes any bytes. It may raise the typed errors it names in ``allowed`` and nothing else, must not
break an invariant that it asserts, and must come back in time and within its memory.
"""

import importlib
import pkgutil
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "tests" / "fuzz" / "corpus"

MAX_PIECES = 100

_LENGTH = struct.Struct(">H")
_PREFIX = "fuzz_"


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """``run`` is called with every input; ``seeds`` are valid inputs to start from."""

    name: str
    run: Callable[[bytes], None]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    max_input_bytes: int = 4096

    def check(self, data: bytes) -> None:
        """Run one input; raises whatever is a finding."""
        try:
            self.run(data)
        except self.allowed:
            return


def target_names() -> list[str]:
    """All targets: the modules of this package that are called ``fuzz_…``."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name.removeprefix(_PREFIX) for module in modules if module.name.startswith(_PREFIX))


def load_target(name: str) -> FuzzTarget:
    """The target called ``name``."""
    target = importlib.import_module(f"fuzz.{_PREFIX}{name}").TARGET
    assert isinstance(target, FuzzTarget)
    assert target.name == name
    return target


def read_corpus(name: str) -> list[bytes]:
    """The checked-in inputs of a target: u16 length and bytes, one after the other."""
    path = CORPUS / f"{name}.bin"
    data = path.read_bytes() if path.exists() else b""
    inputs: list[bytes] = []
    at = 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        inputs.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return inputs


def write_corpus(name: str, inputs: Iterable[bytes]) -> None:
    """Replace the checked-in inputs of a target."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    data = b"".join(_LENGTH.pack(len(item)) + item for item in sorted(set(inputs), key=lambda i: (len(i), i)))
    (CORPUS / f"{name}.bin").write_bytes(data)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """``data`` in pieces of ``size`` bytes, or of more so that there are not too many to be fast."""
    size = max(1, size, len(data) // MAX_PIECES)
    for start in range(0, len(data), size):
        yield data[start : start + size]


def records_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """A cheap structure for inputs that are a list: u8 kind, u16 length, body; the last may be cut."""
    at = 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : at + 3 + size]
        at += 3 + size


def record(kind: int, body: bytes) -> bytes:
    """One record for :func:`records_of`."""
    return bytes((kind,)) + len(body).to_bytes(2, "big") + body
