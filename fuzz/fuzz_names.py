"""Texts from URLs and headers: stream paths, input URLs, addresses, ranges, directives of players."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from fuzz.target import FuzzTarget
from openstreamer.config.addresses import parse_address
from openstreamer.config.codes import validate_stream_code
from openstreamer.config.input_urls import parse_input_url
from openstreamer.listen.http.ranges import UnsatisfiableRangeError, byte_range
from openstreamer.listen.routing import stream_codes_of
from openstreamer.media.errors import AccessError, ConfigError, RemoteProtocolError
from openstreamer.packager.directives import Directives
from openstreamer.packager.errors import BadRequest
from openstreamer.wire.rtmp.names import path_and_query

ALLOWED = (AccessError, ConfigError, BadRequest, RemoteProtocolError, UnsatisfiableRangeError)


def run(data: bytes) -> None:
    text = data[1:].decode("utf-8", "replace")
    match data[:1]:
        case b"c":
            for code in stream_codes_of(text):
                assert validate_stream_code(code) == code
        case b"u":
            assert parse_input_url(text) == parse_input_url(text.strip())
        case b"a":
            parse_address(text)
        case b"r":
            _check_range(data[1:])
        case b"n":
            app, _, name = text.partition(" ")
            path, _ = path_and_query(app, name)
            assert "?" not in path
        case _:
            Directives.parse(dict(parse_qsl(text)))


def _check_range(header: bytes) -> None:
    selected = byte_range(header, 1000)
    assert selected is None or 0 <= selected[0] < selected[1] <= 1000


def seeds() -> Iterator[bytes]:
    for text in ("clive/news", "cregion/north/news", "a127.0.0.1:8080", "a[::1]:80", "a:1935"):
        yield text.encode()
    for url in (
        "test://?size=640x360&fps=29.97&video_bitrate=2500k",
        "rtmp://u:p%40w@host:1935/live/key?a=b",
        "udp://@239.1.1.1:5000?iface=eth0&source=10.0.0.1",
        "mixer://a,b/c?audio_failure=stop",
        "s3://bucket/key?endpoint=https://x&region=y",
        "file://mount/path?loop=true",
        "srt://[::1]:9999?streamid=#!::r=live/x,m=publish",
        "https://h/x.m3u8",
        "copy://a/b",
    ):
        yield b"u" + url.encode()
    yield from (b"rbytes=0-499", b"rbytes=-5", b"rbytes=900-", b"nlive?key=a news?key=b", b"n/a/b c/")
    yield b"d_HLS_msn=12&_HLS_part=3&_HLS_skip=YES"


TARGET = FuzzTarget("names", run, ALLOWED, seeds)
