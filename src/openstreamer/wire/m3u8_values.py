"""The values that tags of a playlist hold (draft-pantos-hls-rfc8216bis, section 4.2), and variables (4.3).

What cannot be read raises ``ValueError`` with words; the reader of the playlist adds the line.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from openstreamer.wire.m3u8_documents import ByteRange, Key

MAX_INTEGER: Final = (1 << 64) - 1  # a decimal-integer, section 4.2
LONGEST_S: Final = 86_400.0  # of a segment or an offset: a day

# Tolerant: unquoted values that should be quoted pass, and so do spaces after a comma.
_ATTRIBUTE: Final = re.compile(r'\s*([A-Z0-9-]{1,64})=("[^"]*"|[^,"]*)')
_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
_REFERENCE: Final = re.compile(r"\{\$([A-Za-z0-9_-]{1,256})\}")


def attributes(text: str) -> dict[str, str]:
    """An attribute list; quoted strings lose their quotes. Of a name that comes twice the first counts."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(text):
        if value[:1] == '"':
            value = value[1:-1]
        found.setdefault(name, value)
    return found


def integer(text: str) -> int:
    """A decimal-integer."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or (value := int(text)) > MAX_INTEGER:
        raise ValueError(f"{text[:30]!r} is no decimal-integer")
    return value


def seconds(text: str) -> float:
    """A decimal-floating-point of seconds."""
    text = text.strip()
    if not _SECONDS.fullmatch(text) or (value := float(text)) > LONGEST_S:
        raise ValueError(f"{text[:30]!r} is no duration in seconds")
    return value


def signed_seconds(text: str) -> float:
    """A signed-decimal-floating-point of seconds."""
    text = text.strip()
    return -seconds(text[1:]) if text.startswith("-") else seconds(text)


def resolution(text: str) -> tuple[int, int]:
    """A decimal-resolution; 0x0 when it cannot be read, since it only informs."""
    width, _, height = text.lower().partition("x")
    try:
        return integer(width), integer(height)
    except ValueError:
        return 0, 0


def byte_range(text: str, following: int | None) -> ByteRange:
    """``length[@start]``; without a start it follows the sub-range before (section 4.4.4.2)."""
    length, at, start = text.strip().partition("@")
    if not at and following is None:
        raise ValueError("a byte range without an offset follows no other range of this resource")
    found = ByteRange(integer(start) if at else following or 0, integer(length))
    if found.length == 0 or found.start + found.length > MAX_INTEGER:
        raise ValueError("a byte range that is empty or ends nowhere")
    return found


def unix_ms(text: str) -> int | None:
    """EXT-X-PROGRAM-DATE-TIME in Unix milliseconds; None when it is no date: it only informs."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def key(found: Mapping[str, str]) -> Key | None:
    """The attributes of EXT-X-KEY; None for METHOD=NONE."""
    method = found.get("METHOD", "")
    if method == "NONE":
        return None
    if not method:
        raise ValueError("METHOD is missing")
    uri = found.get("URI", "")
    if not uri:
        raise ValueError("URI is missing")
    return Key(method, uri, _iv(found.get("IV")), found.get("KEYFORMAT") or "identity")


def _iv(text: str | None) -> bytes | None:
    if text is None:
        return None
    digits = text[2:]
    if text[:2].lower() != "0x" or not 0 < len(digits) <= 32 or not digits.isalnum():
        raise ValueError("IV is no 128-bit hexadecimal-sequence")
    return int(digits, 16).to_bytes(16, "big")


def substitute(text: str, variables: Mapping[str, str], most_chars: int) -> str:
    """``text`` with its variable references replaced (section 4.3), once: values are not looked at again."""
    size = len(text)

    def value_of(match: re.Match[str]) -> str:
        nonlocal size
        value = variables.get(match[1])
        if value is None:
            raise ValueError(f"the variable {match[1]!r} is not defined")
        size += len(value) - len(match[0])
        if size > most_chars:
            raise ValueError(f"more than {most_chars} characters after its variables were replaced")
        return value

    return _REFERENCE.sub(value_of, text)
