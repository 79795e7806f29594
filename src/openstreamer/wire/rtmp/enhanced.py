"""What we say and understand about Enhanced RTMP v2 in ``connect`` (section "Enhancing NetConnection connect
Command")."""

from collections.abc import Mapping

from openstreamer.wire import amf0
from openstreamer.wire.amf0 import AmfValue

VIDEO_FOUR_CCS = ("avc1", "hvc1", "av01", "vp09")
AUDIO_FOUR_CCS = ("mp4a", "Opus", ".mp3", "ac-3", "ec-3")

CAN_FORWARD = 0x04  # FourCcInfoMask.CanForward
CAPABILITIES = 0x04  # CapsExMask.ModEx: parsed and skipped. Not Multitrack: only the first track is kept.

RECONNECT = 0x01  # CapsExMask.Reconnect: the peer follows a Reconnect Request

_MAX_FOUR_CCS = 64


def capability_fields() -> dict[str, AmfValue]:
    """The properties that announce what we carry: the same from a server and from a client."""
    return {
        "fourCcList": [*VIDEO_FOUR_CCS, *AUDIO_FOUR_CCS],
        "videoFourCcInfoMap": {name: float(CAN_FORWARD) for name in VIDEO_FOUR_CCS},
        "audioFourCcInfoMap": {name: float(CAN_FORWARD) for name in AUDIO_FOUR_CCS},
        "capsEx": float(CAPABILITIES),
    }


def announced_four_ccs(fields: Mapping[str, AmfValue]) -> tuple[str, ...]:
    """Every fourCC the peer named, in the old list or the newer maps."""
    names: list[str] = []
    listed = fields.get("fourCcList")
    if isinstance(listed, list):
        names += [name for name in listed if isinstance(name, str)]
    for key in ("videoFourCcInfoMap", "audioFourCcInfoMap"):
        by_name = fields.get(key)
        if isinstance(by_name, dict):
            names += by_name
    return tuple(dict.fromkeys(names[:_MAX_FOUR_CCS]))


def announced_capabilities(fields: Mapping[str, AmfValue]) -> int:
    """The peer's ``capsEx`` flags, 0 when it has none."""
    flags = amf0.number_or_none(fields.get("capsEx"))
    return int(flags) if flags is not None and 0 <= flags <= 0xFFFFFFFF else 0
