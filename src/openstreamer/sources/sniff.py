"""What a body is, by its first bytes; what the server calls it decides only where bytes do not."""

import enum
import re
from typing import Final

from openstreamer.media.errors import SourceRejected
from openstreamer.wire.demuxer import Demuxer
from openstreamer.wire.flv import FlvDemuxer
from openstreamer.wire.mp4.reader import Fmp4Demuxer
from openstreamer.wire.mpegts import MpegTsDemuxer
from openstreamer.wire.packed_audio import PackedAudioDemuxer

ENOUGH_BYTES: Final = 2048  # ten TS packets: what is not recognised by then is not

_TS_SYNC: Final = 0x47
_TS_PACKET_BYTES: Final = (188, 192, 204)
_TS_PACKETS: Final = 4  # in a row, before bytes are believed to be packets
_BOXES: Final = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"free", b"skip", b"emsg", b"prft"})
_PLAYLIST: Final = re.compile(rb"(\xef\xbb\xbf)?\s*#EXTM3U")
_PAGE: Final = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype|<html|<\?xml|<head|\{)", re.IGNORECASE)


class Container(enum.Enum):
    """What is recognised."""

    MPEG_TS = "MPEG-TS"
    FLV = "FLV"
    MP4 = "MP4"
    PACKED_AUDIO = "audio frames"
    PLAYLIST = "an HLS playlist"


_BY_CONTENT_TYPE: Final = {
    "video/mp2t": Container.MPEG_TS,
    "video/x-flv": Container.FLV,
    "audio/aac": Container.PACKED_AUDIO,
    "audio/aacp": Container.PACKED_AUDIO,
    "audio/mpeg": Container.PACKED_AUDIO,
}


def sniff(head: bytes, content_type: str = "", *, at_end: bool = False) -> Container | None:
    """What ``head``, the first bytes of a body, begins; ``None`` as long as more bytes are needed.

    ``at_end`` says that there are no more. Raises :class:`SourceRejected` for what is none of ours.
    """
    found = _by_bytes(head)
    if found is not None:
        return found
    if len(head) < ENOUGH_BYTES and not at_end:
        return None
    if head and not _PAGE.match(head) and content_type in _BY_CONTENT_TYPE:
        return _BY_CONTENT_TYPE[content_type]
    if not head:
        raise SourceRejected("http: the server sends nothing")
    if _PAGE.match(head) or content_type.startswith("text/"):
        raise SourceRejected("http: the server sends a page and no media")
    named = f" ({content_type[:64]})" if content_type else ""
    raise SourceRejected(
        f"http: the server sends neither MPEG-TS nor FLV, fragmented MP4, audio or a playlist{named}; "
        "a file in another container can be read from a file root, with file://"
    )


def demuxer_of(container: Container, *, program: int = 0, pids: tuple[int, ...] = ()) -> Demuxer:
    """A new reader of ``container``; ``program`` and ``pids`` choose within MPEG-TS."""
    match container:
        case Container.MPEG_TS:
            return MpegTsDemuxer(program=program or None, pids=pids)
        case Container.FLV:
            return FlvDemuxer()
        case Container.MP4:
            return Fmp4Demuxer()
        case Container.PACKED_AUDIO:
            return PackedAudioDemuxer()
    raise SourceRejected("a playlist is no media")


def _by_bytes(head: bytes) -> Container | None:
    if head.startswith(b"FLV\x01"):
        return Container.FLV
    if head[4:8] in _BOXES:
        return Container.MP4
    if _PLAYLIST.match(head):
        return Container.PLAYLIST
    if _is_transport_stream(head):
        return Container.MPEG_TS
    if head.startswith((b"ID3", b"\x0b\x77")) or _is_mpeg_audio(head):
        return Container.PACKED_AUDIO
    return None


def _is_transport_stream(head: bytes) -> bool:
    """Packets in a row, from anywhere in the first packet on: one may join a stream in its middle."""
    for size in _TS_PACKET_BYTES:
        for start in range(min(size, len(head) - size * (_TS_PACKETS - 1))):
            if all(head[start + number * size] == _TS_SYNC for number in range(_TS_PACKETS)):
                return True
    return False


def _is_mpeg_audio(head: bytes) -> bool:
    """ADTS (layer 0) or an MPEG audio frame (layers I to III): twelve or eleven bits of sync."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    is_adts = head[1] & 0xF6 == 0xF0
    return is_adts or (head[1] & 0x18 != 0x08 and head[1] & 0x06 != 0 and head[2] & 0xF0 not in (0x00, 0xF0))
