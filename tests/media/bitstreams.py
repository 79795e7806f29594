"""Writers of codec headers for the tests, independent of the parsers under test."""

import contextlib
from collections.abc import Callable

import pytest

from openstreamer.media.errors import MediaError


class Bits:
    """Collects bit fields as text."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, count: int, value: int) -> "Bits":
        self.text += f"{value:0{count}b}" if count else ""
        return self

    def ue(self, value: int) -> "Bits":
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code
        return self

    def se(self, value: int) -> "Bits":
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def rbsp(self) -> bytes:
        """The bits with rbsp_trailing_bits."""
        return self._packed(self.text + "1")

    def padded(self) -> bytes:
        """The bits with zeros up to the next byte."""
        return self._packed(self.text)

    @staticmethod
    def _packed(text: str) -> bytes:
        text += "0" * (-len(text) % 8)
        return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def escaped(rbsp: bytes) -> bytes:
    """``rbsp`` with emulation prevention bytes (H.264 7.4.1)."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def lengths(*nals: bytes) -> bytes:
    """A length-prefixed access unit."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def assert_total(parse: Callable[[bytes], object], data: bytes) -> None:
    """``parse`` may refuse ``data``, but only in the one way that callers handle."""
    with contextlib.suppress(MediaError):
        parse(data)


def assert_truncations_refused(parse: Callable[[bytes], object], data: bytes, least: int = 1) -> None:
    """Every prefix of ``data`` that lacks ``least`` bytes or more raises MediaError."""
    parse(data)
    for size in range(len(data) - least + 1):
        with pytest.raises(MediaError):
            parse(data[:size])
