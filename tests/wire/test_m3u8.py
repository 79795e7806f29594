import pytest

from openstreamer.wire import m3u8


def test_quoted_strings_cannot_be_left_from_inside() -> None:
    assert m3u8.quoted('a"b\nc\rd') == '"a\'b c d"'


@pytest.mark.parametrize(
    ("value_s", "text"),
    [(2, "2.0"), (0.334, "0.334"), (1 / 3, "0.333333"), (10.0, "10.0"), (0.0000004, "0.0")],
)
def test_seconds_have_no_more_digits_than_they_need(value_s: float, text: str) -> None:
    assert m3u8.seconds(value_s) == text


def test_program_date_time_is_utc_with_milliseconds() -> None:
    assert m3u8.program_date_time(1_795_507_634_066) == "#EXT-X-PROGRAM-DATE-TIME:2026-11-24T08:07:14.066Z"
    assert m3u8.program_date_time(1_795_507_634_999).endswith("14.999Z")


def test_part_says_whether_it_is_independent() -> None:
    assert m3u8.part(0.5, "a.m4s", independent=True) == (
        '#EXT-X-PART:DURATION=0.5,URI="a.m4s",INDEPENDENT=YES'
    )
    assert "INDEPENDENT" not in m3u8.part(0.5, "a.m4s", independent=False)


def test_server_control_leaves_out_what_is_not_offered() -> None:
    full = m3u8.server_control(can_skip_until_s=12, hold_back_s=6, part_hold_back_s=1.002, can_block=True)
    assert full == (
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.002"
    )
    bare = m3u8.server_control(can_skip_until_s=None, hold_back_s=6, part_hold_back_s=None, can_block=False)
    assert bare == "#EXT-X-SERVER-CONTROL:HOLD-BACK=6.0"


def test_a_report_after_a_gap_has_no_part() -> None:
    assert m3u8.rendition_report("audio.m3u8", 7, None) == (
        '#EXT-X-RENDITION-REPORT:URI="audio.m3u8",LAST-MSN=7'
    )
    assert m3u8.rendition_report("audio.m3u8", 7, 0).endswith("LAST-MSN=7,LAST-PART=0")


def test_a_document_ends_with_a_line_feed() -> None:
    assert m3u8.lines([m3u8.HEADER, m3u8.version(9)]) == "#EXTM3U\n#EXT-X-VERSION:9\n"
