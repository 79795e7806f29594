"""One clock over connections that are cut and made again."""

from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.track import Track
from openstreamer.sources.continuity import MOST_HELD_BYTES, REPEAT_S, WRAP_90K, Continuity
from tests.support.media import AUDIO, PPS, SPS, VIDEO, audio, video

GOP = 5
STEP_90K = 3600


def stream(start_90k: int, count: int) -> list[Frame]:
    """Pictures at 25 fps with key frames every ``GOP``, each with a frame of audio."""
    frames = []
    for number in range(count):
        dts_90k = start_90k + number * STEP_90K
        frames += [video(dts_90k, key=number % GOP == 0, pts_90k=dts_90k + 100), audio(dts_90k)]
    return frames


def times(frames: list[Frame], track: Track = VIDEO) -> list[int]:
    return [frame.dts_90k for frame in frames if frame.track == track]


def test_one_connection_passes_as_it_is() -> None:
    frames = stream(1000, 10)
    given = list(frames)
    assert Continuity().map(frames, 0.0) == given
    assert times(given)[0] == 1000


def test_a_clock_that_went_on_leaves_its_gap() -> None:
    clock = Continuity()
    clock.map(stream(0, 10), 0.0)
    clock.reconnected()
    assert times(clock.map(stream(90_000, 5), 1.0)) == times(stream(90_000, 5))


def test_what_came_already_is_left_out() -> None:
    clock = Continuity()
    before = clock.map(stream(0, 10), 0.0)
    clock.reconnected()
    after = clock.map(stream(5 * STEP_90K, 10), 0.5)
    assert times(before + after) == times(stream(0, 15))
    assert times(before + after, AUDIO) == times(stream(0, 15), AUDIO)


def test_the_gap_to_the_next_key_frame_of_a_long_gop_is_none_of_another_clock() -> None:
    clock = Continuity()
    clock.map(stream(0, 10), 0.0)
    clock.reconnected()
    assert times(clock.map(stream(12 * 90_000, 5), 5.0)) == times(stream(12 * 90_000, 5))


def test_two_long_gops_that_come_again_are_left_out() -> None:
    clock = Continuity()
    clock.map(stream(0, 525), 21.0)
    clock.reconnected()
    assert times(clock.map(stream(5 * STEP_90K, 525), 21.5)) == times(stream(525 * STEP_90K, 5))


def test_pictures_keep_their_distance_between_decoding_and_presentation() -> None:
    clock = Continuity()
    clock.map(stream(0, 10), 0.0)
    clock.reconnected()
    for frame in clock.map(stream(900 * 90_000, 5), 0.5):
        assert frame.pts_90k - frame.dts_90k == (100 if frame.track.is_video else 0)


def test_another_clock_goes_on_after_the_time_that_passed() -> None:
    clock = Continuity()
    last_90k = times(clock.map(stream(0, 10), 10.0))[-1]
    clock.reconnected()
    after = times(clock.map(stream(3_000_000_000, 5), 11.5))
    assert after[0] == last_90k + 135_000
    assert after[-1] - after[0] == 4 * STEP_90K


def test_another_clock_that_comes_at_once_does_not_fall_back() -> None:
    clock = Continuity()
    last_90k = times(clock.map(stream(10_000_000, 10), 10.0))[-1]
    clock.reconnected()
    assert times(clock.map(stream(0, 5), 10.0))[0] > last_90k


def test_a_wrap_between_two_connections_is_no_other_clock() -> None:
    clock = Continuity()
    clock.map(stream(WRAP_90K - 10 * STEP_90K, 10), 0.0)
    clock.reconnected()
    assert times(clock.map(stream(STEP_90K, 5), 0.1)) == times(stream(WRAP_90K + STEP_90K, 5))


def test_a_new_clock_a_little_behind_is_found_out_and_begins_with_a_key_frame() -> None:
    clock = Continuity()
    last_90k = times(clock.map(stream(100_000, 50), 0.0))[-1]
    clock.reconnected()
    after: list[Frame] = []
    frames = stream(80_000, 100)  # in real time, which a repetition is not
    for number in range(0, len(frames), 2):
        after += clock.map(frames[number : number + 2], 1.0 + number / 2 / 25)
    pictures = [frame for frame in after if frame.track == VIDEO]
    assert pictures[0].key
    assert pictures[0].dts_90k > last_90k
    assert len(pictures) >= 100 - (REPEAT_S * 25 + GOP + 2)
    assert times(after) == sorted(times(after))


def test_what_a_new_clock_sent_while_it_looked_like_a_repetition_is_not_lost() -> None:
    clock = Continuity()
    last_90k = times(clock.map(stream(0, 100), 4.0))[-1]
    clock.reconnected()
    after: list[Frame] = []
    frames = stream(0, 50)
    for number in range(0, len(frames), 2):
        after += clock.map(frames[number : number + 2], 4.5 + number / 2 / 25)
    pictures = [frame for frame in after if frame.track == VIDEO]
    assert len(pictures) == 50
    assert pictures[0].key
    assert pictures[0].dts_90k == last_90k + 45_000
    assert times(after) == sorted(times(after))


def test_what_is_held_of_a_repetition_is_bounded_and_then_a_key_frame_is_waited_for() -> None:
    clock = Continuity()
    last_90k = times(clock.map(stream(0, 100), 4.0))[-1]
    clock.reconnected()
    frames = stream(0, 50)
    frames[0].payload = bytes(MOST_HELD_BYTES - FRAME_BYTES)
    after: list[Frame] = []
    for number in range(0, len(frames), 2):
        after += clock.map(frames[number : number + 2], 4.5 + number / 2 / 25)
    pictures = [frame for frame in after if frame.track == VIDEO]
    assert len(pictures) == 50 - (REPEAT_S * 25 + GOP)
    assert pictures[0].key
    assert pictures[0].dts_90k == last_90k + 45_000 + (REPEAT_S * 25 + GOP) * STEP_90K


def test_it_bears_several_reconnects() -> None:
    clock = Continuity()
    everything = clock.map(stream(0, 10), 0.0)
    for number in range(1, 5):
        clock.reconnected()
        everything += clock.map(stream(number * 7 * 90_000_000, 10), float(number))
    assert times(everything) == sorted(set(times(everything)))
    assert len(times(everything)) == 50
    assert times(everything)[-1] < 6 * 90_000


def test_decoding_times_that_are_equal_are_no_repetition() -> None:
    clock = Continuity()
    clock.map(stream(0, 2), 0.0)
    clock.reconnected()
    later = [audio(90_000), audio(90_000), audio(90_000)]
    assert len(clock.map(later, 1.0)) == 3


def test_tracks_that_are_equal_stay_the_same_objects() -> None:
    clock = Continuity()
    assert clock.tracks((VIDEO, AUDIO)) == (VIDEO, AUDIO)
    clock.map(stream(0, 2), 0.0)
    clock.reconnected()
    again = Track(VIDEO.id, H264Config((SPS,), (PPS,)))
    assert clock.tracks((again, AUDIO))[0] is VIDEO
    frames = clock.map([video(90_000, key=True, track=again)], 1.0)
    assert frames[0].track is VIDEO


def test_before_the_first_frame_a_reconnect_means_nothing() -> None:
    clock = Continuity()
    clock.reconnected()
    assert times(clock.map(stream(500, 2), 0.0))[0] == 500
