"""The values that unset fields take: constants for the server, one document for ``GET /config/defaults``.

Where a value differs from the Go server, the reason stands beside it.
"""

from typing import Any, Final

HTTP_PORT: Final = 8080
RTMP_PORT: Final = 1935
RTMPS_PORT: Final = 1936  # ours: the Go server has no RTMPS
RTSP_PORT: Final = 8554  # the Go server binds 554, which needs root
SRT_PORT: Final = 9999
SRT_LATENCY_MS: Final = 120
LISTEN_HOST: Final = "0.0.0.0"  # noqa: S104 - a media server is for other machines; the admin API guards itself

# A low-latency viewer over HTTP/1.1 holds two, one for each of picture and sound: 4096 viewers.
# Idle ones take 5 kB each.
HTTP_CONNECTIONS: Final = 8192
# The share of one address: eight must agree to keep everybody else out, and 512 viewers may share a NAT.
HTTP_ADDRESSES: Final = 8

BUFFER_CAPACITY: Final = 1024
INPUT_PACKET_TIMEOUT_S: Final = 2.0  # Go: 30 s, which is an outage that viewers notice
LIVE_SEGMENT_S: Final = 2.0
LIVE_WINDOW: Final = 12
MIN_LIVE_WINDOW: Final = 6  # shorter ones are served as this: Apple asks for six segments
LIVE_HISTORY: Final = 0
LIVE_EPHEMERAL: Final = True  # Go: false, and its live directories grow for ever

DVR_SEGMENT_S: Final = 4
DVR_STORAGE_PATH_TEMPLATE: Final = "dvr/{streamCode}"  # below the data directory

PUSH_TIMEOUT_S: Final = 10
PUSH_RETRY_TIMEOUT_S: Final = 5

HOOK_MAX_RETRIES: Final = 3
HOOK_TIMEOUT_S: Final = 10
HOOK_BATCH_MAX_ITEMS: Final = 100
HOOK_BATCH_FLUSH_INTERVAL_S: Final = 5
HOOK_BATCH_MAX_QUEUE_ITEMS: Final = 10_000
HOOK_WORKER_COUNT: Final = 4

HLS_PLAYLIST_TIMEOUT_S: Final = 15
HLS_SEGMENT_TIMEOUT_S: Final = 60
HLS_MAX_SEGMENT_BUFFER: Final = 8
RTMP_TIMEOUT_S: Final = 10
RTSP_TIMEOUT_S: Final = 10
HTTP_TIMEOUT_S: Final = 10  # ours: MPEG-TS and other media over HTTP

SESSION_IDLE_TIMEOUT_S: Final = 30

AUDIO_BITRATE_KBPS: Final = 128
VIDEO_BITRATE_KBPS: Final = 2500

HW_ACCELS: Final = ("none", "nvenc", "vaapi", "qsv", "videotoolbox")
VIDEO_CODECS: Final = ("h264", "h265", "mp2v", "av1", "copy")
AUDIO_CODECS: Final = ("aac", "mp3", "mp2a", "ac3", "eac3", "opus", "copy")
OUTPUT_PROTOCOLS: Final = ("hls", "dash", "rtmp", "rtsp", "srt", "mpegts", "webrtc")
STREAM_STATUSES: Final = ("idle", "active", "degraded", "stopped")
WATERMARK_TYPES: Final = ("text", "image")
WATERMARK_POSITIONS: Final = ("top_left", "top_right", "bottom_left", "bottom_right", "center", "custom")

# Which encoder an (output codec, accelerator) pair asks for. Where a family has no encoder of that codec, the
# software encoder stands there, because that is what runs then.
ENCODER_BY_CODEC_HW: Final[dict[str, dict[str, str]]] = {
    "h264": {
        "none": "libx264",
        "nvenc": "h264_nvenc",
        "vaapi": "h264_vaapi",
        "qsv": "h264_qsv",
        "videotoolbox": "h264_videotoolbox",
    },
    "h265": {
        "none": "libx265",
        "nvenc": "hevc_nvenc",
        "vaapi": "hevc_vaapi",
        "qsv": "hevc_qsv",
        "videotoolbox": "hevc_videotoolbox",
    },
    "av1": {
        "none": "libsvtav1",
        "nvenc": "av1_nvenc",
        "vaapi": "av1_vaapi",
        "qsv": "av1_qsv",
        "videotoolbox": "libsvtav1",
    },
    "mp2v": {
        "none": "mpeg2video",
        "nvenc": "mpeg2video",
        "vaapi": "mpeg2_vaapi",
        "qsv": "mpeg2_qsv",
        "videotoolbox": "mpeg2video",
    },
}


def defaults_document() -> dict[str, Any]:
    """The body of ``GET /config/defaults`` (CONTRACT 5); a new document each time."""
    return {
        "buffer": {"capacity": BUFFER_CAPACITY},
        "manager": {"input_packet_timeout_sec": _number(INPUT_PACKET_TIMEOUT_S)},
        "publisher": {"hls": _live_segments(), "dash": _live_segments()},
        "dvr": {"segment_duration": DVR_SEGMENT_S, "storage_path_template": DVR_STORAGE_PATH_TEMPLATE},
        "push": {"timeout_sec": PUSH_TIMEOUT_S, "retry_timeout_sec": PUSH_RETRY_TIMEOUT_S},
        "hook": {
            "max_retries": HOOK_MAX_RETRIES,
            "timeout_sec": HOOK_TIMEOUT_S,
            "batch_max_items": HOOK_BATCH_MAX_ITEMS,
            "batch_flush_interval_sec": HOOK_BATCH_FLUSH_INTERVAL_S,
            "batch_max_queue_items": HOOK_BATCH_MAX_QUEUE_ITEMS,
        },
        "listeners": {
            "rtmp": {"port": RTMP_PORT, "listen_host": LISTEN_HOST},
            "rtsp": {"port": RTSP_PORT, "listen_host": LISTEN_HOST, "transport": "tcp"},
            "srt": {"port": SRT_PORT, "listen_host": LISTEN_HOST, "latency_ms": SRT_LATENCY_MS},
        },
        "ingestor": {
            "hls_playlist_timeout_sec": HLS_PLAYLIST_TIMEOUT_S,
            "hls_segment_timeout_sec": HLS_SEGMENT_TIMEOUT_S,
            "hls_max_segment_buffer": HLS_MAX_SEGMENT_BUFFER,
            "rtmp_timeout_sec": RTMP_TIMEOUT_S,
            "rtsp_timeout_sec": RTSP_TIMEOUT_S,
        },
        "transcoder": {
            "audio": {"bitrate_k": AUDIO_BITRATE_KBPS, "codec": "aac"},
            "global": {"hw": "none", "deviceid": 0},
            "video": {
                "bitrate_k": VIDEO_BITRATE_KBPS,
                "resize_mode": "pad",
                "codec": "h264",
                "encoder_by_codec_hw": {codec: dict(row) for codec, row in ENCODER_BY_CODEC_HW.items()},
            },
        },
    }


def _live_segments() -> dict[str, Any]:
    return {
        "live_segment_sec": _number(LIVE_SEGMENT_S),
        "live_window": LIVE_WINDOW,
        "live_history": LIVE_HISTORY,
        "live_ephemeral": LIVE_EPHEMERAL,
    }


def _number(value: float) -> int | float:
    """2.0 as the JSON number 2, as typed clients of the Go server expect."""
    return int(value) if value == int(value) else value
