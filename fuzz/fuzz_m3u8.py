"""HLS playlists: any text gives a document within its bounds, or one typed error; any split the same."""

from collections.abc import Iterator

from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.m3u8_documents import MediaPlaylist, Playlist
from openstreamer.wire.m3u8_reader import PlaylistLimits, PlaylistReader

LIMITS = PlaylistLimits(max_bytes=8192, max_line_bytes=1024, max_segments=64, max_parts=64, max_variants=16)
PREVIOUS = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n" + b"".join(b"#EXTINF:2,\ns%d\n" % n for n in range(8))


def run(data: bytes) -> None:
    size = data[0] if data else 1
    text = b"#EXTM3U\n" + data[1:]
    before = read(PREVIOUS, 4096, None)
    assert isinstance(before, MediaPlaylist)
    found = read(text, 4096, before)
    assert read(text, size, before) == found
    if isinstance(found, MediaPlaylist):
        check(found)


def read(text: bytes, size: int, previous: MediaPlaylist | None) -> Playlist:
    reader = PlaylistReader(url="http://h/p?a=1", imported={"b": "2"}, previous=previous, limits=LIMITS)
    for piece in pieces_of(text, size):
        reader.receive_data(piece)
    return reader.finish()


def check(playlist: MediaPlaylist) -> None:
    assert len(playlist.segments) <= LIMITS.max_segments + 8
    listed = [*playlist.segments, *([playlist.growing] if playlist.growing else [])]
    assert [segment.msn for segment in listed] == [playlist.media_sequence + n for n in range(len(listed))]
    numbers = [segment.discontinuity_sequence for segment in listed]
    assert numbers == sorted(numbers)
    for segment in listed:
        assert segment.duration_s >= 0
        for some in (segment, segment.initialization, *segment.parts):
            if some is not None and some.byte_range is not None:
                assert some.byte_range.length > 0
        assert segment.key is None or segment.key.iv is None or len(segment.key.iv) == 16


def seeds() -> Iterator[bytes]:
    yield (
        b"\x08#EXT-X-TARGETDURATION:6\r\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"
        b'#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x0A\n#EXT-X-MAP:URI="i",BYTERANGE="10@0"\n'
        b"#EXT-X-PROGRAM-DATE-TIME:2026-11-24T08:07:14.500+01:00\n#EXTINF:6.0,t\n#EXT-X-BYTERANGE:10@10\na\n"
        b"#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:6,\n#EXT-X-BYTERANGE:5\na\n#EXT-X-ENDLIST\n"
    )
    yield (
        b"\x10#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=1\n"
        b"#EXT-X-MEDIA-SEQUENCE:6\n#EXT-X-PART-INF:PART-TARGET=0.334\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"
        b'#EXTINF:2,\nx\n#EXT-X-PART:DURATION=0.3,URI="p",INDEPENDENT=YES,BYTERANGE="5@0"\n'
        b'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q",BYTERANGE-START=5\n'
        b'#EXT-X-RENDITION-REPORT:URI="r",LAST-MSN=8,LAST-PART=1\n#EXT-X-START:TIME-OFFSET=-3.5\n'
    )
    yield (
        b'\x03#EXT-X-DEFINE:NAME="n",VALUE="v"\n#EXT-X-DEFINE:IMPORT="b"\n#EXT-X-DEFINE:QUERYPARAM="a"\n'
        b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="x",URI="{$n}.m3u8",DEFAULT=YES\n'
        b'#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,AUDIO="g"\n'
        b"{$n}/{$b}/{$a}.m3u8\n"
    )


TARGET = FuzzTarget("m3u8", run, (RemoteProtocolError,), seeds)
