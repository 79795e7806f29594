"""What a frame costs is known: bounds of queues rely on it."""

import tracemalloc

import pytest

from openstreamer.media.frame import FRAME_BYTES, Frame, held_bytes
from tests.support.media import VIDEO

COUNT = 20_000


@pytest.mark.parametrize("payload_bytes", [10, 3000])
def test_what_a_frame_is_counted_as_is_what_it_takes(payload_bytes: int) -> None:
    source = bytes(payload_bytes + 1)
    tracemalloc.start()
    try:
        frames = [Frame(VIDEO, n * 3600 + 7200, n * 3600 + 1, False, source[1:]) for n in range(1000, COUNT)]
        traced = tracemalloc.get_traced_memory()[0] / len(frames) - payload_bytes
    finally:
        tracemalloc.stop()
    # The allocator rounds up what is traced, by a fifth at the most.
    assert 0.6 * FRAME_BYTES <= traced <= FRAME_BYTES
    assert held_bytes(frames) == sum(frame.held_bytes for frame in frames)
    assert frames[0].held_bytes == FRAME_BYTES + payload_bytes
