"""One track of every codec, with real decoder configurations."""

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config, Eac3Substream
from openstreamer.media.av1 import Av1Config
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.nal import split_annex_b
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import CodecConfig, Track
from openstreamer.media.vp9 import Vp9Config
from tests.support.media import PPS, SPS

X265_PARAMETER_SETS = bytes.fromhex(
    "0000000140010c01ffff01600000030090000003000003001e9598090000000142010101600000030090000003000003001ea020"
    "810596566924cae68080000003008000000c84000000014401c172b42240"
)
X264_HIGH_SPS = bytes.fromhex("6764001facd9405005bb016a02020280000003008000001e478c18cb")
X264_HIGH_PPS = bytes.fromhex("68ebecb22c")
SVT_AV1_SEQUENCE_HEADER = bytes.fromhex("0a0a00000002afff805f0008")

VPS_265, SPS_265, PPS_265 = split_annex_b(X265_PARAMETER_SETS)

CONFIGS: tuple[CodecConfig, ...] = (
    H264Config((SPS,), (PPS,)),
    H264Config((X264_HIGH_SPS,), (X264_HIGH_PPS,)),
    H265Config((VPS_265,), (SPS_265,), (PPS_265,)),
    Av1Config(SVT_AV1_SEQUENCE_HEADER),
    Vp9Config(profile=1, level=31, chroma_subsampling=3, width=1280, height=720),
    AacConfig(bytes.fromhex("1190")),
    AacConfig(bytes.fromhex("2b920800")),
    OpusConfig(channels=6, mapping_family=1, mapping=bytes.fromhex("0402000401020305")),
    Mp3Config(44_100, 2),
    Ac3Config(0, 8, 0, 7, True, bit_rate_code=15),
    Eac3Config((Eac3Substream(0, 16, 0, 2, False),), 24_000, 192),
)

TRACKS = tuple(Track(number, config) for number, config in enumerate(CONFIGS))
