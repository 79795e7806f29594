"""MPEG audio frame headers."""

from collections.abc import Iterator

from fuzz.configurations import check_configuration
from fuzz.target import FuzzTarget
from openstreamer.media import mp3
from openstreamer.media.errors import MediaError
from openstreamer.media.mp3 import Mp3Config


def run(data: bytes) -> None:
    check_configuration(Mp3Config.from_frame_header(data))
    header = mp3.parse_frame_header(data)
    assert header.frame_bytes >= 4
    frames, used = mp3.take_frames(data)
    assert used == sum(map(len, frames)) <= len(data)


def seeds() -> Iterator[bytes]:
    for text in ("fffb9064", "fff38064", "ffe314c4", "fffd80c4", "ffff2004"):
        header = bytes.fromhex(text)
        yield header + bytes(mp3.parse_frame_header(header).frame_bytes - 4) + header


TARGET = FuzzTarget("mpeg_audio", run, (MediaError,), seeds)
