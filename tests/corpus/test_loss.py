"""Transport streams that lose packets: what comes is right, what does not is counted."""

import pytest

from openstreamer.wire.mpegts import MpegTsDemuxer
from tests.corpus import truth
from tests.corpus.making import clip
from tests.corpus.recipes import muxed
from tests.corpus.tampering import AUDIO_PID, VIDEO_PID, lossy
from tests.corpus.truth import Unit
from tests.support.container_files import demux

SEEDS = range(12)
PIECE_BYTES = 7 * 188
LONGEST_PES_FRAMES = {"aac": 20, "mp2": 20, "ac3": 8, "opus": 1}  # that FFmpeg puts into one PES packet
STREAMS = [
    muxed("ts", "h264-b-frames", "aac"),
    muxed("ts", "h264-slices", "mp2"),
    muxed("ts", "h265-b-frames", "ac3"),
    muxed("ts-pes-length", "h264-b-frames", "opus"),
    muxed("ts-constant-rate", "h264", "aac"),
    muxed("ts-latm", "h264", "aac"),
]


def unseen(came: tuple[Unit, ...], sent: tuple[Unit, ...]) -> int:
    """How many of ``sent`` are missing in ``came``, which has nothing else, each once and in order."""
    by_time = {unit.dts_90k: number for number, unit in enumerate(sent)}
    numbers = []
    for unit in came:
        number = by_time[unit.dts_90k]
        assert unit == sent[number]
        numbers.append(number)
    assert numbers == sorted(set(numbers))
    return len(sent) - len(came)


@pytest.mark.parametrize("share", [0.001, 0.01], ids=["0.1%", "1%"])
@pytest.mark.parametrize("stream", STREAMS)
def test_nothing_wrong_comes_and_what_is_missing_is_explained(stream: str, share: float) -> None:
    data = clip(stream).read_bytes()
    sent = truth.of_frames(demux(MpegTsDemuxer(), data, PIECE_BYTES))
    frames_in_pes = LONGEST_PES_FRAMES[stream.partition("+")[2]]
    for seed in SEEDS:
        damaged = lossy(data, share, seed)
        demuxer = MpegTsDemuxer()
        came = truth.of_frames(demux(demuxer, damaged.data, PIECE_BYTES))
        lost = damaged.lost[VIDEO_PID] + damaged.lost[AUDIO_PID]
        assert lost - 1 <= demuxer.statistics.lost_packets <= damaged.lost.total()
        pictures, sounds = unseen(came.video, sent.video), unseen(came.audio, sent.audio)
        assert pictures <= 2 * damaged.lost[VIDEO_PID]
        assert sounds <= frames_in_pes * damaged.lost[AUDIO_PID]
        assert came.video[-10:] == sent.video[-10:]
        assert came.audio[-10:] == sent.audio[-10:]
