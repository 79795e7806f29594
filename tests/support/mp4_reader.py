"""A reader of the fragmented MP4 that the server writes, independent of the writer."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"dinf"}


@dataclass(frozen=True)
class Box:
    kind: bytes
    content: bytes
    offset: int

    @property
    def children(self) -> list["Box"]:
        return list(boxes(self.content, self.offset + 8))

    def find(self, *path: bytes) -> "Box":
        """The box at this path; there must be exactly one at each step."""
        box = self
        for kind in path:
            (box,) = (child for child in box.children if child.kind == kind)
        return box


@dataclass(frozen=True)
class Sample:
    """One sample, with its decode time in the track's timescale."""

    decode_time: int
    duration: int
    composition_offset: int
    key: bool
    data: bytes


def boxes(data: bytes, offset: int = 0) -> Iterator[Box]:
    """The boxes one after another; they must fill ``data`` exactly."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        assert 8 <= size <= len(data) - position, f"{kind!r} of {size} bytes at {offset + position}"
        yield Box(kind, data[position + 8 : position + size], offset + position)
        position += size


def samples(segment: bytes) -> list[Sample]:
    """All samples of a media segment or part."""
    found: list[Sample] = []
    moof: Box | None = None
    for box in boxes(segment):
        if box.kind == b"moof":
            moof = box
        elif box.kind == b"mdat":
            assert moof is not None
            fragment = list(_fragment(moof, segment))
            end = box.offset + 8 + len(box.content)
            assert sum(len(sample.data) for sample in fragment) == len(box.content) == end - box.offset - 8
            found += fragment
        else:
            assert box.kind == b"styp"
    return found


def sequence_numbers(segment: bytes) -> list[int]:
    return [
        struct.unpack(">I", box.find(b"mfhd").content[4:])[0] for box in boxes(segment) if box.kind == b"moof"
    ]


def _fragment(moof: Box, segment: bytes) -> Iterator[Sample]:
    tfhd = moof.find(b"traf", b"tfhd").content
    tfhd_flags = struct.unpack_from(">I", tfhd)[0] & 0xFFFFFF
    assert tfhd_flags & 0x020000, "default-base-is-moof"
    default_flags = struct.unpack_from(">I", tfhd, 8)[0] if tfhd_flags & 0x20 else 0
    tfdt = moof.find(b"traf", b"tfdt").content
    assert tfdt[0] == 1, "64-bit decode time"
    decode_time = struct.unpack_from(">Q", tfdt, 4)[0]
    trun = moof.find(b"traf", b"trun").content
    version_flags, count, data_offset = struct.unpack_from(">IIi", trun)
    flags = version_flags & 0xFFFFFF
    assert version_flags >> 24 == 1, "signed composition offsets"
    position, data_at = 12, moof.offset + data_offset
    for _ in range(count):
        fields = []
        for flag in (0x100, 0x200, 0x400, 0x800):
            if flags & flag:
                fields.append(struct.unpack_from(">i" if flag == 0x800 else ">I", trun, position)[0])
                position += 4
        duration, size, *rest = fields
        sample_flags, offset = rest or (default_flags, 0)
        data = segment[data_at : data_at + size]
        yield Sample(decode_time, duration, offset, not sample_flags & 0x10000, data)
        decode_time += duration
        data_at += size
    assert position == len(trun)
