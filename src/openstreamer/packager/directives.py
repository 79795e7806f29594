"""Delivery directives: what a client adds to a playlist's URL (rfc8216bis section 6.2.5)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from openstreamer.packager.errors import BadRequest
from openstreamer.packager.window import TrackWindow

_MAX_DIGITS = 15
_MSN_AHEAD = 2  # section 6.2.5.2: the last media sequence number plus two is the farthest
_ADVANCE_PARTS_S = 3.0  # Advance Part Limit: 3 s of parts, and three of longer ones


@dataclass(frozen=True, slots=True)
class Directives:
    """``_HLS_msn``, ``_HLS_part`` and whether ``_HLS_skip`` asks for a delta update."""

    msn: int | None
    part: int | None
    skip: bool

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Raises :class:`BadRequest` when they make no sense."""
        msn = _number(query, "_HLS_msn")
        part = _number(query, "_HLS_part")
        if part is not None and msn is None:
            raise BadRequest("_HLS_part needs _HLS_msn")
        return cls(msn, part, query.get("_HLS_skip") in ("YES", "v2"))


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"{name} is not a decimal number")
    significant = text.lstrip("0") or "0"
    if len(significant) > _MAX_DIGITS:
        raise BadRequest(f"{name} is too large: more than {_MAX_DIGITS} digits")
    return int(significant)


def has_arrived(window: TrackWindow, directives: Directives) -> bool:
    """Whether a playlist of ``window`` contains what a blocking reload waits for."""
    assert directives.msn is not None
    msn, part = directives.msn, directives.part
    last = window.last_msn
    assert last is not None
    if msn < last or (msn == last and part is None):
        return True
    if part is None:
        return False
    if msn == last:
        if window.closed[-1].gap or part < len(window.closed[-1].parts):
            return True
        msn, part = msn + 1, 0  # past the final part: the first of the following segment
    growing = window.open
    return growing is not None and growing.msn == msn and part < len(growing.parts)


def is_too_far(window: TrackWindow, directives: Directives, part_target_s: float | None) -> bool:
    """Whether it asks for more than what can come soon."""
    assert directives.msn is not None
    last = window.last_msn
    assert last is not None
    if directives.msn > last + _MSN_AHEAD:
        return True
    if directives.part is None or directives.msn <= last:
        return False
    growing = window.open
    newest = len(growing.parts) - 1 if growing is not None and growing.msn == directives.msn else -1
    limit = math.ceil(_ADVANCE_PARTS_S / part_target_s) if part_target_s and part_target_s < 1 else 3
    return directives.part > newest + limit
