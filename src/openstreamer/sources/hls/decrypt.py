"""AES-128 of HLS segments: CBC with PKCS#7 padding (draft-pantos-hls-rfc8216bis, section 4.4.4.4)."""

from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.wire.m3u8_documents import Key

KEY_BYTES = 16
BLOCK_BYTES = 16


def require_plain_aes(key: Key) -> None:
    """Raise :class:`SourceRejected` for what cannot be decrypted: SAMPLE-AES, rights management."""
    if key.method != "AES-128":
        raise SourceRejected(
            f"hls: the segments are encrypted with {key.method[:32]}, which is not supported"
        )
    if key.key_format != "identity":
        raise SourceRejected(
            f"hls: the key is one of {key.key_format[:64]}: rights management is not supported"
        )


def iv_of(key: Key, msn: int) -> bytes:
    """The initialization vector: as given, else the media sequence number."""
    return key.iv if key.iv is not None else (msn & (1 << 128) - 1).to_bytes(BLOCK_BYTES, "big")


class SegmentDecryptor:
    """Decrypts one segment as it arrives; the last block is held back, because it holds the padding."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        # Imported here: it costs 4 MB, and most inputs are not encrypted.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._context = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        self._held = b""
        self._received = 0

    def update(self, data: bytes) -> bytes:
        """Plain bytes, as far as they are known not to be padding."""
        self._received += len(data)
        plain = self._held + self._context.update(data)
        self._held = plain[-BLOCK_BYTES:]
        return plain[:-BLOCK_BYTES]

    def finish(self) -> bytes:
        """The rest, without its padding.

        Raises:
            RemoteProtocolError: it is cut off, or the key is another one.
        """
        if self._received % BLOCK_BYTES or not self._held:
            raise RemoteProtocolError("an encrypted segment that is no whole number of blocks")
        count = self._held[-1]
        if not 1 <= count <= BLOCK_BYTES or self._held[-count:] != bytes((count,)) * count:
            raise RemoteProtocolError("an encrypted segment does not end with its padding: is the key right?")
        return self._held[:-count]
