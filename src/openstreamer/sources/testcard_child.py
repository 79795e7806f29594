"""The child process of ``test://``: draws, encodes and paces; its parent is ``sources/testcard``.

Run as ``python -m openstreamer.sources.testcard_child WIDTH HEIGHT FPS VIDEO_BITRATE_BPS``. H.264 by x264
without B-frames, a closed GOP every second; AAC-LC, a 1 kHz tone that is louder while the picture flashes.

Pace: media time is counted from one monotonic start, so rounding never adds up. When the parent or the
machine stalls, what is late by more than ``MAX_LATE_NS`` is left out rather than sent in a burst.
"""

import array
import contextlib
import math
import socket
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NoReturn

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from openstreamer.media.aac import AacConfig
from openstreamer.media.clock import rescale
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config, parameter_sets_in, split_annex_b, to_length_prefixed
from openstreamer.media.track import Track
from openstreamer.sources.child_entry import open_pipe
from openstreamer.sources.testcard_picture import FLASH_NS, Layout, Picture, background, noise_samples
from openstreamer.wire.pipe import PipeEncoder

VIDEO_ID, AUDIO_ID = 0, 1
SAMPLE_RATE = 48_000
AAC_SAMPLES = 1024
AAC_HELD_BACK_SAMPLES = 2 * AAC_SAMPLES  # libavcodec's encoder looks ahead
AUDIO_BITRATE_BPS = 128_000
TONE_HZ = 1_000
TONE_AMPLITUDE = 0.1  # -20 dBFS, the usual line-up level
BEEP_AMPLITUDE = 0.4
MAX_TICK_NS = 50_000_000  # audio is sent at least this often, however low the frame rate
MAX_LATE_NS = 500_000_000

_BT709 = 1  # ITU-T H.273: the code point of BT.709 for primaries, transfer and matrix alike
_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG
_NS = 1_000_000_000


class VideoEncoder:
    """Draws and encodes one picture per call."""

    def __init__(self, width: int, height: int, frame_rate: Fraction, bitrate_bps: int) -> None:
        self._frame_rate = frame_rate
        self._codec = _open_x264(width, height, frame_rate, bitrate_bps)
        self._frame = VideoFrame(width, height, "yuv420p")
        layout = Layout(width, height, noise_samples(bitrate_bps, frame_rate))
        for plane, samples in zip(self._frame.planes, background(layout), strict=True):
            _fill_plane(memoryview(plane), plane.line_size, samples, plane.width)
        luma = self._frame.planes[0]
        self._picture = Picture(layout, memoryview(luma), luma.line_size)
        self.track = Track(VIDEO_ID, _h264_config(self._codec))

    def encode(self, number: int, unix_ns: int, *, force_key: bool = False) -> list[Frame]:
        """The access unit of picture ``number``, with ``unix_ns`` on its clock."""
        media_ns = number * _NS * self._frame_rate.denominator // self._frame_rate.numerator
        self._picture.draw(number, media_ns, unix_ns)
        self._frame.pts = number
        self._frame.pict_type = PictureType.I if force_key else PictureType.NONE
        return [self._to_frame(packet) for packet in self._codec.encode(self._frame)]

    def _to_frame(self, packet: "Packet[Any]") -> Frame:
        payload = to_length_prefixed(split_annex_b(bytes(packet)))
        pts_90k = _to_90k(_pts(packet), 1 / self._frame_rate)
        return Frame(self.track, pts_90k, pts_90k, packet.is_keyframe, payload)


