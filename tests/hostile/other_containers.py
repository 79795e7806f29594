"""FLV, MP4 and packed audio that mean harm: what begins, and what follows for ever."""

import struct
from functools import cache

from openstreamer.wire import amf0
from openstreamer.wire.flv import metadata_of
from tests.hostile import transport_streams as streams
from tests.support.clips import clip
from tests.support.container_files import FRAGMENTS, X264, make
from tests.support.rtmp_publisher import tags_of
from tests.support.transport_stream import length_90k, shifted

FLV_HEADER = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"
AUDIO, VIDEO, SCRIPT = 8, 9, 18
NESTED = 100_000  # levels
ID3_BYTES = 0x0FFFFFFF


def tag(kind: int, body: bytes, *, size: int | None = None, time_ms: int = 0) -> bytes:
    """An FLV tag; ``size`` is what its header claims."""
    claimed = len(body) if size is None else size
    head = bytes((kind,)) + claimed.to_bytes(3, "big") + (time_ms & 0xFFFFFF).to_bytes(3, "big")
    return (
        head + bytes((time_ms >> 24 & 0xFF, 0, 0, 0)) + body + (claimed + 11 & 0xFFFFFFFF).to_bytes(4, "big")
    )


@cache
def good_flv() -> bytes:
    """Real media."""
    frames = clip("h264", "aac")
    data = [FLV_HEADER, tag(SCRIPT, amf0.encode("onMetaData", metadata_of({f.track for f in frames})))]
    for repeat in range(4):
        data += [
            tag(VIDEO if each.is_video else AUDIO, each.payload, time_ms=each.timestamp_ms)
            for each in tags_of(shifted(frames, repeat * length_90k(frames)))
        ]
    return b"".join(data)


def flv_attacks() -> dict[str, tuple[bytes, bytes]]:
    """What begins, and what follows."""
    header_tag = tag(VIDEO, b"\x17\x00\x00\x00\x00" + bytes(40))
    changing = b"".join(
        tag(AUDIO, b"\xaf\x00" + bytes((0x11, 0x80 | n % 12 << 3)), time_ms=n)
        + tag(AUDIO, b"\xaf\x01" + bytes(20), time_ms=n)
        for n in range(2000)
    )
    nested = b"\x02\x00\x0aonMetaData" + b"\x03\x00\x01a" * NESTED
    wide = b"\x02\x00\x0aonMetaData\x0a\xff\xff\xff\xff" + b"\x05" * 500_000
    return {
        "a tag of 16 MB": (FLV_HEADER + tag(VIDEO, b"", size=0xFFFFFF)[:11], bytes(65536)),
        "tags of 11 MB": (FLV_HEADER, tag(VIDEO, b"\x27\x01" + bytes(11 << 20))),
        "empty tags": (FLV_HEADER, tag(VIDEO, b"") * 4096),
        "damaged tags": (
            FLV_HEADER + header_tag,
            tag(VIDEO, b"\x17\x01\x00\x00\x00\xff\xff\xff\xff\x65") * 4096,
        ),
        "configurations that change": (FLV_HEADER, changing),
        "nested metadata": (FLV_HEADER, tag(SCRIPT, nested)),
        "metadata of half a million values": (FLV_HEADER, tag(SCRIPT, wide)),
        "headers without end": (FLV_HEADER, FLV_HEADER * 4096),
    }


def box(kind: bytes, *content: bytes, size: int | None = None) -> bytes:
    """An MP4 box; ``size`` is what its header claims."""
    body = b"".join(content)
    claimed = len(body) + 8 if size is None else size
    if claimed > 0xFFFFFFFF:
        return struct.pack(">I4sQ", 1, kind, claimed) + body
    return struct.pack(">I4s", claimed, kind) + body


@cache
def good_mp4() -> bytes:
    """A fragmented film."""
    return make(".mp4", *X264, "-c:a", "aac", *FRAGMENTS)


@cache
def movie_without_fragments() -> bytes:
    """A film as people put it on a web server."""
    return make(".mp4", *X264, "-c:a", "aac", "-movflags", "+faststart")


def _replaced(data: bytes, kind: bytes, content: bytes) -> bytes:
    """The same with the content of every full box ``kind`` overwritten from its counts on."""
    found, at = bytearray(data), -1
    while (at := data.find(kind, at + 1)) >= 0:
        found[at + 8 : at + 8 + len(content)] = content
    return bytes(found)


