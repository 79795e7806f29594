"""The multivariant playlist: what the renditions are and what they cost (rfc8216bis section 4.4.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from openstreamer.media.track import Track, VideoConfig
from openstreamer.packager.playlist import URI_END, VERSION
from openstreamer.packager.segment import Generation, Segment
from openstreamer.packager.track import TrackPackager
from openstreamer.packager.window import TrackWindow
from openstreamer.wire import m3u8

_AUDIO_GROUP = "audio"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Bits per second over the segments of a window: the most of one segment, and the average."""

    peak_bps: int
    average_bps: int


def bandwidth(window: TrackWindow) -> Bandwidth:
    """Measured over the complete segments that have media, or the parts there are while there is none."""
    segments: Sequence[Segment] = [segment for segment in window.closed if not segment.gap]
    if segments:
        rates = [segment.size_bytes * 8 / segment.duration_s for segment in segments]
        total_s = sum(segment.duration_s for segment in segments)
        average = sum(segment.size_bytes for segment in segments) * 8 / total_s
        return Bandwidth(round(max(rates)), round(average))
    growing = window.open
    if growing is None or not growing.parts:
        return Bandwidth(0, 0)
    rate = round(growing.size_bytes * 8 / max(growing.parts_duration_s, 0.001))
    return Bandwidth(rate, rate)


def offered(playing: Sequence[TrackPackager], generation: Generation | None) -> list[TrackPackager]:
    """What the multivariant playlist lists of what plays: the tracks that the present source has. One that is
    only silent for a moment is among them; one that is gone is not, even if its media still slides out."""
    if generation is None:
        return []
    present = {track.kind for track in (generation.video, generation.audio) if track is not None}
    return [packager for packager in playing if packager.kind in present]


def master_playlist(playing: Sequence[TrackPackager], frame_rate: Fraction | None) -> str:
    """The multivariant playlist of ``playing``: video, or video with its audio as a group, or audio alone.
    ``frame_rate`` is what was measured."""
    lines = [m3u8.HEADER, m3u8.version(VERSION), m3u8.INDEPENDENT_SEGMENTS]
    tracks = [packager.track for packager in playing if packager.track is not None]
    if len(tracks) > 1:
        lines.append(_audio_rendition(tracks[-1]))
    rates = [bandwidth(packager.window) for packager in playing]
    lines.append(_stream_inf(tracks, rates, frame_rate))
    lines.append(playing[0].kind.value + ".m3u8" + URI_END)
    return m3u8.lines(lines)


def _audio_rendition(track: Track) -> str:
    """EXT-X-MEDIA, section 4.4.6.1."""
    pairs = [("TYPE", "AUDIO"), ("GROUP-ID", m3u8.quoted(_AUDIO_GROUP)), ("NAME", m3u8.quoted("Audio"))]
    if track.language != "und":
        pairs.append(("LANGUAGE", m3u8.quoted(track.language)))
    pairs += [
        ("DEFAULT", "YES"),
        ("AUTOSELECT", "YES"),
        ("CHANNELS", m3u8.quoted(str(track.audio.channels))),
        ("URI", m3u8.quoted("audio.m3u8" + URI_END)),
    ]
    return m3u8.attributes("EXT-X-MEDIA", pairs)


def _stream_inf(tracks: Sequence[Track], rates: Sequence[Bandwidth], frame_rate: Fraction | None) -> str:
    """EXT-X-STREAM-INF, section 4.4.6.2; BANDWIDTH sums the renditions that play together."""
    pairs = [
        ("BANDWIDTH", str(max(1, sum(rate.peak_bps for rate in rates)))),
        ("AVERAGE-BANDWIDTH", str(max(1, sum(rate.average_bps for rate in rates)))),
        ("CODECS", m3u8.quoted(",".join(track.config.codec_string for track in tracks))),
    ]
    video = next((track.video for track in tracks if track.is_video), None)
    if video is not None:
        pairs.append(("RESOLUTION", _resolution(video)))
        if frame_rate:
            pairs.append(("FRAME-RATE", f"{float(frame_rate):.3f}"))
        pairs.append(("CLOSED-CAPTIONS", "NONE"))
    if len(tracks) > 1:
        pairs.append(("AUDIO", m3u8.quoted(_AUDIO_GROUP)))
    return m3u8.attributes("EXT-X-STREAM-INF", pairs)


def _resolution(video: VideoConfig) -> str:
    """The size at which to display the picture: in square pixels."""
    horizontal, vertical = video.sample_aspect_ratio
    width = round(video.width * horizontal / vertical) if horizontal > 0 and vertical > 0 else video.width
    return f"{width}x{video.height}"
