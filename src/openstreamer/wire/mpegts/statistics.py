"""What a demuxer of MPEG-TS notices beyond what all demuxers do."""

from dataclasses import dataclass

from openstreamer.wire.demuxer import DemuxStatistics


@dataclass(slots=True)
class MpegTsStatistics(DemuxStatistics):
    """:class:`DemuxStatistics`, and how often a packet came twice or the sync was lost."""

    duplicate_packets: int = 0
    resyncs: int = 0
