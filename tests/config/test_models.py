"""What an operator may say, and how a refusal reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.config.base import parse
from openstreamer.config.models import (
    EVERY_PROTOCOL,
    GlobalConfig,
    Hook,
    Policy,
    Protocols,
    Stream,
    Template,
)
from openstreamer.media.errors import ConfigError
from openstreamer.packager.options import PackagerOptions

# Every field of CONTRACT 3, each with a value that is not its default.
COMPLETE_STREAM: dict[str, Any] = {
    "code": "region/news",
    "name": "News",
    "description": "two\nlines",
    "tags": ["a", "b"],
    "stream_key": "key-1",
    "playback_policy": "members",
    "inputs": [
        {
            "url": "https://cdn.example.com/index.m3u8",
            "priority": 0,
            "headers": {"Authorization": "Bearer x"},
            "params": {"passphrase": "x"},
            "net": {"timeout_sec": 15, "insecure_tls": True},
            "program": 3,
            "pids": [0, 256],
        },
        {"url": "publish://", "priority": 1},
    ],
    "protocols": {
        "hls": True, "dash": True, "rtmp": True, "rtsp": True, "srt": True, "mpegts": True, "webrtc": True,
    },
    "push": [
        {
            "url": "rtmp://a.example.com/live2/key",
            "enabled": True,
            "comment": "x",
            "timeout_sec": 11,
            "retry_timeout_sec": 6,
            "limit": 3,
        }
    ],
    "dvr": {
        "enabled": True, "retention_sec": 86400, "segment_duration": 6, "max_size_gb": 1.5,
        "storage_path": "archive", "profiles": "all",
    },
    "thumbnail": {
        "enabled": True, "width": 320, "height": 180, "interval_sec": 5, "quality": 3, "output_dir": "thumbs",
    },
    "transcoder": {
        "global": {"hw": "nvenc", "deviceid": 1, "fps": 25, "gop": 50},
        "decoder": {"name": "h264_cuvid"},
        "audio": {
            "codec": "opus", "bitrate": 96, "channels": 1, "sample_rate": 48000, "language": "en",
            "normalize": True, "copy": True, "volume": "-6dB",
        },
        "video": {
            "copy": True,
            "interlace": "auto",
            "profiles": [
                {
                    "codec": "h265", "bitrate": 5000, "max_bitrate": 7500, "width": 1920, "height": 1080,
                    "framerate": 29.97, "keyframe_interval": 2, "preset": "veryfast", "profile": "main",
                    "level": "4.1", "bframes": 0, "refs": 4, "sar": "16:11", "resize_mode": "crop",
                }
            ],
        },
    },
    "watermark": {
        "enabled": True, "type": "image", "text": "LIVE", "filename": "logo.png", "position": "custom",
        "opacity": 0.5, "font_size": 30, "font_file": "/f.ttf", "font_color": "#ff0000@0.5", "offset_x": 1,
        "offset_y": 2, "x": "W-w-10", "y": "if(gt(t,5),10,-100)", "resize": True,
    },
    "failover": "hot",
    "disabled": True,
    "template": "hd",
}  # fmt: skip


def test_every_field_of_the_contract_is_accepted_and_given_back_unchanged() -> None:
    document = parse(Stream, COMPLETE_STREAM).document()
    assert document == COMPLETE_STREAM
    missing = set(Stream.model_fields) - set(COMPLETE_STREAM)
    assert not missing


def test_a_template_takes_the_same_fields() -> None:
    own = {key: value for key, value in COMPLETE_STREAM.items() if key not in ("disabled", "template")}
    document = {**own, "code": "hd", "prefixes": ["live", "a/b/"]}
    assert parse(Template, document).document() == {**document, "prefixes": ["live", "a/b"]}
    for field in ("disabled", "template"):
        with pytest.raises(ConfigError, match="is not a known field"):
            parse(Template, {**document, field: COMPLETE_STREAM[field]})


@pytest.mark.parametrize("unset", [None, "", []])
def test_null_empty_string_and_empty_list_are_unset(unset: Any) -> None:
    stream = parse(Stream, {"code": "news", "name": unset, "tags": unset, "inputs": unset, "template": unset})
    assert stream.document() == {"code": "news"}
    assert stream.model_fields_set == {"code"}


def test_false_and_zero_are_said_where_they_mean_something() -> None:
    document = {"code": "x", "protocols": {"hls": False}, "dvr": {"enabled": False, "retention_sec": 0}}
    assert parse(Stream, document).document() == document


def test_zero_is_the_default_where_the_go_server_means_it_so() -> None:
    zeros = {"bitrate": 0, "width": 0, "framerate": 0}
    stream = parse(Stream, {"code": "x", "transcoder": {"video": {"profiles": [zeros]}}, "disabled": False})
    assert stream.transcoder is not None
    assert stream.transcoder.video.profiles[0].bitrate == 2500
    assert "disabled" not in stream.document()


def test_an_empty_protocols_object_is_said_and_turns_everything_off() -> None:
    assert parse(Stream, {"code": "x", "protocols": {}}).delivered == Protocols()
    assert parse(Stream, {"code": "x"}).delivered == EVERY_PROTOCOL


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        ({}, "code", "is required"),
        ({"code": "a b"}, "code", "segments"),
        ({"code": 5}, "code", "must be a string"),
        ({"code": "x", "nam": None}, "nam", "is not a known field"),
        ({"code": "x", "inputs": {}}, "inputs", "must be a list"),
        ({"code": "x", "inputs": ["publish://"]}, "inputs[0]", "must be an object"),
        ({"code": "x", "inputs": [{"priority": 0}]}, "inputs[0].url", "is required"),
        ({"code": "x", "inputs": [{"url": "ftp://h/x"}]}, "inputs[0].url", "ftp://"),
        (
            {"code": "x", "inputs": [{"url": "publish://", "priority": "0"}]},
            "inputs[0].priority",
            "whole number",
        ),
        (
            {"code": "x", "inputs": [{"url": "publish://", "priority": 1}]},
            "inputs",
            "priorities must be unique",
        ),
        (
            {
                "code": "x",
                "inputs": [{"url": "publish://", "priority": 0}, {"url": "test://", "priority": 0}],
            },
            "inputs",
            "priorities must be unique and 0 to 1",
        ),
        ({"code": "x", "inputs": [{"url": "test://", "pids": [9000]}]}, "inputs[0].pids[0]", "less than"),
        (
            {"code": "x", "inputs": [{"url": "test://", "net": {"retry": 1}}]},
            "inputs[0].net.retry",
            "not a known",
        ),
        (
            {"code": "x", "inputs": [{"url": "test://", "headers": {"A": "b\r\nC: d"}}]},
            "inputs[0].headers",
            "line",
        ),
        ({"code": "x", "disabled": "yes"}, "disabled", "true or false"),
        ({"code": "x", "disabled": 0}, "disabled", "true or false"),
        ({"code": "x", "push": [{"url": "http://h/x"}]}, "push[0].url", "rtmp://"),
        ({"code": "x", "transcoder": {"global": {"hw": "gpu"}}}, "transcoder.global.hw", "must be"),
        ({"code": "x", "transcoder": {"audio": {"volume": "loud"}}}, "transcoder.audio.volume", "decibels"),
        (
            {"code": "x", "transcoder": {"video": {"profiles": [{"width": 641}]}}},
            "transcoder.video.profiles[0].width",
            "even",
        ),
        ({"code": "x", "watermark": {"enabled": True}}, "watermark", "needs text"),
        ({"code": "x", "watermark": {"text": "a", "font_color": "red;x"}}, "watermark.font_color", "colour"),
        ({"code": "x", "watermark": {"x": "system('x')"}}, "watermark.x", "expression"),
        ({"code": "x", "watermark": {"filename": "../x.png"}}, "watermark.filename", "without directories"),
        ({"code": "x", "dvr": {"storage_path": "/a/../b"}}, "dvr.storage_path", ".."),
        ({"code": "x", "failover": "warm"}, "failover", "'cold' or 'hot'"),
        ({"code": "x", "name": "a\0b"}, "name", "NUL"),
        ({"code": "x", "dvr": {"max_size_gb": float("nan")}}, "dvr.max_size_gb", "finite"),
        ({"code": "x", "tags": ["a"] * 65}, "tags", "at most"),
    ],
)
def test_a_refusal_names_the_field_and_the_reason(document: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(Stream, document)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert reason in str(refused.value)


def test_inputs_without_priorities_take_the_order_of_the_list() -> None:
    stream = parse(Stream, {"code": "x", "inputs": [{"url": "test://"}, {"url": "publish://"}]})
    assert [each.priority for each in stream.inputs] == [0, 1]
    assert [each["priority"] for each in stream.document()["inputs"]] == [0, 1]


def test_a_place_inside_a_larger_document_is_part_of_the_field() -> None:
    with pytest.raises(ConfigError) as refused:
        parse(Stream, {"code": "x", "inputs": [{"url": "x"}]}, at="streams[3]")
    assert refused.value.field == "streams[3].inputs[0].url"


def test_a_document_that_is_too_deep_is_refused_before_it_is_walked() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(ConfigError, match="too deep"):
        parse(Stream, {"code": "x", "transcoder": deep})


def test_neither_repr_nor_error_shows_a_secret() -> None:
    stream = parse(Stream, {**COMPLETE_STREAM, "stream_key": "hunter22",
                            "inputs": [{"url": "rtmp://u:hunter22@h/a/b", "headers": {"A": "hunter22"}}],
                            "push": [{"url": "rtmp://h/live/hunter22"}]})  # fmt: skip
    assert "hunter22" not in repr(stream)
    with pytest.raises(ConfigError) as refused:
        parse(Stream, {"code": "x", "stream_key": ["hunter22"]})
    assert "hunter22" not in f"{refused.value} {refused.value.__cause__}"


def test_what_a_go_client_sends_for_an_untouched_form_changes_nothing() -> None:
    form = {
        "code": "x",
        "name": "",
        "tags": [],
        "stream_key": "",
        "disabled": False,
        "inputs": [],
        "push": None,
    }
    assert parse(Stream, form).document() == {"code": "x"}


def test_a_policy_knows_networks_and_countries() -> None:
    policy = parse(Policy, {"code": "p", "allow_ips": ["10.0.0.0/8", "::1"], "deny_countries": ["vn"]})
    assert policy.deny_countries == ("VN",)
    for wrong in ({"allow_ips": ["10.0.0"]}, {"deny_countries": ["Vietnam"]}, {"require_token": True}):
        with pytest.raises(ConfigError):
            parse(Policy, {"code": "p", **wrong})


def test_a_hook_needs_a_target_that_fits_its_type() -> None:
    assert parse(
        Hook, {"id": "a", "target": "https://h/x", "stream_codes": {"except": ["x"]}}
    ).document() == {
        "id": "a",
        "target": "https://h/x",
        "stream_codes": {"except": ["x"]},
    }
    for wrong in (
        {"target": "ftp://x"},
        {},
        {"type": "file", "target": "../x"},
        {"type": "kafka", "target": "x"},
    ):
        with pytest.raises(ConfigError):
            parse(Hook, {"id": "a", **wrong})


def test_the_global_configuration_has_the_documented_defaults() -> None:
    unset = GlobalConfig()
    assert unset.document() == {}
    assert unset.manager.input_packet_timeout_sec == 2
    assert unset.publisher.hls.live_window == 12
    assert unset.publisher.hls.live_ephemeral
    assert unset.server.http_addr == "0.0.0.0:8080"
    assert unset.listeners.rtmp.port == 1935


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"server": {"http_addr": "8080"}}, "server.http_addr"),
        ({"server": {"tls": {"cert": "/a"}}}, "server.tls"),
        ({"server": {"trusted_proxies": ["proxy"]}}, "server.trusted_proxies"),
        (
            {"auth": {"api": {"users": [{"username": "a:b", "password_hash": "x"}]}}},
            "auth.api.users[0].username",
        ),
        (
            {"auth": {"api": {"users": [{"username": "a", "password_hash": "hunter2"}]}}},
            "auth.api.users[0].password_hash",
        ),
        ({"listeners": {"rtmp": {"port": 70000}}}, "listeners.rtmp.port"),
        ({"log": {"level": "loud"}}, "log.level"),
        ({"manager": {"input_packet_timeout_sec": 0.001}}, "manager.input_packet_timeout_sec"),
    ],
)
def test_a_wrong_global_setting_is_refused_with_its_field(document: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(GlobalConfig, document)
    assert refused.value.field == field


@pytest.mark.parametrize("seconds", [1e-9, 0.49, 0.5, 30, 30.1])
def test_a_segment_duration_that_is_accepted_can_be_packaged(seconds: float) -> None:
    """One that cannot would stop every stream."""
    try:
        config = parse(GlobalConfig, {"publisher": {"hls": {"live_segment_sec": seconds}}})
    except ConfigError:
        assert not 0.5 <= seconds <= 30
    else:
        PackagerOptions(segment_target_s=config.publisher.hls.live_segment_sec)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(COMPLETE_STREAM)), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*COMPLETE_STREAM, "unknown"]), _JSON))
def test_any_json_is_a_stream_or_a_typed_refusal(document: dict[str, Any]) -> None:
    try:
        stream = parse(Stream, {"code": "x", **document})
    except ConfigError:
        return
    assert parse(Stream, stream.document()).document() == stream.document()
