"""The variant that is pulled is the best that can be carried, or the one that was asked for."""

import pytest

from openstreamer.media.errors import SourceRejected
from openstreamer.sources.hls.choice import choose, parse_choice
from openstreamer.wire.m3u8_documents import MultivariantPlaylist, Rendition, RenditionKind, Variant

AVC = ("avc1.64001f", "mp4a.40.2")
LADDER = MultivariantPlaylist(
    variants=(
        Variant("sound", 96_000, ("mp4a.40.2",)),
        Variant("360", 800_000, AVC, 640, 360),
        Variant("720", 2_500_000, AVC, 1280, 720),
        Variant("720-high", 3_500_000, AVC, 1280, 720),
        Variant("1080", 6_000_000, AVC, 1920, 1080),
        Variant("dolby-vision", 9_000_000, ("dvh1.05.06", "ec-3"), 3840, 2160),
    )
)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (None, "1080"),
        ("", "1080"),
        ("highest", "1080"),
        ("lowest", "360"),
        ("720p", "720-high"),
        ("900p", "720-high"),
        ("2500k", "720"),
        ("3.6M", "720-high"),
        ("0", "sound"),
        ("2", "720"),
    ],
)
def test_the_choice_finds_its_variant(text: str | None, uri: str) -> None:
    assert choose(LADDER, parse_choice(text)).variant.uri == uri


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("best", "none of highest, lowest"),
        ("-1", "none of highest, lowest"),
        ("\u0663", "none of highest, lowest"),
        ("200p", "no variant fits; there are 360p at 800k, 720p"),
        ("10k", "no variant fits"),
        ("6", "variant=6 of a list of 6"),
        ("5", "variant=5 is dvh1.05.06, which this server does not carry"),
    ],
)
def test_a_choice_that_finds_none_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(SourceRejected, match=words):
        choose(LADDER, parse_choice(text))


def test_sound_alone_is_taken_when_there_is_nothing_else() -> None:
    playlist = MultivariantPlaylist(variants=LADDER.variants[:1])
    assert choose(playlist, parse_choice(None)).variant.uri == "sound"


def test_a_variant_that_says_no_codecs_is_tried() -> None:
    assert choose(MultivariantPlaylist((Variant("x", 1),)), parse_choice(None)).variant.uri == "x"


@pytest.mark.parametrize("playlist", [MultivariantPlaylist(()), MultivariantPlaylist(LADDER.variants[5:])])
def test_a_list_of_nothing_that_can_be_carried_is_refused(playlist: MultivariantPlaylist) -> None:
    with pytest.raises(SourceRejected):
        choose(playlist, parse_choice(None))


def audio(name: str, uri: str, group: str = "g", **marks: bool) -> Rendition:
    return Rendition(RenditionKind.AUDIO, group, name, uri, **marks)


@pytest.mark.parametrize(
    ("renditions", "uri"),
    [
        ((), None),
        ((audio("x", "x", group="other"),), None),
        ((audio("first", "1"), audio("second", "2")), "1"),
        ((audio("first", "1"), audio("second", "2", autoselect=True)), "2"),
        ((audio("first", "1", autoselect=True), audio("second", "2", default=True)), "2"),
        ((audio("inside", "", default=True), audio("second", "2")), None),
        ((Rendition(RenditionKind.SUBTITLES, "g", "text", "t"),), None),
    ],
)
def test_the_sound_of_a_variant(renditions: tuple[Rendition, ...], uri: str | None) -> None:
    playlist = MultivariantPlaylist((Variant("v", 1, AVC, 640, 360, audio_group="g"),), renditions)
    found = choose(playlist, parse_choice(None)).audio
    assert (found.uri if found else None) == uri
