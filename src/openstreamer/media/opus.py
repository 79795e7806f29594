"""Opus: the identification header, the dOps record, packet durations.

Specifications: RFC 6716 section 3.1 (TOC byte), RFC 7845 section 5.1 (OpusHead), "Encapsulation of Opus in
ISO Base Media File Format" section 4.3.2 (dOps).
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from openstreamer.media.errors import MediaError

SAMPLE_RATE_HZ = 48_000  # Opus timestamps count 48 kHz samples whatever the input rate was
PACKET_SAMPLES_MAX = 5_760  # 120 ms, RFC 6716 section 3.2.5
NOMINAL_SAMPLES_PER_FRAME = 960  # 20 ms: what encoders use unless told otherwise

_OPUS_HEAD = struct.Struct("<BBHIhB")  # version, channels, pre-skip, input rate, output gain, family
_DOPS = struct.Struct(">BBHIhB")  # the same fields, big-endian
_HEAD_MAGIC = b"OpusHead"


def _frame_samples(config: int) -> int:
    """Samples of one frame by the five configuration bits of the TOC byte (RFC 6716 table 2)."""
    if config < 12:  # SILK: 10, 20, 40, 60 ms
        return (480, 960, 1920, 2880)[config & 3]
    if config < 16:  # hybrid: 10, 20 ms
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]  # CELT: 2.5, 5, 10, 20 ms


_SAMPLES_BY_TOC = tuple(_frame_samples(toc >> 3) * (1, 2, 2, 0)[toc & 3] for toc in range(256))


def packet_samples(packet: bytes) -> int:
    """How many 48 kHz samples an Opus packet decodes to; :class:`MediaError` when that cannot be."""
    if not packet:
        raise MediaError("Opus: an empty packet")
    samples = _SAMPLES_BY_TOC[packet[0]]
    if samples:
        return samples
    if len(packet) < 2:
        raise MediaError("Opus: the packet ends before its frame count")
    samples = _frame_samples(packet[0] >> 3) * (packet[1] & 0x3F)
    if not 0 < samples <= PACKET_SAMPLES_MAX:
        raise MediaError(f"Opus: a packet of {samples} samples, 1 to {PACKET_SAMPLES_MAX} are allowed")
    return samples


@dataclass(frozen=True, slots=True)
class OpusConfig:
    """The identification header of an Opus track.

    ``mapping`` is empty for family 0; else it is the channel mapping table: stream count, coupled count,
    then one byte per channel. ``output_gain`` is in 1/256 dB, ``pre_skip`` in 48 kHz samples.
    """

    codec: ClassVar[str] = "opus"
    codec_string: ClassVar[str] = "opus"
    sample_rate: ClassVar[int] = SAMPLE_RATE_HZ
    timescale: ClassVar[int] = SAMPLE_RATE_HZ
    samples_per_frame: ClassVar[int] = NOMINAL_SAMPLES_PER_FRAME
    frame_duration: ClassVar[Fraction] = Fraction(NOMINAL_SAMPLES_PER_FRAME, SAMPLE_RATE_HZ)
    channels: int = 2
    pre_skip: int = 312
    input_sample_rate: int = 48_000
    output_gain: int = 0
    mapping_family: int = 0
    mapping: bytes = b""

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= (255 if self.mapping_family else 2):
            raise MediaError(f"Opus: {self.channels} channels in mapping family {self.mapping_family}")
        table_bytes = 2 + self.channels if self.mapping_family else 0
        if len(self.mapping) != table_bytes:
            raise MediaError(f"Opus: a channel mapping table of {len(self.mapping)} bytes, not {table_bytes}")
        if self.mapping and not 0 < self.mapping[0] + self.mapping[1] <= 255:
            raise MediaError("Opus: the channel mapping table has no stream, or too many")
        if self.mapping and self.mapping[1] > self.mapping[0]:
            raise MediaError("Opus: more coupled streams than streams")

    @classmethod
    def from_opus_head(cls, head: bytes) -> Self:
        """Reads an ``OpusHead`` packet of major version 0."""
        if head[:8] != _HEAD_MAGIC:
            raise MediaError("OpusHead: the magic signature is missing")
        return cls._from_record(head[8:], _OPUS_HEAD, "OpusHead", version_max=15)

    @classmethod
    def from_dops(cls, dops: bytes) -> Self:
        """Reads a dOps box's content."""
        return cls._from_record(dops, _DOPS, "dOps", version_max=0)

    @classmethod
    def _from_record(cls, record: bytes, layout: struct.Struct, what: str, version_max: int) -> Self:
        if len(record) < layout.size:
            raise MediaError(f"{what}: {len(record)} bytes are too short")
        version, channels, pre_skip, input_rate, gain, family = layout.unpack_from(record)
        if version > version_max:
            raise MediaError(f"{what}: version {version} is unknown")
        table = record[layout.size : layout.size + 2 + channels] if family else b""
        return cls(channels, pre_skip, input_rate, gain, family, table)

    def opus_head(self) -> bytes:
        """The ``OpusHead`` packet."""
        return _HEAD_MAGIC + _OPUS_HEAD.pack(1, *self._record()) + self.mapping

    def dops(self) -> bytes:
        """The dOps box's content."""
        return _DOPS.pack(0, *self._record()) + self.mapping

    def _record(self) -> tuple[int, int, int, int, int]:
        return self.channels, self.pre_skip, self.input_sample_rate, self.output_gain, self.mapping_family

    def samples_in(self, payload: bytes) -> int:
        """How many samples at ``timescale`` this packet lasts; see :func:`packet_samples`."""
        return packet_samples(payload)
