"""Tracks, edits, languages and sample entries as writers write them, and what is missing told in words."""

import re
import struct

import pytest

from openstreamer.media.aac import AacConfig
from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.wire.mp4.boxes import box, full_box
from openstreamer.wire.mp4.init import init_segment
from openstreamer.wire.mp4.movie import MAX_TRACKS, parse_movie
from openstreamer.wire.mp4.sample_entry_reader import MAX_SAMPLE_ENTRIES, SampleEntry, SampleFormat
from tests.support.media import AAC_48K_STEREO
from tests.support.tracks import TRACKS

MVHD = full_box(b"mvhd", 0, 0, struct.pack(">IIII", 0, 0, 1000, 0), bytes(80))
AVC1_HEAD = struct.pack(">6xH16xHHIIIH32xHh", 1, 64, 48, 0, 0, 0, 1, 24, -1)
MP4A_HEAD = struct.pack(">6xH8xHH4xI", 1, 2, 16, 48_000 << 16)


def descriptor(tag: int, content: bytes, *, long: bool = False) -> bytes:
    size = b"\x80\x80\x80" + bytes((len(content),)) if long else bytes((len(content),))
    return bytes((tag,)) + size + content


def esds(
    object_type: int, specific: bytes = b"", *, flags: int = 0, extra: bytes = b"", long: bool = False
) -> bytes:
    decoder = bytes((object_type, 0x15)) + bytes(11)
    if specific:
        decoder += descriptor(5, specific, long=long)
    stream = b"\0\0" + bytes((flags,)) + extra + descriptor(4, decoder, long=long) + descriptor(6, b"\2")
    return box(b"esds", bytes(4), descriptor(3, stream, long=long))


def moov(
    *entries: bytes,
    handler: bytes = b"soun",
    edits: bytes = b"",
    mdhd: bytes = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, 48_000, 0, 0x55C4, 0)),
    extra: bytes = b"",
    stsd_version: int = 0,
) -> bytes:
    stsd = full_box(b"stsd", stsd_version, 0, struct.pack(">I", len(entries)), *entries)
    media = box(
        b"mdia", mdhd, full_box(b"hdlr", 0, 0, bytes(4), handler), extra, box(b"minf", box(b"stbl", stsd))
    )
    tkhd = full_box(b"tkhd", 0, 1, struct.pack(">III", 0, 0, 7), bytes(68))
    return MVHD + box(b"trak", tkhd, edits, media)


def entry_of(*entries: bytes, **arguments: object) -> SampleEntry:
    (track,) = parse_movie(moov(*entries, **arguments)).tracks  # type: ignore[arg-type]
    return track.entries[0]


AAC_ENTRY = box(b"mp4a", MP4A_HEAD, esds(0x40, AAC_48K_STEREO))


