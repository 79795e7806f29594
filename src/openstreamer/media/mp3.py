"""MPEG audio: MPEG-1, MPEG-2 and MPEG-2.5, layers I to III, by their frame headers.

Specifications: ISO/IEC 11172-3 section 2.4.2.3, ISO/IEC 13818-3 section 2.4.2.3.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, NamedTuple, Self

from openstreamer.media.errors import MediaError

HEADER_BYTES = 4
FRAMES_MAX = 1_024  # in one piece of data

_LAYERS = (0, 3, 2, 1)  # by the two layer bits; 0 is reserved
_SAMPLE_RATES_HZ = ((11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_BIT_RATES_KBPS = {  # by (MPEG-1, layer); index 0 is free format, 15 is forbidden
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_1 = 3
_MPEG_1_RATES_HZ = frozenset(_SAMPLE_RATES_HZ[_MPEG_1])
_ALL_RATES_HZ = frozenset(rate for rates in _SAMPLE_RATES_HZ for rate in rates)


class Mp3FrameHeader(NamedTuple):
    """What one frame header says; ``frame_bytes`` includes the header."""

    layer: int
    sample_rate: int
    channels: int
    bit_rate_kbps: int
    samples: int
    frame_bytes: int


def parse_frame_header(data: bytes) -> Mp3FrameHeader:
    """Reads the frame header that ``data`` begins with; free-format bit rates are refused."""
    if len(data) < HEADER_BYTES:
        raise MediaError("MPEG audio: the frame header is cut off")
    bits = int.from_bytes(data[:HEADER_BYTES], "big")
    version, layer = bits >> 19 & 3, _LAYERS[bits >> 17 & 3]
    rate_index, bit_rate_index = bits >> 10 & 3, bits >> 12 & 15
    if bits >> 21 != 0x7FF or version == 1 or not layer or rate_index == 3:
        raise MediaError("MPEG audio: no frame header stands here")
    if bit_rate_index in (0, 15):
        raise MediaError("MPEG audio: free-format and forbidden bit rates are not supported")
    bit_rate_kbps = _BIT_RATES_KBPS[version == _MPEG_1, layer][bit_rate_index]
    sample_rate = _SAMPLE_RATES_HZ[version][rate_index]
    samples = _samples(layer, sample_rate)
    slot_bytes = 4 if layer == 1 else 1
    slots = samples * bit_rate_kbps * 125 // (sample_rate * slot_bytes) + (bits >> 9 & 1)
    channels = 1 if bits >> 6 & 3 == 3 else 2
    return Mp3FrameHeader(layer, sample_rate, channels, bit_rate_kbps, samples, slots * slot_bytes)


def take_frames(data: bytes) -> tuple[list[bytes], int]:
    """The frames that ``data`` begins with, headers included, and how many bytes they are.

    What is left is the beginning of a frame. Raises :class:`MediaError` where no header stands.
    """
    frames: list[bytes] = []
    position = 0
    while len(data) - position >= HEADER_BYTES and len(frames) < FRAMES_MAX:
        following = position + parse_frame_header(data[position : position + HEADER_BYTES]).frame_bytes
        if following > len(data):
            break
        frames.append(data[position:following])
        position = following
    return frames, position


def _samples(layer: int, sample_rate: int) -> int:
    """Samples of one frame: 384, 1152, or 576 in layer III of the lower sampling frequencies."""
    if layer == 1:
        return 384
    return 1152 if layer == 2 or sample_rate in _MPEG_1_RATES_HZ else 576


@dataclass(frozen=True, slots=True)
class Mp3Config:
    """What stays the same in the frame headers of an MPEG audio track; the bit rate may change."""

    codec: ClassVar[str] = "mp3"
    sample_rate: int
    channels: int
    layer: int = 3

    def __post_init__(self) -> None:
        if self.sample_rate not in _ALL_RATES_HZ:
            raise MediaError(f"MPEG audio: {self.sample_rate} Hz is no sample rate of it")
        if self.channels not in (1, 2) or self.layer not in (1, 2, 3):
            raise MediaError(f"MPEG audio: {self.channels} channels in layer {self.layer}")

    @classmethod
    def from_frame_header(cls, data: bytes) -> Self:
        """The configuration of the frame that ``data`` begins with."""
        header = parse_frame_header(data)
        return cls(header.sample_rate, header.channels, header.layer)

    @property
    def codec_string(self) -> str:
        """RFC 6381 with the audio object type of ISO/IEC 14496-3: ``mp4a.40.34`` is layer III."""
        return f"mp4a.40.{31 + self.layer}"

    @property
    def timescale(self) -> int:
        """The sample rate."""
        return self.sample_rate

    @property
    def samples_per_frame(self) -> int:
        """384, 576 or 1152."""
        return _samples(self.layer, self.sample_rate)

    @property
    def frame_duration(self) -> Fraction:
        """Seconds that one frame lasts."""
        return Fraction(self.samples_per_frame, self.sample_rate)

    @property
    def is_mpeg_1(self) -> bool:
        """Whether ISO/IEC 11172-3 has this rate: the object type indication in MP4 depends on it."""
        return self.sample_rate in _MPEG_1_RATES_HZ

    def samples_in(self, payload: bytes) -> int:
        """How many samples at ``timescale`` this frame lasts: always the same."""
        return self.samples_per_frame
