"""Playlists are understood as players understand them, and what is none is refused with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire import m3u8
from openstreamer.wire.m3u8_documents import (
    ByteRange,
    Key,
    MediaInitialization,
    MediaPlaylist,
    MultivariantPlaylist,
    PartialSegment,
    PreloadHint,
    RenditionKind,
    RenditionReport,
)
from openstreamer.wire.m3u8_reader import DeltaUnusable, PlaylistLimits, PlaylistReader, read_playlist

CLASSIC = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:4
#EXT-X-PROGRAM-DATE-TIME:2026-11-24T08:07:14.500Z
#EXTINF:6.0,title, with a comma
a.ts
#EXTINF:4.5
b.ts?x=1
#EXT-X-DISCONTINUITY
#EXT-X-GAP
#EXTINF:6,
c.ts
"""

LOW_LATENCY = """#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.002
#EXT-X-PART-INF:PART-TARGET=0.334
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI="init.mp4"
#EXTINF:2.0,
v7.m4s
#EXT-X-PART:DURATION=0.334,URI="v8.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.334,URI="v8.1.m4s",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="v8.2.m4s"
#EXT-X-RENDITION-REPORT:URI="a.m3u8",LAST-MSN=8,LAST-PART=1
"""

MASTER = """#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="en",URI="en.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-MEDIA:TYPE=HOLOGRAM,GROUP-ID="x",NAME="y"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="iframes.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS="avc1.64001f, mp4a.40.2",RESOLUTION=1280x720,AUDIO="aac"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000
360.m3u8
"""


def media(text: str, previous: MediaPlaylist | None = None, **options: object) -> MediaPlaylist:
    found = read_playlist(text.encode(), previous=previous, **options)  # type: ignore[arg-type]
    assert isinstance(found, MediaPlaylist)
    return found


def lines(*tags: str) -> str:
    return "#EXTM3U\n#EXT-X-TARGETDURATION:6\n" + "\n".join(tags) + "\n"


