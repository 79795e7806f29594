"""An input, a redirect or a playlist names an address inside the operator's cloud: the server connected."""

import pytest

from openstreamer.config.models import Input
from openstreamer.media.errors import SourceError, SourceRejected
from openstreamer.stream.wiring import SourceOpener
from tests.support.http_peer import Peer, http_peer

METADATA = (
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "100.100.100.200",
    "0.0.0.0",
)


async def error_of(url: str) -> SourceError:
    """What a stream with the input ``url`` is told."""
    try:
        async with await SourceOpener().open(Input.model_validate({"url": url})) as source:
            while True:
                await source.receive()
    except SourceError as err:
        return err


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("form", ["http://{}/latest/meta-data", "http://{}/x.m3u8", "rtmps://{}/live/x"])
async def test_an_input_cannot_reach_it(form: str, host: str) -> None:
    err = await error_of(form.format(host))
    assert isinstance(err, SourceRejected)
    assert "may not connect" in str(err)


@pytest.mark.parametrize("path", ["/live.ts", "/live.m3u8"])
@pytest.mark.parametrize("host", METADATA)
async def test_a_redirect_cannot_lead_there(path: str, host: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.respond("302 Found", Location=f"http://{host}/latest/meta-data")

    async with http_peer(script) as peer:
        err = await error_of(peer.url(path))
    assert isinstance(err, SourceRejected)
    assert "may not connect" in str(err)


async def test_a_playlist_cannot_lead_there() -> None:
    playlist = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://169.254.169.254/media.m3u8\n"

    async def script(peer: Peer) -> None:
        await peer.respond(body=playlist, Content_Type="application/vnd.apple.mpegurl")

    async with http_peer(script) as peer:
        err = await error_of(peer.url("/live.m3u8"))
    assert isinstance(err, SourceRejected)
    assert "may not connect" in str(err)
