"""What this version does not carry out is said in plain words."""

from typing import Any

import pytest

from openstreamer.config.base import parse
from openstreamer.config.models import Stream
from openstreamer.config.support import unsupported


def _reasons(**fields: Any) -> list[str]:
    return unsupported(parse(Stream, {"code": "news", **fields}))


@pytest.mark.parametrize("url", ["publish://", "test://", "rtmp://0.0.0.0/live/x"])
def test_what_works_needs_no_reason(url: str) -> None:
    assert _reasons(inputs=[{"url": url}]) == []
    assert _reasons(inputs=[{"url": url}], protocols={"hls": True}, dvr={"enabled": False}) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"inputs": [{"url": "srt://u:hunter2@h:1"}]}, "input 0: srt:// inputs"),
        ({"protocols": {"dash": True, "hls": True}}, "dash delivery"),
        ({"push": [{"url": "rtmp://h/a/b", "enabled": True}]}, "pushing"),
        ({"playback_policy": "closed"}, "playback policies"),
        ({"transcoder": {}}, "transcoding"),
        ({"watermark": {"enabled": True, "text": "x"}}, "watermarks"),
        ({"dvr": {"enabled": True}}, "recording"),
        ({"thumbnail": {"enabled": True}}, "thumbnails"),
        ({"inputs": [{"url": "publish://"}, {"url": "test://"}]}, "only the first input"),
    ],
)
def test_what_does_not_work_yet_is_named_once(fields: dict[str, Any], reason: str) -> None:
    reasons = _reasons(**fields)
    assert len(reasons) == 1
    assert reason in reasons[0]
    assert "hunter2" not in reasons[0]
