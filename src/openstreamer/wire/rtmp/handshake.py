"""The RTMP handshake, simple and complex (digest), for both roles.

Simple: Adobe's *Real Time Messaging Protocol* specification 1.0, section 5.2. Complex: never published;
Flash Player 9 and every server since 2008 do it, FFmpeg and librtmp among them. C1 and S1 then carry an
HMAC-SHA256 digest at an offset that four of their bytes give, in the first (scheme 0) or the second half
(scheme 1); S2 and C2 are random bytes signed with a key that is derived from the digest they answer.

A server answers complex with complex and simple with simple. Nothing depends on what is in C2 or S2:
too many peers fill them with something else, and they prove nothing.
"""

import enum
import hashlib
import hmac
import secrets

from openstreamer.media.errors import RemoteProtocolError

PACKET_BYTES = 1536  # C1, S1, C2 and S2
VERSION = 3  # 5.2.2: plain RTMP; 6 and 8 are RTMPE, which nobody should use any more

_DIGEST_BYTES = 32
# Where the digest begins: the sum of four bytes at the first position, modulo 728, plus the second.
_DIGEST_SCHEMES = ((8, 12), (772, 776))
_DIGEST_RANGE = 728

_KEY_TAIL = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_SERVER_WORDS = b"Genuine Adobe Flash Media Server 001"
_CLIENT_WORDS = b"Genuine Adobe Flash Player 001"
_SERVER_VERSION = bytes((5, 0, 17, 1))  # clients expect a digest in S1 when the first number is 3 or more
_CLIENT_VERSION = bytes((9, 0, 124, 2))  # the first Flash Player number that announces a digest in C1


class _State(enum.Enum):
    EXPECT_VERSION_AND_1 = enum.auto()
    EXPECT_2 = enum.auto()
    DONE = enum.auto()


class _Handshake:
    """What both roles share: collecting bytes, and what is to be sent."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._out = bytearray()
        self._state = _State.EXPECT_VERSION_AND_1

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.name} {len(self._received)} bytes waiting>"

    @property
    def done(self) -> bool:
        """Whether what follows in both directions is chunks."""
        return self._state is _State.DONE

    def data_to_send(self) -> bytes:
        """What must be sent now; cleared by the call."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def receive_data(self, data: bytes) -> bytes:
        """Feed received bytes. Returns those that follow the handshake, once it is done.

        Raises:
            RemoteProtocolError: the peer does not speak RTMP.
        """
        received = self._received
        received += data
        if self._state is _State.EXPECT_VERSION_AND_1:
            if received and received[0] != VERSION:
                raise RemoteProtocolError(_not_rtmp(received[0]))
            if len(received) < 1 + PACKET_BYTES:
                return b""
            first = bytes(received[1 : 1 + PACKET_BYTES])
            del received[: 1 + PACKET_BYTES]
            self._answer(first)
            self._state = _State.EXPECT_2
        if self._state is _State.EXPECT_2 and len(received) >= PACKET_BYTES:
            del received[:PACKET_BYTES]
            self._state = _State.DONE
        if self._state is not _State.DONE:
            return b""
        rest = bytes(received)
        received.clear()
        return rest

    def _answer(self, first: bytes) -> None:
        raise NotImplementedError


class ServerHandshake(_Handshake):
    """Waits for C0 and C1, answers S0, S1, S2, waits for C2."""

    def _answer(self, first: bytes) -> None:
        client_digest = find_digest(first, _CLIENT_WORDS)
        if client_digest is None:
            s1 = bytes(8) + secrets.token_bytes(PACKET_BYTES - 8)
            self._out += bytes((VERSION,)) + s1 + first  # 5.2.4: S2 echoes C1
            return
        digest, scheme = client_digest
        s1 = packet_with_digest(_SERVER_VERSION, _SERVER_WORDS, scheme)
        self._out += bytes((VERSION,)) + s1 + _signed_answer(digest, _SERVER_WORDS)


class ClientHandshake(_Handshake):
    """Sends C0 and C1, waits for S0 and S1, answers C2, waits for S2."""

    def __init__(self, *, digest: bool = True, scheme: int = 0) -> None:
        super().__init__()
        self._digest = digest
        if digest:
            c1 = packet_with_digest(_CLIENT_VERSION, _CLIENT_WORDS, scheme)
        else:
            c1 = bytes(8) + secrets.token_bytes(PACKET_BYTES - 8)  # 5.2.3: the second four bytes are zero
        self._out += bytes((VERSION,)) + c1

    def _answer(self, first: bytes) -> None:
        server_digest = find_digest(first, _SERVER_WORDS) if self._digest else None
        if server_digest is None:
            self._out += first  # 5.2.4: C2 echoes S1
        else:
            self._out += _signed_answer(server_digest[0], _CLIENT_WORDS)


def find_digest(packet: bytes, words: bytes) -> tuple[bytes, int] | None:
    """The valid digest in a C1 or S1 and its scheme, or ``None`` when it was made the simple way."""
    if packet[4:8] == bytes(4):
        return None
    for scheme in range(len(_DIGEST_SCHEMES)):
        at = _digest_offset(packet, scheme)
        digest = packet[at : at + _DIGEST_BYTES]
        if hmac.compare_digest(digest, _digest_of(packet, at, words)):
            return digest, scheme
    return None


def packet_with_digest(version: bytes, words: bytes, scheme: int) -> bytes:
    """A C1 or S1: a zero time, the version, random bytes with the digest among them."""
    packet = bytes(4) + version + secrets.token_bytes(PACKET_BYTES - 8)
    at = _digest_offset(packet, scheme)
    return packet[:at] + _digest_of(packet, at, words) + packet[at + _DIGEST_BYTES :]


def _digest_offset(packet: bytes, scheme: int) -> int:
    seed_at, base = _DIGEST_SCHEMES[scheme]
    return base + sum(packet[seed_at : seed_at + 4]) % _DIGEST_RANGE


def _digest_of(packet: bytes, at: int, words: bytes) -> bytes:
    return hmac.digest(words, packet[:at] + packet[at + _DIGEST_BYTES :], hashlib.sha256)


def _signed_answer(digest: bytes, words: bytes) -> bytes:
    body = secrets.token_bytes(PACKET_BYTES - _DIGEST_BYTES)
    key = hmac.digest(words + _KEY_TAIL, digest, hashlib.sha256)
    return body + hmac.digest(key, body, hashlib.sha256)


def _not_rtmp(version: int) -> str:
    """Of the first byte only: how much more has arrived is chance."""
    if version in (6, 8):
        return f"RTMP handshake: encrypted RTMP (version {version}) is not supported, use rtmps"
    if version == 0x16:
        return "RTMP handshake: the peer speaks TLS on the plain RTMP port"
    return f"RTMP handshake: version 3 expected, the peer began with byte 0x{version:02x}"
