"""AMF0: what decodes can be encoded, and decodes to the same again."""

from collections.abc import Iterator

from fuzz.target import FuzzTarget
from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0


def run(data: bytes) -> None:
    values = amf0.decode(data)
    try:
        encoded = amf0.encode(*values)
    except LocalProtocolError:
        return  # a key that is too long in our encoding, which replaces what is not UTF-8
    assert repr(amf0.decode(encoded)) == repr(values)  # as text, since NaN is not equal to itself


def seeds() -> Iterator[bytes]:
    yield amf0.encode("connect", 1.0, {"app": "live", "fourCcList": ["hvc1", "av01"], "x": None, "y": True})
    yield amf0.encode("onMetaData", amf0.EcmaArray({"width": 1280.0, "nested": {"a": [1.0, amf0.UNDEFINED]}}))
    yield amf0.encode(amf0.AmfDate(1.7e12), "x" * 70_000)[:200]
    yield bytes.fromhex("10000441626364 00016100 3ff0000000000000 000009".replace(" ", ""))  # typed object


TARGET = FuzzTarget("amf0", run, (RemoteProtocolError,), seeds)