class TestMediaPlaylist:
    def test_segments_have_absolute_numbers_and_dates(self) -> None:
        playlist = media(CLASSIC)
        assert [segment.msn for segment in playlist.segments] == [100, 101, 102]
        assert [segment.discontinuity_sequence for segment in playlist.segments] == [4, 4, 5]
        assert [segment.uri for segment in playlist.segments] == ["a.ts", "b.ts?x=1", "c.ts"]
        assert [segment.duration_s for segment in playlist.segments] == [6.0, 4.5, 6.0]
        assert [segment.gap for segment in playlist.segments] == [False, False, True]
        first_ms = 1_795_507_634_500
        dates = [segment.program_date_time_ms for segment in playlist.segments]
        assert dates == [first_ms, first_ms + 6000, None]
        assert (playlist.next_msn, playlist.newest, playlist.ended) == (103, (103, 0), False)

    def test_windows_line_ends_a_bom_and_unknown_tags_do_not_matter(self) -> None:
        text = "\ufeff" + CLASSIC.replace("\n", "\r\n") + "#EXT-X-NEW:A=1\n# a comment\n\n"
        assert media(text) == media(CLASSIC)

    def test_a_missing_target_duration_is_the_longest_segment(self) -> None:
        assert media("#EXTM3U\n#EXTINF:3.2,\na\n#EXTINF:4.1,\nb\n").target_duration_s == 4.1

    def test_ranges_follow_each_other(self) -> None:
        playlist = media(
            lines(
                '#EXT-X-MAP:URI="all.mp4",BYTERANGE="700@0"',
                *("#EXTINF:6,", "#EXT-X-BYTERANGE:1000@700", "all.mp4"),
                *("#EXTINF:6,", "#EXT-X-BYTERANGE:500", "all.mp4"),
                *("#EXTINF:6,", "#EXT-X-BYTERANGE:20@5000", "all.mp4"),
            )
        )
        assert [segment.byte_range for segment in playlist.segments] == [
            ByteRange(700, 1000),
            ByteRange(1700, 500),
            ByteRange(5000, 20),
        ]
        assert playlist.segments[2].initialization == MediaInitialization("all.mp4", ByteRange(0, 700))

    def test_a_range_without_a_place_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match=r"line 5: URI: a byte range without an offset"):
            media(lines("#EXTINF:6,", "#EXT-X-BYTERANGE:500", "other.mp4"))

    def test_keys_hold_until_the_next_one(self) -> None:
        playlist = media(
            lines(
                *("#EXTINF:6,", "a"),
                '#EXT-X-KEY:METHOD=AES-128,URI="k1",IV=0x0000000000000000000000000000000A',
                *("#EXTINF:6,", "b", "#EXTINF:6,", "c"),
                '#EXT-X-KEY:METHOD=AES-128,URI="k2"',
                *('#EXT-X-MAP:URI="i"', "#EXTINF:6,", "d"),
                *("#EXT-X-KEY:METHOD=NONE", "#EXTINF:6,", "e"),
            )
        )
        first, second = Key("AES-128", "k1", bytes(15) + b"\x0a"), Key("AES-128", "k2", None)
        assert [segment.key for segment in playlist.segments] == [None, first, first, second, None]
        assert playlist.segments[4].initialization == MediaInitialization("i", None, second)

    def test_of_keys_for_several_systems_the_plain_one_counts(self) -> None:
        other = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"'
        plain = '#EXT-X-KEY:METHOD=AES-128,URI="k"'
        for tags in ((other, plain), (plain, other)):
            segment = media(lines(*tags, "#EXTINF:6,", "a")).segments[0]
            assert segment.key == Key("AES-128", "k", None)
        assert media(lines(plain, "#EXTINF:6,", "a", other, "#EXTINF:6,", "b")).segments[1].key == Key(
            "SAMPLE-AES", "skd://x", None, "com.apple.streamingkeydelivery"
        )

    def test_what_kind_of_playlist_it_is(self) -> None:
        playlist = media(
            lines(
                "#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-START:TIME-OFFSET=-12.5,PRECISE=YES", "#EXT-X-ENDLIST"
            )
        )
        assert (playlist.kind, playlist.start_offset_s, playlist.ended) == ("EVENT", -12.5, True)

    def test_a_date_that_is_none_is_no_date(self) -> None:
        for date in ("yesterday", "0001-01-01T00:00:00+14:00", "9999-99-99"):
            assert media(lines(f"#EXT-X-PROGRAM-DATE-TIME:{date}", "#EXTINF:6,", "a")).segments

    def test_what_we_write_is_read(self) -> None:
        text = m3u8.lines(
            [
                *(m3u8.HEADER, m3u8.version(9), m3u8.target_duration(2)),
                m3u8.server_control(can_skip_until_s=12, hold_back_s=6, part_hold_back_s=1, can_block=True),
                *(m3u8.part_inf(0.334), m3u8.media_sequence(5), m3u8.discontinuity_sequence(2)),
                *(m3u8.DISCONTINUITY, m3u8.media_initialization("i.mp4"), m3u8.program_date_time(1_000_500)),
                *(m3u8.part(0.334, "p", independent=True), m3u8.extinf(2.0), "s"),
            ]
        )
        playlist = media(text)
        (segment,) = playlist.segments
        assert (segment.msn, segment.discontinuity_sequence) == (5, 3)
        assert segment.program_date_time_ms == 1_000_500
        assert segment.parts == (PartialSegment("p", 0.334, independent=True),)
        assert playlist.control.can_skip_until_s == 12


