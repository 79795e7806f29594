"""Streams that ffmpeg multiplexed, compared with what libav reads in them."""

from pathlib import Path

import av
import pytest

from openstreamer.media.errors import SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.nal import iter_length_prefixed, split_annex_b
from openstreamer.wire.mpegts import MpegTsDemuxer
from tests.support.mpegts import demuxed, ffmpeg

VIDEO = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25")
AUDIO = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=25:log-level=none")
AAC = ("-c:a", "aac")
BOTH = (*VIDEO, *AUDIO, "-t", "2", *X264)

STREAMS = {
    "aac": (*BOTH, *AAC),
    "aac at 44.1 kHz": (*BOTH, *AAC, "-ar", "44100"),
    "ac3 and h265": (*VIDEO, *AUDIO, "-t", "2", *X265, "-c:a", "ac3"),
    "eac3": (*BOTH, "-c:a", "eac3"),
    "mp2": (*BOTH, "-c:a", "mp2"),
    "mp3": (*BOTH, "-c:a", "libmp3lame"),
    "opus": (*BOTH, "-c:a", "libopus"),
    "pes packets with a length": (*BOTH, *AAC, "-omit_video_pes_length", "0"),
    "slices and delimiters": (*BOTH, "-x264-params", "slices=4:aud=1", *AAC),
    "open gops": (*BOTH, "-x264-params", "open-gop=1", *AAC),
    "interlaced": (*BOTH, "-flags", "+ilme+ildct", *AAC),
    "constant rate with null packets": (*BOTH, *AAC, "-muxrate", "3M"),
    "tables again and again": (*BOTH, *AAC, "-mpegts_flags", "resend_headers", "-pat_period", "0.05"),
    "blu-ray packets": (*BOTH, "-c:a", "ac3", "-mpegts_m2ts_mode", "1"),
    "audio only": (*AUDIO, "-t", "2", *AAC),
    "video only": (*VIDEO, "-t", "2", *X264),
    "two languages": (*VIDEO, *AUDIO, *AUDIO, "-t", "2", "-map", "0", "-map", "1", "-map", "2", *X264, *AAC),
}


def reference(path: Path) -> dict[int, list[tuple[int, int, bool, list[bytes]]]]:
    """Times, key flag and payload of every packet, by number of the stream."""
    units: dict[int, list[tuple[int, int, bool, list[bytes]]]] = {}
    with av.open(path) as container:
        for packet in container.demux():
            if packet.dts is None or packet.pts is None:
                continue
            name = packet.stream.codec_context.name
            unit = packet.pts, packet.dts, packet.is_keyframe, parts(name, bytes(packet))
            units.setdefault(packet.stream.index, []).append(unit)
    return units


def parts(codec: str, data: bytes) -> list[bytes]:
    """A payload as the demuxer gives it: NAL units without delimiters, AAC without its header."""
    if codec == "h264":
        return [nal for nal in split_annex_b(data) if nal[0] & 0x1F not in (9, 12)]
    if codec == "hevc":
        return [nal for nal in split_annex_b(data) if nal[0] >> 1 & 0x3F not in (35, 38)]
    return [data[7:] if codec == "aac" else data]


def unit_of(frame: Frame) -> tuple[int, int, bool, list[bytes]]:
    payload = list(iter_length_prefixed(frame.payload)) if frame.track.is_video else [frame.payload]
    return frame.pts_90k, frame.dts_90k, frame.key or not frame.track.is_video, payload


@pytest.mark.parametrize("name", STREAMS)
def test_every_access_unit_is_the_one_that_libav_reads(tmp_path: Path, name: str) -> None:
    path = tmp_path / "stream.ts"
    found, demuxer = demuxed(ffmpeg(path, *STREAMS[name], "-f", "mpegts"))
    expected = reference(path)
    assert len(demuxer.tracks) == len(expected)
    for track, units in zip(demuxer.tracks, expected.values(), strict=True):
        came = [unit_of(frame) for frame in found if frame.track.id == track.id]
        assert [unit[2:] for unit in came] == [unit[2:] for unit in units[-len(came) :]]
        assert len(units) - len(came) <= 1  # audio that is earlier than the first picture
        for ours, theirs in zip(came, units[-len(came) :], strict=True):
            assert abs(ours[0] - theirs[0]) <= 1
            assert abs(ours[1] - theirs[1]) <= 1
    assert demuxer.statistics.lost_packets == demuxer.statistics.malformed == 0


def test_latm_gives_the_same_frames_as_adts(tmp_path: Path) -> None:
    adts, _ = demuxed(ffmpeg(tmp_path / "a.ts", *BOTH, *AAC, "-bitexact", "-f", "mpegts"))
    latm, demuxer = demuxed(
        ffmpeg(tmp_path / "b.ts", *BOTH, *AAC, "-bitexact", "-mpegts_flags", "latm", "-f", "mpegts")
    )
    assert demuxer.tracks[1].config == adts_config(adts)
    assert [unit_of(frame) for frame in latm] == [unit_of(frame) for frame in adts]


def adts_config(frames: list[Frame]) -> object:
    return next(frame.track.config for frame in frames if not frame.track.is_video)


def test_times_wrap_without_a_seam(tmp_path: Path) -> None:
    offset_s = (1 << 33) / 90_000 - 2.4  # ffmpeg begins at 1.4 s
    plain, _ = demuxed(ffmpeg(tmp_path / "a.ts", *BOTH, *AAC, "-f", "mpegts"))
    data = ffmpeg(tmp_path / "b.ts", *BOTH, *AAC, "-output_ts_offset", str(offset_s), "-f", "mpegts")
    wrapped, _ = demuxed(data)
    base = wrapped[0].dts_90k - plain[0].dts_90k
    assert wrapped[0].dts_90k < 1 << 33
    assert len(wrapped) == len(plain)
    assert all(abs(a.dts_90k - b.dts_90k - base) <= 1 for a, b in zip(wrapped, plain, strict=True))
    assert max(frame.dts_90k for frame in wrapped) > 1 << 33


def test_either_of_two_programs(tmp_path: Path) -> None:
    data = ffmpeg(
        tmp_path / "two.ts",
        *(*VIDEO, *AUDIO, *VIDEO, *AUDIO, "-t", "1", "-map", "0", "-map", "1", "-map", "2", "-map", "3"),
        *(*X264, *AAC, "-s:v:1", "160x90", "-f", "mpegts"),
        *("-program", "program_num=7:st=0:st=1", "-program", "program_num=9:st=2:st=3"),
    )
    sizes = {}
    for program in (None, 7, 9):
        found, demuxer = demuxed(data, demuxer=MpegTsDemuxer(program=program))
        sizes[program] = demuxer.tracks[0].video.width
        assert len([frame for frame in found if frame.track.is_video]) == 25
    assert sizes == {None: 320, 7: 320, 9: 160}


def test_mpeg_2_video_is_refused_with_the_sound_beside_it(tmp_path: Path) -> None:
    data = ffmpeg(tmp_path / "m.ts", *VIDEO, *AUDIO, "-t", "2", "-c:v", "mpeg2video", *AAC, "-f", "mpegts")
    with pytest.raises(SourceRejected, match=r"MPEG-2 video .* on PID 256 is not supported"):
        demuxed(data)
