"""What the URL of an input means: one frozen type per scheme of CONTRACT 2.

Parsing here decides whether an input may be saved at all; the sources take the typed result, so that no URL
is understood in two ways.
"""

import ipaddress
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from openstreamer.config.codes import validate_stream_code
from openstreamer.media.errors import ConfigError

MAX_URL_CHARS = 2048
MAX_QUERY_FIELDS = 64

TEST_MIN_SIDE, TEST_MAX_WIDTH, TEST_MAX_HEIGHT = 64, 3840, 2160
TEST_MAX_FPS = 120
TEST_MIN_BITRATE_BPS, TEST_MAX_BITRATE_BPS = 50_000, 50_000_000

_DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_WILDCARD_HOSTS: Final = ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?", re.ASCII)
_FPS = re.compile(r"\d{1,6}(\.\d{1,3}|/[1-9]\d{0,3})?", re.ASCII)
_RATE = re.compile(r"(\d{1,9})([kM]?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a network input connects to. ``query`` keeps order; user and password are percent-decoded."""

    host: str
    port: int
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    username: str = ""
    password: str = ""

    def parameter(self, name: str) -> str | None:
        """The first query field called ``name``."""
        return next((value for key, value in self.query if key == name), None)


@dataclass(frozen=True, slots=True)
class PublishInput:
    """``publish://``: an encoder connects to us."""


@dataclass(frozen=True, slots=True)
class TestInput:
    """``test://``: bars and tone made here."""

    __test__ = False  # not a test class

    width: int = 1280
    height: int = 720
    fps: Fraction = Fraction(25)
    video_bitrate_bps: int = 2_000_000


@dataclass(frozen=True, slots=True)
class RtmpInput:
    """``rtmp(s)://``: pulled from a server."""

    endpoint: Endpoint
    tls: bool


@dataclass(frozen=True, slots=True)
class RtspInput:
    """``rtsp(s)://``: pulled from a server or camera."""

    endpoint: Endpoint
    tls: bool


@dataclass(frozen=True, slots=True)
class SrtInput:
    """``srt://``: pulled as caller."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class UdpInput:
    """``udp://``: MPEG-TS datagrams, unicast or multicast."""

    host: str
    port: int
    multicast: bool
    interface: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class HttpInput:
    """``http(s)://``; ``sniff`` means that the content type decides."""

    endpoint: Endpoint
    tls: bool
    kind: Literal["hls", "mpegts", "flv", "sniff"]


@dataclass(frozen=True, slots=True)
class FileInput:
    """``file://mount/path`` (relative to a VOD mount) or an absolute path (``mount`` is empty)."""

    mount: str
    path: str
    loop: bool


@dataclass(frozen=True, slots=True)
class S3Input:
    """``s3://bucket/key``."""

    bucket: str
    key: str
    query: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CopyInput:
    """``copy://code``: another stream of this server."""

    code: str


@dataclass(frozen=True, slots=True)
class MixerInput:
    """``mixer://video,audio``: video of one stream of this server, audio of another."""

    video_code: str
    audio_code: str
    audio_failure: Literal["continue", "stop"]


InputUrl = (
    PublishInput
    | TestInput
    | RtmpInput
    | RtspInput
    | SrtInput
    | UdpInput
    | HttpInput
    | FileInput
    | S3Input
    | CopyInput
    | MixerInput
)


def parse_input_url(url: str, *, field: str = "url") -> InputUrl:
    """What ``url`` asks for, or :class:`ConfigError` with ``field``; the message never repeats a secret."""
    try:
        return _parse(url.strip())
    except ConfigError as err:
        raise ConfigError(str(err), field=field, code="INVALID_INPUT_URL") from err
    except ValueError as err:  # urlsplit and int: bad brackets, a port that is no number
        raise ConfigError("is not a valid URL", field=field, code="INVALID_INPUT_URL") from err


def is_publish(url: str) -> bool:
    """Whether an encoder connects to us for this input (CONTRACT 2, the two older forms included)."""
    try:
        return isinstance(parse_input_url(url), PublishInput)
    except ConfigError:
        return False


def scheme_of(url: str) -> str:
    """The lower-case scheme, ``file`` for a bare path: a word safe to log and to use as a metric label."""
    match = _SCHEME.match(url.strip())
    return match.group(1).lower() if match else "file"


def _parse(url: str) -> InputUrl:
    if len(url) > MAX_URL_CHARS:
        raise ConfigError(f"has {len(url)} characters, at most {MAX_URL_CHARS} are allowed")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ConfigError("may not contain spaces or control characters (write %20)")
    if url.startswith("/"):
        return _file(urlsplit("file://" + url))
    match = _SCHEME.match(url)
    if match is None:
        raise ConfigError("has no scheme; write for example rtmp://host/app/name or publish://")
    return _by_scheme(match.group(1).lower(), url)


def _by_scheme(scheme: str, url: str) -> InputUrl:
    match scheme:
        case "publish":
            return PublishInput()
        case "test":
            return _test(url)
        case "rtmp" | "rtmps" | "rtsp" | "rtsps" | "http" | "https" | "srt":
            return _network(scheme, url)
        case "udp":
            return _udp(urlsplit(url))
        case "file":
            return _file(urlsplit(url))
        case "s3":
            return _s3(urlsplit(url))
        case "copy":
            return CopyInput(validate_stream_code(_after_scheme(url)[0]))
        case "mixer":
            return _mixer(url)
    raise ConfigError(f"the scheme {scheme}:// is not one this server reads")


def _network(scheme: str, url: str) -> InputUrl:
    # An SRT access-control stream id begins with "#!::" and is often written unescaped.
    split = urlsplit(url, allow_fragments=scheme != "srt")
    if scheme in ("rtmp", "srt") and (split.hostname or "") in _WILDCARD_HOSTS:
        if not split.netloc and not split.path.strip("/"):
            raise ConfigError("names no host; publish:// lets an encoder connect to this server")
        _ = split.port  # raises when it is no port
        return PublishInput()  # rtmp://0.0.0.0…, srt://0.0.0.0…: the older forms of publish://
    endpoint = _endpoint(split, _DEFAULT_PORTS.get(scheme))
    match scheme:
        case "srt":
            return SrtInput(endpoint)
        case "rtmp" | "rtmps":
            if not endpoint.path.strip("/"):
                raise ConfigError("names no stream; write rtmp://host/app/name")
            return RtmpInput(endpoint, tls=scheme == "rtmps")
        case "rtsp" | "rtsps":
            return RtspInput(endpoint, tls=scheme == "rtsps")
    return HttpInput(endpoint, tls=scheme == "https", kind=_http_kind(endpoint.path))


def _endpoint(split: SplitResult, default_port: int | None) -> Endpoint:
    host = split.hostname or ""
    if not _HOST.fullmatch(host):
        raise ConfigError("names no host" if not host else "has a host name that cannot be")
    port = split.port if split.port is not None else default_port
    if not port:
        raise ConfigError("needs a port")
    return Endpoint(
        host=host,
        port=port,
        path=split.path,
        query=_query(split.query),
        username=unquote(split.username or ""),
        password=unquote(split.password or ""),
    )


def _http_kind(path: str) -> Literal["hls", "mpegts", "flv", "sniff"]:
    lowered = path.lower()
    if lowered.endswith((".m3u8", ".m3u")):
        return "hls"
    if lowered.endswith((".ts", "/mpegts")):
        return "mpegts"
    return "flv" if lowered.endswith(".flv") else "sniff"


def _query(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS))