class TestLowLatency:
    def test_parts_hints_and_reports(self) -> None:
        playlist = media(LOW_LATENCY)
        assert playlist.part_target_s == 0.334
        assert playlist.control.can_block_reload
        assert playlist.control.part_hold_back_s == 1.002
        assert playlist.newest == (8, 2)
        assert playlist.growing is not None
        assert playlist.growing.initialization == MediaInitialization("init.mp4")
        assert playlist.growing.parts == (
            PartialSegment("v8.0.m4s", 0.334, independent=True),
            PartialSegment("v8.1.m4s", 0.334, gap=True),
        )
        assert playlist.hints == (PreloadHint("PART", "v8.2.m4s"),)
        assert playlist.reports == (RenditionReport("a.m3u8", 8, 1),)

    def test_parts_of_one_resource_follow_each_other(self) -> None:
        part = '#EXT-X-PART:DURATION=1,URI="s.m4s",BYTERANGE='
        playlist = media(lines(f'{part}"100@0"', f'{part}"50"'))
        assert playlist.growing is not None
        assert [p.byte_range for p in playlist.growing.parts] == [ByteRange(0, 100), ByteRange(100, 50)]

    def test_a_delta_update_gives_the_whole_playlist(self) -> None:
        head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
        full = media(
            head
            + '#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-MAP:URI="i"\n'
            + '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-24T00:00:00Z\n'
            + "".join(f"#EXTINF:2,\ns{n}\n" for n in range(10, 14))
            + "#EXT-X-DISCONTINUITY\n#EXTINF:2,\ns14\n"
        )
        delta = (
            head
            + "#EXT-X-MEDIA-SEQUENCE:11\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n"
            + "#EXTINF:2,\ns15\n"
        )
        updated = media(delta, previous=full)
        assert [segment.uri for segment in updated.segments] == ["s11", "s12", "s13", "s14", "s15"]
        assert updated.segments[:4] == full.segments[1:]
        newest = updated.segments[4]
        assert (newest.msn, newest.discontinuity_sequence) == (15, 2)
        assert newest.key == Key("AES-128", "k", None)
        assert newest.initialization == full.segments[0].initialization

    @pytest.mark.parametrize("first_msn", [5, 9, 12])
    def test_a_delta_update_of_what_was_never_listed_is_unusable(self, first_msn: int) -> None:
        full = media("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:10\n#EXTINF:2,\na\n#EXTINF:2,\nb\n")
        delta = f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{first_msn}\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:2,\nc\n"
        with pytest.raises(DeltaUnusable):
            media(delta, previous=full)
        with pytest.raises(DeltaUnusable):
            media(delta)


class TestMultivariantPlaylist:
    def test_variants_and_renditions(self) -> None:
        master = read_playlist(MASTER.encode())
        assert isinstance(master, MultivariantPlaylist)
        best, least = master.variants
        assert (best.uri, best.bandwidth_bps, best.width, best.height) == ("720.m3u8", 2_500_000, 1280, 720)
        assert best.codecs == ("avc1.64001f", "mp4a.40.2")
        assert (best.audio_group, least.audio_group, least.codecs) == ("aac", "", ())
        audio, captions = master.renditions
        assert (audio.kind, audio.uri, audio.language) == (RenditionKind.AUDIO, "en.m3u8", "en")
        assert audio.default
        assert audio.autoselect
        assert captions.kind is RenditionKind.CLOSED_CAPTIONS

    def test_a_mix_of_both_kinds_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match="mixed"):
            read_playlist((MASTER + "#EXTINF:6,\na.ts\n").encode())


