"""Which source an input URL opens."""

from pathlib import Path

import pytest

from openstreamer.config.global_config import Ingestor
from openstreamer.config.models import Input
from openstreamer.media.errors import SourceRejected
from openstreamer.sources.hls import HlsMemory, HlsSource
from openstreamer.stream import wiring
from openstreamer.stream.wiring import SourceOpener


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("test://", "test"),
        ("rtmp://host/live/news", "rtmp"),
        ("rtmps://host/live/news", "rtmps"),
        ("http://host/news.ts", "http"),
        ("https://host/news", "https"),
        ("http://host/news.m3u8", "hls"),
        ("udp://239.1.1.1:5000", "udp"),
        ("file://vod/film.mp4", "file"),
    ],
)
async def test_every_scheme_has_its_source(url: str, protocol: str, tmp_path: Path) -> None:
    opener = SourceOpener(file_roots={"vod": tmp_path})
    source = await opener.open(Input.model_validate({"url": url}))
    assert source.protocol == protocol


async def test_the_sources_of_an_hls_input_share_what_they_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "MEMORIES", 2)
    opener = SourceOpener()

    async def memory_of(name: str) -> HlsMemory:
        source = await opener.open(Input.model_validate({"url": f"http://host/{name}.m3u8"}))
        assert isinstance(source, HlsSource)
        return source.memory

    first, second = await memory_of("a"), await memory_of("b")
    assert await memory_of("a") is first is not second
    await memory_of("c")
    assert await memory_of("a") is first, "the oldest is forgotten, not the one in use"
    assert await memory_of("b") is not second


@pytest.mark.parametrize("url", ["srt://host:9999", "copy://news", "s3://bucket/key"])
async def test_what_is_not_read_yet_is_refused_in_words(url: str) -> None:
    with pytest.raises(SourceRejected, match="not supported"):
        await SourceOpener().open(Input.model_validate({"url": url}))


@pytest.mark.parametrize(
    "url", ["rtmp://127.0.0.1:1/live/x", "http://127.0.0.1:1/x", "http://127.0.0.1:1/x.m3u8"]
)
async def test_the_switch_for_private_addresses_holds_for_every_source(url: str) -> None:
    opener = SourceOpener(Ingestor(allow_private_addresses=False))
    with pytest.raises(SourceRejected, match="private addresses are off"):
        async with await opener.open(Input.model_validate({"url": url})) as source:
            await source.receive()
