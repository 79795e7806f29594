"""Every source with a peer that speaks to it: how the peer is started, and the URL of the input."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tests.peers.originals import Original, Originals
from tests.peers.site import VOD, Site, free_port

_FFMPEG = ("ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-y", "-re")
_GROUP = "239.255.77.{0}"
_SEGMENTS_BEFORE_PULL = 3
# What these have buffered when they end is not sent: FFmpeg's RTP muxer frees the last transport packets
# (rtp_mpegts_write_close), nginx-rtmp the sound that waits to be aggregated.
_RTP_TAIL_S, _NGINX_TAIL_S = 0.5, 0.1
_HLS = (
    *("-f", "hls", "-hls_time", "1", "-hls_list_size", "10"),
    *("-hls_flags", "delete_segments+temp_file+independent_segments"),
)


def _at_once() -> bool:
    return True


@dataclass(frozen=True)
class Setup:
    """``command`` starts the peer: before the input exists, or ``after`` it. ``ready`` is when to pull."""

    url: str
    command: tuple[str, ...] = ()
    after: bool = False
    ready: Callable[[], bool] = _at_once


Prepare: TypeAlias = Callable[[Site], Setup]


@dataclass(frozen=True)
class Case:
    """One source and one peer. ``group`` says which cases go together, ``clip`` what is sent; the peer throws
    away up to ``tail_s`` of it at its end."""

    group: str
    name: str
    source: str
    peer: str
    prepare: Prepare
    clip: str = "film"
    tail_s: float = 0.0

    def original(self, originals: Originals) -> Original:
        found: Original = getattr(originals, self.clip)
        return found


# ---------------------------------------------------------------------- HTTP and RTMP


def _copied(site: Site, *output: str, clip: str = "film") -> tuple[str, ...]:
    """An ffmpeg that sends a clip in real time as it is."""
    path: Path = getattr(site.originals, clip).path
    return (*_FFMPEG, "-i", str(path), "-c", "copy", *output)


def _http_server(muxer: str, path: str, site: Site) -> Setup:
    url = f"http://127.0.0.1:{free_port()}/{path}"
    return Setup(url, _copied(site, "-f", muxer, "-listen", "1", url))


def _web_file(suffix: str, site: Site) -> Setup:
    return Setup(site.http(f"vod/film.{suffix}"))


def _rtmp_server(site: Site) -> Setup:
    url = f"rtmp://127.0.0.1:{free_port()}/live/film"
    return Setup(url, _copied(site, "-f", "flv", "-listen", "1", url))


def _rtmp_nginx(site: Site) -> Setup:
    url = site.rtmp("live/film")
    return Setup(url, _copied(site, "-f", "flv", url))


# ---------------------------------------------------------------------- HLS


def _listed(path: Path) -> bool:
    return path.exists() and path.read_text().count("#EXTINF") >= _SEGMENTS_BEFORE_PULL


def _hls_nginx(site: Site) -> Setup:
    command = _copied(site, "-f", "flv", site.rtmp("hls/film"))
    ready = partial(_listed, site.root / "nginx-hls/film.m3u8")
    return Setup(site.http("nginx-hls/film.m3u8"), command, ready=ready)


def _hls_ts(site: Site) -> Setup:
    files = _directory(site, "hls-ts")
    command = _copied(site, *_HLS, "-hls_segment_filename", f"{files}/s%d.ts", f"{files}/index.m3u8")
    return Setup(site.http("hls-ts/index.m3u8"), command, ready=partial(_listed, files / "index.m3u8"))


def _hls_fmp4(site: Site) -> Setup:
    files = _directory(site, "hls-fmp4")
    names = ("-hls_segment_type", "fmp4", "-hls_segment_filename", f"{files}/s%d.m4s")
    command = _copied(site, *_HLS, *names, f"{files}/index.m3u8")
    return Setup(site.http("hls-fmp4/index.m3u8"), command, ready=partial(_listed, files / "index.m3u8"))


def _hls_encrypted(site: Site) -> Setup:
    files = _directory(site, "hls-aes")
    (files / "key.bin").write_bytes(bytes(range(16)))
    (files / "key.info").write_text(f"key.bin\n{files}/key.bin\n")
    names = ("-hls_key_info_file", f"{files}/key.info", "-hls_segment_filename", f"{files}/s%d.ts")
    command = _copied(site, *_HLS, *names, f"{files}/index.m3u8")
    return Setup(site.http("hls-aes/index.m3u8"), command, ready=partial(_listed, files / "index.m3u8"))


def _hls_sound_apart(segment_type: str, suffix: str, site: Site) -> Setup:
    name = f"hls-apart-{suffix}"
    files = _directory(site, name)
    command = _copied(
        site,
        *("-map", "0:v", "-map", "0:a", *_HLS, "-hls_segment_type", segment_type),
        *("-var_stream_map", "a:0,agroup:sound,default:yes v:0,agroup:sound"),
        *("-master_pl_name", "index.m3u8", "-hls_segment_filename", f"{files}/%v_%d.{suffix}"),
        f"{files}/%v.m3u8",
    )
    lists = [files / f"{number}.m3u8" for number in (0, 1)]
    return Setup(
        site.http(f"{name}/index.m3u8"),
        command,
        ready=lambda: (files / "index.m3u8").exists() and all(map(_listed, lists)),
    )


def _hls_packed(site: Site) -> Setup:
    files = _directory(site, "hls-packed")
    segments = ("-f", "segment", "-segment_format", "adts", "-segment_time", "1", "-segment_list_size", "10")
    listing = ("-segment_list_flags", "live", "-segment_list_type", "m3u8")
    names = ("-segment_list", f"{files}/index.m3u8", f"{files}/s%d.aac")
    command = _copied(site, *segments, *listing, *names, clip="radio")
    return Setup(site.http("hls-packed/index.m3u8"), command, ready=partial(_listed, files / "index.m3u8"))


def _directory(site: Site, name: str) -> Path:
    directory = site.root / name
    directory.mkdir()
    return directory


# ---------------------------------------------------------------------- UDP


def _udp_ffmpeg(muxer: str, group: str, site: Site) -> Setup:
    port = _udp_port()
    scheme = "rtp" if muxer == "rtp_mpegts" else "udp"
    host = group or "127.0.0.1"
    target = f"{scheme}://{host}:{port}?pkt_size=1316" + ("&localaddr=127.0.0.1" if group else "")
    url = f"udp://{host}:{port}" + ("?iface=lo" if group else "")
    return Setup(url, _copied(site, "-f", muxer, target), after=True)


def _udp_ffmpeg_plain(site: Site) -> Setup:
    """Without ``pkt_size``, FFmpeg sends 1472 bytes at a time: packets straddle datagrams."""
    url = f"udp://127.0.0.1:{_udp_port()}"
    return Setup(url, _copied(site, "-f", "mpegts", url), after=True)


def _udp_gstreamer(payloader: str, group: str, site: Site) -> Setup:
    port, host = _udp_port(), group or "127.0.0.1"
    pipeline = (
        f"mpegtsmux name=mux alignment=7 ! {payloader} udpsink host={host} port={port} multicast-iface=lo "
        f"filesrc location={site.originals.film.path} ! qtdemux name=file "
        "file.video_0 ! queue ! h264parse ! mux. file.audio_0 ! queue ! aacparse ! mux."
    )
    url = f"udp://{host}:{port}" + ("?iface=lo" if group else "")
    return Setup(url, ("gst-launch-1.0", "-q", *pipeline.split()), after=True)


def _udp_port() -> int:
    """RTP of FFmpeg uses the port after it for RTCP."""
    return free_port(socket.SOCK_DGRAM) & ~1


# ---------------------------------------------------------------------- files


def _file(name: str, site: Site) -> Setup:
    return Setup(f"file://{VOD}/{name}")


CASES = (
    Case("http", "http-ts", "HTTP, MPEG-TS", "ffmpeg -listen", partial(_http_server, "mpegts", "live.ts")),
    Case("http", "http-flv", "HTTP, FLV", "ffmpeg -listen", partial(_http_server, "flv", "live")),
    Case("http", "http-file-ts", "HTTP, file .ts", "nginx", partial(_web_file, "ts")),
    Case("http", "http-file-flv", "HTTP, file .flv", "nginx", partial(_web_file, "flv")),
    Case("http", "http-file-mp4", "HTTP, file .mp4 in fragments", "nginx", partial(_web_file, "frag.mp4")),
    Case("http", "rtmp-ffmpeg", "RTMP pull", "ffmpeg -listen", _rtmp_server),
    Case("http", "rtmp-nginx", "RTMP pull", "nginx-rtmp", _rtmp_nginx),
    Case("hls", "hls-nginx", "HLS, TS", "nginx-rtmp", _hls_nginx, tail_s=_NGINX_TAIL_S),
    Case("hls", "hls-ts", "HLS, TS", "ffmpeg, nginx", _hls_ts),
    Case("hls", "hls-fmp4", "HLS, fMP4", "ffmpeg, nginx", _hls_fmp4),
    Case("hls", "hls-aes", "HLS, TS, AES-128", "ffmpeg, nginx", _hls_encrypted),
    Case(
        "hls",
        "hls-apart-ts",
        "HLS, TS, audio group",
        "ffmpeg, nginx",
        partial(_hls_sound_apart, "mpegts", "ts"),
    ),
    Case(
        "hls",
        "hls-apart-fmp4",
        "HLS, fMP4, audio group",
        "ffmpeg, nginx",
        partial(_hls_sound_apart, "fmp4", "m4s"),
    ),
    Case("hls", "hls-packed", "HLS, packed AAC", "ffmpeg, nginx", _hls_packed, "radio"),
    Case("udp", "udp-ffmpeg", "UDP unicast", "ffmpeg", partial(_udp_ffmpeg, "mpegts", "")),
    Case("udp", "udp-plain", "UDP unicast, 1472 bytes", "ffmpeg", _udp_ffmpeg_plain),
    Case("udp", "udp-multi", "UDP multicast", "ffmpeg", partial(_udp_ffmpeg, "mpegts", _GROUP.format(1))),
    Case(
        "udp",
        "rtp-ffmpeg",
        "RTP unicast",
        "ffmpeg",
        partial(_udp_ffmpeg, "rtp_mpegts", ""),
        tail_s=_RTP_TAIL_S,
    ),
    Case(
        "udp",
        "rtp-multi",
        "RTP multicast",
        "ffmpeg",
        partial(_udp_ffmpeg, "rtp_mpegts", _GROUP.format(2)),
        tail_s=_RTP_TAIL_S,
    ),
    Case("udp", "udp-gst", "UDP unicast", "GStreamer", partial(_udp_gstreamer, "", "")),
    Case(
        "udp",
        "rtp-gst",
        "RTP multicast",
        "GStreamer",
        partial(_udp_gstreamer, "rtpmp2tpay !", _GROUP.format(3)),
    ),
    *(
        Case("file", f"file-{suffix}", f"file .{suffix}", "ffmpeg", partial(_file, f"film.{suffix}"))
        for suffix in ("ts", "mp4", "flv", "mkv", "mov")
    ),
    Case("file", "file-webm", "file .webm, VP9 and Opus", "ffmpeg", partial(_file, "web.webm"), "web"),
)
GROUPS = tuple(dict.fromkeys(case.group for case in CASES))