def _udp(split: SplitResult) -> UdpInput:
    if not split.port:
        raise ConfigError("needs a port, for example udp://239.1.1.1:5000")
    host = split.hostname or ""
    if host and not _HOST.fullmatch(host):
        raise ConfigError("has a host name that cannot be")
    query = dict(_query(split.query))
    multicast = _is_multicast(host)
    source = query.get("source", "")
    if source and not multicast:
        raise ConfigError("source= belongs to a multicast group")
    return UdpInput(host, split.port, multicast, interface=query.get("iface", ""), source=source)


def _is_multicast(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_multicast
    except ValueError:
        return False


def _file(split: SplitResult) -> FileInput:
    path = unquote(split.path)
    if "\0" in path or ".." in path.split("/"):
        raise ConfigError("may not step out of its directory with ..")
    relative = path.strip("/")
    if not relative:
        raise ConfigError("names no file; write file://mount/path or an absolute path")
    mount = unquote(split.netloc)
    loop = _boolean(dict(_query(split.query)).get("loop", "false"), "loop")
    return FileInput(mount=mount, path=relative if mount else path, loop=loop)


def _s3(split: SplitResult) -> S3Input:
    bucket = split.netloc.rpartition("@")[2]
    key = unquote(split.path).lstrip("/")
    if not bucket or not key:
        raise ConfigError("needs a bucket and a key: s3://bucket/key")
    return S3Input(bucket, key, _query(split.query))


def _mixer(url: str) -> MixerInput:
    names, query = _after_scheme(url)
    codes = names.split(",")
    if len(codes) != 2:
        raise ConfigError("needs two stream codes: mixer://videoCode,audioCode")
    video_code, audio_code = (validate_stream_code(code) for code in codes)
    match query.get("audio_failure", "continue"):
        case "continue":
            return MixerInput(video_code, audio_code, "continue")
        case "stop":
            return MixerInput(video_code, audio_code, "stop")
    raise ConfigError("audio_failure is continue or stop")


def _after_scheme(url: str) -> tuple[str, dict[str, str]]:
    """``copy://region/news?x=1`` → ``region/news`` and the query: a code with slashes is no host and path."""
    rest, _, query = url.partition("://")[2].partition("?")
    return unquote(rest).strip("/"), dict(_query(query))


def _test(url: str) -> TestInput:
    query = _after_scheme(url)[1]
    unknown = sorted(query.keys() - {"size", "fps", "video_bitrate"})
    if unknown:
        raise ConfigError(f"test:// takes size, fps and video_bitrate, not {unknown[0]!r}")
    base = TestInput()
    width, height = _test_size(query["size"]) if "size" in query else (base.width, base.height)
    fps = _test_fps(query["fps"]) if "fps" in query else base.fps
    bitrate = _test_bitrate(query["video_bitrate"]) if "video_bitrate" in query else base.video_bitrate_bps
    return TestInput(width, height, fps, bitrate)


def _test_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text, re.ASCII)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    fits = TEST_MIN_SIDE <= width <= TEST_MAX_WIDTH and TEST_MIN_SIDE <= height <= TEST_MAX_HEIGHT
    if not fits or width % 2 or height % 2:
        raise ConfigError("size is WIDTHxHEIGHT, even numbers from 64x64 to 3840x2160")
    return width, height


def _test_fps(text: str) -> Fraction:
    """A frame rate; the NTSC rates may be written as 29.97 or as 30000/1001."""
    if not _FPS.fullmatch(text):
        raise ConfigError("fps is a number such as 25, 29.97 or 30000/1001")
    fps = Fraction(text)
    for nominal in (24, 30, 48, 60, 120):
        if abs(fps - Fraction(nominal * 1000, 1001)) < Fraction(1, 200):
            fps = Fraction(nominal * 1000, 1001)
    if not 1 <= fps <= TEST_MAX_FPS:
        raise ConfigError(f"fps is between 1 and {TEST_MAX_FPS}")
    return fps


def _test_bitrate(text: str) -> int:
    match = _RATE.fullmatch(text)
    bitrate_bps = int(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]] if match else 0
    if not TEST_MIN_BITRATE_BPS <= bitrate_bps <= TEST_MAX_BITRATE_BPS:
        raise ConfigError("video_bitrate is bits per second from 50k to 50M, such as 2500k")
    return bitrate_bps


def _boolean(text: str, name: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "1", "yes", ""):
        return True
    if lowered in ("false", "0", "no"):
        return False
    raise ConfigError(f"{name} is true or false")