class TestSampleEntries:
    @pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.codec)
    def test_what_our_writer_writes_is_read(self, track: object) -> None:
        data = init_segment(track)  # type: ignore[arg-type]
        (found,) = parse_movie(data[data.index(b"moov") + 4 :]).tracks
        config = track.config  # type: ignore[attr-defined]
        expected = None if config.codec in ("mp3", "eac3") else config
        assert found.entries[0].config == expected
        assert found.refusal == ""

    @pytest.mark.parametrize(
        "record",
        [
            esds(0x40, AAC_48K_STEREO, long=True),
            esds(0x67, AAC_48K_STEREO),
            esds(0x40, AAC_48K_STEREO, flags=0x80, extra=b"\0\1"),
            esds(0x40, AAC_48K_STEREO, flags=0x40, extra=b"\3abc"),
            esds(0x40, AAC_48K_STEREO, flags=0x20, extra=b"\0\1"),
        ],
    )
    def test_every_form_of_esds(self, record: bytes) -> None:
        assert entry_of(box(b"mp4a", MP4A_HEAD, record)).config == AacConfig(AAC_48K_STEREO)

    @pytest.mark.parametrize(
        ("object_type", "expected"),
        [
            (0x69, SampleFormat.MP3),
            (0x6B, SampleFormat.MP3),
            (0xA5, SampleFormat.AC3),
            (0xA6, SampleFormat.EAC3),
        ],
    )
    def test_other_codecs_in_mp4a(self, object_type: int, expected: SampleFormat) -> None:
        assert entry_of(box(b"mp4a", MP4A_HEAD, esds(object_type))) == SampleEntry(expected)

    @pytest.mark.parametrize(("version", "extra"), [(1, 16), (2, 36)])
    def test_the_sound_descriptions_of_quicktime(self, version: int, extra: int) -> None:
        head = MP4A_HEAD[:8] + struct.pack(">H", version) + MP4A_HEAD[10:] + bytes(extra)
        wave = box(b"wave", box(b"frma", b"mp4a"), esds(0x40, AAC_48K_STEREO), bytes(4))
        assert entry_of(box(b"mp4a", head, wave)).config == AacConfig(AAC_48K_STEREO)

    def test_version_1_of_iso_is_laid_out_as_version_0(self) -> None:
        head = MP4A_HEAD[:8] + b"\0\1" + MP4A_HEAD[10:]
        entry = box(b"mp4a", head, esds(0x40, AAC_48K_STEREO))
        assert entry_of(entry, stsd_version=1).config == AacConfig(AAC_48K_STEREO)

    @pytest.mark.parametrize("kind", [b".mp3", b"ms\0U"])
    def test_mp3_under_its_own_names(self, kind: bytes) -> None:
        assert entry_of(box(kind, MP4A_HEAD)).format is SampleFormat.MP3

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            (box(b"mp4a", MP4A_HEAD, esds(0xDD)), "object type 0xDD is not supported"),
            (box(b"alac", MP4A_HEAD), r"audio: Apple Lossless \(alac\) is not supported"),
            (box(b"zzzz", MP4A_HEAD), "audio: 'zzzz' is not supported"),
            (
                box(b"enca", MP4A_HEAD, box(b"sinf", full_box(b"schm", 0, 0, b"cenc"))),
                r"audio: it is encrypted \(cenc\)",
            ),
            (box(b"enca", MP4A_HEAD), "audio: it is encrypted, which"),
        ],
    )
    def test_what_cannot_be_carried_is_said(self, entry: bytes, words: str) -> None:
        (track,) = parse_movie(moov(entry)).tracks
        assert re.search(words, track.refusal)

    def test_a_track_is_refused_when_none_of_its_entries_can_be_carried(self) -> None:
        lossless = box(b"alac", MP4A_HEAD)
        assert parse_movie(moov(lossless, AAC_ENTRY)).tracks[0].refusal == ""
        assert "describes no samples" in parse_movie(moov()).tracks[0].refusal

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            (box(b"mp4a", MP4A_HEAD), "audio: the sample entry has no esds box"),
            (
                box(b"mp4a", MP4A_HEAD, box(b"esds", bytes(4), b"\3\x80\x80\x80\x80\x80")),
                "a descriptor is cut off",
            ),
            (box(b"mp4a", MP4A_HEAD, box(b"esds", bytes(4), b"\4\2ab")), "no decoder configuration"),
            (box(b"Opus", MP4A_HEAD, box(b"dOps", b"\1")), "dOps: 1 bytes are too short"),
        ],
    )
    def test_a_malformed_configuration_is_refused(self, entry: bytes, words: str) -> None:
        with pytest.raises(SourceRejected, match=words):
            parse_movie(moov(entry))

    @pytest.mark.parametrize(
        ("kind", "record", "nal_length_size"),
        [
            (b"avc3", box(b"avcC", b"\1\x42\0\x1e\xff\xe0\0"), 4),
            (b"hev1", box(b"hvcC", b"\1" + bytes(20) + b"\x01\0"), 2),
            (b"av01", b"", 4),
            (b"vp09", b"", 4),
        ],
    )
    def test_video_that_is_described_by_its_samples(
        self, kind: bytes, record: bytes, nal_length_size: int
    ) -> None:
        entry = entry_of(box(kind, AVC1_HEAD, record), handler=b"vide")
        assert entry.config is None
        assert (entry.nal_length_size, entry.width, entry.height) == (nal_length_size, 64, 48)

    def test_there_is_a_bound_to_their_number(self) -> None:
        with pytest.raises(RemoteProtocolError, match=f"more than {MAX_SAMPLE_ENTRIES} sample entries"):
            parse_movie(moov(*[box(b"zzzz", MP4A_HEAD)] * (MAX_SAMPLE_ENTRIES + 1)))


