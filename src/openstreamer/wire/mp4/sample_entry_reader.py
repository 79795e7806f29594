"""Sample entries on the way in: which codec a track has, and what its decoder is told.

Video after ISO/IEC 14496-15 and the AV1 and VP9 bindings; audio after ISO/IEC 14496-14 (``esds``), the Opus
binding and ETSI TS 102 366 annex F; the sound descriptions of QuickTime as far as ``.mov`` files have them.
"""

import enum
from dataclasses import dataclass

from openstreamer.media import av1, h264, h265
from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError, RemoteProtocolError, SourceRejected
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import CodecConfig
from openstreamer.media.vp9 import Vp9Config
from openstreamer.wire.mp4.box_reader import Box, Fields, children, find, printable

MAX_SAMPLE_ENTRIES = 64  # of one track; players switch between a few

_VISUAL_ENTRY_BYTES = 78  # VisualSampleEntry up to its boxes, section 12.1.3
_AUDIO_ENTRY_BYTES = 28  # AudioSampleEntry up to its boxes, section 12.2.3
_QUICKTIME_EXTRA_BYTES = {1: 16, 2: 36}  # SoundDescriptionV1 and V2 of the QuickTime file format


class SampleFormat(enum.Enum):
    """What the samples of a track are."""

    H264 = enum.auto()
    H265 = enum.auto()
    AV1 = enum.auto()
    VP9 = enum.auto()
    AAC = enum.auto()
    OPUS = enum.auto()
    MP3 = enum.auto()
    AC3 = enum.auto()
    EAC3 = enum.auto()


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One entry of ``stsd``.

    ``config`` is ``None`` where the samples have it. ``refusal`` says why the entry cannot be carried: then
    there is no ``format``.
    """

    format: SampleFormat | None
    config: CodecConfig | None = None
    nal_length_size: int = 4
    width: int = 0
    height: int = 0
    refusal: str = ""


_VIDEO_FORMATS = {
    b"avc1": SampleFormat.H264,
    b"avc3": SampleFormat.H264,
    b"hvc1": SampleFormat.H265,
    b"hev1": SampleFormat.H265,
    b"av01": SampleFormat.AV1,
    b"vp09": SampleFormat.VP9,
}
_AUDIO_FORMATS = {
    b"Opus": SampleFormat.OPUS,
    b"ac-3": SampleFormat.AC3,
    b"ec-3": SampleFormat.EAC3,
    b".mp3": SampleFormat.MP3,
    b".mp2": SampleFormat.MP3,  # FFmpeg's, for what QuickTime has no name for
    b"ms\x00U": SampleFormat.MP3,
}
_NAMES = {
    b"mp4v": "MPEG-4 part 2",
    b"vp08": "VP8",
    b"vvc1": "H.266",
    b"dvh1": "Dolby Vision",
    b"dvhe": "Dolby Vision",
    b"apcn": "Apple ProRes",
    b"apch": "Apple ProRes",
    b"jpeg": "Motion JPEG",
    b"s263": "H.263",
    b"fLaC": "FLAC",
    b"alac": "Apple Lossless",
    b"samr": "AMR",
    b"ac-4": "AC-4",
    b"twos": "PCM",
    b"sowt": "PCM",
    b"lpcm": "PCM",
    b"ipcm": "PCM",
    b"in24": "PCM",
}

# ObjectTypeIndication, ISO/IEC 14496-1 table 5 (registration authority mp4ra.org)
_OBJECT_TYPES = {
    0x40: SampleFormat.AAC,
    0x66: SampleFormat.AAC,  # MPEG-2 AAC: main, low complexity, scalable sampling rate
    0x67: SampleFormat.AAC,
    0x68: SampleFormat.AAC,
    0x69: SampleFormat.MP3,
    0x6B: SampleFormat.MP3,
    0xA5: SampleFormat.AC3,
    0xA6: SampleFormat.EAC3,
}
_ES_DESCRIPTOR, _DECODER_CONFIG, _DECODER_SPECIFIC = 0x03, 0x04, 0x05
_MAX_DESCRIPTOR_SIZE_BYTES = 4  # expandable sizes have at most four bytes (ISO/IEC 14496-1 section 8.3.3)


def parse_sample_entries(data: bytes, stsd: Box, *, is_video: bool) -> tuple[SampleEntry, ...]:
    """The entries of a video or audio track's ``stsd`` (section 8.5.2).

    Raises:
        RemoteProtocolError: the box is malformed.
        SourceRejected: a decoder configuration cannot be understood.
    """
    fields = Fields(data, stsd)
    version, _ = fields.version_and_flags()
    fields.skip(4)  # entry_count: the boxes are what counts
    entries: list[SampleEntry] = []
    for box in children(data, fields.at, stsd.end, "stsd"):
        if len(entries) == MAX_SAMPLE_ENTRIES:
            raise RemoteProtocolError(f"MP4: more than {MAX_SAMPLE_ENTRIES} sample entries in one track")
        try:
            entries.append(_video(data, box) if is_video else _audio(data, box, version))
        except MediaError as err:
            raise SourceRejected(f"MP4 {'video' if is_video else 'audio'}: {err}") from err
    return tuple(entries)


def _video(data: bytes, box: Box) -> SampleEntry:
    fields = Fields(data, box)
    fields.skip(24)
    width, height = fields.u(2), fields.u(2)
    if box.kind == b"encv":
        return SampleEntry(None, refusal=_encrypted("video", data, box, _VISUAL_ENTRY_BYTES))
    sample_format = _VIDEO_FORMATS.get(box.kind)
    if sample_format is None:
        return SampleEntry(None, refusal=_unsupported("video", box.kind))
    boxes = _content_boxes(data, box, _VISUAL_ENTRY_BYTES)
    config, nal_length_size = _video_configuration(sample_format, boxes, width, height)
    return SampleEntry(sample_format, config, nal_length_size, width, height)


def _video_configuration(
    sample_format: SampleFormat, boxes: dict[bytes, bytes], width: int, height: int
) -> tuple[CodecConfig | None, int]:
    """The decoder configuration where the entry has it, and the NAL length size of the samples."""
    match sample_format:
        case SampleFormat.H264:
            record = _required(boxes, b"avcC")
            # avc3 may leave the parameter sets to the samples: counts of 0 (14496-15 section 5.3.2)
            complete = len(record) < 6 or record[5] & 0x1F
            return (H264Config.from_avcc(record) if complete else None), h264.avcc_nal_length_size(record)
        case SampleFormat.H265:
            record = _required(boxes, b"hvcC")
            arrays = record[22] if len(record) > 22 else 1
            return (H265Config.from_hvcc(record) if arrays else None), h265.hvcc_nal_length_size(record)
        case SampleFormat.AV1:
            record = boxes.get(b"av1C", b"")
            in_band = av1.sequence_header_in(record[4:]) is None  # it is optional in av1C
            return (None if in_band else Av1Config.from_av1c(record)), 4
        case _:
            vpcc = boxes.get(b"vpcC")
            return (None if vpcc is None else Vp9Config.from_vpcc(vpcc, width, height)), 4


def _audio(data: bytes, box: Box, stsd_version: int) -> SampleEntry:
    fields = Fields(data, box)
    fields.skip(8)
    # Version 1 in a version 1 stsd is AudioSampleEntryV1, laid out as version 0 is; else it is QuickTime's.
    version = fields.u(2)
    start = _AUDIO_ENTRY_BYTES + (0 if stsd_version else _QUICKTIME_EXTRA_BYTES.get(version, 0))
    if box.kind == b"enca":
        return SampleEntry(None, refusal=_encrypted("audio", data, box, start))
    boxes = _content_boxes(data, box, start)
    if box.kind == b"mp4a":
        return _mpeg_audio(boxes)
    sample_format = _AUDIO_FORMATS.get(box.kind)
    match sample_format:
        case None:
            return SampleEntry(None, refusal=_unsupported("audio", box.kind))
        case SampleFormat.OPUS:
            return SampleEntry(sample_format, OpusConfig.from_dops(_required(boxes, b"dOps")))
        case SampleFormat.AC3 if b"dac3" in boxes:
            return SampleEntry(sample_format, Ac3Config.from_dac3(boxes[b"dac3"]))
        case _:
            # MP3 has no record; that of E-AC-3 cannot say the half sampling rates. The frames say it all.
            return SampleEntry(sample_format)


def _mpeg_audio(boxes: dict[bytes, bytes]) -> SampleEntry:
    object_type, specific = _parse_esds(_required(boxes, b"esds"))
    sample_format = _OBJECT_TYPES.get(object_type)
    if sample_format is None:
        return SampleEntry(None, refusal=f"MP4 audio: object type 0x{object_type:02X} is not supported")
    if sample_format is SampleFormat.AAC:
        return SampleEntry(sample_format, AacConfig(specific))
    return SampleEntry(sample_format)


def _content_boxes(data: bytes, entry: Box, offset: int) -> dict[bytes, bytes]:
    """The boxes inside a sample entry; those in QuickTime's ``wave`` box as well."""
    start = entry.start + offset
    found: dict[bytes, bytes] = {}
    for box in children(data, start, entry.end, entry.name):
        if box.kind == b"wave":
            inside = children(data, box.start, box.end, "wave")
            found.update((inner.kind, data[inner.start : inner.end]) for inner in inside)
        else:
            found.setdefault(box.kind, data[box.start : box.end])
    return found


