"""The chunk stream: every header form, any split of the bytes, every bound."""

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.rtmp.chunks import ChunkReader, encode_message
from openstreamer.wire.rtmp.limits import RtmpLimits
from openstreamer.wire.rtmp.messages import Message, MessageType
from tests.support.rtmp_chunks import ChunkWriter

times = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 40, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
messages = st.builds(
    Message,
    st.sampled_from([MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA_AMF0, MessageType.COMMAND_AMF0]),
    st.integers(0, 3),
    times,
    st.binary(max_size=40) | st.integers(100, 700).map(bytes),
)
chunk_stream_ids = st.sampled_from([2, 3, 63, 64, 319, 320, 65_599])


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(
    st.data(),
    st.lists(st.tuples(chunk_stream_ids, messages), min_size=1, max_size=12),
    st.sampled_from([1, 7, 128, 4096]),
    st.lists(st.integers(0, 1 << 20), max_size=30),
)
def test_any_header_form_and_any_split_gives_the_same_messages(
    data: st.DataObject, sent: list[tuple[int, Message]], chunk_bytes: int, cuts: list[int]
) -> None:
    writer = ChunkWriter(lambda allowed: data.draw(st.sampled_from(allowed)), chunk_bytes=128)
    set_size = Message(MessageType.SET_CHUNK_SIZE, 0, 0, chunk_bytes.to_bytes(4, "big"))
    wire = b"".join(writer.chunks(2, set_size))
    writer.chunk_bytes = chunk_bytes
    for chunk_stream_id, message in sent:
        wire += b"".join(writer.chunks(chunk_stream_id, message))
    reader = ChunkReader(RtmpLimits())
    received = [message for piece in split(wire, cuts) for message in reader.receive_data(piece)]
    assert received == [set_size, *(message for _, message in sent)]
    assert reader.buffered_bytes == 0


@given(st.lists(st.tuples(st.integers(3, 9), messages), min_size=2, max_size=6), st.randoms())
def test_messages_of_different_chunk_streams_may_be_interleaved(
    sent: list[tuple[int, Message]], random: Random
) -> None:
    writer = ChunkWriter(min)
    waiting: dict[int, list[list[bytes]]] = {}
    for chunk_stream_id, message in sent:
        waiting.setdefault(chunk_stream_id, []).append(writer.chunks(chunk_stream_id, message))
    queues = {key: [chunk for chunks in of_stream for chunk in chunks] for key, of_stream in waiting.items()}
    wire = b""
    while queues:
        key = random.choice(sorted(queues))
        wire += queues[key].pop(0)
        if not queues[key]:
            del queues[key]
    received = ChunkReader(RtmpLimits()).receive_data(wire)
    assert sorted(map(tuple, received)) == sorted(tuple(message) for _, message in sent)


@given(messages, st.sampled_from([1, 128, 60_000]))
def test_what_we_encode_is_what_a_reader_reads(message: Message, chunk_bytes: int) -> None:
    reader = ChunkReader(RtmpLimits())
    size = Message(MessageType.SET_CHUNK_SIZE, 0, 0, chunk_bytes.to_bytes(4, "big"))
    reader.receive_data(b"".join(encode_message(size, 2, 128)))
    assert reader.receive_data(b"".join(encode_message(message, 4, chunk_bytes))) == [message]


@pytest.mark.parametrize("repeated", [True, False])
def test_extended_times_are_read_whether_or_not_continuation_chunks_repeat_them(repeated: bool) -> None:
    writer = ChunkWriter(min)
    writer.repeat_extended_time = repeated
    sent = [Message(MessageType.VIDEO, 1, 0xFFFFFF + 40 * n, bytes((n + 1,)) * 300) for n in range(3)]
    wire = b"".join(chunk for message in sent for chunk in writer.chunks(6, message))
    assert ChunkReader(RtmpLimits()).receive_data(wire) == sent


