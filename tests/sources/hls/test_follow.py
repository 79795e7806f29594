"""What is fetched of a playlist that lives, and when it is loaded again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.sources.hls.follow import Fetch, Follower
from openstreamer.sources.hls.position import Position
from openstreamer.wire.m3u8_documents import MediaPlaylist
from openstreamer.wire.m3u8_reader import read_playlist


def media(text: str) -> MediaPlaylist:
    found = read_playlist(text.encode())
    assert isinstance(found, MediaPlaylist)
    return found


def live(
    first: int, count: int, *tags: str, name: str = "s", target: int = 2, tail: str = ""
) -> MediaPlaylist:
    segments = "".join(f"#EXTINF:{target},\n{name}{n}\n" for n in range(first, first + count))
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    return media(head + "".join(f"{tag}\n" for tag in tags) + segments + tail)


CONTROL = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5"
PART_INF = "#EXT-X-PART-INF:PART-TARGET=0.5"


def parts(msn: int, count: int, hint: bool = True) -> str:
    text = "".join(
        f'#EXT-X-PART:DURATION=0.5,URI="s{msn}.{n}"{",INDEPENDENT=YES" if n == 0 else ""}\n'
        for n in range(count)
    )
    return text + (f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s{msn}.{count}"\n' if hint else "")


def low_latency(first: int, count: int, growing: int) -> MediaPlaylist:
    """The last complete segment is listed with its four parts, the growing one with ``growing``."""
    last = first + count - 1
    older = "".join(f"#EXTINF:2,\ns{n}\n" for n in range(first, last))
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{CONTROL}\n{PART_INF}\n"
    newest = parts(last, 4, hint=False) + f"#EXTINF:2,\ns{last}\n"
    return media(head + older + newest + parts(last + 1, growing))


def following(playlist: MediaPlaylist, now_s: float = 0.0, **options: object) -> Follower:
    follower = Follower(**options)  # type: ignore[arg-type]
    follower.loaded(playlist, now_s, now_s)
    return follower


def fetch_all(follower: Follower) -> list[str]:
    """URIs of what is there to fetch; what is only announced is left out."""
    uris = []
    while (fetch := follower.peek()) is not None and not fetch.hinted:
        uris.append(fetch.uri)
        follower.done(fetch)
    return uris


def next_of(follower: Follower) -> Fetch:
    fetch = follower.peek()
    assert fetch is not None
    return fetch


class TestWhereToBegin:
    def test_a_live_list_is_begun_three_target_durations_before_its_end(self) -> None:
        assert fetch_all(following(live(10, 8))) == ["s15", "s16", "s17"]

    def test_a_short_list_is_begun_at_its_start(self) -> None:
        assert fetch_all(following(live(0, 2))) == ["s0", "s1"]

    def test_the_server_may_want_more_distance(self) -> None:
        follower = following(live(10, 8, "#EXT-X-SERVER-CONTROL:HOLD-BACK=9"))
        assert fetch_all(follower)[0] == "s13"

    def test_a_complete_list_is_begun_at_its_start(self) -> None:
        follower = following(live(0, 5, tail="#EXT-X-ENDLIST\n"))
        assert follower.on_demand
        assert fetch_all(follower) == ["s0", "s1", "s2", "s3", "s4"]
        assert follower.finished

    def test_a_vod_list_without_an_end_is_complete_as_well(self) -> None:
        assert following(live(0, 5, "#EXT-X-PLAYLIST-TYPE:VOD")).on_demand

    def test_an_event_that_goes_on_is_begun_at_its_end(self) -> None:
        assert fetch_all(following(live(0, 9, "#EXT-X-PLAYLIST-TYPE:EVENT")))[0] == "s6"

    @pytest.mark.parametrize(
        ("offset", "first"), [("3.0", "s1"), ("-3", "s3"), ("999", "s4"), ("-999", "s0")]
    )
    def test_a_complete_list_is_begun_where_it_says(self, offset: str, first: str) -> None:
        playlist = live(0, 5, f"#EXT-X-START:TIME-OFFSET={offset}", tail="#EXT-X-ENDLIST\n")
        follower = following(playlist)
        assert fetch_all(follower)[0] == first

    def test_another_rendition_begins_at_the_same_moment(self) -> None:
        video = live(10, 8, "#EXT-X-PROGRAM-DATE-TIME:2026-11-24T00:00:00Z")
        start = following(video).start
        assert start is not None
        assert start.date_ms is not None
        audio = live(50, 4, "#EXT-X-PROGRAM-DATE-TIME:2026-11-24T00:00:01Z", name="a", target=4)
        assert fetch_all(following(audio, near=start))[0] == "a52"  # covers 9 s to 13 s

    def test_without_dates_it_begins_as_far_before_the_end(self) -> None:
        follower = following(live(50, 10, name="a", target=1), near=Position(15, 0, 6.0))
        assert fetch_all(follower)[0] == "a54"

    def test_with_parts_it_begins_at_the_newest_key_frame_beyond_the_hold_back(self) -> None:
        follower = following(low_latency(10, 4, 3))
        assert next_of(follower).uri == "s14.0"
        assert follower.start == Position(14, 0, 1.5)
        assert next_of(following(low_latency(10, 4, 2))).uri == "s13"
        assert next_of(following(low_latency(10, 4, 3), low_latency=False)).uri == "s11"


class TestWhatToFetch:
    def test_segments_one_after_the_other_as_they_appear(self) -> None:
        follower = following(live(10, 3))
        assert fetch_all(follower) == ["s10", "s11", "s12"]
        assert follower.at_edge
        assert follower.peek() is None
        follower.loaded(live(11, 3), 2.0, 2.0)
        assert fetch_all(follower) == ["s13"]
        assert follower.skipped == 0

    def test_what_slid_out_is_counted_and_the_end_is_gone_to(self) -> None:
        follower = following(live(10, 4))
        fetch_all(follower)
        follower.loaded(live(20, 6), 20.0, 20.0)
        assert fetch_all(follower) == ["s23", "s24", "s25"]
        assert follower.skipped == 9

    def test_gaps_and_what_cannot_be_had_are_counted(self) -> None:
        follower = following(live(0, 3, tail="#EXT-X-GAP\n#EXTINF:2,\ns3\n#EXTINF:2,\ns4\n#EXT-X-ENDLIST\n"))
        follower.skip(next_of(follower))
        assert fetch_all(follower) == ["s1", "s2", "s4"]
        assert follower.skipped == 2

    def test_the_parts_and_then_the_hint_of_the_growing_segment(self) -> None:
        follower = following(low_latency(10, 4, 3))
        assert fetch_all(follower) == ["s14.0", "s14.1", "s14.2"]
        hint = next_of(follower)
        assert (hint.uri, hint.hinted, hint.part) == ("s14.3", True, 3)
        follower.done(hint)
        assert follower.peek() is None
        closed = low_latency(10, 5, 1)
        follower.loaded(closed, 0.5, 0.5)
        assert fetch_all(follower) == ["s15.0"]

    def test_a_hint_that_did_not_come_is_waited_for_in_the_list(self) -> None:
        follower = following(low_latency(10, 4, 3))
        fetch_all(follower)
        follower.hint_failed(next_of(follower))
        assert follower.peek() is None
        follower.loaded(low_latency(10, 5, 0), 0.5, 0.5)
        assert fetch_all(follower) == ["s14.3"]

    def test_of_a_segment_whose_parts_are_gone_the_rest_is_fetched(self) -> None:
        follower = following(low_latency(10, 4, 3))
        follower.done(next_of(follower))
        follower.loaded(live(10, 8, CONTROL, PART_INF), 6.0, 6.0)
        rest = next_of(follower)
        assert (rest.uri, rest.rest, rest.part) == ("s14", True, None)

    def test_a_segment_with_a_part_that_is_a_gap_is_left_out(self) -> None:
        follower = following(low_latency(10, 4, 2))
        fetch_all(follower)
        gap = '#EXT-X-PART:DURATION=0.5,URI="s14.2",GAP=YES\n'
        follower.loaded(live(10, 4, CONTROL, PART_INF, tail=parts(14, 2, hint=False) + gap), 0.5, 0.5)
        assert follower.peek() is None
        follower.loaded(low_latency(10, 5, 1), 1.0, 1.0)
        assert fetch_all(follower) == ["s15.0"]
        assert follower.skipped == 1

    def test_encrypted_parts_are_left_for_their_segments(self) -> None:
        key = '#EXT-X-KEY:METHOD=AES-128,URI="k"'
        follower = following(live(10, 8, CONTROL, PART_INF, key, tail=parts(18, 3)))
        assert fetch_all(follower) == ["s15", "s16", "s17"]
        assert "_HLS_part" not in follower.directives(0.0)

    def test_discontinuities_keep_their_number_when_the_server_does_not_count_them(self) -> None:
        def sliding(first: int) -> MediaPlaylist:
            text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
            for msn in range(first, first + 4):
                text += ("#EXT-X-DISCONTINUITY\n" if msn == 12 else "") + f"#EXTINF:2,\ns{msn}\n"
            return media(text)

        follower = following(sliding(9))
        periods = []
        for first in range(9, 16):
            follower.loaded(sliding(first), first, first)
            while (fetch := follower.peek()) is not None:
                periods.append((fetch.msn, fetch.period))
                follower.done(fetch)
        assert [period for msn, period in periods if msn < 12] == [(0, 0)] * 2
        assert {period for msn, period in periods if msn >= 12} == {(0, 1)}


class TestRestarts:
    def test_a_server_that_counts_anew_is_followed_once_it_said_so_twice(self) -> None:
        follower = following(live(100, 6))
        fetch_all(follower)
        follower.loaded(live(0, 2, name="n"), 2.0, 2.0)
        assert follower.peek() is None
        follower.loaded(live(0, 3, name="n"), 4.0, 4.0)
        assert [fetch.period for fetch in [next_of(follower)]] == [(1, 0)]
        assert fetch_all(follower) == ["n0", "n1", "n2"]

    def test_a_cache_that_is_behind_is_not_followed(self) -> None:
        follower = following(live(100, 6))
        fetch_all(follower)
        for _ in range(5):
            follower.loaded(live(99, 6), 2.0, 2.0)
        assert follower.peek() is None
        follower.loaded(live(101, 6), 3.0, 3.0)
        assert fetch_all(follower) == ["s106"]

    def test_a_fetch_from_before_a_restart_moves_nothing(self) -> None:
        follower = following(live(100, 6))
        old = next_of(follower)
        for now_s in (2.0, 4.0):
            follower.loaded(live(0, 3, name="n"), now_s, now_s)
        follower.done(old)
        follower.skip(old)
        assert next_of(follower).uri == "n0"


class TestWhenToLoad:
    def test_after_a_target_duration_and_after_half_of_one_when_nothing_changed(self) -> None:
        follower = following(live(10, 3, target=6), 100.0)
        assert follower.reload_s == 106.0
        follower.loaded(live(10, 3, target=6), 106.0, 106.1)
        assert follower.reload_s == 109.0
        follower.loaded(live(11, 3, target=6), 109.0, 109.1)
        assert follower.reload_s == 115.0

    def test_segments_shorter_than_the_target_come_sooner(self) -> None:
        playlist = replace(live(10, 3), target_duration_s=10.0)
        assert following(playlist, 100.0).reload_s == 102.0

    def test_a_server_that_blocks_is_asked_at_once_for_what_comes_next(self) -> None:
        follower = following(low_latency(10, 4, 3), 100.0)
        assert follower.reload_s == 100.0
        assert follower.directives(100.1) == {"_HLS_msn": "14", "_HLS_part": "3", "_HLS_skip": "YES"}
        assert "_HLS_skip" not in follower.directives(106.1)
        assert following(live(10, 3, CONTROL)).directives(9.0) == {"_HLS_msn": "13"}
        assert following(live(10, 3)).directives(0.0) == {}

    def test_a_server_that_only_says_it_blocks_is_not_asked_in_a_loop(self) -> None:
        follower = following(low_latency(10, 4, 3), 100.0)
        now_s, loads = 100.0, 0
        while now_s < 103.0:
            now_s = max(now_s, follower.reload_s)
            follower.loaded(low_latency(10, 4, 3), now_s, now_s)
            loads += 1
        assert loads < 15
        assert "_HLS_msn" not in follower.directives(now_s)

    def test_directives_that_were_refused_are_left_out_once(self) -> None:
        follower = following(low_latency(10, 4, 3), 100.0)
        follower.refused(100.5)
        assert follower.directives(100.5) == {}
        assert follower.reload_s > 100.5
        follower.loaded(low_latency(10, 5, 0), 101.0, 101.0)
        assert follower.directives(101.0)["_HLS_msn"] == "15"

    def test_a_list_that_does_not_change_goes_stale_after_three_target_durations(self) -> None:
        follower = following(live(10, 3, target=6), 100.0)
        follower.loaded(live(10, 3, target=6), 110.0, 110.0)
        assert follower.stale_s == 118.0
        follower.loaded(live(11, 3, target=6), 112.0, 112.0)
        assert follower.stale_s == 130.0

    def test_the_patience_of_a_stream_goes_with_its_segments(self) -> None:
        assert following(live(10, 3, target=6)).patience_s == 18.0
        assert following(low_latency(10, 4, 3)).patience_s == 3.5


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(0, 4), st.booleans(), st.integers(0, 3)),
        max_size=30,
    )
)
def test_whatever_a_server_lists_nothing_is_fetched_twice_or_backwards(
    loads: list[tuple[int, int, int, bool, int]],
) -> None:
    follower = Follower()
    fetched: list[tuple[int, int, int]] = []
    for now_s, (first, count, growing, with_parts, steps) in enumerate(loads):
        playlist = low_latency(first, count + 1, growing) if with_parts else live(first, count)
        follower.loaded(playlist, now_s, now_s)
        for step in range(steps):
            fetch = follower.peek()
            if fetch is None:
                break
            fetched.append((fetch.period[0], fetch.msn, -1 if fetch.part is None else fetch.part))
            if fetch.hinted and step % 2:
                follower.hint_failed(fetch)
                fetched.pop()
            elif step % 3 == 2:
                follower.skip(fetch)
            else:
                follower.done(fetch)
        assert follower.reload_s < now_s + 10
        assert follower.skipped >= 0
    rests = [(restart, msn) for restart, msn, _ in fetched]
    assert rests == sorted(rests)
    assert len(set(fetched)) == len(fetched)


# ---------------------------------------------------------------------- what is missing


def test_what_is_fetched_says_how_much_is_missing_before_it() -> None:
    gaps = "#EXT-X-GAP\n#EXTINF:2,\ng1\n#EXT-X-GAP\n#EXTINF:1.5,\ng2\n#EXTINF:2,\ns3\n"
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ns0\n"
    follower = following(media(head + gaps + "#EXTINF:2,\ns4\n#EXTINF:2,\ns5\n#EXT-X-ENDLIST\n"))
    follower.done(next_of(follower))
    assert (next_of(follower).uri, next_of(follower).hole_s) == ("s3", 3.5)
    follower.done(next_of(follower))
    assert next_of(follower).hole_s == 0.0
    follower.skip(next_of(follower))
    assert (next_of(follower).uri, next_of(follower).hole_s) == ("s5", 2.0)


def test_a_part_that_cannot_be_had_costs_its_segment() -> None:
    follower = following(low_latency(10, 4, 2))
    while (fetch := next_of(follower)).msn < 13:
        follower.done(fetch)
    follower.skip(fetch)
    assert (next_of(follower).msn, next_of(follower).hole_s) == (14, 2.0)


def test_what_slid_out_is_missing() -> None:
    follower = following(live(10, 3))
    follower.done(next_of(follower))
    follower.loaded(live(20, 3), 20.0, 20.0)
    assert (next_of(follower).uri, next_of(follower).hole_s) == ("s20", 18.0)


# ---------------------------------------------------------------------- a list that stalled before


def test_what_was_listed_when_a_list_stalled_is_not_fetched_again() -> None:
    dead = following(live(10, 6))
    dead.loaded(live(10, 6), 9.0, 9.0)
    again = following(live(10, 6), 10.0, stalled_at=dead.stalled_edge(9.0))
    assert fetch_all(again) == []
    again.loaded(live(10, 6), 12.0, 12.0)
    assert fetch_all(again) == []
    assert again.stalled_edge(13.0) == dead.stalled_edge(9.0)
    assert (dead.stale_s, again.stale_s) == (6.0, 14.0)


def test_a_list_that_stalled_and_goes_on_is_begun_near_its_new_end() -> None:
    again = following(live(10, 6), stalled_at=((16, 0), "s15"))
    again.loaded(live(12, 6), 2.0, 2.0)
    assert fetch_all(again) == ["s15", "s16", "s17"]
    assert again.begun_s == 2.0


def test_a_server_that_began_anew_while_its_list_was_stalled_is_followed() -> None:
    again = following(live(10, 6), stalled_at=((16, 0), "s15"))
    for now_s in (2.0, 3.0):
        again.loaded(live(0, 3, name="new"), now_s, now_s)
    assert fetch_all(again) == ["new0", "new1", "new2"]


@pytest.mark.parametrize(
    "now_listed", [live(11, 6), live(10, 6, name="other"), live(10, 6, tail="#EXT-X-ENDLIST")]
)
def test_a_list_that_is_another_one_by_now_is_begun_at_once(now_listed: MediaPlaylist) -> None:
    assert fetch_all(following(now_listed, stalled_at=((16, 0), "s15")))


def test_a_list_that_grows_leaves_no_edge_behind() -> None:
    follower = following(live(10, 6))
    assert follower.stalled_edge(1.9) is None
    assert follower.stalled_edge(2.1) == ((16, 0), "s15")
