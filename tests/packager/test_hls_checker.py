"""The checker must reject what it is there to reject: one broken history per rule."""

import re
from collections.abc import Callable

import pytest

from tests.support.hls_checker import HlsChecker

HEAD = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-MEDIA-SEQUENCE:{first}
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-INDEPENDENT-SEGMENTS
"""
FIRST, LISTED = 10, 8


def playlist(newest: int, parts: int = 1, kind: str = "v", other: str = "a", first: int | None = None) -> str:
    """A correct playlist: segments of 2 s with two parts each, ``newest`` growing with ``parts`` parts."""
    first = max(FIRST, newest - LISTED) if first is None else first
    lines = [HEAD.format(first=first) + f'#EXT-X-MAP:URI="{kind}_init.mp4"']
    for msn in range(first, newest + 1):
        minute, second = divmod(2 * (msn - FIRST), 60)
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:{minute:02d}:{second:02d}.000Z")
        shown = parts if msn == newest else 2 if msn >= newest - 3 else 0
        lines += [
            f'#EXT-X-PART:DURATION=1.0,URI="{kind}{msn}.{index}"' + (",INDEPENDENT=YES" if index == 0 else "")
            for index in range(shown)
        ]
        if msn < newest:
            lines += ["#EXTINF:2.0,", f"{kind}{msn}"]
    hint = f"{newest}.{parts}" if parts < 2 else f"{newest + 1}.0"
    lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{kind}{hint}"')
    if other:
        lines.append(f'#EXT-X-RENDITION-REPORT:URI="{other}.m3u8",LAST-MSN={newest},LAST-PART={parts - 1}')
    return "\n".join(lines) + "\n"


def problems(*texts: str, **options: bool) -> set[str]:
    """The rules that the responses to one playlist break."""
    checker = HlsChecker(**options)
    for at_s, text in enumerate(texts):
        checker.feed("https://host/live/v.m3u8?_HLS_msn=7", at_s, text)
    checker.finish()
    return {problem.rule for problem in checker.problems}


INDEX = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.42c01f"\nvideo.m3u8\n'


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (INDEX, set()),
        (playlist(FIRST + 5), {"index-kind"}),
        (INDEX.replace("video.m3u8\n", ""), {"index-variants"}),
        (INDEX + INDEX.removeprefix("#EXTM3U\n"), {"index-variants"}),
    ],
)
def test_the_index_is_a_multivariant_playlist_always(text: str, rules: set[str]) -> None:
    checker = HlsChecker()
    checker.feed("/live/index.m3u8?_HLS_msn=7", 0, text)
    assert {problem.rule for problem in checker.problems} == rules


def alone(newest: int, parts: int = 1) -> str:
    return playlist(newest, parts, other="")


def test_a_correct_history_has_no_problem() -> None:
    checker = HlsChecker()
    for newest in range(FIRST + 4, FIRST + 40):
        for parts in (1, 2):
            checker.feed("/live/v.m3u8", newest, playlist(newest, parts))
            checker.feed("/live/a.m3u8", newest, playlist(newest, parts, "a", "v"))
    checker.finish()
    assert checker.problems == []
    assert checker.playlists_checked == 144


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("syntax", "#EXTM3U\n", ""),
        ("syntax", "#EXT-X-TARGETDURATION:2\n", ""),
        ("syntax", "#EXT-X-VERSION:9", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9"),
        ("syntax", "#EXTINF:2.0,", "#EXTINF:2.0"),
        ("syntax", "#EXTINF:2.0,\n", ""),
        ("syntax", "#EXTINF:2.0,", "#EXTINF:2.0,\n#EXT-X-UNHEARD-OF"),
        ("syntax", "v20\n", "v20\x07\n"),
        ("version", "VERSION:9", "VERSION:3"),
        ("independent-segments", "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
        ("block-reload", "CAN-BLOCK-RELOAD=YES,", ""),
        ("hold-back", "HOLD-BACK=6.0", "HOLD-BACK=5.9"),
        ("skip-until", "CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11"),
        ("part-hold-back", "PART-HOLD-BACK=3.0", "PART-HOLD-BACK=2.9"),
        ("part-inf", "#EXT-X-PART-INF:PART-TARGET=1.0\n", ""),
        ("map", '#EXT-X-MAP:URI="v_init.mp4"\n', ""),
        ("target-duration", "#EXTINF:2.0,\nv20", "#EXTINF:2.6,\nv20"),
        ("program-date-time", "00:20.000Z", "00:21.000Z"),
        ("program-date-time", "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:20.000Z\n", ""),
        ("part-too-long", 'DURATION=1.0,URI="v20.1"', 'DURATION=1.1,URI="v20.1"'),
        ("parts-sum", 'DURATION=1.0,URI="v20.1"', 'DURATION=0.9,URI="v20.1"'),
        ("old-parts", "#EXTINF:2.0,\nv14", '#EXT-X-PART:DURATION=1.0,URI="v14.0"\n#EXTINF:2.0,\nv14'),
        ("preload-hint", "#EXT-X-PRELOAD-HINT", '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"\n#EXT-X-PRELOAD-HINT'),
        ("hint-at-end", "#EXT-X-PRELOAD-HINT", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD-HINT"),
    ],
)
def test_a_broken_playlist_is_rejected(rule: str, old: str, new: str) -> None:
    text = alone(21)
    assert old in text
    assert problems(text) == set()

    assert rule in problems(text.replace(old, new, 1))


def test_a_short_part_is_allowed_at_a_segments_end_only() -> None:
    text = alone(21).replace('DURATION=1.0,URI="v20.0",INDEPENDENT=YES', 'DURATION=0.8,URI="v20.0"')
    text = text.replace("#EXTINF:2.0,\nv20", "#EXTINF:1.8,\nv20").replace("00:22.000Z", "00:21.800Z")
    assert problems(text) == {"part-too-short"}
    last = alone(21).replace('DURATION=1.0,URI="v20.1"', 'DURATION=0.8,URI="v20.1"')
    last = last.replace("#EXTINF:2.0,\nv20", "#EXTINF:1.8,\nv20").replace("00:22.000Z", "00:21.800Z")
    assert problems(last) == set()


def test_parts_must_stand_on_the_newest_segment() -> None:
    assert "parts-missing" in problems(re.sub(r'#EXT-X-PART:.*"v20\..*\n', "", alone(21)))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("media-sequence", lambda text: text.replace("MEDIA-SEQUENCE:14", "MEDIA-SEQUENCE:12")),
        ("went-back", lambda _: alone(20)),
        ("target-changed", lambda text: text.replace("TARGETDURATION:2", "TARGETDURATION:1")),
        ("target-changed", lambda text: text.replace("TARGETDURATION:2", "TARGETDURATION:3")),
        ("part-target-changed", lambda text: text.replace("TARGET=1.0", "TARGET=1.1")),
        ("discontinuity-sequence", lambda text: text.replace("SEQUENCE:3", "SEQUENCE:4")),
        ("segment-changed", lambda text: text.replace("\nv20\n", "\nv20b\n")),
        ("segment-changed", lambda text: text.replace("#EXTINF:2.0,\nv20", "#EXTINF:1.95,\nv20")),
        ("segment-changed", lambda text: text.replace("00:20.000Z", "00:20.050Z")),
        ("segment-changed", lambda text: text.replace("v_init", "w_init")),
        ("part-changed", lambda text: text.replace("v21.0", "v21.x")),
        ("preload-hint", lambda text: text.replace("v21.1", "v21.y")),
    ],
)
def test_what_was_listed_must_stay(rule: str, change: Callable[[str], str]) -> None:
    before, after = alone(21), alone(22)
    assert problems(before, after) == set()

    assert rule in problems(before, change(after))


def test_a_hint_is_judged_only_while_the_parts_of_its_segment_are_listed() -> None:
    """After a pause of the player the hinted part may have come, and have left the playlist again."""
    hinted_a_part_of_21 = alone(21)
    assert problems(hinted_a_part_of_21, alone(24)) == set()
    assert problems(hinted_a_part_of_21, alone(25)) == set()
    assert problems(hinted_a_part_of_21, alone(21 + LISTED)) == set()
    assert problems(alone(21, 2), alone(26)) == set()

    never_came = re.sub(r'(#EXT-X-PART.*"v21\.0".*\n)#EXT-X-PART.*\n', r"\1", alone(24))
    assert "preload-hint" in problems(hinted_a_part_of_21, never_came)


def test_parts_of_a_growing_segment_must_stay() -> None:
    assert "part-removed" in problems(alone(21, 2), alone(21, 1))


def test_segments_must_not_be_removed_from_a_short_playlist() -> None:
    short = playlist(17, other="", first=15)
    assert "removed-early" in problems(playlist(16, other="", first=12), short)


def test_a_playlist_must_become_long_enough() -> None:
    assert problems(alone(FIRST + 2)) == {"few-segments", "short-playlist"}


def test_the_target_duration_may_grow_when_allowed() -> None:
    grown = alone(22).replace("TARGETDURATION:2", "TARGETDURATION:3").replace("BACK=6.0", "BACK=9.0")
    grown = grown.replace("UNTIL=12.0", "UNTIL=18.0")
    assert problems(alone(21), grown, target_may_grow=True) == set()
    assert problems(alone(21), grown) == {"target-changed"}


def test_a_jump_of_the_date_needs_leave() -> None:
    jumped = alone(21).replace("00:22.000Z", "00:52.000Z")
    assert problems(jumped) == {"program-date-time"}
    assert problems(jumped, continuous=False) == set()


def delta_of(text: str, skipped: int, *, first: int) -> str:
    start = text.index("#EXT-X-MAP")
    end = text.index(f"\nv{first + skipped - 1}\n") + len(f"\nv{first + skipped - 1}\n")
    return f"{text[:start]}#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n{text[end:]}"


def test_a_delta_update_stands_for_the_whole() -> None:
    assert problems(alone(21), delta_of(alone(22), 2, first=14)) == set()


def test_a_delta_update_must_not_skip_what_is_near_the_end() -> None:
    assert problems(alone(21), delta_of(alone(22), 3, first=14)) == {"skip-boundary"}


def test_a_delta_update_must_not_skip_what_was_never_seen() -> None:
    assert "syntax" in problems(delta_of(alone(22), 2, first=14))


def test_a_delta_update_needs_its_version() -> None:
    delta = delta_of(alone(22), 2, first=14).replace("VERSION:9", "VERSION:8")
    assert problems(alone(21), delta) == {"version"}


def both(video: str, audio: str) -> set[str]:
    checker = HlsChecker()
    checker.feed("v.m3u8", 0, video)
    checker.feed("a.m3u8", 0, audio)
    checker.feed("v.m3u8", 1, playlist(22, 1))
    checker.finish()
    return {problem.rule for problem in checker.problems}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("rendition-report", lambda text: text[: text.index("#EXT-X-RENDITION-REPORT")]),
        ("rendition-report", lambda text: text.replace("LAST-MSN=21", "LAST-MSN=20")),
        ("rendition-report", lambda text: text.replace("LAST-MSN=21", "LAST-MSN=99")),
        ("rendition-report", lambda text: text.replace("LAST-MSN=21,", "")),
        ("rendition-report", lambda text: text.replace('"v.m3u8"', '"https://host/v.m3u8"')),
        ("alignment", lambda text: re.sub(r":(\d\d)\.000Z", r":\1.400Z", text)),
        ("discontinuity-alignment", lambda text: text.replace("SEQUENCE:3", "SEQUENCE:4")),
    ],
)
def test_renditions_must_agree(rule: str, change: Callable[[str], str]) -> None:
    video, audio = playlist(21), playlist(21, 1, "a", "v")
    assert both(video, audio) == set()

    assert rule in both(video, change(audio))


def test_a_rendition_that_left_can_be_forgotten() -> None:
    checker = HlsChecker()
    checker.feed("a.m3u8", 0, playlist(21, 1, "a", ""))
    checker.forget("a.m3u8")
    checker.feed("v.m3u8", 0, alone(21))
    assert checker.problems == []


def test_an_answer_that_was_overtaken_by_a_newer_one_breaks_no_rule() -> None:
    """Both were asked for at once; what the video's answer reports is older than what the audio's says."""

    def reported(asked_s: float) -> set[str]:
        checker = HlsChecker()
        for at_s, newest in enumerate(range(FIRST + 8, FIRST + 11)):
            checker.feed("a.m3u8", at_s, playlist(newest, kind="a", other="v"))
            checker.feed("v.m3u8", at_s, playlist(newest, kind="v", other="a"))
        checker.feed("a.m3u8", 4.0, playlist(FIRST + 11, kind="a", other="v"))
        late = playlist(FIRST + 11, kind="v", other="a").replace("LAST-MSN=21", "LAST-MSN=20")
        checker.feed("v.m3u8", 4.1, late, asked_s=asked_s)
        return {problem.rule for problem in checker.problems}

    assert reported(asked_s=3.5) == set()
    assert reported(asked_s=4.05) == {"rendition-report"}