def test_a_type_3_chunk_that_starts_a_message_repeats_the_difference() -> None:
    # RTMP 1.0, section 5.3.2.1: the worked example, 20 ms apart, the third and fourth without any header.
    def header(chunk_type: int, rest: bytes) -> bytes:
        return bytes((chunk_type << 6 | 3,)) + rest

    body = bytes(32)
    wire = (
        header(0, (1000).to_bytes(3, "big") + (32).to_bytes(3, "big") + b"\x08" + bytes((1, 0, 0, 0))) + body
    )
    wire += header(2, (20).to_bytes(3, "big")) + body
    wire += header(3, b"") + body + header(3, b"") + body
    times_ms = [message.timestamp_ms for message in ChunkReader(RtmpLimits()).receive_data(wire)]
    assert times_ms == [1000, 1020, 1040, 1060]


def test_a_type_3_chunk_after_a_large_absolute_time_keeps_that_time() -> None:
    wire = b"\x03" + (500_000).to_bytes(3, "big") + b"\x00\x00\x01\x08" + bytes(4) + b"a" + b"\xc3b"
    times_ms = [message.timestamp_ms for message in ChunkReader(RtmpLimits()).receive_data(wire)]
    assert times_ms == [500_000, 500_000]


def test_a_new_message_without_header_may_carry_the_new_extended_time() -> None:
    start = 0x01000000
    wire = b"\x03\xff\xff\xff\x00\x00\x01\x08" + bytes(4) + start.to_bytes(4, "big") + b"a"
    wire += b"\xc3" + (start + 23).to_bytes(4, "big") + b"b"
    assert ChunkReader(RtmpLimits()).receive_data(wire) == [
        Message(8, 0, start, b"a"),
        Message(8, 0, start + 23, b"b"),
    ]


def test_time_differences_wrap_at_32_bits() -> None:
    writer = ChunkWriter(max)
    sent = [Message(8, 1, 0xFFFFFFF0, b"a"), Message(8, 1, 7, b"b"), Message(8, 1, 30, b"c")]
    wire = b"".join(chunk for message in sent for chunk in writer.chunks(4, message))
    assert ChunkReader(RtmpLimits()).receive_data(wire) == sent


def test_abort_discards_an_unfinished_message() -> None:
    reader = ChunkReader(RtmpLimits())
    writer = ChunkWriter(min)
    reader.receive_data(writer.chunks(6, Message(9, 1, 0, bytes(300)))[0])
    assert reader.buffered_bytes == 128
    abort = Message(MessageType.ABORT, 0, 0, (6).to_bytes(4, "big"))
    reader.receive_data(b"".join(encode_message(abort, 2, 128)))
    assert reader.buffered_bytes == 0
    whole = Message(9, 1, 40, b"next")
    assert reader.receive_data(b"".join(ChunkWriter(min).chunks(6, whole))) == [whole]


def test_a_chunk_may_be_as_large_as_a_message() -> None:
    reader = ChunkReader(RtmpLimits())
    size = Message(MessageType.SET_CHUNK_SIZE, 0, 0, (0x7FFFFFFF).to_bytes(4, "big"))
    reader.receive_data(b"".join(encode_message(size, 2, 128)))
    big = Message(9, 1, 0, bytes(3_000_000))
    assert reader.receive_data(b"".join(encode_message(big, 6, 0xFFFFFF))) == [big]


def header(message_bytes: int, type_id: int, chunk_stream_id: int = 4) -> bytes:
    return (
        bytes((chunk_stream_id,)) + bytes(3) + message_bytes.to_bytes(3, "big") + bytes((type_id,)) + bytes(4)
    )


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (b"\x02\0\0\0\0\0\4\1\0\0\0\0" + bytes(4), "SetChunkSize: 0"),
        (b"\x02\0\0\0\0\0\4\1\0\0\0\0" + b"\xff\xff\xff\xff", "SetChunkSize: 4294967295"),
        (b"\x02\0\0\0\0\0\1\1\0\0\0\0" + b"\x01", "4 bytes expected"),
        (header(0xFFFFFF, 9), "a message of type 9 with 16777215 bytes"),
        (header(70_000, 20), "a message of type 20 with 70000 bytes"),
        (header(257, 5), "a message of type 5 with 257 bytes"),
        (header(300, 9) + bytes(128) + header(300, 9), "before the last one is complete"),
        (b"\xc4", "begins with a type 3 chunk"),
        (b"\x84\0\0\0", "begins with a type 2 chunk"),
    ],
)
def test_hostile_chunks_are_protocol_errors(wire: bytes, said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said):
        ChunkReader(RtmpLimits()).receive_data(wire)