def _required(boxes: dict[bytes, bytes], kind: bytes) -> bytes:
    record = boxes.get(kind)
    if record is None:
        raise MediaError(f"the sample entry has no {printable(kind)} box")
    return record


def _parse_esds(esds: bytes) -> tuple[int, bytes]:
    """ObjectTypeIndication and DecoderSpecificInfo (ISO/IEC 14496-1 section 7.2.6.5)."""
    at = 4  # version and flags
    tag, at, end = _descriptor(esds, at, len(esds))
    if tag == _ES_DESCRIPTOR:
        flags = esds[at + 2] if at + 2 < end else 0
        at += 3 + (2 if flags & 0x80 else 0)  # dependsOn_ES_ID
        if flags & 0x40 and at < end:
            at += 1 + esds[at]  # URLstring
        at += 2 if flags & 0x20 else 0  # OCR_ES_Id
        tag, at, end = _descriptor(esds, at, end)
    if tag != _DECODER_CONFIG or at + 13 > end:
        raise MediaError("esds: there is no decoder configuration")
    object_type, specific = esds[at], b""
    if at + 13 < end:
        tag, start, stop = _descriptor(esds, at + 13, end)
        specific = esds[start:stop] if tag == _DECODER_SPECIFIC else b""
    return object_type, specific


def _descriptor(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, start and end of the descriptor at ``at`` (section 8.3.3)."""
    size = 0
    for position in range(at + 1, min(end, at + 1 + _MAX_DESCRIPTOR_SIZE_BYTES)):
        size = size << 7 | data[position] & 0x7F
        if not data[position] & 0x80:
            start = position + 1
            return data[at], start, min(end, start + size)
    raise MediaError("esds: a descriptor is cut off")


def _encrypted(what: str, data: bytes, entry: Box, offset: int) -> str:
    scheme = ""
    inside = Box(entry.kind, entry.start + offset, entry.end)
    schm = find(data, inside, b"sinf", b"schm")
    if schm is not None and schm.end - schm.start >= 8:
        scheme = f" ({printable(data[schm.start + 4 : schm.start + 8])})"
    return f"MP4 {what}: it is encrypted{scheme}, which is not supported"


def _unsupported(what: str, kind: bytes) -> str:
    name = _NAMES.get(kind)
    return f"MP4 {what}: {f'{name} ({printable(kind)})' if name else repr(printable(kind))} is not supported"
