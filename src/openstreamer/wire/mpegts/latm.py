"""LATM in LOAS (ISO/IEC 14496-3 section 1.7): how broadcasters carry AAC under stream type 0x11.

One program with one layer, as DVB has it (TS 101 154 section 6.4), with its configuration in band.
"""

from openstreamer.media.aac import AUDIO_SPECIFIC_CONFIG_BYTES_MAX, OBJECT_PS, OBJECT_SBR, AacConfig
from openstreamer.media.bits import BitReader, BitWriter
from openstreamer.media.errors import MediaError

LOAS_HEADER_BYTES = 3


def loas_frame_bytes(head: bytes) -> int:
    """The size of the AudioSyncStream frame that ``head`` begins, header included (1.7.2.1)."""
    bits = int.from_bytes(head[:LOAS_HEADER_BYTES], "big")
    if len(head) < LOAS_HEADER_BYTES or bits >> 13 != 0x2B7:
        raise MediaError("LOAS: the sync word is missing")
    return LOAS_HEADER_BYTES + (bits & 0x1FFF)


class LatmReader:
    """AudioMuxElements with ``muxConfigPresent`` → AAC frames; ``config`` is what was said last."""

    __slots__ = ("_config_data", "_other_data_bits", "_sub_frames", "config")

    def __init__(self) -> None:
        self.config: AacConfig | None = None
        self._config_data = b""
        self._sub_frames = 1
        self._other_data_bits = 0

    def frames(self, element: bytes) -> list[bytes]:
        """The raw AAC frames of one AudioMuxElement (1.7.3.1), none while its configuration is unknown."""
        reader = BitReader(element, "LATM")
        if not reader.flag():  # useSameStreamMux
            self._read_stream_mux_config(reader)
        if self.config is None:
            return []
        frames = []
        for _ in range(self._sub_frames):
            size = 0
            while (part := reader.u(8)) == 0xFF:  # PayloadLengthInfo, frameLengthType 0
                size += part
            size += part
            frames.append(reader.u(8 * size).to_bytes(size, "big"))
        return [frame for frame in frames if frame]

    def _read_stream_mux_config(self, reader: BitReader) -> None:
        """StreamMuxConfig (1.7.3.2, Table 1.42)."""
        version = reader.u(1)
        if version and reader.u(1):
            raise MediaError("LATM: audioMuxVersionA is reserved")
        if version:
            _read_value(reader)  # taraBufferFullness
        if not reader.flag():
            raise MediaError("LATM: streams with other time framing are not supported")
        self._sub_frames = reader.u(6) + 1
        if reader.u(4) or reader.u(3):
            raise MediaError("LATM: several programs or layers are not supported")
        self._read_config(reader, _read_value(reader) if version else None)
        if reader.u(3):
            raise MediaError("LATM: only frames of variable length are supported")
        reader.skip(8)  # latmBufferFullness
        self._read_other_data(reader, version)
        if reader.flag():  # crcCheckPresent
            reader.skip(8)

    def _read_other_data(self, reader: BitReader, version: int) -> None:
        if not reader.flag():
            return
        if version:
            _read_value(reader)
            return
        while reader.flag():  # otherDataLenEsc
            reader.skip(8)
        reader.skip(8)

    def _read_config(self, reader: BitReader, size_bits: int | None) -> None:
        """The AudioSpecificConfig, whose end only its contents say in version 0."""
        start = reader.position_bits
        if size_bits is None:
            _skip_audio_specific_config(reader)
            size_bits = reader.position_bits - start
        if size_bits > min(8 * AUDIO_SPECIFIC_CONFIG_BYTES_MAX, reader.remaining_bits + size_bits):
            raise MediaError("LATM: the configuration is longer than allowed")
        reader.position_bits = start
        writer = BitWriter()
        writer.u(size_bits, reader.u(size_bits))
        data = writer.to_bytes()
        if data != self._config_data:
            self.config = AacConfig(data)
            self._config_data = data


def _skip_audio_specific_config(reader: BitReader) -> None:
    """Without a sync extension, which needs a known end (14496-3 section 1.6.2.1)."""
    object_type = _skip_object_type(reader)
    _skip_sample_rate(reader)
    channel_configuration = reader.u(4)
    if object_type in (OBJECT_SBR, OBJECT_PS):
        _skip_sample_rate(reader)
        object_type = _skip_object_type(reader)
    if not 1 <= object_type <= 4 or not channel_configuration:
        raise MediaError(
            f"LATM: object type {object_type} with channels {channel_configuration} is not supported"
        )
    reader.skip(1)  # frameLengthFlag
    if reader.flag():  # dependsOnCoreCoder
        reader.skip(14)
    reader.skip(1)  # extensionFlag


def _skip_object_type(reader: BitReader) -> int:
    object_type = reader.u(5)
    return 32 + reader.u(6) if object_type == 31 else object_type


def _skip_sample_rate(reader: BitReader) -> None:
    if reader.u(4) == 15:
        reader.skip(24)


def _read_value(reader: BitReader) -> int:
    """LatmGetValue() (1.7.3.2): one to four bytes."""
    return reader.u(8 * (reader.u(2) + 1))
