"""``test://``: colour bars, a burnt-in clock and a tone, made by a child process.

``test://?size=1280x720&fps=25&video_bitrate=2000k``; every parameter may be left out. ``fps`` takes whole and
decimal numbers and fractions; 23.976, 29.97, 59.94 and 119.88 mean the exact NTSC rates.
"""

import asyncio
import re
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from openstreamer.media.errors import (
    ConfigError,
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.child import ChildDied, ChildLimits, ChildProcess
from openstreamer.wire.pipe import End, Hello, Message, PipeEvent, TracksAnnounced

CHILD_MODULE = "openstreamer.sources.testcard_child"
START_DEADLINE_S = 10.0  # 0.2 s when idle; a machine that boots a hundred of them at once needs longer
SILENCE_S = 5.0  # the child speaks at least every 50 ms
PENDING_BYTES = 1024 * 1024  # four seconds at the default bit rate

SIDE_MIN, WIDTH_MAX, HEIGHT_MAX = 64, 3840, 2160
FPS_MAX = 120
BITRATE_MIN_BPS, BITRATE_MAX_BPS = 50_000, 50_000_000

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
_FPS = re.compile(r"\d{1,3}(?:\.\d{1,4})?|\d{1,6}/[1-9]\d{0,3}", re.ASCII)
_BITRATE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([kM]?)", re.ASCII)
_NTSC = {
    "23.976": Fraction(24_000, 1001),
    "23.98": Fraction(24_000, 1001),
    "29.97": Fraction(30_000, 1001),
    "59.94": Fraction(60_000, 1001),
    "119.88": Fraction(120_000, 1001),
}


@dataclass(frozen=True, slots=True)
class TestcardSettings:
    """What a ``test://`` URL says."""

    __test__ = False  # its name is no invitation to pytest

    width: int
    height: int
    frame_rate: Fraction
    video_bitrate_bps: int

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Reads the URL; raises :class:`ConfigError` with the parameter as its field."""
        values: dict[str, str] = {}
        for name, value in _query_of(url):
            if name not in ("size", "fps", "video_bitrate") or name in values:
                raise _invalid(name, "unknown or given twice; there are size, fps and video_bitrate")
            values[name] = value
        width, height = _parse_size(values.get("size", "1280x720"))
        fps, bitrate = values.get("fps", "25"), values.get("video_bitrate", "2000k")
        return cls(width, height, _parse_fps(fps), _parse_bitrate(bitrate))

    def arguments(self) -> tuple[str, ...]:
        """The arguments of the child."""
        return str(self.width), str(self.height), str(self.frame_rate), str(self.video_bitrate_bps)


class TestcardSource:
    """A :class:`~openstreamer.sources.base.Source` that makes its own pictures.

    ``silence_s`` is how long the child may say nothing; ``pending_bytes`` how much it may be ahead of
    ``receive`` before it is blocked. Raises :class:`ConfigError` for a URL that cannot be.
    """

    __test__ = False

    def __init__(
        self,
        url: str,
        *,
        silence_s: float = SILENCE_S,
        pending_bytes: int = PENDING_BYTES,
        child: ChildProcess | None = None,
    ) -> None:
        arguments = TestcardSettings.from_url(url).arguments()
        limits = ChildLimits(pending_bytes=pending_bytes)
        self.child = child or ChildProcess(CHILD_MODULE, arguments, name="the test card", limits=limits)
        self._silence_s = silence_s
        self._tracks: tuple[Track, ...] = ()
        self._frames: list[Frame] = []
        self._farewell: SourceError | None = None
        self._statistics = SourceStatistics()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Video and audio; known once it is entered."""
        return self._tracks

    @property
    def protocol(self) -> str:
        """``test``."""
        return "test"

    @property
    def statistics(self) -> SourceStatistics:
        """``dropped_frames`` are the pictures left out because somebody stalled."""
        return self._statistics

    async def __aenter__(self) -> Self:
        try:
            await self.child.__aenter__()
        except ChildDied as err:
            raise SourceUnreachable(str(err)) from err
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                while not self._tracks:
                    await self._take()
        except TimeoutError as err:
            await self.child.__aexit__(TimeoutError, err, None)
            raise SourceUnreachable(f"the test card did not start within {START_DEADLINE_S:g} s") from err
        except BaseException as err:
            await self.child.__aexit__(type(err), err, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.child.__aexit__(exc_type, exc, tb)

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        try:
            async with asyncio.timeout(self._silence_s):
                while not self._frames:
                    await self._take()
        except TimeoutError as err:
            raise SourceStalled(f"the test card said nothing for {self._silence_s:g} s") from err
        frames = self._frames
        self._frames = []
        self._statistics.received_packets += len(frames)
        self._statistics.received_bytes += sum(len(frame.payload) for frame in frames)
        return frames

    async def _take(self) -> None:
        """Handle what the child says next; raises what ended it once everything before was handled."""
        if self._farewell is not None:
            raise self._farewell
        try:
            events = await self.child.receive()
        except ChildDied as err:
            raise SourceUnreachable(str(err)) from err
        for event in events:
            self._handle(event)

    def _handle(self, event: PipeEvent) -> None:
        match event:
            case Frame():
                self._frames.append(event)
            case TracksAnnounced(tracks):
                self._tracks = tracks
            case Message(body):
                self._handle_message(body)
            case End(reason):
                self._farewell = SourceEnded(f"the test card ended: {reason}")
            case Hello():
                pass

    def _handle_message(self, body: dict[str, Any]) -> None:
        match body:
            case {"error": str(reason)}:
                self._farewell = SourceRejected(f"the test card {reason}")
            case {"skipped_frames": int(count)}:
                self._statistics.dropped_frames += max(0, count)


def _query_of(url: str) -> list[tuple[str, str]]:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=16)
    except ValueError as err:
        raise _invalid("url", "not a URL") from err
    if parts.scheme != "test" or parts.netloc or parts.path.strip("/"):
        raise _invalid("url", "there is nothing but parameters, like test://?size=1280x720")
    return query


def _parse_size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    fits = SIDE_MIN <= width <= WIDTH_MAX and SIDE_MIN <= height <= HEIGHT_MAX
    if not fits or width % 2 or height % 2:
        raise _invalid(
            "size", f"even numbers from {SIDE_MIN}x{SIDE_MIN} to {WIDTH_MAX}x{HEIGHT_MAX}, like 1280x720"
        )
    return width, height


def _parse_fps(text: str) -> Fraction:
    if text in _NTSC:
        return _NTSC[text]
    if not _FPS.fullmatch(text):
        raise _invalid("fps", "a number like 25, 29.97 or 30000/1001")
    frame_rate = Fraction(text)
    if not 1 <= frame_rate <= FPS_MAX:
        raise _invalid("fps", f"from 1 to {FPS_MAX}")
    return frame_rate


def _parse_bitrate(text: str) -> int:
    match = _BITRATE.fullmatch(text)
    bitrate_bps = int(Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]) if match else 0
    if not BITRATE_MIN_BPS <= bitrate_bps <= BITRATE_MAX_BPS:
        raise _invalid("video_bitrate", "bits per second from 50k to 50M, like 2500k")
    return bitrate_bps


def _invalid(field: str, allowed: str) -> ConfigError:
    return ConfigError(f"test://: {field}: {allowed}", field=field, code="INVALID_INPUT")
