"""An RTMP server that means harm: raw bytes at every stage of a play."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from openstreamer.wire import amf0
from openstreamer.wire.rtmp.messages import MessageType
from tests.support.clips import clip
from tests.support.raw_peer import Serve
from tests.support.rtmp_publisher import tags_of

HANDSHAKE_BYTES = 1536
DRIP_S = 0.05
NESTED = 10_000

Write: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(
    type_id: int, body: bytes, *, csid: int = 3, stream: int = 0, size: int | None = None, time_ms: int = 0
) -> bytes:
    """A message in one chunk, or the beginning of one of ``size`` bytes (RTMP 1.0, section 5.3.1)."""
    if csid < 64:
        basic = bytes((csid,))
    elif csid < 320:
        basic = bytes((0, csid - 64))
    else:
        basic = b"\x01" + (csid - 64).to_bytes(2, "little")
    length = (len(body) if size is None else size).to_bytes(3, "big")
    return (
        basic + time_ms.to_bytes(3, "big") + length + bytes((type_id,)) + stream.to_bytes(4, "little") + body
    )


def control(type_id: MessageType, value: int) -> bytes:
    """A protocol control message."""
    return chunk(type_id, value.to_bytes(4, "big"), csid=2)


def call(*values: amf0.AmfValue, stream: int = 0) -> bytes:
    """A command."""
    return chunk(MessageType.COMMAND_AMF0, amf0.encode(*values), stream=stream)


LARGE_CHUNKS = control(MessageType.SET_CHUNK_SIZE, 0xFFFFFF)
CONNECTED = LARGE_CHUNKS + call(
    "_result", 1.0, {}, {"code": "NetConnection.Connect.Success", "level": "status"}
)
CREATED = call("_result", 2.0, None, 1.0)
PLAYING = call("onStatus", 0.0, None, {"code": "NetStream.Play.Start", "level": "status"}, stream=1)


def serving(*stages: bytes, follow: bytes = b"", reads: bool = True, drip: bool = False) -> Serve:
    """A server that greets, then says each of ``stages`` when the client said something more, and then
    ``follow`` for ever. ``reads``: whether it listens meanwhile."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = await reader.readexactly(1 + HANDSHAKE_BYTES)
        writer.write(b"\x03" + bytes(HANDSHAKE_BYTES) + greeting[1:])
        await reader.readexactly(HANDSHAKE_BYTES)
        for stage in stages:
            await reader.read(65536)
            writer.write(stage)
        listening = asyncio.get_running_loop().create_task(_read_all(reader)) if reads else None
        try:
            await _send(writer, follow, drip=drip)
        finally:
            if listening is not None:
                listening.cancel()

    return serve


def raw(begin: bytes, follow: bytes, *, drip: bool = False) -> Serve:
    """A server without manners: it says what it has to say at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await _send(writer, follow, drip=drip)

    return serve


async def _read_all(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def _send(writer: asyncio.StreamWriter, follow: bytes, *, drip: bool) -> None:
    while follow:
        for at in range(len(follow)) if drip else (0,):
            writer.write(follow[at : at + 1] if drip else follow)
            await writer.drain()
            await asyncio.sleep(DRIP_S if drip else 0)
    await asyncio.Event().wait()


def media() -> bytes:
    """A clip as messages, at the times it has."""
    tags = tags_of(clip("h264", "aac"))
    return b"".join(
        chunk(
            MessageType.VIDEO if each.is_video else MessageType.AUDIO,
            each.payload,
            csid=4,
            stream=1,
            time_ms=each.timestamp_ms,
        )
        for each in tags
    )


def attacks() -> dict[str, Serve]:
    """All of them by name."""
    played = (CONNECTED, CREATED, PLAYING)
    tiny_chunks = PLAYING + control(MessageType.SET_CHUNK_SIZE, 1)
    plain_chunks = PLAYING + control(MessageType.SET_CHUNK_SIZE, 60_000)
    counting = PLAYING + control(MessageType.WINDOW_ACK_SIZE, 1)
    huge = chunk(MessageType.VIDEO, bytes(65536), csid=4, stream=1, size=0xFFFFFF)
    many = b"".join(chunk(MessageType.AUDIO, b"\xaf", csid=n, stream=1) for n in range(3, 65_000))
    crumbs = chunk(MessageType.VIDEO, b"x", csid=4, stream=1, size=1 << 20) + b"\xc4x" * 100_000
    noise = random.Random(1).randbytes(65536)
    ping = chunk(MessageType.USER_CONTROL, b"\x00\x06\x00\x00\x00\x01", csid=2)
    nested = amf0.encode("onStatus", 0.0) + b"\x03\x00\x01a" * NESTED
    begun = b"".join(
        chunk(MessageType.VIDEO, bytes(60_000), csid=3 + n, stream=1, size=8 << 20) for n in range(60)
    )
    metadata = chunk(
        MessageType.DATA_AMF0, amf0.encode("onMetaData", {f"k{n}": float(n) for n in range(2000)}), stream=1
    )
    video = chunk(MessageType.VIDEO, b"\x17\x01\0\0\0" + bytes(7 << 20), csid=4, stream=1)
    return {
        "noise": raw(b"", noise),
        "noise behind the greeting": raw(b"\x03" + bytes(2 * HANDSHAKE_BYTES), noise),
        "a dripping greeting": raw(b"\x03", bytes(HANDSHAKE_BYTES), drip=True),
        "no answer to connect": serving(),
        "a dripping answer": serving(follow=CONNECTED, drip=True),
        "no consent": serving(CONNECTED, CREATED),
        "pings without consent": serving(CONNECTED, CREATED, follow=ping * 4096),
        "media without consent": serving(CONNECTED, CREATED, follow=media()),
        "nested answers": serving(CONNECTED, follow=chunk(MessageType.COMMAND_AMF0, nested)),
        "pings": serving(*played, follow=ping * 4096),
        "pings, and deaf": serving(*played, follow=ping * 4096, reads=False),
        "acknowledge every byte, and deaf": serving(
            CONNECTED, CREATED, counting, follow=metadata, reads=False
        ),
        "chunks of one byte": serving(CONNECTED, CREATED, tiny_chunks, follow=crumbs),
        "messages of 16 MB": serving(*played, follow=huge),
        "pictures of 7 MB": serving(*played, follow=video),
        "60 messages at once": serving(CONNECTED, CREATED, plain_chunks, follow=begun),
        "10^5 chunk streams": serving(*played, follow=many),
        "empty messages": serving(*played, follow=chunk(MessageType.AUDIO, b"", csid=4, stream=1) * 4096),
        "metadata without end": serving(*played, follow=metadata * 16),
        "statuses without end": serving(*played, follow=PLAYING * 1000),
        "media at full speed": serving(*played, follow=media()),
    }
