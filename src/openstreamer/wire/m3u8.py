"""Writing HLS playlists: the tags of draft-pantos-hls-rfc8216bis, one function each.

A tag is one line without its line feed. Nothing here knows where values come from; what must hold between
tags is the packager's business.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

HEADER = "#EXTM3U"
INDEPENDENT_SEGMENTS = "#EXT-X-INDEPENDENT-SEGMENTS"
DISCONTINUITY = "#EXT-X-DISCONTINUITY"
GAP = "#EXT-X-GAP"
ENDLIST = "#EXT-X-ENDLIST"


def quoted(value: str) -> str:
    """A quoted-string (section 4.2): line feeds, carriage returns and double quotes cannot be in one."""
    return '"' + value.translate(_NEVER_QUOTED) + '"'


_NEVER_QUOTED = {ord("\n"): " ", ord("\r"): " ", ord('"'): "'"}


def seconds(value_s: float) -> str:
    """A decimal-floating-point of at most microseconds, without trailing zeros."""
    text = f"{value_s:.6f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def attributes(tag: str, pairs: Iterable[tuple[str, str]]) -> str:
    """``#TAG:NAME=value,NAME=value`` with values as they shall stand."""
    return f"#{tag}:" + ",".join(f"{name}={value}" for name, value in pairs)


def version(number: int) -> str:
    """EXT-X-VERSION, section 4.4.1.2."""
    return f"#EXT-X-VERSION:{number}"


def target_duration(duration_s: int) -> str:
    """EXT-X-TARGETDURATION, section 4.4.3.1."""
    return f"#EXT-X-TARGETDURATION:{duration_s}"


def media_sequence(number: int) -> str:
    """EXT-X-MEDIA-SEQUENCE, section 4.4.3.2."""
    return f"#EXT-X-MEDIA-SEQUENCE:{number}"


def discontinuity_sequence(number: int) -> str:
    """EXT-X-DISCONTINUITY-SEQUENCE, section 4.4.3.3."""
    return f"#EXT-X-DISCONTINUITY-SEQUENCE:{number}"


def part_inf(part_target_s: float) -> str:
    """EXT-X-PART-INF, section 4.4.3.7."""
    return f"#EXT-X-PART-INF:PART-TARGET={seconds(part_target_s)}"


def server_control(
    *, can_skip_until_s: float | None, hold_back_s: float, part_hold_back_s: float | None, can_block: bool
) -> str:
    """EXT-X-SERVER-CONTROL, section 4.4.3.8."""
    pairs = [("CAN-BLOCK-RELOAD", "YES")] if can_block else []
    if can_skip_until_s is not None:
        pairs.append(("CAN-SKIP-UNTIL", seconds(can_skip_until_s)))
    pairs.append(("HOLD-BACK", seconds(hold_back_s)))
    if part_hold_back_s is not None:
        pairs.append(("PART-HOLD-BACK", seconds(part_hold_back_s)))
    return attributes("EXT-X-SERVER-CONTROL", pairs)


def media_initialization(uri: str) -> str:
    """EXT-X-MAP, section 4.4.4.5."""
    return f"#EXT-X-MAP:URI={quoted(uri)}"


def program_date_time(unix_ms: int) -> str:
    """EXT-X-PROGRAM-DATE-TIME in UTC to the millisecond, section 4.4.4.6."""
    whole_s, rest_ms = divmod(unix_ms, 1000)
    moment = datetime.fromtimestamp(whole_s, UTC)
    return f"#EXT-X-PROGRAM-DATE-TIME:{moment:%Y-%m-%dT%H:%M:%S}.{rest_ms:03d}Z"


def extinf(duration_s: float) -> str:
    """EXTINF without a title, section 4.4.4.1."""
    return f"#EXTINF:{seconds(duration_s)},"


def part(duration_s: float, uri: str, *, independent: bool) -> str:
    """EXT-X-PART, section 4.4.4.9."""
    mark = ",INDEPENDENT=YES" if independent else ""
    return f"#EXT-X-PART:DURATION={seconds(duration_s)},URI={quoted(uri)}{mark}"


def skip(segments: int) -> str:
    """EXT-X-SKIP of a delta update, section 4.4.5.2."""
    return f"#EXT-X-SKIP:SKIPPED-SEGMENTS={segments}"


def preload_hint_part(uri: str) -> str:
    """EXT-X-PRELOAD-HINT of a partial segment, section 4.4.5.3."""
    return f"#EXT-X-PRELOAD-HINT:TYPE=PART,URI={quoted(uri)}"


def rendition_report(uri: str, last_msn: int, last_part: int | None) -> str:
    """EXT-X-RENDITION-REPORT, section 4.4.5.4."""
    tail = "" if last_part is None else f",LAST-PART={last_part}"
    return f"#EXT-X-RENDITION-REPORT:URI={quoted(uri)},LAST-MSN={last_msn}{tail}"


def lines(tags: Iterable[str]) -> str:
    """The document of these lines."""
    return "\n".join(tags) + "\n"
