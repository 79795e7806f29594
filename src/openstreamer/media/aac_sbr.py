"""Finding SBR that nothing announced (ISO/IEC 14496-3 section 1.6.5.3, implicit signalling).

ADTS cannot say SBR, and many encoders write an AudioSpecificConfig that does not, although every frame has
it. Players then take HE-AAC for AAC-LC of half the rate. A decoder learns it from the frames, and so do
we, without decoding: SBR data is in a fill element, which encoders put last in the raw data block.
"""

from collections.abc import Sequence

from openstreamer.media.aac import OBJECT_SBR, SAMPLE_RATES_HZ, AacConfig
from openstreamer.media.bits import BitWriter

FRAMES_LOOKED_AT = 8  # one AAC-LC frame in sixty ends like that by chance

_ELEMENT_END = 0b111
_ELEMENT_FILL = 0b110
_COUNT_ESCAPE = 15
_FILL_BYTES_MAX = 14 + 255
_TAIL_MASK = (1 << 8 * _FILL_BYTES_MAX + 15) - 1
_PADDING_ELEMENTS_MAX = 24  # of up to 269 bytes each, in a frame of at most 6144

# extension_type, Table 4.121
_EXTENSION_FILL = 0b0000
_EXTENSION_FILL_DATA = 0b0001
_SBR_EXTENSIONS = (0b1101, 0b1110)  # EXT_SBR_DATA, EXT_SBR_DATA_CRC


def with_implicit_sbr(config: AacConfig, payloads: Sequence[bytes]) -> AacConfig:
    """``config`` with SBR signalled explicitly if half of ``payloads`` have it, else as it is.

    ``payloads`` are the first frames of the track, ``FRAMES_LOOKED_AT`` or more for a safe answer. Parametric
    stereo stays unsaid: decoders find it by themselves. Multi-channel audio whose LFE comes last is
    not recognised.
    """
    if not config.info.sbr_possible or not payloads:
        return config
    found = sum(has_sbr_extension(payload) for payload in payloads)
    return with_explicit_sbr(config) if 2 * found >= len(payloads) else config


class SbrProbe:
    """Holds the first frames of a track back until they have shown whether there is SBR.

    ``said`` is the configuration that the container has.
    """

    __slots__ = ("_held", "said")

    def __init__(self, said: AacConfig) -> None:
        self.said = said
        self._held: list[tuple[bytes, int]] = []

    def add(self, payload: bytes, pts_90k: int) -> bool:
        """Hold a frame; whether there are enough now."""
        self._held.append((payload, pts_90k))
        return len(self._held) >= FRAMES_LOOKED_AT

    def decide(self) -> tuple[AacConfig, list[tuple[bytes, int]]]:
        """What the frames say with what was held: payloads and their times."""
        return with_implicit_sbr(self.said, [payload for payload, _ in self._held]), self._held


def sbr_probe(config: object) -> SbrProbe | None:
    """A probe where ``config`` leaves open whether there is SBR."""
    return SbrProbe(config) if isinstance(config, AacConfig) and config.info.sbr_possible else None


def has_sbr_extension(payload: bytes) -> bool:
    """Whether a raw data block ends with a fill element of SBR data (4.4.2.1, 4.4.2.7).

    Fill elements behind it that are mere padding, as encoders of constant bit rate write, are passed over.
    """
    bits = int.from_bytes(payload, "big")
    alignment = (bits & -bits).bit_length() - 1  # byte_alignment() behind the end element
    if not 0 <= alignment < 8 or bits >> alignment & 0b111 != _ELEMENT_END:
        return False
    bits >>= alignment + 3
    for _ in range(_PADDING_ELEMENTS_MAX):
        tail = bits & _TAIL_MASK
        if any(_is_fill(tail, count, _SBR_EXTENSIONS) for count in range(1, _FILL_BYTES_MAX + 1)):
            return True
        padding_bits = _padding_element_bits(tail)
        if not padding_bits:
            return False
        bits >>= padding_bits
    return False


def _padding_element_bits(bits: int) -> int:
    """The size of the padding element that ``bits`` end with, 0 if there is none.

    Padding is an element without bytes; EXT_FILL_DATA, a nibble of zeros and bytes of a5; or EXT_FILL,
    zeros (4.5.2.9.3).
    """
    if bits & 0x7F == _ELEMENT_FILL << 4:
        return 7
    for filler, extension in ((0xA5, _EXTENSION_FILL_DATA), (0x00, _EXTENSION_FILL)):
        count = 1
        while count < _FILL_BYTES_MAX and bits >> 8 * (count - 1) & 0xFF == filler:
            if _is_fill(bits, count, (extension,)):
                return _fill_bits(count)
            count += 1
        if _is_fill(bits, count, (extension,)):
            return _fill_bits(count)
    return 0


def _fill_bits(count: int) -> int:
    return 8 * count + (7 if count < _COUNT_ESCAPE else 15)


def _is_fill(bits: int, count: int, extensions: tuple[int, ...]) -> bool:
    """Whether ``bits`` end with a fill element of ``count`` bytes of one of these extension types."""
    if bits >> (8 * count - 4) & 0b1111 not in extensions:
        return False
    head = bits >> 8 * count
    if count < _COUNT_ESCAPE:
        return head & 0x7F == _ELEMENT_FILL << 4 | count
    return head & 0x7FFF == (_ELEMENT_FILL << 4 | _COUNT_ESCAPE) << 8 | count - 14


def with_explicit_sbr(config: AacConfig) -> AacConfig:
    """``config``, an AAC-LC one with a channel configuration, as HE-AAC by hierarchical signalling."""
    info = config.info
    output_rate = 2 * info.core_sample_rate
    writer = BitWriter()
    writer.u(5, OBJECT_SBR)
    _write_rate(writer, info.core_sample_rate)
    writer.u(4, info.channel_configuration)
    _write_rate(writer, output_rate)
    writer.u(5, info.object_type)
    writer.u(1, info.samples_per_frame == 960)
    writer.u(2, 0)  # dependsOnCoreCoder, extensionFlag
    return AacConfig(writer.to_bytes())


def _write_rate(writer: BitWriter, rate: int) -> None:
    if rate in SAMPLE_RATES_HZ:
        writer.u(4, SAMPLE_RATES_HZ.index(rate))
    else:
        writer.u(4, 15)
        writer.u(24, rate)
