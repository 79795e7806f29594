"""An RTMP chunk writer for tests that uses every header form a peer may use.

The writer of the server is deliberately plain; what readers must understand is not.
"""

from collections.abc import Callable

from openstreamer.wire.rtmp.messages import Message


class ChunkWriter:
    """Writes messages with the header type that ``choose`` picks among the allowed ones."""

    def __init__(self, choose: Callable[[list[int]], int], *, chunk_bytes: int = 128) -> None:
        self.chunk_bytes = chunk_bytes
        self.repeat_extended_time = True  # False: the senders that leave it out of type 3 chunks
        self._choose = choose
        self._last: dict[int, tuple[Message, int]] = {}

    def chunks(self, chunk_stream_id: int, message: Message) -> list[bytes]:
        """The chunks of one message; those of other chunk streams may be put between them."""
        chunk_type, delta = self._header_type(chunk_stream_id, message)
        time = message.timestamp_ms if chunk_type == 0 else delta
        extended = time.to_bytes(4, "big") if time >= 0xFFFFFF else b""
        header = _basic_header(chunk_type, chunk_stream_id)
        if chunk_type < 3:
            header += min(time, 0xFFFFFF).to_bytes(3, "big")
        if chunk_type < 2:
            header += len(message.payload).to_bytes(3, "big") + bytes((message.type_id,))
        if chunk_type == 0:
            header += message.stream_id.to_bytes(4, "little")
        self._last[chunk_stream_id] = (message, time)
        continuation = _basic_header(3, chunk_stream_id) + (extended if self.repeat_extended_time else b"")
        pieces = [
            message.payload[at : at + self.chunk_bytes]
            for at in range(0, len(message.payload), self.chunk_bytes)
        ] or [b""]
        return [header + extended + pieces[0], *(continuation + piece for piece in pieces[1:])]

    def _header_type(self, chunk_stream_id: int, message: Message) -> tuple[int, int]:
        last = self._last.get(chunk_stream_id)
        if last is None or last[0].stream_id != message.stream_id:
            return 0, 0
        before, last_time = last
        delta = message.timestamp_ms - before.timestamp_ms & 0xFFFFFFFF
        allowed = [0, 1]
        if len(before.payload) == len(message.payload) and before.type_id == message.type_id:
            allowed.append(2)
            if delta == last_time and delta <= 1000:
                allowed.append(3)
        return self._choose(allowed), delta


def _basic_header(chunk_type: int, chunk_stream_id: int) -> bytes:
    if chunk_stream_id < 64:
        return bytes((chunk_type << 6 | chunk_stream_id,))
    if chunk_stream_id < 320:
        return bytes((chunk_type << 6, chunk_stream_id - 64))
    return bytes((chunk_type << 6 | 1,)) + (chunk_stream_id - 64).to_bytes(2, "little")
