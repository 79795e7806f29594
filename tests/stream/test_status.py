"""The status is what can be observed, never what was hoped."""

from openstreamer.stream.status import Observation, StreamStatus, judge, key_frames_missing

NOW = 100_000_000_000
FRESH = NOW - 500_000_000
STALE = NOW - 3_000_000_000


def verdict(seen: Observation) -> tuple[StreamStatus, list[str]]:
    return judge(seen, NOW, input_window_ns=2_000_000_000, output_window_ns=3_000_000_000)


def flowing(**changes: object) -> Observation:
    seen = Observation(
        wanted=True,
        track_frame_ns={"video": FRESH, "audio": FRESH},
        output_progress_ns={"hls": FRESH},
    )
    for name, value in changes.items():
        setattr(seen, name, value)
    return seen


def test_active_needs_fresh_frames_of_every_track_and_fresh_output() -> None:
    assert verdict(flowing()) == (StreamStatus.ACTIVE, [])


def test_no_frame_ever_is_not_active() -> None:
    status, reasons = verdict(Observation(wanted=True))
    assert status is StreamStatus.DEGRADED
    assert reasons == ["starting: no frame from the input yet"]


def test_silence_of_all_tracks_is_degraded_and_named() -> None:
    status, reasons = verdict(flowing(track_frame_ns={"video": STALE, "audio": STALE}))
    assert status is StreamStatus.DEGRADED
    assert reasons == [
        "no video frames from the input: nothing for 3.0 s",
        "no audio frames from the input: nothing for 3.0 s",
    ]


def test_silence_of_one_track_is_degraded() -> None:
    status, reasons = verdict(flowing(track_frame_ns={"video": FRESH, "audio": STALE}))
    assert status is StreamStatus.DEGRADED
    assert reasons == ["no audio frames from the input: nothing for 3.0 s"]


def test_an_output_that_stands_still_is_degraded() -> None:
    for at_ns, said in ((None, "nothing yet"), (NOW - 4_000_000_000, "nothing for 4.0 s")):
        status, reasons = verdict(flowing(output_progress_ns={"hls": at_ns}))
        assert status is StreamStatus.DEGRADED
        assert reasons == [f"output hls makes no progress: {said}"]


def test_rare_key_frames_are_named_with_what_viewers_see_and_the_remedy() -> None:
    assert key_frames_missing(20.0, refreshes=False) is None
    assert key_frames_missing(10.0, refreshes=True) is None
    words = key_frames_missing(47.4, refreshes=False)
    assert words is not None
    assert words.startswith("no key frame for 47 s: players that start show no picture")
    refreshing = key_frames_missing(300.2, refreshes=True)
    assert refreshing is not None
    for said in (words, refreshing):
        assert "set the key frame interval" in said
        assert "switch intra refresh off" in said
    assert "none for 300 s: browsers that start now show no picture" in refreshing


def test_what_an_output_makes_seldom_may_be_older() -> None:
    seldom = flowing(
        output_progress_ns={"hls": NOW - 4_000_000_000},
        output_window_ns={"hls": 5_000_000_000},
    )
    assert verdict(seldom) == (StreamStatus.ACTIVE, [])
    seldom.output_window_ns = {"hls": 3_500_000_000}
    assert verdict(seldom)[1] == ["output hls makes no progress: nothing for 4.0 s"]


def test_without_a_publisher_it_is_idle_even_right_after_its_last_frame() -> None:
    status, reasons = verdict(flowing(waits_for_publisher=True))
    assert status is StreamStatus.IDLE
    assert reasons == ["waiting for a publisher"]


def test_disabled_and_failed_to_start_are_stopped_with_the_reason() -> None:
    assert verdict(flowing(wanted=False)) == (StreamStatus.STOPPED, ["the stream is disabled"])
    status, reasons = verdict(flowing(start_failure="start failed, next attempt in 2 s: no space"))
    assert (status, reasons) == (StreamStatus.STOPPED, ["start failed, next attempt in 2 s: no space"])


def test_a_dead_component_an_impaired_output_and_an_unbuilt_feature_all_show() -> None:
    status, reasons = verdict(
        flowing(
            dead_components=["packager"],
            outputs_impaired=["HLS on disk: no space left"],
            unsupported=["recording is not supported by this version"],
        )
    )
    assert status is StreamStatus.DEGRADED
    assert reasons == [
        "packager is being restarted",
        "HLS on disk: no space left",
        "recording is not supported by this version",
    ]


def test_the_inputs_own_words_come_first() -> None:
    _, reasons = verdict(flowing(input_problem="input: rtmp: connection refused"))
    assert reasons[0] == "input: rtmp: connection refused"


def test_without_a_publisher_it_is_said_why_the_last_one_left() -> None:
    status, reasons = verdict(flowing(waits_for_publisher=True, input_problem="input: media are damaged"))
    assert status is StreamStatus.IDLE
    assert reasons == ["waiting for a publisher", "input: media are damaged"]


def test_damaged_media_of_which_no_frame_came_is_the_reason() -> None:
    said = "130 damaged access units, none usable"
    status, reasons = verdict(flowing(track_frame_ns={}, output_progress_ns={}, damage=said))
    assert status is StreamStatus.DEGRADED
    assert reasons == [f"the input sends {said}"]
    assert verdict(flowing(damage=said)) == (StreamStatus.ACTIVE, [])
