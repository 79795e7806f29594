"""FLV tag bodies, legacy and Enhanced RTMP v2, in both directions."""

from openstreamer.wire.flv.decoder import FlvDecoder, FlvLimits, FlvStatistics
from openstreamer.wire.flv.encoder import FlvEncoder, FlvTag, metadata_of, sequence_header_tags
from openstreamer.wire.flv.reader import FlvDemuxer
from openstreamer.wire.flv.tags import FlvCodec, MediaTag, TagKind, audio_tags, video_tags

__all__ = [
    "FlvCodec",
    "FlvDecoder",
    "FlvDemuxer",
    "FlvEncoder",
    "FlvLimits",
    "FlvStatistics",
    "FlvTag",
    "MediaTag",
    "TagKind",
    "audio_tags",
    "metadata_of",
    "sequence_header_tags",
    "video_tags",
]
