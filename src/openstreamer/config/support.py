"""Which declared features this version does not carry out yet; the list shrinks release by release.

What is declared is stored and checked; the stream's ``runtime.reasons`` repeat these sentences, so that
nobody waits for an output that cannot come.
"""

from typing import Final

from openstreamer.config.input_urls import (
    FileInput,
    HttpInput,
    PublishInput,
    RtmpInput,
    TestInput,
    UdpInput,
    scheme_of,
)
from openstreamer.config.models import Input, Protocols, Stream

PLAYBACK_POLICIES: Final = "playback policies are not supported by this version, so nobody may watch"

_DELIVERED = frozenset({"hls"})


def unsupported(stream: Stream) -> list[str]:
    """Plain-word reasons, one per declared part of a resolved stream that will not work."""
    return [*_inputs(stream), *_outputs(stream), *_processing(stream)]


def _inputs(stream: Stream) -> list[str]:
    return [
        f"input {each.priority}: {scheme_of(each.url)}:// inputs are not supported by this version"
        for each in stream.inputs_by_priority
        if not _is_opened(each)
    ]


def _is_opened(chosen: Input) -> bool:
    match chosen.parsed_url:
        case PublishInput() | TestInput() | RtmpInput() | HttpInput() | FileInput() | UdpInput():
            return True
    return False


def _outputs(stream: Stream) -> list[str]:
    reasons = []
    if stream.protocols is not None:  # a stream that says nothing asks for what there is
        wanted = [name for name in Protocols.model_fields if getattr(stream.protocols, name)]
        reasons = [
            f"{name} delivery is not supported by this version" for name in wanted if name not in _DELIVERED
        ]
    if any(push.enabled for push in stream.push):
        reasons.append("pushing to other servers is not supported by this version")
    return reasons


def _processing(stream: Stream) -> list[str]:
    reasons = []
    if stream.playback_policy is not None:
        reasons.append(PLAYBACK_POLICIES)
    if stream.transcoder is not None:
        reasons.append("transcoding is not supported by this version: the source is delivered as it is")
    if stream.watermark is not None and stream.watermark.enabled:
        reasons.append("watermarks are not supported by this version")
    if stream.dvr is not None and stream.dvr.enabled:
        reasons.append("recording is not supported by this version")
    if stream.thumbnail is not None and stream.thumbnail.enabled:
        reasons.append("thumbnails are not supported by this version")
    if len(stream.inputs) > 1:
        reasons.append("only the first input is used by this version")
    return reasons
