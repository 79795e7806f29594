"""How each audio codec is framed in its elementary stream: where a frame ends, and what is in it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from openstreamer.media.aac import ADTS_HEADER_BYTES, AacConfig, parse_adts_header
from openstreamer.media.ac3 import Ac3Config, Eac3Config, is_eac3, parse_ac3_header, parse_eac3_header
from openstreamer.media.errors import MediaError
from openstreamer.media.mp3 import HEADER_BYTES as MPEG_AUDIO_HEADER_BYTES
from openstreamer.media.mp3 import Mp3Config, parse_frame_header
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import AudioConfig
from openstreamer.wire.mpegts.latm import LOAS_HEADER_BYTES, LatmReader, loas_frame_bytes
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, TsCodec

_EAC3_HEADER_BYTES = 20


class Unit(NamedTuple):
    """One codec frame as it is passed on, and the configuration that goes with it, when that is known."""

    payload: bytes
    config: AudioConfig | None


class Framing(Protocol):
    """What an :class:`~openstreamer.wire.mpegts.audio.AudioStream` knows of its codec."""

    header_bytes: int  # needed to tell the size of a frame
    head_bytes: int  # looked at, where there are as many
    sync: bytes  # what every frame begins with

    def frame_bytes(self, head: bytes) -> int:
        """The size of the frame that ``head`` begins; :class:`MediaError` where no header stands."""
        ...

    def continues(self, head: bytes) -> bool:
        """Whether the frame that ``head`` begins is part of the access unit before it."""
        ...

    def units(self, frame: bytes) -> list[Unit]:
        """What is in one frame; :class:`MediaError` when it cannot be understood."""
        ...


class _Alone:
    """Every frame is an access unit of its own."""

    def continues(self, head: bytes) -> bool:
        """Never."""
        return False


class AdtsFraming(_Alone):
    """AAC with an ADTS header in front of each frame (14496-3 section 1.A.3.2)."""

    header_bytes = head_bytes = ADTS_HEADER_BYTES
    sync = b"\xff"

    def __init__(self) -> None:
        self.config: AacConfig | None = None  # of the newest frame
        self._said: tuple[int, int, int] | None = None
        self._fixed = 0  # adts_fixed_header (1.A.2.2.1) of the newest frame, 28 bits
        self._newest_header_bytes = 0

    def frame_bytes(self, head: bytes) -> int:
        """See :class:`Framing`."""
        return parse_adts_header(head).frame_bytes

    def units(self, frame: bytes) -> list[Unit]:
        """See :class:`Framing`."""
        header = parse_adts_header(frame)
        if header.configuration != self._said:
            self.config = AacConfig.from_adts(frame)
            self._said = header.configuration
        self._fixed = int.from_bytes(frame[:4], "big") >> 4
        self._newest_header_bytes = header.header_bytes
        payload = frame[header.header_bytes :]
        return [Unit(payload, self.config)] if payload else []

    def run(self, data: bytes) -> tuple[list[bytes], int] | None:
        """The payloads of the frames that ``data`` consists of, and where the beginning of a further one is.

        ``None`` unless all that is fixed in a header is as in the newest frame that :meth:`units` saw, as it
        is nearly always: then one comparison stands for reading the header.
        """
        fixed, header_bytes, from_bytes = self._fixed, self._newest_header_bytes, int.from_bytes
        payloads: list[bytes] = []
        position, end = 0, len(data)
        while end - position >= ADTS_HEADER_BYTES:
            bits = from_bytes(data[position : position + ADTS_HEADER_BYTES], "big")
            size = bits >> 13 & 0x1FFF
            if bits >> 28 != fixed or bits & 3 or size <= header_bytes:
                return None
            if position + size > end:
                break
            payloads.append(data[position + header_bytes : position + size])
            position += size
        return payloads, position


class LoasFraming(_Alone):
    """AAC in LATM."""

    header_bytes = head_bytes = LOAS_HEADER_BYTES
    sync = b"\x56"

    def __init__(self) -> None:
        self._reader = LatmReader()

    def frame_bytes(self, head: bytes) -> int:
        """See :class:`Framing`."""
        return loas_frame_bytes(head)

    def units(self, frame: bytes) -> list[Unit]:
        """See :class:`Framing`."""
        return [
            Unit(payload, self._reader.config) for payload in self._reader.frames(frame[LOAS_HEADER_BYTES:])
        ]


class MpegAudioFraming(_Alone):
    """MPEG-1 and MPEG-2 audio, all layers."""

    header_bytes = head_bytes = MPEG_AUDIO_HEADER_BYTES
    sync = b"\xff"

    def __init__(self) -> None:
        self._config: Mp3Config | None = None
        self._head = b""

    def frame_bytes(self, head: bytes) -> int:
        """See :class:`Framing`."""
        return parse_frame_header(head).frame_bytes

    def units(self, frame: bytes) -> list[Unit]:
        """See :class:`Framing`."""
        if frame[:4] != self._head:
            self._config = Mp3Config.from_frame_header(frame)
            self._head = frame[:4]
        return [Unit(frame, self._config)]


class Ac3Framing:
    """AC-3 and E-AC-3, whichever the sync frames say: multiplexers signal one as the other."""

    header_bytes = head_bytes = _EAC3_HEADER_BYTES
    sync = b"\x0b\x77"

    def __init__(self) -> None:
        self._config: Ac3Config | Eac3Config | None = None
        self._head = b""

    def frame_bytes(self, head: bytes) -> int:
        """See :class:`Framing`."""
        return parse_eac3_header(head).frame_bytes if is_eac3(head) else parse_ac3_header(head).frame_bytes

    def continues(self, head: bytes) -> bool:
        """Whether this sync frame belongs to the one before it (TS 102 366 section E.1.3.1.1)."""
        if not is_eac3(head):
            return False
        header = parse_eac3_header(head)
        return header.stream_type == 1 or header.substream != 0

    def units(self, frame: bytes) -> list[Unit]:
        """What is in one access unit: an independent frame and those that belong to it."""
        head = frame[2:6] if is_eac3(frame) else frame[4:7]
        if head != self._head:
            self._config = (Eac3Config if is_eac3(frame) else Ac3Config).from_sync_frame(frame)
            self._head = head
        return [Unit(frame, self._config)]


class OpusFraming(_Alone):
    """Opus packets with a control header in front of each ("Opus in MPEG-TS" section 4.4)."""

    header_bytes = 3
    head_bytes = 3 + 1275 * 4 // 255
    sync = b"\x7f"

    def __init__(self, channel_config_code: int) -> None:
        self._config = _opus_config(channel_config_code)

    def frame_bytes(self, head: bytes) -> int:
        """See :class:`Framing`."""
        start, size = _opus_control_header(head)
        return start + size

    def units(self, frame: bytes) -> list[Unit]:
        """See :class:`Framing`."""
        start, _ = _opus_control_header(frame)
        return [Unit(frame[start:], self._config)] if len(frame) > start else []


def _opus_control_header(data: bytes) -> tuple[int, int]:
    """How long the header is, and the packet behind it."""
    if data[0] != 0x7F or data[1] & 0xE0 != 0xE0:
        raise MediaError("Opus in MPEG-TS: the control header prefix is missing")
    size, position = 0, 2
    try:
        while data[position] == 0xFF:
            size += 0xFF
            position += 1
        size += data[position]
        position += 1 + 2 * (data[1] >> 4 & 1) + 2 * (data[1] >> 3 & 1)  # start and end trim
        if data[1] & 0x04:  # control_extension_flag
            position += 1 + data[position]
    except IndexError:
        raise MediaError("Opus in MPEG-TS: the control header is cut off") from None
    return position, size


# Streams and coupled streams by the number of channels, and their order (RFC 7845 section 5.1.1.2)
_OPUS_MAPPINGS = {
    3: bytes((2, 1, 0, 2, 1)),
    4: bytes((2, 2, 0, 1, 2, 3)),
    5: bytes((3, 2, 0, 4, 1, 2, 3)),
    6: bytes((4, 2, 0, 4, 1, 2, 3, 5)),
    7: bytes((4, 3, 0, 4, 1, 2, 3, 5, 6)),
    8: bytes((5, 3, 0, 6, 1, 2, 3, 4, 5, 7)),
}
_DUAL_MONO = bytes((2, 0, 0, 1))


def _opus_config(code: int) -> OpusConfig:
    """By channel_config_code: 0 is dual mono, others are numbers of channels. What a decoder skips is in the
    control headers, not in a pre-skip."""
    if code == 0:
        return OpusConfig(2, pre_skip=0, mapping_family=255, mapping=_DUAL_MONO)
    if code <= 2:
        return OpusConfig(code, pre_skip=0)
    if code not in _OPUS_MAPPINGS:
        raise MediaError(f"Opus in MPEG-TS: channel configuration {code:#04x} is not supported")
    return OpusConfig(code, pre_skip=0, mapping_family=1, mapping=_OPUS_MAPPINGS[code])


_FRAMINGS: dict[TsCodec, Callable[[], Framing]] = {
    TsCodec.AAC_ADTS: AdtsFraming,
    TsCodec.AAC_LATM: LoasFraming,
    TsCodec.MPEG_AUDIO: MpegAudioFraming,
    TsCodec.AC3: Ac3Framing,
    TsCodec.EAC3: Ac3Framing,
}


def framing_of(info: ElementaryStreamInfo) -> Framing:
    """The framing of an audio stream; :class:`MediaError` when its configuration is not supported."""
    if info.codec is TsCodec.OPUS:
        return OpusFraming(info.opus_channels)
    assert info.codec is not None
    return _FRAMINGS[info.codec]()
