"""A hostile publisher through the whole pipeline: FLV tags, timeline, packager. The input is that of ``flv``.

Nothing of it may raise, segments follow each other, and what is kept stays bounded.
"""

from fuzz.fuzz_flv import decoded, seeds
from fuzz.target import FuzzTarget
from openstreamer.failover.timeline import Timeline
from openstreamer.packager.live import LivePackager
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import SegmentReady

START_90K = 90_000 * 1_700_000_000


def run(data: bytes) -> None:
    timeline = Timeline(START_90K)
    packager = LivePackager(PackagerOptions(), 1000)
    segments: list[SegmentReady] = []
    for frames in decoded(data):
        timeline.begin_epoch()
        mapped = timeline.map(frames)
        for frame in mapped:
            assert frame.dts_90k >= START_90K
        tracks = tuple({frame.track.id: frame.track for frame in mapped}.values())
        for frame in mapped:
            segments += _segments(packager.push([frame], tracks, frame.dts_90k // 90))
        segments += _segments(packager.flush())
    for track in packager.tracks:
        numbers = [segment.msn for segment in track.window.closed]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


def _segments(events: object) -> list[SegmentReady]:
    assert isinstance(events, list)
    return [event for event in events if isinstance(event, SegmentReady)]


TARGET = FuzzTarget("stream", run, (), seeds)
