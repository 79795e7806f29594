"""MPEG transport streams in both directions (ISO/IEC 13818-1)."""

from openstreamer.wire.mpegts.demuxer import MpegTsDemuxer
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.muxer import MpegTsMuxer, MuxOptions
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, Program, TsCodec

__all__ = [
    "ElementaryStreamInfo",
    "MpegTsDemuxer",
    "MpegTsLimits",
    "MpegTsMuxer",
    "MpegTsStatistics",
    "MuxOptions",
    "Program",
    "TsCodec",
]
