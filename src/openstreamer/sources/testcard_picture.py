"""The picture of ``test://``: colour bars, a clock, and what shows at a glance that it moves.

Everything costly is drawn once, with Pillow, into planes of 8-bit YCbCr 4:2:0 (BT.709, limited range). For
each picture only rows of bytes are copied: the clock's glyphs, a sweeping block, a flash, a field of noise
and the time code. That is what keeps 720p25 at a few per cent of a core.

The time code lets a machine read the clock: 50 square cells at the bottom left, the first white, the second
black, then the Unix time in milliseconds as 48 bits, the highest first, white for one.
"""

import functools
import random
import time
from dataclasses import dataclass
from fractions import Fraction

from PIL import Image, ImageDraw, ImageFont

BLACK, WHITE, NEUTRAL = 16, 235, 128  # BT.709 limited range
FLASH_NS = 100_000_000  # how long flash and beep last at the start of every second
SWEEP_NS = 2_000_000_000  # once across the picture
TIMECODE_BITS = 48
TIMECODE_CELLS = TIMECODE_BITS + 2
TIMECODE_CELL_MIN = 4  # smaller cells do not survive coding
NOISE_BITS_PER_SAMPLE = 2.0  # what noise of NOISE_AMPLITUDE costs at a pleasant quantiser
NOISE_AMPLITUDE = 40
NOISE_POOL_BYTES = 1 << 18

