"""NAL units as H.264 and H.265 share them: Annex B byte streams and length-prefixed samples.

Specifications: ITU-T H.264 Annex B, H.265 Annex B, ISO/IEC 14496-15 section 5.3.2 (length-prefixed).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from openstreamer.media.errors import MediaError

# A 20 MB picture in packet-sized slices; and what stands before the first slice: delimiter, parameter sets,
# SEI messages. Both bound what a flood of tiny or empty NAL units costs.
NALS_PER_ACCESS_UNIT_MAX = 16_384
LEADING_NALS = range(512)
PARAMETER_SET_BYTES_MAX = 4_096  # real ones have 10 to 600 bytes, scaling lists and extensions included
START_CODE = b"\x00\x00\x00\x01"

_SHORT_START_CODE = re.compile(b"\x00\x00\x01")  # finds twice as fast as the methods of bytes
_PREFIX_BYTES = 4


def split_annex_b(data: bytes) -> list[bytes]:
    """The NAL units between the start codes of ``data``, without trailing zero bytes.

    Bytes before the first start code are no NAL unit and are left out. A NAL unit never ends with a zero
    byte (7.4.1), so stripping them takes ``trailing_zero_8bits`` and the first byte of a 4-byte start code.
    """
    pieces = _SHORT_START_CODE.split(data, NALS_PER_ACCESS_UNIT_MAX + 1)
    if len(pieces) > NALS_PER_ACCESS_UNIT_MAX + 1:
        raise MediaError(f"more than {NALS_PER_ACCESS_UNIT_MAX} NAL units in one access unit")
    del pieces[0]
    return [nal for piece in pieces if (nal := piece.rstrip(b"\x00"))]


def iter_length_prefixed(payload: bytes, nal_length_size: int = 4) -> Iterator[bytes]:
    """The NAL units of a length-prefixed access unit; empty ones are left out.

    Raises :class:`MediaError` where a length points beyond the end, and when there are too many.
    """
    position = 0
    end = len(payload)
    for _ in range(NALS_PER_ACCESS_UNIT_MAX):
        if position >= end:
            return
        start = position + nal_length_size
        position = start + int.from_bytes(payload[position:start], "big")
        if position > end or start > end:
            raise MediaError(f"a NAL unit ends {position - end} bytes behind its access unit")
        if position > start:
            yield payload[start:position]
    if position < end:
        raise MediaError(f"more than {NALS_PER_ACCESS_UNIT_MAX} NAL units in one access unit")


def too_many_leading_nals() -> MediaError:
    """The error for an access unit without a slice among its first ``LEADING_NALS``."""
    return MediaError(f"more than {len(LEADING_NALS)} NAL units before the first slice")


def to_length_prefixed(nals: Iterable[bytes]) -> bytes:
    """One access unit with 4-byte lengths."""
    pieces = []
    for nal in nals:
        pieces.append(len(nal).to_bytes(_PREFIX_BYTES, "big"))
        pieces.append(nal)
    return b"".join(pieces)


def to_annex_b(payload: bytes) -> bytes:
    """A 4-byte length-prefixed access unit as a byte stream with 4-byte start codes."""
    pieces = []
    for nal in iter_length_prefixed(payload):
        pieces.append(START_CODE)
        pieces.append(nal)
    return b"".join(pieces)


def change_nal_length_size(payload: bytes, from_size: int) -> bytes:
    """``payload`` with 4-byte lengths, made from one with lengths of ``from_size`` bytes."""
    if from_size == _PREFIX_BYTES:
        return payload
    return to_length_prefixed(iter_length_prefixed(payload, from_size))


def replace_parameter_sets(
    old: Sequence[bytes], new: Sequence[bytes], id_of: Callable[[bytes], int]
) -> tuple[bytes, ...]:
    """``old``, with sets replaced by those of the same id in ``new`` and the remaining ones appended."""
    by_id = {id_of(nal): nal for nal in old}
    by_id.update((id_of(nal), nal) for nal in new)
    return tuple(by_id.values())


def put_parameter_sets_first(
    old: Sequence[bytes], new: Sequence[bytes], id_of: Callable[[bytes], int]
) -> tuple[bytes, ...]:
    """``new`` (the last of each id), then those of ``old`` whose id is not among them."""
    by_id = {id_of(nal): nal for nal in new}
    for nal in old:
        by_id.setdefault(id_of(nal), nal)
    return tuple(by_id.values())


def check_parameter_sets(what: str, nals: Sequence[bytes], most: int) -> None:
    """Raises :class:`MediaError` unless there are 1 to ``most`` sets, none empty and none oversized."""
    if not 1 <= len(nals) <= most:
        raise MediaError(f"{what}: {len(nals)} of them, 1 to {most} are allowed")
    for nal in nals:
        if not 2 <= len(nal) <= PARAMETER_SET_BYTES_MAX:
            raise MediaError(f"{what}: {len(nal)} bytes, 2 to {PARAMETER_SET_BYTES_MAX} are allowed")


class ConfigurationReader:
    """Reads the counted, length-prefixed arrays of avcC and hvcC records."""

    __slots__ = ("_data", "_what", "position")

    def __init__(self, data: bytes, what: str, position: int) -> None:
        self._data = data
        self._what = what
        self.position = position

    @property
    def at_end(self) -> bool:
        """Whether every byte was read."""
        return self.position >= len(self._data)

    def number(self, size: int) -> int:
        """A big-endian number of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self.position + size
        if end > len(self._data):
            raise MediaError(f"{self._what}: ends in the middle, at byte {self.position}")
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def nals(self, count: int) -> list[bytes]:
        """``count`` NAL units with 16-bit lengths; empty ones are left out."""
        found = [self.take(self.number(2)) for _ in range(count)]
        return [nal for nal in found if nal]
