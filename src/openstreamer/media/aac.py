"""AAC: AudioSpecificConfig, ADTS.

Specifications: ISO/IEC 14496-3 sections 1.6.2.1 (AudioSpecificConfig), 1.6.5 (how SBR and PS are signalled),
4.4.1 (GASpecificConfig, program_config_element) and 1.A.3.2 (ADTS, which 13818-7 has as well).
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, NamedTuple, Self

from openstreamer.media.bits import BitReader, BitWriter
from openstreamer.media.errors import MediaError

SAMPLE_RATES_HZ = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
)  # fmt: skip
AUDIO_SPECIFIC_CONFIG_BYTES_MAX = 512  # a program config element with its comment is 350
ADTS_FRAMES_MAX = 1_024  # in one piece of data: 20 s of audio
ADTS_HEADER_BYTES = 7

OBJECT_AAC_LC = 2
OBJECT_SBR = 5
OBJECT_PS = 29

_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8)  # by channelConfiguration, Table 1.19
_OBJECTS_GA = frozenset((1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23))  # those with a GASpecificConfig
_OBJECTS_ERROR_RESILIENT = frozenset((17, 19, 20, 21, 22, 23))
_SYNC_SBR = 0x2B7
_SYNC_PS = 0x548
_RATE_ESCAPE = 15
_IMPLICIT_SBR_CORE_HZ_MAX = 24_000  # 1.6.5.3: up to here a decoder must expect SBR that nothing announced
_ELEMENT_PCE = 5


class AacDetails(NamedTuple):
    """What an AudioSpecificConfig says.

    ``sbr`` and ``ps`` are explicit signalling only, hierarchical or by sync extension.
    ``sbr_possible`` is true when nothing is said about SBR and the core rate is at most 24 kHz: the audio may
    be HE-AAC with implicit signalling, which only its payload tells. ``channels`` is what a decoder puts
    out; ``core_channels`` is without parametric stereo. ``verbatim`` is the whole configuration where the
    other fields do not say all of it (program config elements, error-resilient types), else empty.
    """

    object_type: int
    core_sample_rate: int
    sample_rate: int
    core_channels: int
    channels: int
    channel_configuration: int
    samples_per_frame: int
    sbr: bool
    ps: bool
    sbr_possible: bool
    verbatim: bytes = b""


class _Sbr(NamedTuple):
    said: bool = False
    sbr: bool = False
    ps: bool = False
    sample_rate: int = 0


def parse_audio_specific_config(data: bytes) -> AacDetails:
    """Reads an AudioSpecificConfig; object types that are not plain AAC inside are refused by number."""
    if len(data) > AUDIO_SPECIFIC_CONFIG_BYTES_MAX:
        raise MediaError(f"AudioSpecificConfig: {len(data)} bytes are too many")
    reader = BitReader(data, "AudioSpecificConfig")
    object_type, core_rate = _read_object_type(reader), _read_sample_rate(reader)
    configuration = reader.u(4)
    sbr = _Sbr()
    if object_type in (OBJECT_SBR, OBJECT_PS):
        sbr = _Sbr(True, True, object_type == OBJECT_PS, _read_sample_rate(reader))
        object_type = _read_object_type(reader)
        if object_type == 22:
            reader.skip(4)  # extensionChannelConfiguration
    if object_type not in _OBJECTS_GA:
        raise MediaError(f"AudioSpecificConfig: audio object type {object_type} is not supported")
    samples, channels = _read_ga_specific_config(reader, object_type, configuration)
    if object_type in _OBJECTS_ERROR_RESILIENT and reader.u(2) > 1:
        raise MediaError("AudioSpecificConfig: error protection (epConfig 2 and 3) is not supported")
    if not sbr.said:
        sbr = _read_sync_extension(reader)
    described = configuration and object_type <= 4
    return AacDetails(
        object_type=object_type,
        core_sample_rate=core_rate,
        sample_rate=sbr.sample_rate if sbr.sbr else core_rate,
        core_channels=channels,
        channels=2 if sbr.ps and channels == 1 else channels,
        channel_configuration=configuration,
        samples_per_frame=samples,
        sbr=sbr.sbr,
        ps=sbr.ps,
        sbr_possible=not sbr.said and core_rate <= _IMPLICIT_SBR_CORE_HZ_MAX,
        verbatim=b"" if described else data,
    )


def _read_object_type(reader: BitReader) -> int:
    object_type = reader.u(5)
    return 32 + reader.u(6) if object_type == 31 else object_type


def _read_sample_rate(reader: BitReader) -> int:
    index = reader.u(4)
    rate = reader.u(24) if index == _RATE_ESCAPE else _sample_rate(index)
    if not 1_000 <= rate <= 192_000:
        raise MediaError(f"AudioSpecificConfig: {rate} Hz is no sample rate")
    return rate


def _sample_rate(index: int) -> int:
    if index >= len(SAMPLE_RATES_HZ):
        raise MediaError(f"AAC: sampling frequency index {index} is reserved")
    return SAMPLE_RATES_HZ[index]


def _read_ga_specific_config(reader: BitReader, object_type: int, configuration: int) -> tuple[int, int]:
    """Samples per frame and number of channels (4.4.1)."""
    samples = 960 if reader.flag() else 1024
    if reader.flag():  # dependsOnCoreCoder
        reader.skip(14)
    has_extension = reader.flag()
    if configuration:
        channels = _CHANNELS[configuration] if configuration < len(_CHANNELS) else 0
        if not channels:
            raise MediaError(f"AAC: channel configuration {configuration} is reserved")
    else:
        channels = _read_program_config(reader, BitWriter())
    if object_type in (6, 20):
        reader.skip(3)  # layerNr
    if has_extension:
        reader.skip({22: 16, 17: 3, 19: 3, 20: 3, 23: 3}.get(object_type, 0))
        reader.skip(1)  # extensionFlag3
    return samples, channels


def _read_program_config(reader: BitReader, copy: BitWriter) -> int:
    """The channels of a program_config_element (4.4.1.1), whose fields go to ``copy`` without the comment."""

    def u(count: int) -> int:
        value = reader.u(count)
        copy.u(count, value)
        return value

    u(10)  # element_instance_tag, object_type, sampling_frequency_index
    groups = u(4), u(4), u(4)  # front, side, back
    lfes, data_elements, couplings = u(2), u(3), u(4)
    for mixdown_bits in (4, 4, 3):  # mono, stereo, matrix
        if u(1):
            u(mixdown_bits)
    channels = lfes
    for _ in range(sum(groups)):
        channels += 1 + u(1)  # is_cpe
        u(4)
    for _ in range(lfes + data_elements):
        u(4)
    for _ in range(couplings):
        u(5)
    reader.align()
    reader.skip(8 * reader.u(8))  # comment_field_data
    copy.align()
    copy.u(8, 0)
    if not channels:
        raise MediaError("AAC: a program config element without channels")
    return channels


def _read_sync_extension(reader: BitReader) -> _Sbr:
    """SBR and PS that are signalled behind the configuration, where old decoders do not look (1.6.2.1)."""
    if reader.remaining_bits < 16 or reader.u(11) != _SYNC_SBR or _read_object_type(reader) != OBJECT_SBR:
        return _Sbr()
    if not reader.flag():  # sbrPresentFlag
        return _Sbr(said=True)
    rate = _read_sample_rate(reader)
    ps = reader.remaining_bits >= 12 and reader.u(11) == _SYNC_PS and reader.flag()
    return _Sbr(True, True, ps, rate)


@dataclass(frozen=True, slots=True)
class AacConfig:
    """The AudioSpecificConfig of an AAC track; ``info`` is what it says.

    Times count core samples: ``timescale`` is the core sample rate and ``samples_per_frame`` is 1024 or 960
    of those. HE-AAC puts out twice as many at ``sample_rate``, which lasts just as long. Two configurations
    are equal when they say the same, in however many bytes.
    """

    codec: ClassVar[str] = "aac"
    audio_specific_config: bytes = field(compare=False)
    info: AacDetails = field(init=False, repr=False)
    timescale: int = field(init=False, compare=False, repr=False)
    samples_per_frame: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        info = parse_audio_specific_config(self.audio_specific_config)
        object.__setattr__(self, "info", info)
        object.__setattr__(self, "timescale", info.core_sample_rate)
        object.__setattr__(self, "samples_per_frame", info.samples_per_frame)

    @classmethod
    def from_adts(cls, frame: bytes) -> Self:
        """The configuration that an ADTS header implies.

        ADTS never says SBR, so HE-AAC comes out as ``sbr_possible``. When its channel configuration is 0
        the channels are in a program config element in front of the audio: ``frame`` must then be the
        whole ADTS frame.
        """
        header = parse_adts_header(frame)
        if header.channel_configuration:
            return cls(_adts_audio_specific_config(*header.configuration))
        return cls(_program_audio_specific_config(header, frame[header.header_bytes : header.frame_bytes]))

    @property
    def codec_string(self) -> str:
        """RFC 6381: ``mp4a.40.29`` with parametric stereo, ``mp4a.40.5`` with SBR, else the object type."""
        info = self.info
        return f"mp4a.40.{OBJECT_PS if info.ps else OBJECT_SBR if info.sbr else info.object_type}"

    @property
    def sample_rate(self) -> int:
        """The rate a decoder puts out; with SBR the extension's, usually twice the core's."""
        return self.info.sample_rate

    @property
    def core_sample_rate(self) -> int:
        """The rate that frames count in."""
        return self.info.core_sample_rate

    @property
    def channels(self) -> int:
        """The channels a decoder puts out, LFE included."""
        return self.info.channels

    @property
    def frame_duration(self) -> Fraction:
        """Seconds that one frame lasts."""
        return Fraction(self.samples_per_frame, self.timescale)

    def samples_in(self, payload: bytes) -> int:
        """How many samples at ``timescale`` this frame lasts: always the same."""
        return self.samples_per_frame


class AdtsHeader(NamedTuple):
    """One ADTS header; ``object_type`` is its profile plus one."""

    object_type: int
    rate_index: int
    channel_configuration: int
    header_bytes: int
    frame_bytes: int

    @property
    def configuration(self) -> tuple[int, int, int]:
        """What decides the decoder's configuration: equal as long as that stays the same."""
        return self[:3]


