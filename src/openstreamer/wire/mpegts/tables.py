"""PAT and PMT (ISO/IEC 13818-1 sections 2.4.4.3 and 2.4.4.8), and which codec a stream has.

Stream types: 13818-1 Table 2-34, ATSC A/53 part 3 (0x81, 0x87), ETSI EN 300 468 section 6.2.1 and Annex D
(DVB's AC-3 descriptors), and the carriage drafts of Opus (ETSI TS "Opus in MPEG-TS") and AV1 (AOM).
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from openstreamer.media.errors import MediaError

PAT_PID = 0
NULL_PID = 0x1FFF
TABLE_PAT = 0
TABLE_PMT = 2
PROGRAMS_MAX = 256

# descriptor_tag
_REGISTRATION = 0x05
_LANGUAGE = 0x0A
_DVB_AC3 = 0x6A
_DVB_EAC3 = 0x7A
_DVB_EXTENSION = 0x7F
_EXTENSION_OPUS = 0x80

_CRC_BYTES = 4


class TsCodec(enum.Enum):
    """The codecs that are carried; the value is what the API calls them."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"
    AAC_ADTS = "aac"
    AAC_LATM = "aac (LATM)"
    MPEG_AUDIO = "mp3"
    AC3 = "ac3"
    EAC3 = "eac3"
    OPUS = "opus"

    @property
    def is_video(self) -> bool:
        """Whether it is a video codec."""
        return self in _VIDEO


_VIDEO = frozenset((TsCodec.H264, TsCodec.H265, TsCodec.AV1))
_BY_STREAM_TYPE = {
    0x03: TsCodec.MPEG_AUDIO,
    0x04: TsCodec.MPEG_AUDIO,
    0x0F: TsCodec.AAC_ADTS,
    0x11: TsCodec.AAC_LATM,
    0x1B: TsCodec.H264,
    0x24: TsCodec.H265,
    0x81: TsCodec.AC3,
    0x87: TsCodec.EAC3,
}
_PRIVATE_DATA = 0x06
_BY_REGISTRATION = {
    b"AC-3": TsCodec.AC3,
    b"EAC3": TsCodec.EAC3,
    b"HEVC": TsCodec.H265,
    b"Opus": TsCodec.OPUS,
    b"AV01": TsCodec.AV1,
}
_UNCARRIED_VIDEO = frozenset((0x01, 0x02, 0x10, 0x21, 0x33, 0xDB, 0xEA))
_NAMES = {
    0x01: "MPEG-1 video",
    0x02: "MPEG-2 video",
    0x05: "private sections",
    0x06: "private data",
    0x10: "MPEG-4 Visual",
    0x15: "ID3 metadata",
    0x21: "JPEG 2000",
    0x33: "VVC",
    0x82: "DTS",
    0x86: "SCTE-35",
    0xCF: "AAC encrypted with SAMPLE-AES",
    0xDB: "H.264 encrypted with SAMPLE-AES",
    0xEA: "VC-1",
}


@dataclass(frozen=True, slots=True)
class ElementaryStreamInfo:
    """What a PMT says of one stream. ``codec`` is ``None`` for what is not carried.

    ``opus_channels`` is the channel_config_code of an Opus stream. ``language`` is an ISO 639-2 code.
    """

    pid: int
    stream_type: int
    codec: TsCodec | None
    language: str = "und"
    opus_channels: int = 2
    private_kind: str = ""

    @property
    def is_uncarried_video(self) -> bool:
        """Whether it is a picture, of a codec that is not carried."""
        return self.codec is None and self.stream_type in _UNCARRIED_VIDEO

    @property
    def description(self) -> str:
        """The codec's name, or what the stream type is, for messages."""
        if self.codec is not None:
            return self.codec.value
        name = _NAMES.get(self.stream_type, "unknown")
        return f"{self.private_kind or name} (stream type {self.stream_type:#04x})"


@dataclass(frozen=True, slots=True)
class Program:
    """One program of the transport stream; ``streams`` is empty until its PMT was read."""

    number: int
    pmt_pid: int
    pcr_pid: int = NULL_PID
    streams: tuple[ElementaryStreamInfo, ...] = ()
    known: bool = False  # its PMT was read


@dataclass(frozen=True, slots=True)
class PatSection:
    """One section of a PAT: the PMT PID of each program number, without the network PID."""

    version: int
    number: int
    last_number: int
    programs: tuple[tuple[int, int], ...]


def parse_pat(section: bytes) -> PatSection | None:
    """A section whose CRC was checked; ``None`` when it is of another table or not yet valid."""
    if len(section) < 12 or section[0] != TABLE_PAT or not section[5] & 1:
        return None
    programs = []
    for at in range(8, len(section) - _CRC_BYTES - 3, 4):
        number = int.from_bytes(section[at : at + 2], "big")
        if number:  # 0 is the network PID
            programs.append((number, int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF))
    return PatSection(section[5] >> 1 & 0x1F, section[6], section[7], tuple(programs))


def parse_pmt(section: bytes, pmt_pid: int) -> Program | None:
    """A section whose CRC was checked; ``None`` when it is of another table or not yet valid.

    Raises :class:`MediaError` when its lengths do not fit.
    """
    if len(section) < 16 or section[0] != TABLE_PMT or not section[5] & 1:
        return None
    end = len(section) - _CRC_BYTES
    number = int.from_bytes(section[3:5], "big")
    pcr_pid = int.from_bytes(section[8:10], "big") & 0x1FFF
    position = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    streams = []
    while position + 5 <= end:
        stream_type = section[position]
        pid = int.from_bytes(section[position + 1 : position + 3], "big") & 0x1FFF
        start = position + 5
        position = start + (int.from_bytes(section[position + 3 : position + 5], "big") & 0xFFF)
        if position > end:
            raise MediaError("MPEG-TS PMT: descriptors end behind their section")
        streams.append(_stream_info(pid, stream_type, section[start:position]))
    return Program(number, pmt_pid, pcr_pid, tuple(streams), known=True)


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 2 <= len(data):
        end = position + 2 + data[position + 1]
        yield data[position], data[position + 2 : end]
        position = end


def _stream_info(pid: int, stream_type: int, descriptors: bytes) -> ElementaryStreamInfo:
    codec = _BY_STREAM_TYPE.get(stream_type)
    language, opus_channels, kind = "und", 2, ""
    for tag, body in _descriptors(descriptors):
        if tag == _LANGUAGE and len(body) >= 3:
            language = _language(body[:3])
        elif codec is None and stream_type == _PRIVATE_DATA:
            if tag == _REGISTRATION:
                codec = _BY_REGISTRATION.get(body[:4])
                kind = kind or _printable(body[:4])
            elif tag == _DVB_AC3:
                codec = TsCodec.AC3
            elif tag == _DVB_EAC3:
                codec = TsCodec.EAC3
            kind = kind or _DVB_PRIVATE.get(tag, "")
        if tag == _DVB_EXTENSION and len(body) >= 2 and body[0] == _EXTENSION_OPUS:
            opus_channels = body[1]
    return ElementaryStreamInfo(pid, stream_type, codec, language, opus_channels, kind)


_DVB_PRIVATE = {0x56: "teletext", 0x59: "DVB subtitles", 0x6F: "application signalling", 0x7B: "DTS"}


def _language(code: bytes) -> str:
    text = code.decode("latin-1").lower()
    return text if text.isascii() and text.isalpha() else "und"


def _printable(code: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in code)
