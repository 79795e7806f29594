"""A file whose connection breaks is continued at the byte where it broke, or ends: nothing comes twice."""

from dataclasses import dataclass, field

import pytest

from openstreamer.media.errors import SourceEnded, SourceError, SourceUnreachable
from openstreamer.media.frame import Frame
from tests.contract.source_suite import receive
from tests.sources.test_http import input_of, reconnecting
from tests.support.clips import clip
from tests.support.http_peer import HttpPeer, Peer, http_peer
from tests.support.transport_stream import transport_stream

BODY = transport_stream([frame for frame in clip() if frame.dts_90k < 60_000])
TAG = '"one"'
DATES = {
    "Last-Modified": "Tue, 03 Mar 2026 10:00:00 GMT",
    "Date": "Tue, 03 Mar 2026 11:00:00 GMT",
}


@dataclass
class Files:
    """Serves ``BODY`` and cuts the first ``cuts`` answers in the middle of what they should send."""

    headers: dict[str, str] = field(default_factory=lambda: {"ETag": TAG})
    cuts: int = 1
    status_of_rest: str = "206 Partial Content"
    headers_of_rest: dict[str, str] = field(default_factory=dict)

    async def __call__(self, peer: Peer) -> None:
        wanted = peer.request.headers.get("range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        status, fields = "200 OK", dict(self.headers)
        if wanted:
            status = self.status_of_rest
            fields |= {"Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}", **self.headers_of_rest}
        rest = BODY[start:] if status.startswith(("200", "206")) else b""
        fields["Content-Length"] = str(len(rest))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.cuts -= 1
        sent = rest[: len(rest) // 2] if self.cuts >= 0 else rest
        await peer.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + sent)
        if self.cuts >= 0:
            peer.writer.close()


async def pulled(files: Files) -> tuple[list[Frame], SourceError, int, HttpPeer]:
    """What comes of a file, how it ended, the reconnects that were counted, and the server."""
    frames: list[Frame] = []
    async with http_peer(files) as peer, reconnecting(input_of(peer.url("/x"))) as source:
        try:
            while True:
                frames += await receive(source)
        except SourceError as err:
            return frames, err, source.statistics.reconnects, peer


def told(frames: list[Frame]) -> list[tuple[int, int, bytes]]:
    return [(frame.track.id, frame.dts_90k, frame.payload) for frame in frames]


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": TAG}, TAG),
        ({"ETag": "W/" + TAG, **DATES}, None),  # weak: it may not be said
        (DATES, DATES["Last-Modified"]),
        ({**DATES, "Date": DATES["Last-Modified"]}, None),  # it may have changed again within that second
        ({"Last-Modified": "long ago", "Date": "now"}, None),
        ({}, None),
    ],
)
async def test_a_file_that_is_cut_is_continued_where_it_broke(
    headers: dict[str, str], validator: str | None
) -> None:
    whole, _, _, _ = await pulled(Files(cuts=0))
    frames, err, reconnects, peer = await pulled(Files(headers))
    assert told(frames) == told(whole)
    assert isinstance(err, SourceEnded)
    assert reconnects == 1
    assert peer.requests[1].headers["range"] == f"bytes={len(BODY) // 2}-"
    assert peer.requests[1].headers.get("if-range") == validator


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (Files(status_of_rest="200 OK"), "does not continue it there"),
        (Files(status_of_rest="416 Range Not Satisfiable"), "does not continue it there"),
        (Files(headers_of_rest={"ETag": '"two"'}), "changed since"),
        (Files(headers_of_rest={"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}), "another part"),
        (Files(headers_of_rest={"Content-Range": "bytes 7/9"}), "another part"),
        (Files(headers_of_rest={"Content-Encoding": "gzip"}), "content coding"),
        (Files(status_of_rest="503 Not Now"), "connection was lost"),
        (Files({"Accept-Ranges": "none"}), "connection was lost"),
        (Files(cuts=2), "connection was lost"),
    ],
)
async def test_a_file_that_cannot_be_continued_ends_typed_and_nothing_comes_twice(
    files: Files, words: str
) -> None:
    whole, _, _, _ = await pulled(Files(cuts=0))
    frames, err, _, peer = await pulled(files)
    assert isinstance(err, SourceUnreachable)
    assert words in str(err)
    assert [request.target for request in peer.requests if "range" not in request.headers] == ["/x"]
    assert 0 < len(frames) < len(whole)
    key_frames = [frame.dts_90k for frame in frames if frame.track.is_video]
    assert key_frames == sorted(set(key_frames))