def test_the_number_of_chunk_streams_is_bounded() -> None:
    reader = ChunkReader(RtmpLimits(max_chunk_streams=64))
    for chunk_stream_id in range(64):
        reader.receive_data(bytes((0, chunk_stream_id)) + bytes(3) + b"\0\0\0\x08" + bytes(4))
    with pytest.raises(RemoteProtocolError, match="64 chunk streams"):
        reader.receive_data(b"\x01\xff\xff" + bytes(3) + b"\0\0\0\x08" + bytes(4))


def test_unfinished_messages_are_bounded_together() -> None:
    reader = ChunkReader(RtmpLimits(max_buffered_bytes=1000))
    wire = b"".join(header(5000, 9, chunk_stream_id) + bytes(128) for chunk_stream_id in range(3, 20))
    with pytest.raises(RemoteProtocolError, match="1000 bytes in unfinished"):
        reader.receive_data(wire)
    assert reader.buffered_bytes <= 1000 + 128


EMPTY = bytes((4,)) + bytes(6) + bytes((MessageType.ACKNOWLEDGEMENT,)) + bytes(4)


@pytest.mark.parametrize("piece_bytes", [1, 1000, 1 << 20])
def test_a_flood_of_messages_without_a_body_is_refused(piece_bytes: int) -> None:
    """One byte each, three microseconds each: a megabyte of them would take three seconds."""
    wire = EMPTY + b"\xc4" * 20_000
    reader = ChunkReader(RtmpLimits(max_empty_messages=1000))
    received: list[Message] = []

    def feed() -> None:
        for start in range(0, len(wire), piece_bytes):
            reader.feed(wire[start : start + piece_bytes])
            while (message := reader.next_message()) is not None:
                received.append(message)

    with pytest.raises(RemoteProtocolError, match="1017 messages without a body"):
        feed()
    assert len(received) == 1016


def test_data_that_ends_with_the_message_that_was_asked_for_last_is_followed_by_more() -> None:
    reader = ChunkReader(RtmpLimits())
    for number in range(3):
        message = Message(MessageType.AUDIO, 1, number, b"sound")
        reader.feed(b"".join(encode_message(message, 5, 128)))
        assert reader.next_message() == message
        assert not reader.has_more
        assert reader.buffered_bytes == 0


def test_messages_without_a_body_among_others_are_no_flood() -> None:
    message = Message(MessageType.AUDIO, 1, 0, bytes(129))
    wire = b"".join(encode_message(message, 5, 128)) + EMPTY
    reader = ChunkReader(RtmpLimits(max_empty_messages=0))
    assert len(reader.receive_data(wire * 5000)) == 10_000


def test_chunks_of_one_byte_are_no_flood() -> None:
    message = Message(MessageType.VIDEO, 1, 0, bytes(30_000))
    set_size = Message(MessageType.SET_CHUNK_SIZE, 0, 0, b"\0\0\0\1")
    wire = b"".join(encode_message(set_size, 2, 128)) + b"".join(encode_message(message, 6, 1))
    assert ChunkReader(RtmpLimits()).receive_data(wire) == [set_size, message]


def test_a_fresh_chunk_stream_may_begin_with_type_1_as_librtmp_does() -> None:
    wire = b"\x42\0\0\0\0\0\x06\x04" + b"\0\x07" + bytes(4)
    assert ChunkReader(RtmpLimits()).receive_data(wire) == [Message(4, 0, 0, b"\0\x07" + bytes(4))]


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60), max_size=20))
def test_random_bytes_give_messages_or_a_protocol_error_and_stay_bounded(pieces: list[bytes]) -> None:
    reader = ChunkReader(RtmpLimits(max_buffered_bytes=4096))
    try:
        for piece in pieces:
            reader.receive_data(piece)
    except RemoteProtocolError:
        return
    assert reader.buffered_bytes <= sum(map(len, pieces))
