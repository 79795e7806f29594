"""Two fields are one frame, whether they come in one PES packet or in two."""

import pytest

from openstreamer.media.frame import Frame
from openstreamer.media.h264 import parse_sps
from openstreamer.media.nal import iter_length_prefixed
from openstreamer.wire.mpegts.fields import FieldOfFrame, field_of
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, TsCodec
from openstreamer.wire.mpegts.times import ProgramClock, TrackTimes
from openstreamer.wire.mpegts.video import NalStream, Times
from tests.media.bitstreams import Bits
from tests.support.media import PPS
from tests.support.mpegts import filling

CODE = b"\x00\x00\x00\x01"
AUD = b"\x09\xf0"
RECOVERY_POINT = b"\x06\x06\x01\xc4\x80"
SLICE_P, SLICE_I = 5, 7


def interlaced_sps() -> bytes:
    """Main profile, 320 x 192, 4 bits of frame_num, not only frames."""
    bits = Bits().u(8, 77).u(8, 0).u(8, 40).ue(0).ue(0).ue(2).ue(1).u(1, 0).ue(19).ue(5)
    return b"\x67" + bits.u(1, 0).u(1, 1).u(1, 1).u(1, 0).u(1, 0).rbsp()


SPS = interlaced_sps()


def picture(frame_num: int, field: str, *, idr: bool = False, kind: int = SLICE_P) -> bytes:
    """A slice of a frame, or of its top or bottom field."""
    bits = Bits().ue(0).ue(kind).ue(0).u(4, frame_num & 15).u(1, field != "frame")
    if field != "frame":
        bits.u(1, field == "bottom")
    return bytes((0x65 if idr else 0x41,)) + bits.rbsp() + filling(40, frame_num * 2 + (field == "bottom"))


def stream() -> NalStream:
    info = ElementaryStreamInfo(0x100, 0x1B, TsCodec.H264)
    return NalStream(info, 0, TrackTimes(ProgramClock()), MpegTsStatistics(), MpegTsLimits())


def byte_stream(*nals: bytes) -> bytes:
    return b"".join(CODE + nal for nal in nals)


def at(number: float) -> Times:
    return round(number * 3600), round(number * 3600)


def pairs(count: int) -> list[tuple[bytes, bytes]]:
    """Two fields for each frame; the first frame is an IDR field and a P field."""
    return [(picture(n, "top", idr=n == 0), picture(n, "bottom")) for n in range(count)]


def nals_of(frames: list[Frame]) -> list[list[bytes]]:
    return [[nal for nal in iter_length_prefixed(frame.payload) if nal not in (SPS, PPS)] for frame in frames]


def fed(slices: list[bytes]) -> list[Frame]:
    """The frames of pictures in PES packets of their own."""
    subject = stream()
    frames = subject.feed(byte_stream(SPS, PPS, slices[0]), at(0))
    for n, each in enumerate(slices[1:], 1):
        frames += subject.feed(byte_stream(each), at(n))
    return frames + subject.end()


@pytest.mark.parametrize("apart", [False, True])
def test_two_fields_are_one_frame(apart: bool) -> None:
    subject, frames = stream(), list[Frame]()
    for n, (first, second) in enumerate(pairs(20)):
        sets = (SPS, PPS) if n == 0 else ()
        if apart:
            frames += subject.feed(byte_stream(AUD, *sets, first), at(n))
            frames += subject.feed(byte_stream(AUD, second), at(n + 0.5))
        else:
            frames += subject.feed(byte_stream(AUD, *sets, first, AUD, second), at(n))
    frames += subject.end()
    assert nals_of(frames) == [list(pair) for pair in pairs(20)]
    assert [frame.pts_90k for frame in frames] == [n * 3600 for n in range(20)]
    assert [frame.key for frame in frames] == [True] + [False] * 19


def test_a_frame_leaves_with_its_second_field() -> None:
    subject = stream()
    counts = []
    for n, (first, second) in enumerate(pairs(20)):
        sets = (SPS, PPS) if n == 0 else ()
        counts.append(len(subject.feed(byte_stream(AUD, *sets, first, AUD, second), at(n))))
    assert counts[-8:] == [1] * 8


def test_a_recovery_point_of_an_i_and_a_p_field_is_a_key_frame() -> None:
    subject = stream()
    first, second = picture(0, "top", kind=SLICE_I), picture(0, "bottom")
    frames = (
        subject.feed(byte_stream(AUD, SPS, PPS, RECOVERY_POINT, first, AUD, second), at(0)) + subject.end()
    )
    assert [frame.key for frame in frames] == [True]


def test_frames_between_fields_are_frames() -> None:
    slices = [picture(0, "frame", idr=True), picture(1, "top"), picture(1, "bottom"), picture(2, "frame")]
    frames = fed(slices)
    assert nals_of(frames) == [slices[:1], slices[1:3], slices[3:]]


def test_fields_that_stay_alone_are_frames() -> None:
    slices = [picture(0, "top", idr=True), picture(1, "top"), picture(2, "bottom"), picture(3, "frame")]
    frames = fed(slices)
    assert nals_of(frames) == [[each] for each in slices]


def test_a_first_field_whose_second_is_lost_goes_out() -> None:
    for loss in ("between", "within", "end"):
        subject = stream()
        frames = subject.feed(byte_stream(AUD, SPS, PPS, picture(0, "top", idr=True)), at(0))
        match loss:
            case "between":
                frames += subject.lose()
            case "within":
                frames += subject.feed_damaged(byte_stream(AUD, picture(0, "bottom"))[:20], at(0.5))
            case "end":
                frames += subject.end()
        assert len(frames) == 1


def test_a_slice_header_that_cannot_be_read_belongs_to_a_frame() -> None:
    assert len(fed([picture(0, "frame", idr=True), b"\x41\x80"])) == 2


def test_slice_headers() -> None:
    sps = parse_sps(SPS)
    assert field_of(picture(5, "frame"), sps) is None
    assert field_of(picture(5, "top"), sps) == FieldOfFrame(5, False)
    assert field_of(picture(5, "bottom"), sps) == FieldOfFrame(5, True)
    top, bottom = FieldOfFrame(1, False), FieldOfFrame(1, True)
    assert top.is_followed_by(bottom)
    assert bottom.is_followed_by(top)
    assert not top.is_followed_by(top)
    assert not top.is_followed_by(FieldOfFrame(2, True))
    assert not top.is_followed_by(None)
