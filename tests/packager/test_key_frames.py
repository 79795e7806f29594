"""What an encoder's pictures show about where segments can begin."""

from fractions import Fraction

from openstreamer.media.frame import Frame
from openstreamer.packager.live import LivePackager
from openstreamer.packager.options import PackagerOptions
from tests.support.made_streams import MadeStream, batches


def test_a_damaged_picture_where_a_segment_is_due_begins_none() -> None:
    """Its NAL unit ends behind it."""
    stream = MadeStream(seconds=5, fps=Fraction(30), gop=100_000)
    packager = LivePackager(PackagerOptions(), 1)
    for batch in batches(stream.frames()):
        packager.push([_damaged(frame) for frame in batch], stream.tracks, 0)
    assert not packager.refreshes


def _damaged(frame: Frame) -> Frame:
    if frame.track.is_video and not frame.key:
        frame.payload = frame.payload[:-3]
    return frame
