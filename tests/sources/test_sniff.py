"""What bodies are, by their first bytes."""

import pytest

from openstreamer.media.errors import SourceRejected
from openstreamer.sources.sniff import ENOUGH_BYTES, Container, demuxer_of, sniff
from tests.support.clips import clip
from tests.support.transport_stream import transport_stream


def ts(size: int, *, first: bytes = b"") -> bytes:
    packet = b"\x47\x1f\xff\x10" + bytes(184)
    return b"".join(first + packet + bytes(size - 188 - len(first)) for _ in range(12))


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (ts(188), Container.MPEG_TS),
        (ts(188)[100:], Container.MPEG_TS),
        (ts(204), Container.MPEG_TS),
        (ts(192, first=bytes(4)), Container.MPEG_TS),
        (b"FLV\x01\x05", Container.FLV),
        (b"\0\0\0\x18ftypiso5", Container.MP4),
        (b"\0\0\0\x18styp", Container.MP4),
        (b"\0\0\0\x18moof", Container.MP4),
        (b"ID3\x04", Container.PACKED_AUDIO),
        (b"\xff\xf1\x4c\x80", Container.PACKED_AUDIO),
        (b"\xff\xfb\x90\x00", Container.PACKED_AUDIO),
        (b"\x0b\x77\x00\x00", Container.PACKED_AUDIO),
        (b"#EXTM3U\n", Container.PLAYLIST),
        (b"\xef\xbb\xbf#EXTM3U\r\n", Container.PLAYLIST),
    ],
)
def test_first_bytes(head: bytes, container: Container) -> None:
    assert sniff(head, "text/html") is container


def test_more_bytes_are_asked_for_up_to_a_bound() -> None:
    whole = transport_stream(clip()[:8])[:ENOUGH_BYTES]
    decided = [sniff(whole[:size]) for size in range(1, len(whole))]
    assert None in decided
    assert set(decided) == {None, Container.MPEG_TS}
    assert decided == sorted(decided, key=lambda found: found is not None)


def test_the_content_type_decides_where_bytes_do_not() -> None:
    garbage = bytes(ENOUGH_BYTES)
    assert sniff(garbage, "video/mp2t") is Container.MPEG_TS
    with pytest.raises(SourceRejected):
        sniff(garbage, "application/octet-stream")
    with pytest.raises(SourceRejected, match="page"):
        sniff(b"<html>" + garbage, "video/mp2t")


@pytest.mark.parametrize("at_end", [True, False])
def test_the_end_decides(at_end: bool) -> None:
    if not at_end:
        assert sniff(b"") is None
        return
    with pytest.raises(SourceRejected, match="nothing"):
        sniff(b"", at_end=True)


@pytest.mark.parametrize("container", [each for each in Container if each is not Container.PLAYLIST])
def test_every_container_has_a_demuxer(container: Container) -> None:
    assert demuxer_of(container, program=0).tracks == ()
