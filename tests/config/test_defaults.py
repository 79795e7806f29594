"""``GET /config/defaults`` has the shape of CONTRACT 5, and says what the models really do."""

from openstreamer.config.defaults import (
    AUDIO_CODECS,
    ENCODER_BY_CODEC_HW,
    HW_ACCELS,
    VIDEO_CODECS,
    defaults_document,
)
from openstreamer.config.models import Dvr, GlobalConfig, Hook, Push
from openstreamer.config.transcoding import AudioEncoding, TranscoderGlobal, VideoProfile


def test_the_shape_is_the_contract_s() -> None:
    document = defaults_document()
    live = {"live_segment_sec": 2, "live_window": 12, "live_history": 0, "live_ephemeral": True}
    encoders = document["transcoder"]["video"].pop("encoder_by_codec_hw")
    assert document == {
        "buffer": {"capacity": 1024},
        "manager": {"input_packet_timeout_sec": 2},
        "publisher": {"hls": live, "dash": live},
        "dvr": {"segment_duration": 4, "storage_path_template": "dvr/{streamCode}"},
        "push": {"timeout_sec": 10, "retry_timeout_sec": 5},
        "hook": {
            "max_retries": 3,
            "timeout_sec": 10,
            "batch_max_items": 100,
            "batch_flush_interval_sec": 5,
            "batch_max_queue_items": 10000,
        },
        "listeners": {
            "rtmp": {"port": 1935, "listen_host": "0.0.0.0"},
            "rtsp": {"port": 8554, "listen_host": "0.0.0.0", "transport": "tcp"},
            "srt": {"port": 9999, "listen_host": "0.0.0.0", "latency_ms": 120},
        },
        "ingestor": {
            "hls_playlist_timeout_sec": 15,
            "hls_segment_timeout_sec": 60,
            "hls_max_segment_buffer": 8,
            "rtmp_timeout_sec": 10,
            "rtsp_timeout_sec": 10,
        },
        "transcoder": {
            "audio": {"bitrate_k": 128, "codec": "aac"},
            "global": {"hw": "none", "deviceid": 0},
            "video": {"bitrate_k": 2500, "resize_mode": "pad", "codec": "h264"},
        },
    }
    assert encoders["h264"] == {
        "none": "libx264",
        "nvenc": "h264_nvenc",
        "vaapi": "h264_vaapi",
        "qsv": "h264_qsv",
        "videotoolbox": "h264_videotoolbox",
    }


def test_whole_numbers_are_integers_for_typed_clients() -> None:
    document = defaults_document()
    assert isinstance(document["manager"]["input_packet_timeout_sec"], int)
    assert isinstance(document["publisher"]["hls"]["live_segment_sec"], int)


def test_each_answer_is_its_own_document() -> None:
    defaults_document()["transcoder"]["video"]["encoder_by_codec_hw"]["h264"]["none"] = "scribble"
    assert defaults_document()["transcoder"]["video"]["encoder_by_codec_hw"]["h264"]["none"] == "libx264"


def test_the_documented_values_are_those_the_models_take() -> None:
    document, unset = defaults_document(), GlobalConfig()
    for kind in ("hls", "dash"):
        live = getattr(unset.publisher, kind)
        assert {key: getattr(live, key) for key in document["publisher"][kind]} == document["publisher"][kind]
    assert unset.buffer.capacity == document["buffer"]["capacity"]
    assert unset.manager.input_packet_timeout_sec == document["manager"]["input_packet_timeout_sec"]
    for name, listener in document["listeners"].items():
        for key, value in listener.items():
            assert getattr(getattr(unset.listeners, name), key) == value
    assert unset.ingestor.hls_max_segment_buffer == document["ingestor"]["hls_max_segment_buffer"]
    push = Push(url="rtmp://h/a/b")
    assert {key: getattr(push, key) for key in document["push"]} == document["push"]
    assert Dvr().segment_duration == document["dvr"]["segment_duration"]
    hook = Hook(id="a", target="http://h/")
    assert (hook.max_retries, hook.timeout_sec) == (3, 10)
    for key in ("batch_max_items", "batch_flush_interval_sec", "batch_max_queue_items"):
        assert getattr(unset.hooks, key) == document["hook"][key]
    transcoder = document["transcoder"]
    assert AudioEncoding().bitrate == transcoder["audio"]["bitrate_k"]
    assert AudioEncoding().codec == transcoder["audio"]["codec"]
    assert VideoProfile().bitrate == transcoder["video"]["bitrate_k"]
    assert VideoProfile().codec == transcoder["video"]["codec"]
    assert VideoProfile().resize_mode == transcoder["video"]["resize_mode"]
    assert TranscoderGlobal().hw == transcoder["global"]["hw"]


def test_every_codec_and_accelerator_has_an_encoder() -> None:
    assert set(ENCODER_BY_CODEC_HW) == set(VIDEO_CODECS) - {"copy"}
    for row in ENCODER_BY_CODEC_HW.values():
        assert tuple(row) == HW_ACCELS
        assert all(row.values())
    assert "copy" in AUDIO_CODECS