def parse_adts_header(data: bytes) -> AdtsHeader:
    """Reads the ADTS header that ``data`` begins with."""
    if len(data) < ADTS_HEADER_BYTES:
        raise MediaError("ADTS: the header is cut off")
    bits = int.from_bytes(data[:ADTS_HEADER_BYTES], "big")
    if bits >> 44 != 0xFFF or bits >> 41 & 3:
        raise MediaError("ADTS: the sync word is missing")
    header_bytes = ADTS_HEADER_BYTES if bits >> 40 & 1 else ADTS_HEADER_BYTES + 2
    frame_bytes = bits >> 13 & 0x1FFF
    rate_index = bits >> 34 & 0xF
    _sample_rate(rate_index)
    if frame_bytes < header_bytes:
        raise MediaError(f"ADTS: a frame length of {frame_bytes} bytes is shorter than its header")
    if bits & 3:
        raise MediaError("ADTS: several raw data blocks in one frame are not supported")
    return AdtsHeader((bits >> 38 & 3) + 1, rate_index, bits >> 30 & 7, header_bytes, frame_bytes)


def split_adts(data: bytes) -> list[tuple[AdtsHeader, bytes]]:
    """The whole ADTS frames that ``data`` consists of, each with its payload."""
    frames, consumed = take_adts(data)
    if consumed != len(data):
        raise MediaError(f"ADTS: the last frame lacks bytes, {len(data) - consumed} are left")
    return frames