class TestEdits:
    @pytest.mark.parametrize(
        ("edits", "media_time", "delay_90k"),
        [
            ([(500, 1024)], 1024, 0),
            ([(2000, -1), (0, 1024)], 1024, 180_000),
            ([(1000, -1), (1000, -1), (9, 5)], 5, 180_000),
            ([(1000, -1)], 0, 90_000),
            ([], 0, 0),
        ],
    )
    @pytest.mark.parametrize("version", [0, 1])
    def test_they_say_where_and_when_media_begins(
        self, edits: list[tuple[int, int]], media_time: int, delay_90k: int, version: int
    ) -> None:
        layout = ">qqI" if version else ">iiI"
        rows = b"".join(struct.pack(layout, duration, time, 1 << 16) for duration, time in edits)
        elst = box(b"edts", full_box(b"elst", version, 0, struct.pack(">I", len(edits)), rows))
        (track,) = parse_movie(moov(AAC_ENTRY, edits=elst)).tracks
        assert (track.media_time, track.delay_90k) == (media_time, delay_90k)

    def test_a_list_that_is_longer_than_its_box_is_refused(self) -> None:
        elst = box(b"edts", full_box(b"elst", 0, 0, b"\xff\xff\xff\xff"))
        with pytest.raises(RemoteProtocolError, match="'elst' is too short"):
            parse_movie(moov(AAC_ENTRY, edits=elst))


class TestLanguage:
    @pytest.mark.parametrize(
        ("packed", "expected"),
        [(0x55C4, "und"), (0x10B5, "deu"), (0x0000, "und"), (0x7FFF, "und"), (0x0010, "und")],
    )
    def test_three_letters(self, packed: int, expected: str) -> None:
        mdhd = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, 48_000, 0, packed, 0))
        assert parse_movie(moov(AAC_ENTRY, mdhd=mdhd)).tracks[0].language == expected

    def test_64_bit_times_in_front_of_it(self) -> None:
        mdhd = full_box(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, 44_100, 0, 0x10B5, 0))
        (track,) = parse_movie(moov(AAC_ENTRY, mdhd=mdhd)).tracks
        assert (track.language, track.timescale_hz) == ("deu", 44_100)

    @pytest.mark.parametrize(
        ("tag", "expected"), [(b"de-CH\0", "de-CH"), (b"\xff\0", "und"), (b"a/b\0", "und")]
    )
    def test_an_extended_tag_wins(self, tag: bytes, expected: str) -> None:
        extra = full_box(b"elng", 0, 0, tag)
        assert parse_movie(moov(AAC_ENTRY, extra=extra)).tracks[0].language == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no mvhd"),
        (MVHD + box(b"trak"), "without tkhd or mdia"),
        (MVHD + box(b"trak", full_box(b"tkhd", 0, 0, bytes(80)), box(b"mdia")), None),
        (moov(AAC_ENTRY).replace(b"stsd", b"free"), "without mdhd or stsd"),
        (moov(AAC_ENTRY).replace(b"mdhd", b"free"), "without mdhd or stsd"),
        (moov(AAC_ENTRY)[:-1], "too long"),
        (MVHD[:-85], "too long"),
        (MVHD + box(b"trak") * (MAX_TRACKS + 1), f"{MAX_TRACKS + 1} tracks"),
    ],
)
def test_what_is_missing_is_said(data: bytes, words: str | None) -> None:
    if words is None:
        assert parse_movie(data).tracks == ()  # a track of no kind that we know
        return
    with pytest.raises(RemoteProtocolError, match=words):
        parse_movie(data)


def test_defaults_for_fragments_belong_to_their_track() -> None:
    trex = full_box(b"trex", 0, 0, struct.pack(">IIIII", 7, 1, 1024, 5, 6))
    movie = parse_movie(moov(AAC_ENTRY) + box(b"mvex", box(b"mehd", bytes(8)), trex))
    assert movie.fragmented
    assert movie.tracks[0].defaults.duration == 1024
    assert not parse_movie(moov(AAC_ENTRY)).fragmented


def test_a_disabled_track_is_known_as_such() -> None:
    data = moov(AAC_ENTRY)
    at = data.index(b"tkhd") + 4
    assert not parse_movie(data[:at] + bytes(4) + data[at + 4 :]).tracks[0].enabled


def test_a_box_of_countless_boxes_is_refused_before_they_are_kept() -> None:
    with pytest.raises(RemoteProtocolError, match="moov: more than 16384 boxes"):
        parse_movie(MVHD + box(b"free") * 16_384)
