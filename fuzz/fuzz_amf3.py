"""AMF3 behind its marker in AMF0: bounded whatever refers to what, and it can be said again in AMF0."""

from collections.abc import Iterator

from tests.support.amf3 import switched

from fuzz.target import FuzzTarget
from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import MAX_VALUES, AmfValue


def run(data: bytes) -> None:
    values = amf0.decode(b"\x11" + data)
    assert sum(map(_size, values)) <= MAX_VALUES
    try:
        amf0.encode(*values)
    except LocalProtocolError:
        return  # a name that AMF0 cannot have


def _size(value: AmfValue) -> int:
    """How many values it consists of, as often as they are referred to."""
    match value:
        case list():
            return 1 + sum(map(_size, value))
        case dict():
            return 1 + sum(map(_size, value.values()))
    return 1


def seeds() -> Iterator[bytes]:
    yield switched({"app": "live", "tcUrl": "rtmp://h/live", "objectEncoding": 3, "fpad": False}, None)[1:]
    yield switched([1, -1, 1.5, [True, amf0.UNDEFINED]], amf0.EcmaArray({"a": "b", "c": "b"}))[1:]
    yield switched({"a": 1, "b": 2}, {"a": 3, "b": 4}, {"x": amf0.AmfDate(1.7e12)})[1:]
    yield b"\x09\x07\x01\x09\x03\x01\x04\x07\x09\x02\x09\x02\x11\x0c\x05ab\x11\x0b\x03<\x11\x0a\x00"


TARGET = FuzzTarget("amf3", run, (RemoteProtocolError,), seeds)