def take_adts(data: bytes) -> tuple[list[tuple[AdtsHeader, bytes]], int]:
    """The ADTS frames that ``data`` begins with, and how many bytes they are.

    What is left is the beginning of a frame. Raises :class:`MediaError` where no header stands.
    """
    frames: list[tuple[AdtsHeader, bytes]] = []
    position = 0
    end = len(data)
    while end - position >= ADTS_HEADER_BYTES and len(frames) < ADTS_FRAMES_MAX:
        header = parse_adts_header(data[position : position + ADTS_HEADER_BYTES])
        following = position + header.frame_bytes
        if following > end:
            break
        frames.append((header, data[position + header.header_bytes : following]))
        position = following
    return frames, position


def adts_header(config: AacConfig, payload_bytes: int) -> bytes:
    """The 7-byte ADTS header for a frame of ``config``; HE-AAC is written as its core, as ADTS must."""
    info = config.info
    frame_bytes = ADTS_HEADER_BYTES + payload_bytes
    if not 1 <= info.object_type <= 4 or info.core_sample_rate not in SAMPLE_RATES_HZ:
        raise MediaError("ADTS cannot say this object type or sample rate")
    if info.channel_configuration > 7 or frame_bytes > 0x1FFF:
        raise MediaError("ADTS cannot say this channel configuration or frame length")
    rate_index = SAMPLE_RATES_HZ.index(info.core_sample_rate)
    bits = 0xFFF1 << 40 | (info.object_type - 1) << 38 | rate_index << 34 | info.channel_configuration << 30
    bits |= frame_bytes << 13 | 0x7FF << 2  # buffer fullness: variable bit rate
    return bits.to_bytes(ADTS_HEADER_BYTES, "big")


@lru_cache(maxsize=64)
def _adts_audio_specific_config(object_type: int, rate_index: int, channel_configuration: int) -> bytes:
    return (object_type << 11 | rate_index << 7 | channel_configuration << 3).to_bytes(2, "big")


def _program_audio_specific_config(header: AdtsHeader, payload: bytes) -> bytes:
    """An AudioSpecificConfig with the program config element that the raw data block begins with."""
    reader = BitReader(payload[:AUDIO_SPECIFIC_CONFIG_BYTES_MAX], "AAC program config element")
    if reader.u(3) != _ELEMENT_PCE:
        raise MediaError("ADTS: neither the header nor the frame says the channels")
    writer = BitWriter()
    writer.u(5, header.object_type)
    writer.u(4, header.rate_index)
    writer.u(4, 0)
    writer.u(3, 0)  # 1024 samples, no core coder, no extension
    _read_program_config(reader, writer)
    return writer.to_bytes()
