"""Access units are told apart however they are spread over PES packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.frame import Frame
from openstreamer.media.nal import iter_length_prefixed
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, TsCodec
from openstreamer.wire.mpegts.times import ProgramClock, TrackTimes
from openstreamer.wire.mpegts.video import Av1Stream, NalStream, Times
from tests.support.clips import clip
from tests.support.media import PPS, SPS
from tests.support.mpegts import filling
from tests.support.tracks import PPS_265, SPS_265, SVT_AV1_SEQUENCE_HEADER, VPS_265

LONG, SHORT = b"\x00\x00\x00\x01", b"\x00\x00\x01"
AUD = b"\x09\xf0"
FILLER = b"\x0c\xff\xff\x80"


def stream(codec: TsCodec = TsCodec.H264, limits: MpegTsLimits | None = None) -> NalStream:
    info = ElementaryStreamInfo(0x100, 0x1B, codec)
    return NalStream(
        info, 0, TrackTimes(ProgramClock()), MpegTsStatistics(started=True), limits or MpegTsLimits()
    )


def statistics_of(subject: NalStream | Av1Stream) -> MpegTsStatistics:
    return subject._statistics


def slice_nal(number: int, *, key: bool, first: bool = True, size: int = 40) -> bytes:
    return bytes((0x65 if key else 0x41, 0x88 if first else 0x48)) + filling(size, number + 1000 * first)


def unit(number: int, *, slices: int = 1, aud: bool = True) -> list[bytes]:
    """The NAL units of a picture; number 0 of ten is a key frame."""
    key = number % 10 == 0
    nals = [AUD] if aud else []
    nals += [SPS, PPS] if key else []
    return nals + [slice_nal(number, key=key, first=n == 0) for n in range(slices)]


def kept(nals: list[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal not in (AUD, FILLER)]


def byte_stream(nals: list[bytes], start_code: bytes = LONG) -> bytes:
    return b"".join(start_code + nal for nal in nals)


def nals_of(frames: list[Frame]) -> list[list[bytes]]:
    return [list(iter_length_prefixed(frame.payload)) for frame in frames]


def at(number: int) -> Times:
    return number * 3600 + 7200, number * 3600


def fed(subject: NalStream, pes: list[tuple[bytes, Times | None]]) -> list[Frame]:
    frames = [frame for payload, times in pes for frame in subject.feed(payload, times)]
    return frames + subject.end()


UNITS = [unit(number, slices=1 + number % 3) for number in range(30)]
EXPECTED = [kept(nals) for nals in UNITS]


@pytest.mark.parametrize("start_code", [LONG, SHORT])
def test_one_access_unit_in_each_pes_packet(start_code: bytes) -> None:
    frames = fed(stream(), [(byte_stream(nals, start_code), at(n)) for n, nals in enumerate(UNITS)])
    assert nals_of(frames) == EXPECTED
    assert [(frame.pts_90k, frame.dts_90k) for frame in frames] == [at(n) for n in range(30)]
    assert [frame.key for frame in frames] == [n % 10 == 0 for n in range(30)]


def test_several_access_units_in_one_pes_packet() -> None:
    pes = [(byte_stream(UNITS[n] + UNITS[n + 1]), at(n)) for n in range(0, 30, 2)]
    frames = fed(stream(), pes)
    assert nals_of(frames) == EXPECTED
    assert [frame.dts_90k for frame in frames] == [n * 3600 for n in range(30)]


def test_access_units_without_delimiters_are_told_by_their_first_slice() -> None:
    plain = [unit(number, slices=2, aud=False) for number in range(30)]
    frames = fed(stream(), [(byte_stream([nal for nals in plain for nal in nals]), at(0))])
    assert nals_of(frames) == plain


def test_one_slice_in_each_pes_packet() -> None:
    pes: list[tuple[bytes, Times | None]] = []
    for n, nals in enumerate(UNITS):
        pes.append((byte_stream(nals[:1]), at(n)))
        pes += [(byte_stream([nal]), None) for nal in nals[1:]]
    frames = fed(stream(), pes)
    assert nals_of(frames) == EXPECTED
    assert [frame.dts_90k for frame in frames] == [n * 3600 for n in range(30)]


@given(st.lists(st.integers(1, 400), min_size=1), st.sampled_from([LONG, SHORT]))
def test_pes_packets_that_end_anywhere_give_the_same_access_units(sizes: list[int], code: bytes) -> None:
    data = b"".join(byte_stream(nals, code) for nals in UNITS)
    pes: list[tuple[bytes, Times | None]] = [(data[:4], at(0))]  # the first start code at least
    position = 4
    for size in sizes * (len(data) // sum(sizes) + 1):
        pes.append((data[position : position + size], None))
        position += size
    frames = fed(stream(), [piece for piece in pes if piece[0]])
    assert nals_of(frames) == EXPECTED


def test_parameter_sets_in_a_pes_packet_of_their_own_belong_to_the_picture_behind_them() -> None:
    pes: list[tuple[bytes, Times | None]] = [
        (byte_stream([SPS, PPS]), at(5)),
        (byte_stream([slice_nal(0, key=True)]), at(6)),
    ]
    (frame,) = fed(stream(), pes)
    assert nals_of([frame]) == [[SPS, PPS, slice_nal(0, key=True)]]
    assert frame.dts_90k == 6 * 3600


def test_filler_data_is_left_out() -> None:
    nals = [AUD, SPS, PPS, slice_nal(0, key=True), FILLER]
    assert nals_of(fed(stream(), [(byte_stream(nals), at(0))])) == [[SPS, PPS, slice_nal(0, key=True)]]


def test_h265_access_units() -> None:
    def picture(n: int) -> list[bytes]:
        sets = [VPS_265, SPS_265, PPS_265] if n % 10 == 0 else []
        head = 0x26 if n % 10 == 0 else 0x02
        return [
            b"\x46\x01\x50",
            *sets,
            bytes((head, 1, 0x80)) + filling(30, n),
            bytes((head, 1, 0x20)) + filling(30, n),
        ]

    pictures = [picture(n) for n in range(20)]
    frames = fed(
        stream(TsCodec.H265), [(byte_stream(pictures[n] + pictures[n + 1]), at(n)) for n in range(0, 20, 2)]
    )
    assert nals_of(frames) == [nals[1:] for nals in pictures]
    assert [frame.key for frame in frames] == [n % 10 == 0 for n in range(20)]


def test_a_picture_without_its_first_slice_is_dropped() -> None:
    pes = [(byte_stream(nals), at(n)) for n, nals in enumerate(UNITS)]
    pes[14] = byte_stream([AUD, slice_nal(14, key=False, first=False)]), at(14)
    subject = stream()
    assert len(fed(subject, pes)) == 29
    assert statistics_of(subject).dropped_frames == 1


def test_what_comes_after_its_access_unit_went_out_is_dropped() -> None:
    subject = stream()
    pes: list[tuple[bytes, Times | None]] = [(byte_stream(nals), at(n)) for n, nals in enumerate(UNITS)]
    pes.insert(20, (byte_stream([slice_nal(50, key=False, first=False)]), None))
    frames = fed(subject, pes)
    assert [frame.dts_90k for frame in frames] == [n * 3600 for n in range(30)]
    assert statistics_of(subject).malformed == 1


def test_pictures_without_times_follow_at_the_rate_of_those_before() -> None:
    pes: list[tuple[bytes, Times | None]] = [(byte_stream(nals), at(n)) for n, nals in enumerate(UNITS)]
    pes[20] = pes[20][0], None
    frames = fed(stream(), pes)
    assert frames[20].dts_90k == 20 * 3600


def test_the_first_pictures_without_times_are_dropped() -> None:
    subject = stream(TsCodec.H265)
    assert fed(subject, [(byte_stream([bytes((0x26, 1, 0x80, n))]), None) for n in range(1, 4)]) == []
    assert statistics_of(subject).dropped_frames == 3


def test_a_flood_of_nal_units_is_malformed() -> None:
    subject = stream()
    assert subject.feed(SHORT + b"\x09" + (SHORT + b"\x06\x01") * 20_000, at(0)) == []
    assert statistics_of(subject).malformed == 1


def test_a_picture_larger_than_allowed_is_dropped() -> None:
    subject = stream(limits=MpegTsLimits(max_unit_bytes=1000))
    pes: list[tuple[bytes, Times | None]] = [
        (byte_stream([AUD, SPS, PPS, slice_nal(0, key=True, size=500)]), at(0))
    ]
    pes += [(byte_stream([slice_nal(n, key=True, first=False, size=400)]), None) for n in range(5)]
    pes += [(byte_stream(nals), at(n)) for n, nals in enumerate(UNITS)]
    frames = fed(subject, pes)
    assert nals_of(frames) == EXPECTED
    assert statistics_of(subject).malformed >= 1


def test_a_nal_unit_larger_than_allowed_is_dropped() -> None:
    subject = stream(limits=MpegTsLimits(max_unit_bytes=1000))
    pes: list[tuple[bytes, Times | None]] = [(byte_stream([AUD, SPS, PPS, slice_nal(0, key=True)]), at(0))]
    pes += [(filling(400, n), None) for n in range(5)]
    assert fed(subject, pes) == []
    assert statistics_of(subject).malformed >= 1


def test_parameter_sets_that_cannot_be_read_make_no_track() -> None:
    subject = stream()
    assert fed(subject, [(byte_stream([b"\x67\x01\x02", PPS, slice_nal(0, key=True)]), at(0))]) == []
    assert subject.track is None
    assert statistics_of(subject).malformed == 1


def test_a_gap_between_pes_packets_keeps_the_picture_before_it() -> None:
    subject = stream()
    frames = subject.feed(byte_stream(UNITS[0]), at(0)) + subject.lose()
    assert nals_of(frames) == EXPECTED[:1]


def test_a_gap_in_a_picture_over_several_pes_packets_costs_it() -> None:
    subject = stream()
    pes = byte_stream(UNITS[0])
    frames = subject.feed(b"\x55" + pes, at(0)) + subject.feed(pes[60:], None) + subject.lose()
    assert frames == []
    assert statistics_of(subject).dropped_frames >= 1


# ---------------------------------------------------------------------- AV1


def av1_stream() -> Av1Stream:
    info = ElementaryStreamInfo(0x100, 0x06, TsCodec.AV1)
    return Av1Stream(info, 0, TrackTimes(ProgramClock()), MpegTsStatistics(started=True), MpegTsLimits())


def test_av1_with_start_codes_and_without() -> None:
    units = [frame.payload for frame in clip("av1", None)]
    plain, escaped = av1_stream(), av1_stream()
    for n, payload in enumerate(units):
        obus = b"\x12\x00" + payload
        (frame,) = plain.feed(obus, at(n))
        assert frame.payload == payload
    key = SHORT + b"\x12\x00" + SHORT + SVT_AV1_SEQUENCE_HEADER.replace(b"\x00\x00\x00", b"\x00\x00\x03\x00")
    (frame,) = escaped.feed(key + SHORT + b"\x30\x10\xaa\xbb", at(0))
    assert frame.payload == SVT_AV1_SEQUENCE_HEADER + b"\x32\x03\x10\xaa\xbb"
    assert frame.key


def test_damaged_av1_is_dropped() -> None:
    subject = av1_stream()
    assert subject.feed(b"\x12\x7f\x00", at(0)) == []
    assert subject.feed_damaged(b"\x12\x00", at(0)) == []
    assert subject.feed(b"\x12\x00", at(0)) == []
    assert subject.lose() == subject.end() == []
    assert statistics_of(subject).malformed == 1
    assert statistics_of(subject).dropped_frames == 1
