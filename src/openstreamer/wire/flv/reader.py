"""FLV files and HTTP-FLV → frames (Adobe, *Video File Format* 10.1, annex E.2 to E.4).

The bodies of tags are what RTMP carries, and are decoded by the same :class:`FlvDecoder`.
"""

import struct

from openstreamer.media.errors import OpenstreamerError, RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire import amf0
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.flv.decoder import FlvDecoder, FlvLimits

SIGNATURE = b"FLV"

_HEADER = struct.Struct(">3sBBI")  # signature, version, flags, DataOffset
_TAG_HEADER_BYTES = 11
_PREVIOUS_TAG_SIZE_BYTES = 4
_MAX_HEADER_BYTES = 1024  # DataOffset is 9 in version 1
_AUDIO, _VIDEO, _SCRIPT = 8, 9, 18
_FILTER = 0x20  # E.4.1: the tag is encrypted
_MAX_SCRIPT_BYTES = 1 << 20  # onMetaData with a table of key frames
_MAX_SCRIPT_VALUES = 1 << 16  # two per key frame: eighteen hours of them
_CONSUMED_AT_ONCE = 1 << 18


class FlvDemuxer:
    """A :class:`~openstreamer.wire.demuxer.Demuxer` for FLV.

    Servers that restart a stream send a second header in the middle; it is passed over.
    """

    def __init__(self, limits: FlvLimits | None = None, *, max_tag_bytes: int = 12 << 20) -> None:
        self._decoder = FlvDecoder(limits)
        self.statistics = DemuxStatistics()
        self._max_tag_bytes = max_tag_bytes
        self._buffer = bytearray()
        self._at = 0
        self._skip_bytes = 0
        self._begun = False
        self._malformed_scripts = 0
        self._failure: OpenstreamerError | None = None

    @property
    def left_out(self) -> str | None:
        """In words, sound that is not carried beside a picture."""
        return self._decoder.left_out

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first: the same object for as long as they are the same."""
        return self._decoder.tracks

    @property
    def is_inside_tag(self) -> bool:
        """Whether data that ended here would be cut off."""
        return bool(self._buffer) or not self._begun

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the rest of their tag."""
        return len(self._buffer)

    def receive_data(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that ``data`` completed; see :class:`~openstreamer.wire.demuxer.Demuxer`.

        Raises:
            RemoteProtocolError: this is not FLV, or a tag header is wrong: nothing tells where the next is.
            SourceRejected: a codec that cannot be carried, or encryption.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += data
        frames: list[Frame] = []
        try:
            while self._step(frames):
                if self._at > _CONSUMED_AT_ONCE:
                    self._consume()
        except (RemoteProtocolError, SourceRejected) as err:
            self._failure = _of_a_file(err)
            self._buffer.clear()
            if not frames:
                raise self._failure from err
            return frames  # those before the fault; the next call raises
        finally:
            self._count()
        self._consume()
        return frames

    def receive_eof(self) -> list[Frame]:
        """The frames that were held back. A tag that is cut off is left out."""
        if self._failure is not None:
            raise self._failure
        try:
            frames = self._decoder.end()
        except SourceRejected as err:
            self._failure = _of_a_file(err)
            raise self._failure from err
        self._count()
        return frames

    def _count(self) -> None:
        decoded = self._decoder.statistics
        self.statistics.dropped_frames = decoded.dropped_frames
        self.statistics.malformed = decoded.malformed + self._malformed_scripts

    def _consume(self) -> None:
        del self._buffer[: self._at]
        self._at = 0

    def _step(self, frames: list[Frame]) -> bool:
        """Take the header or one tag; whether it was whole."""
        buffer, at = self._buffer, self._at
        there = len(buffer) - at
        if self._skip_bytes:
            taken = min(self._skip_bytes, there)
            self._skip_bytes -= taken
            self._at += taken
            return taken > 0
        if not self._begun:
            return self._take_header(there)
        if there < _TAG_HEADER_BYTES:
            return False
        if buffer.startswith(SIGNATURE, at):
            return self._take_header(there)
        kind = buffer[at]
        size = int.from_bytes(buffer[at + 1 : at + 4], "big")
        self._check(kind, size, buffer[at + 8 : at + 11])
        end = at + _TAG_HEADER_BYTES + size
        if there < _TAG_HEADER_BYTES + size:
            return False
        timestamp_ms = int.from_bytes(buffer[at + 4 : at + 7], "big") | buffer[at + 7] << 24
        with memoryview(buffer) as view:
            body = bytes(view[at + _TAG_HEADER_BYTES : end])
        self._at = end
        self._skip_bytes = _PREVIOUS_TAG_SIZE_BYTES
        self.statistics.packets += 1
        if kind == _VIDEO:
            frames += self._decoder.video(timestamp_ms, body)
        elif kind == _AUDIO:
            frames += self._decoder.audio(timestamp_ms, body)
        else:
            self._take_script(body, frames)
        return True

    def _take_header(self, there: int) -> bool:
        head = bytes(self._buffer[self._at : self._at + _HEADER.size])
        if not head.startswith(SIGNATURE[: len(head)]):
            raise RemoteProtocolError("FLV: this is not an FLV file")
        if len(head) < _HEADER.size:
            return False
        _, version, _, data_offset = _HEADER.unpack(head)
        if version != 1 or not _HEADER.size <= data_offset <= _MAX_HEADER_BYTES:
            raise RemoteProtocolError(f"FLV: version {version} with a header of {data_offset} bytes")
        self._skip_bytes = data_offset + _PREVIOUS_TAG_SIZE_BYTES
        self._begun = True
        return True

    def _check(self, kind: int, size: int, stream_id: bytes | bytearray) -> None:
        """Raises unless this can be the header of a tag (E.4.1)."""
        if kind & _FILTER and kind & ~_FILTER in (_AUDIO, _VIDEO, _SCRIPT):
            raise SourceRejected("FLV: it is encrypted, which is not supported")
        if kind not in (_AUDIO, _VIDEO, _SCRIPT) or stream_id != b"\0\0\0":
            raise RemoteProtocolError(f"FLV: no tag stands here: type {kind}, stream {stream_id.hex()}")
        if size > (_MAX_SCRIPT_BYTES if kind == _SCRIPT else self._max_tag_bytes):
            raise RemoteProtocolError(f"FLV: a tag of {size} bytes")

    def _take_script(self, body: bytes, frames: list[Frame]) -> None:
        """``onMetaData`` says which tracks there are; what else scripts say is of no interest."""
        try:
            values = amf0.decode(body, max_values=_MAX_SCRIPT_VALUES)
        except RemoteProtocolError:
            self._malformed_scripts += 1
            return
        if len(values) >= 2 and values[0] == "onMetaData" and isinstance(values[1], dict):
            frames += self._decoder.metadata(values[1])


def _of_a_file(err: RemoteProtocolError | SourceRejected) -> OpenstreamerError:
    """The same, said of FLV where the decoder says RTMP."""
    words = str(err)
    if isinstance(err, SourceRejected) and words.startswith("RTMP "):
        return SourceRejected("FLV " + words.removeprefix("RTMP "))
    return err
