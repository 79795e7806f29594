"""What is in a captured container: as libav read it when it was captured, and as our readers read it.

Bitstreams are cut up here on purpose, and not with what the server uses for it.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import av

from openstreamer.media.frame import Frame

FIXTURES = Path(__file__).parents[1] / "fixtures"
# Parameter sets and access unit delimiters of H.264: containers differ in where they put them.
_NOT_CODED = {7, 8, 9}
_START_CODE = re.compile(b"\0\0\1")
_ADTS_HEADER_BYTES = 7


class Unit(NamedTuple):
    """One access unit; sound is a key frame always, as libav says it."""

    kind: str
    pts_90k: int
    dts_90k: int
    key: bool
    digest: str


def read_by_libav(path: Path) -> list[Unit]:
    """The units of a container of H.264 and AAC."""
    with av.open(str(path)) as container:
        return [
            Unit(
                packet.stream.type,
                round(packet.pts * packet.time_base * 90_000),
                round(packet.dts * packet.time_base * 90_000),
                packet.is_keyframe,
                _digest(packet.stream.type, bytes(packet), container.format.name == "mpegts"),
            )
            for packet in container.demux()
            if packet.pts is not None and packet.dts is not None and packet.time_base is not None
        ]


def write_list(path: Path, units: list[Unit]) -> None:
    """A line for each unit."""
    lines = ",\n".join(json.dumps(unit) for unit in units)
    path.write_text(f"[\n{lines}\n]\n")


def listed(name: str, kind: str) -> list[Unit]:
    """The units of one track that libav read in a fixture."""
    units = [Unit(*fields) for fields in json.loads((FIXTURES / name).with_suffix(".json").read_text())]
    return [unit for unit in units if unit.kind == kind]


def units_of(frames: Iterable[Frame], kind: str) -> list[Unit]:
    """What our reader made of one track."""
    is_video = kind == "video"
    return [
        Unit(kind, frame.pts_90k, frame.dts_90k, frame.key or not is_video, _digest(kind, frame.payload))
        for frame in frames
        if frame.track.is_video == is_video
    ]


def _digest(kind: str, payload: bytes, as_in_ts: bool = False) -> str:
    if kind == "audio":
        return _sha(payload[_ADTS_HEADER_BYTES if as_in_ts else 0 :])
    nal_units = _between_start_codes(payload) if as_in_ts else _with_lengths(payload)
    return _sha(b"".join(b"\0\0\1" + nal for nal in nal_units if nal[0] & 0x1F not in _NOT_CODED))


def _between_start_codes(payload: bytes) -> list[bytes]:
    return [nal.rstrip(b"\0") for nal in _START_CODE.split(payload) if nal.strip(b"\0")]


def _with_lengths(payload: bytes) -> list[bytes]:
    nal_units, at = [], 0
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        nal_units.append(payload[at + 4 : at + 4 + size])
        at += 4 + size
    return nal_units


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
