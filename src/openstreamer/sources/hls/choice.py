"""Which variant of a multivariant playlist to pull, and which audio with it. Pure.

By default the variant of the highest bandwidth that this server can carry. ``?variant=`` of the input's URL
chooses another one:

- ``highest`` or ``lowest`` bandwidth;
- ``720p``: this height, or the next lower one;
- ``2500k`` or ``2.5M``: the highest bandwidth that is not above it, in bits per second;
- ``2``: by place in the list, counted from 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from openstreamer.media.errors import SourceRejected
from openstreamer.wire.m3u8_documents import MultivariantPlaylist, Rendition, RenditionKind, Variant

VARIANT_PARAMETER: Final = "variant"

_CHOICE: Final = re.compile(
    r"(?P<height>\d{1,5})p|(?P<rate>\d{1,6}(?:\.\d{1,3})?)(?P<unit>[kM])|(?P<index>\d{1,3})", re.ASCII
)
_UNITS: Final = {"k": 1_000, "M": 1_000_000}

# RFC 6381 names of what the server carries, up to the first dot.
_VIDEO: Final = frozenset({"avc1", "avc3", "hvc1", "hev1", "av01", "vp09"})
_AUDIO: Final = frozenset({"mp4a", "opus", "ac-3", "ec-3", "mp3"})
_OTHERS: Final = frozenset({"wvtt", "stpp", "tx3g", "c608", "c708"})  # subtitles: they are left out


@dataclass(frozen=True, slots=True)
class VariantChoice:
    """What ``?variant=`` says."""

    kind: Literal["highest", "lowest", "height", "bandwidth", "index"] = "highest"
    value: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A variant, and the rendition its sound comes from when that has a playlist of its own."""

    variant: Variant
    audio: Rendition | None


def parse_choice(text: str | None) -> VariantChoice:
    """What ``?variant=`` says.

    Raises:
        SourceRejected: it says none of what this module's documentation lists.
    """
    match text:
        case None | "" | "highest":
            return VariantChoice()
        case "lowest":
            return VariantChoice("lowest")
    found = _CHOICE.fullmatch(text)
    if found is None:
        raise SourceRejected(
            f"hls: variant={text[:32]} is none of highest, lowest, a height (720p), a bandwidth (2500k, "
            "2.5M) or a number in the list, counted from 0"
        )
    if found["height"]:
        return VariantChoice("height", int(found["height"]))
    if found["rate"]:
        return VariantChoice("bandwidth", round(float(found["rate"]) * _UNITS[found["unit"]]))
    return VariantChoice("index", int(found["index"]))


def choose(playlist: MultivariantPlaylist, choice: VariantChoice) -> Chosen:
    """The variant to pull.

    Raises:
        SourceRejected: there is none that fits or that can be carried; the message says what there is.
    """
    if not playlist.variants:
        raise SourceRejected("hls: the multivariant playlist lists no variants")
    variant = (
        _by_index(playlist.variants, choice)
        if choice.kind == "index"
        else _by_value(playlist.variants, choice)
    )
    return Chosen(variant, _audio_of(playlist, variant))


def _by_index(variants: Sequence[Variant], choice: VariantChoice) -> Variant:
    if choice.value >= len(variants):
        raise SourceRejected(f"hls: variant={choice.value} of a list of {len(variants)}, counted from 0")
    variant = variants[choice.value]
    unknown = _unknown_codec(variant)
    if unknown is not None:
        raise SourceRejected(f"hls: variant={choice.value} is {unknown}, which this server does not carry")
    return variant


def _by_value(variants: Sequence[Variant], choice: VariantChoice) -> Variant:
    carried = [variant for variant in variants if _unknown_codec(variant) is None]
    if not carried:
        unknown = sorted({_unknown_codec(variant) or "" for variant in variants})
        raise SourceRejected(
            f"hls: no variant can be carried by this server: they are {', '.join(unknown)[:200]}"
        )
    # Sound alone is a fallback for phones without coverage, unless everything is sound.
    pictures = [variant for variant in carried if _has_picture(variant)] or carried
    match choice.kind:
        case "lowest":
            return min(pictures, key=lambda variant: variant.bandwidth_bps)
        case "height":
            fits = [variant for variant in pictures if variant.height and variant.height <= choice.value]
            best = max((variant.height for variant in fits), default=0)
            fits = [variant for variant in fits if variant.height == best]
        case "bandwidth":
            fits = [variant for variant in pictures if variant.bandwidth_bps <= choice.value]
        case _:
            fits = pictures
    if not fits:
        raise SourceRejected(f"hls: no variant fits; there are {_listed(pictures)}")
    return max(fits, key=lambda variant: variant.bandwidth_bps)


def _listed(variants: Sequence[Variant]) -> str:
    named = [f"{each.height}p at {each.bandwidth_bps // 1000}k" for each in variants[:10]]
    return ", ".join(named)


def _unknown_codec(variant: Variant) -> str | None:
    """The first codec that the server does not carry."""
    for codec in variant.codecs:
        name = codec.partition(".")[0].lower()
        if name not in _VIDEO and name not in _AUDIO and name not in _OTHERS:
            return codec[:64]
    return None


def _has_picture(variant: Variant) -> bool:
    if not variant.codecs:
        return True  # nothing is said
    return bool(variant.height) or any(codec.partition(".")[0].lower() in _VIDEO for codec in variant.codecs)


def _audio_of(playlist: MultivariantPlaylist, variant: Variant) -> Rendition | None:
    """Of the variant's audio group: the default, else the first. None when it is inside the variant."""
    if not variant.audio_group:
        return None
    group = [
        each
        for each in playlist.renditions
        if each.kind is RenditionKind.AUDIO and each.group_id == variant.audio_group
    ]
    if not group:
        return None
    chosen = next((each for each in group if each.default), None)
    chosen = chosen or next((each for each in group if each.autoselect), group[0])
    return chosen if chosen.uri and chosen.uri != variant.uri else None