def mp4_attacks() -> dict[str, tuple[bytes, bytes]]:
    """What begins, and what follows, for a reader of streams."""
    ftyp = box(b"ftyp", b"isom\0\0\0\0isom")
    good = good_mp4()
    fragments = good.find(b"moof") - 4
    moov = good[:fragments]
    trun = box(b"trun", struct.pack(">II", 0, 0xFFFFFFFF))
    fixed = box(b"tfhd", struct.pack(">III", 0x38, 1, 0), struct.pack(">II", 1, 0))
    moof = box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", fixed, trun))
    return {
        "a moov of 4 GB": (ftyp + box(b"moov", size=0xFFFFFF00), bytes(65536)),
        "a moov of 2^62 bytes": (ftyp + box(b"moov", size=1 << 62), bytes(65536)),
        "a moof of 4 GB": (moov + box(b"moof", size=0xFFFFFF00), bytes(65536)),
        "fragments of 2^32 samples": (moov, moof + box(b"mdat", bytes(8))),
        "an mdat without end": (moov + box(b"mdat", size=1 << 62), bytes(65536)),
        "boxes without end": (ftyp, box(b"free") * 8192),
        "movies without end": (ftyp, moov),
        "10^5 empty tracks": (ftyp, box(b"moov", box(b"trak") * 100_000)),
        "nested boxes": (
            ftyp,
            box(b"moov", b"".join(struct.pack(">I4s", 8 * (100_000 - n), b"trak") for n in range(100_000))),
        ),
    }


def packed_audio_attacks() -> dict[str, tuple[bytes, bytes]]:
    """ID3 tags (ID3v2.4, section 3.1) without end, and sound without sense."""
    endless = b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f"  # 256 MB
    private = b"PRIV" + (4 << 20 >> 21 << 21).to_bytes(4, "big") + b"\0\0"
    small = b"ID3\x04\x00\x00\x00\x00\x00\x14" + private.ljust(20, b"x")
    adts = bytes.fromhex("fff14c8003fffc") + bytes(24)
    return {
        "an ID3 tag of 256 MB": (endless, bytes(65536)),
        "an ID3 tag of 4 MB": (b"", b"ID3\x04\x00\x00\x01\x7f\x7f\x7f" + bytes((4 << 20) - 1)),
        "ID3 tags without end": (small, small * 2048),
        "junk between frames": (adts, adts + bytes(32_000)),
        "frames at full speed": (adts, adts * 2048),
    }


def file_attacks() -> dict[str, tuple[str, bytes, int]]:
    """Files: suffix, the bytes they begin with, and to how many they are filled with zeros."""
    whole = movie_without_fragments()
    ftyp = box(b"ftyp", b"isom\0\0\0\0isom")
    most = struct.pack(">I", 0xFFFFFFFF)
    found = {
        "a moov of 4 GB": (".mp4", ftyp + box(b"moov", size=0xFFFFFF00), 0xFFFFFF00),
        "a moov of 60 MB": (
            ".mp4",
            ftyp + box(b"moov", box(b"free", size=(60 << 20) - 8), size=60 << 20),
            61 << 20,
        ),
        "2^32 sizes (stsz)": (".mp4", _replaced(whole, b"stsz", bytes(4) + most), 0),
        "2^32 samples of one size (stsz)": (
            ".mp4",
            _replaced(whole, b"stsz", struct.pack(">II", 1, 0xFFFFFFFF)),
            0,
        ),
        "2^32 times (stts)": (".mp4", _replaced(whole, b"stts", most), 0),
        "2^32 samples of one time (stts)": (
            ".mp4",
            _replaced(whole, b"stts", struct.pack(">II", 1, 0xFFFFFFFF)),
            0,
        ),
        "2^32 chunks (stco)": (".mp4", _replaced(whole, b"stco", most), 0),
        "2^32 samples per chunk (stsc)": (
            ".mp4",
            _replaced(whole, b"stsc", struct.pack(">III", 1, 1, 0xFFFFFFFF)),
            0,
        ),
        "2^32 edits (elst)": (".mp4", _replaced(whole, b"elst", most), 0),
        "a million boxes": (".mp4", ftyp + box(b"free") * 1_000_000, 0),
        "an EBML element of 2^56 bytes": (
            ".mkv",
            bytes.fromhex("1a45dfa3") + b"\x01" + b"\xff" * 6 + b"\xfe",
            4096,
        ),
        "a sparse file of 1 TB": (".ts", streams.good(), 1 << 40),
        "a packet of 1 TB": (".ogg", b"OggS\x00\x02" + bytes(20) + b"\xff" * 256, 1 << 40),
        "10^5 PIDs": (".ts", streams.every_pid() * 8, 0),
        "tables that change": (".ts", streams.changing_tables() * 8, 0),
        "an endless PES packet": (".ts", streams.endless_pes()[0] + streams.endless_pes()[1] * 200, 0),
    }
    for name, (begin, follow) in flv_attacks().items():
        found[f"FLV: {name}"] = (".flv", begin + follow * max(1, min(64, (16 << 20) // len(follow))), 0)
    return found
