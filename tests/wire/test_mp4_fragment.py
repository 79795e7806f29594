import pytest

from openstreamer.wire.mp4.fragment import (
    DELTA_SAMPLE,
    KEY_SAMPLE,
    SEGMENT_TYPE,
    audio_fragment,
    video_fragment,
)
from tests.support.mp4_reader import Sample, boxes, samples, sequence_numbers

FAR_90K = 1_795_507_634 * 90_000  # Unix time in 90 kHz does not fit into 32 bits


def test_a_video_fragment_gives_back_what_was_put_in() -> None:
    payloads = [b"key frame", b"", b"b"]
    table = [3000, 9, KEY_SAMPLE, 6000, 3001, 0, DELTA_SAMPLE, -1500, 2999, 1, DELTA_SAMPLE, 0]

    data = video_fragment(7, FAR_90K, table, payloads)

    assert samples(data) == [
        Sample(FAR_90K, 3000, 6000, True, b"key frame"),
        Sample(FAR_90K + 3000, 3001, -1500, False, b""),
        Sample(FAR_90K + 6001, 2999, 0, False, b"b"),
    ]
    assert sequence_numbers(data) == [7]


def test_every_sample_of_an_audio_fragment_is_a_sync_sample() -> None:
    data = audio_fragment(1, 48_000, [1024, 3, 960, 2], [b"abc", b"de"])

    assert samples(data) == [Sample(48_000, 1024, 0, True, b"abc"), Sample(49_024, 960, 0, True, b"de")]


def test_fragments_can_be_joined_behind_one_segment_type() -> None:
    one = video_fragment(1, 0, [10, 1, KEY_SAMPLE, 0], [b"x"], SEGMENT_TYPE)
    two = video_fragment(2, 10, [10, 1, DELTA_SAMPLE, 0], [b"y"])

    assert [box.kind for box in boxes(one + two)] == [b"styp", b"moof", b"mdat", b"moof", b"mdat"]
    assert [sample.data for sample in samples(one + two)] == [b"x", b"y"]


@pytest.mark.parametrize("count", [1, 2, 60, 300])
def test_a_fragment_has_any_number_of_samples(count: int) -> None:
    payloads = [bytes([index % 251]) * (index % 7) for index in range(count)]
    table = [value for payload in payloads for value in (3000, len(payload), DELTA_SAMPLE, 0)]

    assert [sample.data for sample in samples(video_fragment(1, 0, table, payloads))] == payloads