_DIGITS = "0123456789"
_BARS_75 = (
    (191, 191, 191),
    (191, 191, 0),
    (0, 191, 191),
    (0, 191, 0),
    (191, 0, 191),
    (191, 0, 0),
    (0, 0, 191),
)
_CASTELLATION = (6, None, 4, None, 2, None, 0)  # SMPTE EG 1: the bars again, backwards, every other one black
_SUB_BLACK, _SUPER_BLACK = (0, 33, 76), (50, 0, 106)  # -I and +Q

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in luma samples; all numbers are even."""

    x: int
    y: int
    width: int
    height: int


class Picture:
    """Draws picture after picture into the same luma plane, which holds the bars already.

    The rows of ``luma`` are ``stride`` bytes apart. Chroma never changes: whatever moves is grey.
    """

    def __init__(self, layout: "Layout", luma: memoryview, stride: int) -> None:
        self._luma = luma
        self._stride = stride
        self._layout = layout
        self._clock = _Lettering("00:00:00.000", layout.clock)
        self._caption = _Lettering("UTC  frame 0000000", layout.caption)
        self._noise = _noise_pool()
        self._noise_at = random.Random(1)  # noqa: S311 - snow, not secrets

    def draw(self, number: int, media_ns: int, unix_ns: int) -> None:
        """Draw picture ``number``, due ``media_ns`` after the first one, at the wall clock ``unix_ns``."""
        moment = time.gmtime(unix_ns // 1_000_000_000)
        unix_ms = unix_ns // 1_000_000
        clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}.{unix_ms % 1000:03}"
        self._put(self._layout.clock, self._clock.rows(clock))
        self._put(self._layout.caption, self._caption.rows(f"UTC  frame {number % 10_000_000:07}"))
        self._draw_flash(media_ns)
        self._draw_sweep(media_ns)
        self._draw_noise()
        self._draw_timecode(unix_ms)

    def _draw_flash(self, media_ns: int) -> None:
        box = self._layout.flash
        lit = media_ns % 1_000_000_000 < FLASH_NS
        self._put(box, [bytes((WHITE if lit else BLACK,)) * box.width] * box.height)

    def _draw_sweep(self, media_ns: int) -> None:
        box = self._layout.sweep
        block = min(box.height, box.width // 4)
        left = (box.width - block) * (media_ns % SWEEP_NS) // SWEEP_NS
        row = bytearray(bytes((BLACK,)) * box.width)
        row[left : left + block] = bytes((WHITE,)) * block
        self._put(box, [bytes(row)] * box.height)

    def _draw_noise(self) -> None:
        box = self._layout.noise
        at = self._noise_at.randrange(NOISE_POOL_BYTES // 2)
        span = NOISE_POOL_BYTES // 2
        width = box.width
        pool = self._noise
        self._put(box, [pool[start : start + width] for start in _starts(at, width, box.height, span)])

    def _draw_timecode(self, unix_ms: int) -> None:
        box = self._layout.timecode
        if not box.width:
            return
        bits = f"10{unix_ms % (1 << TIMECODE_BITS):0{TIMECODE_BITS}b}"
        cell = box.height
        black, white = bytes((BLACK,)) * cell, bytes((WHITE,)) * cell
        row = b"".join([white if bit == "1" else black for bit in bits])
        self._put(box, [row] * cell)

    def _put(self, box: Box, rows: list[bytes]) -> None:
        luma, stride, width = self._luma, self._stride, box.width
        at = box.y * stride + box.x
        for row in rows:
            luma[at : at + width] = row
            at += stride


class Layout:
    """Where everything goes, for any even size from 64x64."""

    def __init__(self, width: int, height: int, noise_samples: int) -> None:
        self.width, self.height = width, height
        clock_height = _even(height * 0.15)
        clock_width = min(_even(width * 0.62), _even(clock_height * 6.0))
        x, y = _even((width - clock_width) / 2), _even(height * 0.2)
        self.clock = Box(x, y, clock_width, clock_height)
        self.caption = Box(x, y + clock_height, clock_width, _even(clock_height * 0.4))
        side = _even(clock_height * 0.5)
        self.flash = Box(min(x + clock_width + side // 2 * 2, width - side), y, side, side)
        self.sweep = Box(0, _even(height * 0.67), width, max(4, _even(height * 0.04)))
        cell = width // TIMECODE_CELLS
        cell = min(16, _even(cell))
        readable = cell >= TIMECODE_CELL_MIN
        self.timecode = Box(0, height - cell, cell * TIMECODE_CELLS if readable else 0, cell)
        self.noise = self._place_noise(width, height, noise_samples)
        self.moving = (self.clock, self.caption, self.flash, self.sweep, self.noise, self.timecode)

    def _place_noise(self, width: int, height: int, samples: int) -> Box:
        """At the right end of the lowest zone, above the time code."""
        top = _even(height * 0.75)
        room = height - top - self.timecode.height
        noise_height = max(2, room // 16 * 16)
        noise_width = min(_even(width * 0.5), max(2, _even(samples / noise_height)))
        return Box(width - noise_width, top, noise_width, noise_height)


class _Lettering:
    """A line of text out of glyphs that were rendered once; all digits are equally wide.

    ``sample`` is a text of the same shape as all that will be drawn: only digits differ.
    """

    def __init__(self, sample: str, box: Box) -> None:
        size = _fitting_size(sample, box)
        font = ImageFont.load_default(size)
        self._rows_of = {
            glyph: _render(glyph, font, _advance(glyph, size), box.height) for glyph in {*sample, *_DIGITS}
        }
        spare = box.width - sum(_advance(glyph, size) for glyph in sample)
        self._left = bytes((BLACK,)) * (spare // 2)
        self._right = bytes((BLACK,)) * (spare - spare // 2)

    def rows(self, text: str) -> list[bytes]:
        """The rows of ``text``, each as wide as the box."""
        glyphs = [self._rows_of[glyph] for glyph in text]
        left, right = self._left, self._right
        return [b"".join((left, *pieces, right)) for pieces in zip(*glyphs, strict=True)]


def _fitting_size(sample: str, box: Box) -> float:
    """The largest font size at which ``sample`` fits into ``box``, with some air around it."""
    size = box.height * 0.8
    while size > 1 and sum(_advance(glyph, size) for glyph in sample) > box.width * 0.95:
        size *= 0.95
    return size


@functools.cache
def _advance_at_100(glyph: str) -> float:
    font = ImageFont.load_default(100)
    return max(font.getlength(digit) for digit in _DIGITS) if glyph in _DIGITS else font.getlength(glyph)


def _advance(glyph: str, size: float) -> int:
    return max(1, round(_advance_at_100(glyph) * size / 100))


def _render(
    glyph: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, height: int
) -> list[bytes]:
    image = Image.new("L", (width, height), BLACK)
    ImageDraw.Draw(image).text((width / 2, height * 0.52), glyph, fill=WHITE, font=font, anchor="mm")
    data = image.tobytes()
    return [data[start : start + width] for start in range(0, width * height, width)]


def background(layout: Layout) -> tuple[bytes, bytes, bytes]:
    """The three planes of the bars, without padding between rows; what moves is black."""
    width, height = layout.width, layout.height
    image = Image.new("YCbCr", (width, height), (BLACK, NEUTRAL, NEUTRAL))
    draw = ImageDraw.Draw(image)
    zones = (
        (0.0, 0.67, _BARS_75),
        (0.67, 0.75, tuple(_BARS_75[index] if index is not None else (0, 0, 0) for index in _CASTELLATION)),
        (0.75, 1.0, (_SUB_BLACK, (255, 255, 255), _SUPER_BLACK, (0, 0, 0))),
    )
    for top, bottom, colours in zones:
        for index, colour in enumerate(colours):
            left, right = width * index // len(colours), width * (index + 1) // len(colours)
            draw.rectangle((left, _even(height * top), right, _even(height * bottom)), fill=ycbcr_709(colour))
    for box in layout.moving:
        if box.width:
            corners = (box.x, box.y, box.x + box.width - 1, box.y + box.height - 1)
            draw.rectangle(corners, fill=(BLACK, NEUTRAL, NEUTRAL))
    luma, blue, red = image.split()
    half = (width // 2, height // 2)
    box_filter = Image.Resampling.BOX
    return luma.tobytes(), blue.resize(half, box_filter).tobytes(), red.resize(half, box_filter).tobytes()


def ycbcr_709(colour: Rgb) -> tuple[int, int, int]:
    """ITU-R BT.709 section 3: 8-bit limited-range luma and chroma of a colour."""
    red, green, blue = (component / 255 for component in colour)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (
        round(16 + 219 * luma),
        round(128 + 224 * (blue - luma) / 1.8556),
        round(128 + 224 * (red - luma) / 1.5748),
    )


def noise_samples(video_bitrate_bps: int, frame_rate: Fraction) -> int:
    """How much noise makes the picture cost its bit rate: bars and a clock alone cost next to nothing."""
    return int(video_bitrate_bps / frame_rate / NOISE_BITS_PER_SAMPLE)


def _noise_pool() -> bytes:
    source = random.Random(0).randbytes(NOISE_POOL_BYTES)  # noqa: S311 - snow, not secrets
    levels = bytes(NEUTRAL - NOISE_AMPLITUDE + value * 2 * NOISE_AMPLITUDE // 255 for value in range(256))
    return source.translate(levels)


def _starts(at: int, step: int, count: int, span: int) -> list[int]:
    return [(at + index * step) % span for index in range(count)]


def _even(value: float) -> int:
    return int(value) // 2 * 2