class AudioEncoder:
    """Encodes the tone, 1024 samples at a time."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("aac", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = SAMPLE_RATE
        codec.layout = "stereo"
        codec.format = "fltp"
        codec.bit_rate = AUDIO_BITRATE_BPS
        codec.time_base = Fraction(1, SAMPLE_RATE)
        codec.options = {"aac_coder": "fast"}
        codec.open()
        self._codec = codec
        self._tone = memoryview(_tone_of_one_second()).cast("B")
        self.track = Track(AUDIO_ID, AacConfig(bytes(codec.extradata or b"")))

    def encode(self, position: int) -> list[Frame]:
        """The AAC frames that come out when the samples from ``position`` go in: one, later than them."""
        start = position % SAMPLE_RATE * 4
        samples = bytes(self._tone[start : start + AAC_SAMPLES * 4])
        frame = AudioFrame(format="fltp", layout="stereo", samples=AAC_SAMPLES)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = position
        frame.time_base = Fraction(1, SAMPLE_RATE)
        for plane in frame.planes:
            plane.update(samples)
        return list(self._frames(self._codec.encode(frame)))

    def _frames(self, packets: "list[Packet[Any]]") -> Iterator[Frame]:
        for packet in packets:
            if (pts := _pts(packet)) >= 0:  # the encoder's priming samples come before the beginning
                pts_90k = rescale(pts, SAMPLE_RATE, 90_000)
                yield Frame(self.track, pts_90k, pts_90k, False, bytes(packet))


class Pacer:
    """Ticks at a steady pace, counted from one start; each picture takes a whole number of ticks."""

    def __init__(self, frame_rate: Fraction, start_ns: int) -> None:
        frame_ns = _NS / frame_rate
        self.ticks_per_frame = math.ceil(frame_ns / MAX_TICK_NS)
        self._tick_ns = frame_ns / self.ticks_per_frame
        self._start_ns = start_ns

    def media_ns(self, tick: int) -> int:
        """The media time of ``tick``."""
        return int(tick * self._tick_ns)

    def wait_ns(self, tick: int, now_ns: int) -> int:
        """How long to sleep until ``tick``; negative when it is late."""
        return self._start_ns + self.media_ns(tick) - now_ns

    def pictures_to_skip(self, tick: int, now_ns: int) -> int:
        """How many pictures to leave out before ``tick`` so that it is in time again."""
        late_ns = -self.wait_ns(tick, now_ns)
        return int(late_ns / (self._tick_ns * self.ticks_per_frame)) if late_ns > MAX_LATE_NS else 0


class Player:
    """What is to be sent when; reads no clock."""

    def __init__(self, video: VideoEncoder, audio: AudioEncoder, pacer: Pacer) -> None:
        self._video = video
        self._audio = audio
        self._pacer = pacer
        self._tick = 0
        self._position = 0  # of the next audio sample

    def wait_ns(self, now_ns: int) -> int:
        """How long until ``play`` is due; not positive when it is."""
        return self._pacer.wait_ns(self._tick, now_ns)

    def play(self, now_ns: int, unix_ns: int) -> tuple[int, list[Frame]]:
        """The number of pictures left out, and the frames of the next tick."""
        pacer = self._pacer
        skipped = pacer.pictures_to_skip(self._tick, now_ns)
        if skipped:
            self._tick += skipped * pacer.ticks_per_frame
            self._position = max(self._position, _aac_start(pacer.media_ns(self._tick)))
        frames: list[Frame] = []
        end = pacer.media_ns(self._tick + 1) * SAMPLE_RATE // _NS + AAC_HELD_BACK_SAMPLES
        while self._position < end:
            frames += self._audio.encode(self._position)
            self._position += AAC_SAMPLES
        number, rest = divmod(self._tick, pacer.ticks_per_frame)
        if not rest:
            frames += self._video.encode(number, unix_ns, force_key=skipped > 0)
        self._tick += 1
        return skipped, frames


def main(arguments: list[str]) -> None:
    """Send the test card until the parent closes the pipe."""
    pipe = open_pipe()
    width, height, bitrate_bps = int(arguments[0]), int(arguments[1]), int(arguments[3])
    frame_rate = Fraction(arguments[2])
    out = PipeEncoder()
    try:
        video, audio = VideoEncoder(width, height, frame_rate, bitrate_bps), AudioEncoder()
    except (av.FFmpegError, ValueError) as err:  # a build without the encoder, or a size it refuses
        out.send_message({"error": f"cannot encode: {err}"})
        pipe.sendall(out.data_to_send())
        return
    out.send_tracks((video.track, audio.track))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _send(Player(video, audio, Pacer(frame_rate, time.monotonic_ns())), out, pipe)


def _send(player: Player, out: PipeEncoder, pipe: socket.socket) -> NoReturn:
    while True:
        if (wait_ns := player.wait_ns(time.monotonic_ns())) > 0:
            time.sleep(wait_ns / _NS)
        skipped, frames = player.play(time.monotonic_ns(), time.time_ns())
        if skipped:
            out.send_message({"skipped_frames": skipped})
        for frame in frames:
            out.send_frame(frame)
        pipe.sendall(out.data_to_send())


def _aac_start(media_ns: int) -> int:
    """The first sample of the AAC frame at ``media_ns``: frames stay on their grid over a gap."""
    return media_ns * SAMPLE_RATE // _NS // AAC_SAMPLES * AAC_SAMPLES


def _open_x264(width: int, height: int, frame_rate: Fraction, bitrate_bps: int) -> VideoCodecContext:
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, VideoCodecContext)
    gop = round(frame_rate)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.framerate, codec.time_base = frame_rate, 1 / frame_rate
    codec.bit_rate, codec.max_b_frames, codec.gop_size = bitrate_bps, 0, gop
    codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
    codec.color_range = _LIMITED_RANGE
    codec.thread_count = 1
    codec.flags |= Flags.global_header | Flags.closed_gop
    codec.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "maxrate": str(bitrate_bps),
        "bufsize": str(bitrate_bps // 2),
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0",
    }
    codec.open()
    return codec


def _h264_config(codec: VideoCodecContext) -> H264Config:
    nals = split_annex_b(bytes(codec.extradata or b""))
    return H264Config(*parameter_sets_in(to_length_prefixed(nals)))


def _fill_plane(plane: memoryview, stride: int, samples: bytes, width: int) -> None:
    for row in range(len(samples) // width):
        plane[row * stride : row * stride + width] = samples[row * width : (row + 1) * width]


def _tone_of_one_second() -> "array.array[float]":
    """One second and one AAC frame more, so that every frame is one slice. 1 kHz fits a second exactly."""
    beep_periods = FLASH_NS * TONE_HZ // _NS
    period = [
        math.sin(2 * math.pi * TONE_HZ * index / SAMPLE_RATE) for index in range(SAMPLE_RATE // TONE_HZ)
    ]
    tone = array.array("f", [BEEP_AMPLITUDE * value for value in period] * beep_periods)
    tone.extend([TONE_AMPLITUDE * value for value in period] * (TONE_HZ - beep_periods))
    return tone + tone[:AAC_SAMPLES]


def _to_90k(ticks: int, time_base: Fraction) -> int:
    return round(ticks * time_base * 90_000)


def _pts(packet: "Packet[Any]") -> int:
    pts: Any = packet.pts
    assert isinstance(pts, int)
    return pts


if __name__ == "__main__":
    main(sys.argv[1:])