class TestVariables:
    def test_they_are_named_imported_and_taken_from_the_query(self) -> None:
        playlist = media(
            lines(
                '#EXT-X-DEFINE:NAME="base",VALUE="https://cdn.example/x"',
                '#EXT-X-DEFINE:IMPORT="token"',
                '#EXT-X-DEFINE:QUERYPARAM="user"',
                '#EXT-X-MAP:URI="{$base}/init.mp4"',
                *("#EXTINF:6,", "{$base}/a.ts?t={$token}&u={$user}"),
            ),
            url="https://h/p.m3u8?user=me&user=you",
            imported={"token": "t0k"},
        )
        (segment,) = playlist.segments
        assert segment.uri == "https://cdn.example/x/a.ts?t=t0k&u=me"
        assert segment.initialization == MediaInitialization("https://cdn.example/x/init.mp4")

    @pytest.mark.parametrize("tag", ['IMPORT="x"', 'QUERYPARAM="x"', 'NAME="x"', ""])
    def test_one_without_a_value_is_refused(self, tag: str) -> None:
        with pytest.raises(RemoteProtocolError, match=r"line 3: EXT-X-DEFINE: .* has no value"):
            media(lines(f"#EXT-X-DEFINE:{tag}"))

    def test_one_that_is_not_defined_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match=r"line 5: .*'b' is not defined"):
            media(lines('#EXT-X-DEFINE:NAME="a",VALUE="1"', "#EXTINF:6,", "{$b}.ts"))

    def test_they_cannot_be_made_to_explode(self) -> None:
        doubling = [f'#EXT-X-DEFINE:NAME="v{n}",VALUE="{{$v{n - 1}}}{{$v{n - 1}}}"' for n in range(1, 40)]
        with pytest.raises(RemoteProtocolError, match="after its variables were replaced"):
            media(lines('#EXT-X-DEFINE:NAME="v0",VALUE="0123456789"', *doubling))
        long = '#EXT-X-DEFINE:NAME="a",VALUE="' + "x" * 1000 + '"'
        with pytest.raises(RemoteProtocolError, match="after variables were replaced"):
            media(lines(long, *["#EXTINF:1,", "{$a}"] * 300), limits=PlaylistLimits(max_bytes=200_000))


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "it is empty"),
            ("<html>", "line 1: does not begin with #EXTM3U"),
            ("#EXTM3U8\n", "line 1: does not begin with #EXTM3U"),
            ("#EXTM3U\n#EXTINF:-1,News\nhttp://x/1\n", "line 2: EXTINF: .*list of channels"),
            ("#EXTM3U\na.ts\n", "line 2: URI: it has no EXTINF"),
            ("#EXTM3U\n#EXTINF:abc,\n", "line 2: EXTINF: 'abc' is no duration"),
            ("#EXTM3U\n#EXTINF:99999999,\n", "is no duration"),
            ("#EXTM3U\n#EXTINF:nan,\n", "is no duration"),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:99999999999999999999999\n", "no decimal-integer"),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:\u0663\n", "no decimal-integer"),
            ("#EXTM3U\n#EXTINF:1,\na\n#EXT-X-MEDIA-SEQUENCE:1\n", "stands after the first segment"),
            ("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128\n", "EXT-X-KEY: URI is missing"),
            ('#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12\n', "IV is no 128-bit"),
            ("#EXTM3U\n#EXT-X-MAP:\n", "URI is missing"),
            ('#EXTM3U\n#EXT-X-PART:URI="a"\n', "DURATION is missing"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_line(self, text: str, words: str) -> None:
        with pytest.raises(RemoteProtocolError, match=words):
            read_playlist(text.encode())

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match="line 2: no UTF-8"):
            read_playlist(b"#EXTM3U\n\xff\xfe\n")

    @pytest.mark.parametrize(
        ("limits", "text"),
        [
            (PlaylistLimits(max_bytes=100), lines("#" * 100)),
            (PlaylistLimits(max_line_bytes=50), lines("#" * 51)),
            (PlaylistLimits(max_line_bytes=50), "#EXTM3U\n#" + "x" * 51),
            (PlaylistLimits(max_segments=2), lines(*["#EXTINF:1,", "a"] * 3)),
            (PlaylistLimits(max_parts=2), lines(*['#EXT-X-PART:DURATION=1,URI="a"'] * 3)),
            (PlaylistLimits(max_hints=2), lines(*['#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a"'] * 3)),
            (PlaylistLimits(max_reports=2), lines(*['#EXT-X-RENDITION-REPORT:URI="a"'] * 3)),
            (PlaylistLimits(max_variants=2), "#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" * 3),
            (PlaylistLimits(max_renditions=2), "#EXTM3U\n" + "#EXT-X-MEDIA:TYPE=AUDIO\n" * 3),
            (
                PlaylistLimits(max_variables=2),
                lines(*[f'#EXT-X-DEFINE:NAME="v{n}",VALUE="1"' for n in range(3)]),
            ),
        ],
    )
    def test_every_bound_holds(self, limits: PlaylistLimits, text: str) -> None:
        with pytest.raises(RemoteProtocolError, match=r"more than|longer than"):
            read_playlist(text.encode(), limits=limits)


@given(st.lists(st.integers(1, 40), max_size=40), st.sampled_from([CLASSIC, LOW_LATENCY, MASTER]))
def test_any_split_gives_the_same_document(sizes: list[int], text: str) -> None:
    data, reader, at = text.encode(), PlaylistReader(), 0
    for size in sizes:
        reader.receive_data(data[at : at + size])
        at += size
    reader.receive_data(memoryview(data)[at:])
    assert reader.finish() == read_playlist(data)
