"""AES-128 segments are decrypted as they arrive, and a wrong key is noticed."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.sources.hls.decrypt import SegmentDecryptor, iv_of, require_plain_aes
from openstreamer.wire.m3u8_documents import Key

KEY, IV = bytes(range(16)), bytes(range(16, 32))


def encrypted(plain: bytes) -> bytes:
    count = 16 - len(plain) % 16
    context = Cipher(algorithms.AES(KEY), modes.CBC(IV)).encryptor()
    return context.update(plain + bytes((count,)) * count)


def decrypted(data: bytes, piece_bytes: int, key: bytes = KEY) -> bytes:
    decryptor = SegmentDecryptor(key, IV)
    pieces = (data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes))
    return b"".join(map(decryptor.update, pieces)) + decryptor.finish()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize("piece_bytes", [1, 7, 16, 100, 5000])
def test_any_split_gives_the_plain_segment(size: int, piece_bytes: int) -> None:
    plain = os.urandom(size)
    assert decrypted(encrypted(plain), piece_bytes) == plain


def test_a_wrong_key_or_a_cut_segment_is_noticed() -> None:
    data = encrypted(bytes(1000))
    with pytest.raises(RemoteProtocolError, match="is the key right"):
        decrypted(data, 100, key=bytes(16))
    with pytest.raises(RemoteProtocolError, match="whole number of blocks"):
        decrypted(data[:-3], 100)
    with pytest.raises(RemoteProtocolError, match="whole number of blocks"):
        decrypted(b"", 100)


def test_without_an_iv_the_sequence_number_is_it() -> None:
    assert iv_of(Key("AES-128", "k", None), 0x1234) == bytes(14) + b"\x12\x34"
    assert iv_of(Key("AES-128", "k", IV), 0x1234) == IV


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (Key("SAMPLE-AES", "k", None), "SAMPLE-AES, which is not supported"),
        (Key("AES-128", "k", None, "com.apple.streamingkeydelivery"), "rights management is not supported"),
    ],
)
def test_rights_management_is_refused_with_words(key: Key, words: str) -> None:
    with pytest.raises(SourceRejected, match=words):
        require_plain_aes(key)
    require_plain_aes(Key("AES-128", "k", None))
