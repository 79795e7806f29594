"""The handshake: complex is answered with complex, simple with simple, in pieces of any size."""

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.rtmp.handshake import (
    PACKET_BYTES,
    ClientHandshake,
    ServerHandshake,
    find_digest,
    packet_with_digest,
)

CLIENT_WORDS = b"Genuine Adobe Flash Player 001"
SERVER_WORDS = b"Genuine Adobe Flash Media Server 001"


def split_answer(answer: bytes) -> tuple[bytes, bytes]:
    assert answer[0] == 3
    assert len(answer) == 1 + 2 * PACKET_BYTES
    return answer[1 : 1 + PACKET_BYTES], answer[1 + PACKET_BYTES :]


@pytest.mark.parametrize("scheme", [0, 1])
def test_a_client_with_a_digest_gets_one_of_the_same_scheme_and_a_signature(scheme: int) -> None:
    server = ServerHandshake()
    c1 = packet_with_digest(bytes((9, 0, 124, 2)), CLIENT_WORDS, scheme)
    server.receive_data(b"\x03" + c1)
    s1, s2 = split_answer(server.data_to_send())
    found = find_digest(s1, SERVER_WORDS)
    assert found is not None
    assert found[1] == scheme
    client_digest = find_digest(c1, CLIENT_WORDS)
    assert client_digest is not None
    tail = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
    key = hmac.digest(SERVER_WORDS + tail, client_digest[0], hashlib.sha256)
    assert s2[-32:] == hmac.digest(key, s2[:-32], hashlib.sha256)


@pytest.mark.parametrize(
    "c1",
    [
        bytes(PACKET_BYTES),
        bytes(4) + b"\x09\x00\x7c\x02" + bytes(PACKET_BYTES - 8),
        packet_with_digest(bytes((9, 0, 124, 2)), SERVER_WORDS, 0),
    ],
    ids=["simple", "a version without digest", "signed with another key"],
)
def test_any_other_client_gets_its_own_bytes_back(c1: bytes) -> None:
    server = ServerHandshake()
    server.receive_data(b"\x03" + c1)
    s1, s2 = split_answer(server.data_to_send())
    assert s2 == c1
    assert s1[4:8] == bytes(4), "a version of 0 tells the client not to look for a digest"


def test_a_client_answers_a_simple_server_with_its_own_bytes() -> None:
    client = ClientHandshake()
    assert find_digest(client.data_to_send()[1:], CLIENT_WORDS) is not None
    s1 = bytes(8) + b"\x55" * (PACKET_BYTES - 8)
    client.receive_data(b"\x03" + s1)
    assert client.data_to_send() == s1


@given(st.lists(st.integers(0, 4000), max_size=8), st.binary(max_size=50))
def test_what_follows_the_handshake_is_handed_on_wherever_it_was_cut(cuts: list[int], rest: bytes) -> None:
    wire = b"\x03" + bytes(2 * PACKET_BYTES) + rest
    server = ServerHandshake()
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    handed_on = b""
    for start, end in itertools.pairwise(edges):
        handed_on += server.receive_data(wire[start:end])
    assert handed_on == rest
    assert server.done
    assert "DONE" in repr(server)


@pytest.mark.parametrize("first", [b"\x00", b"\x06", b"G", b"\x16"])
def test_another_version_is_refused_at_once(first: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="RTMP handshake"):
        ServerHandshake().receive_data(first)
