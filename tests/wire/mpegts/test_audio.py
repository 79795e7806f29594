"""Audio frames are framed, joined and timed however they are spread over PES packets."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.aac import AacConfig, adts_header
from openstreamer.media.aac_sbr import FRAMES_LOOKED_AT
from openstreamer.media.bits import BitWriter
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts.audio import AudioStream
from openstreamer.wire.mpegts.framings import OpusFraming
from openstreamer.wire.mpegts.latm import LatmReader, loas_frame_bytes
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, TsCodec
from openstreamer.wire.mpegts.times import ProgramClock, TrackTimes
from tests.support.clips import clip
from tests.support.mpegts import filling

LC_48K = AacConfig(bytes.fromhex("1190"))
LC_24K = AacConfig(bytes.fromhex("1310"))


def stream(codec: TsCodec = TsCodec.AAC_ADTS, channels: int = 2) -> AudioStream:
    info = ElementaryStreamInfo(0x101, 0x0F, codec, "deu", channels)
    return AudioStream(info, 1, TrackTimes(ProgramClock()), MpegTsStatistics(started=True))


def statistics_of(subject: AudioStream) -> MpegTsStatistics:
    return subject._statistics


def adts(payload: bytes, config: AacConfig = LC_48K) -> bytes:
    return adts_header(config, len(payload)) + payload


def payload(n: int) -> bytes:
    return filling(100 + n, n).replace(b"\xff", b"\xfe")


def at(time_90k: int) -> tuple[int, int]:
    return time_90k, time_90k


SENT = [payload(n) for n in range(40)]
DATA = b"".join(adts(each) for each in SENT)


def test_the_time_of_a_pes_packet_is_its_first_frames() -> None:
    subject = stream()
    frames = subject.feed(DATA, at(9000))
    assert [frame.payload for frame in frames] == SENT
    assert [frame.pts_90k for frame in frames] == [9000 + 1920 * n for n in range(40)]
    assert subject.track is not None
    assert (subject.track.config, subject.track.language) == (LC_48K, "deu")


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_frames_over_the_border_of_pes_packets_are_joined(sizes: list[int]) -> None:
    subject, frames, position = stream(), list[Frame](), 0
    first = True
    for size in [*sizes, len(DATA)]:
        frames += subject.feed(DATA[position : position + size], at(9000) if first else None)
        position += size
        first = False
    assert [frame.payload for frame in frames] == SENT
    assert [frame.pts_90k for frame in frames] == [9000 + 1920 * n for n in range(40)]


def test_a_time_belongs_to_the_frame_that_begins_behind_it() -> None:
    cut = 107 + 50
    subject = stream()
    frames = subject.feed(DATA[:cut], at(9000)) + subject.feed(DATA[cut:], at(9000 + 2 * 1920 + 9000))
    assert [frame.pts_90k for frame in frames[:3]] == [9000, 9000 + 1920, 9000 + 2 * 1920 + 9000]


PES_PACKETS = st.lists(st.tuples(st.integers(1, 900), st.booleans()), min_size=2, max_size=40)
DAMAGE = st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), max_size=3)
BOUNDARIES = list(accumulate(len(adts(each)) for each in SENT))
TWO_CONFIGURATIONS = DATA[: BOUNDARIES[20]] + b"".join(adts(each, LC_24K) for each in SENT)


@given(PES_PACKETS, DAMAGE, st.sampled_from([DATA, TWO_CONFIGURATIONS]))
def test_frames_taken_as_a_run_are_those_taken_one_by_one(
    sizes: list[tuple[int, bool]], damage: list[tuple[int, int]], data: bytes
) -> None:
    """A PES packet with a time is cut between two frames here, as multiplexers do."""
    damaged = bytearray(data)
    for place, value in damage:
        damaged[place] = value
    runs, singles = stream(), stream()
    singles._adts = None
    position = 0
    for number, (size, timed) in enumerate([*sizes, (len(data), False)]):
        end = position + size
        if timed:
            end = next((boundary for boundary in BOUNDARIES if boundary >= end), end)
        piece = bytes(damaged[position:end])
        times_90k = at(9000 + number * 5000) if timed or not number else None
        assert [shown(each) for each in runs.feed(piece, times_90k)] == [
            shown(each) for each in singles.feed(piece, times_90k)
        ]
        position = end
    assert statistics_of(runs) == statistics_of(singles)


@pytest.mark.parametrize("frames_each", [1, 8])
def test_each_whole_pes_packet_begins_at_its_own_time(frames_each: int) -> None:
    subject, frames = stream(), list[Frame]()
    for first in range(0, 40, frames_each):
        packet = b"".join(map(adts, SENT[first : first + frames_each]))
        frames += subject.feed(packet, at(9000 + 1920 * first + 9000 * (first >= 16)))
    assert [frame.payload for frame in frames] == SENT
    assert [frame.pts_90k for frame in frames] == [9000 + 1920 * n + 9000 * (n >= 16) for n in range(40)]


def test_the_time_of_a_pes_packet_with_less_than_a_frame_is_that_frames() -> None:
    subject = stream()
    subject.feed(DATA[: BOUNDARIES[1]], at(9000))
    assert subject.feed(DATA[BOUNDARIES[1] : BOUNDARIES[1] + 50], at(99_000)) == []
    frames = subject.feed(DATA[BOUNDARIES[1] + 50 : BOUNDARIES[3]], None)
    assert [frame.pts_90k for frame in frames] == [99_000, 99_000 + 1920]


def test_a_header_that_announces_several_blocks_is_malformed_in_the_middle_too() -> None:
    subject = stream()
    subject.feed(DATA[: BOUNDARIES[1]], at(9000))
    several = bytearray(adts(SENT[2]))
    several[6] |= 1  # number_of_raw_data_blocks_in_frame
    frames = subject.feed(bytes(several) + DATA[BOUNDARIES[2] : BOUNDARIES[4]], at(9000 + 2 * 1920))
    assert SENT[2] not in [frame.payload for frame in frames]
    assert statistics_of(subject).malformed


def shown(frame: Frame) -> tuple[object, ...]:
    return frame.track, frame.pts_90k, frame.dts_90k, frame.key, frame.payload


def test_times_that_are_rounded_do_not_disturb_the_count() -> None:
    subject = stream()
    frames = [f for n in range(40) for f in subject.feed(adts(payload(n)), at(9000 + 1920 * n + n % 3 * 40))]
    assert [frame.pts_90k for frame in frames] == [9000 + 1920 * n for n in range(40)]


def test_a_stream_that_is_joined_in_the_middle_begins_with_its_first_whole_frame() -> None:
    subject = stream()
    frames = subject.feed(DATA[50:5000], at(9000)) + subject.feed(DATA[5000:], at(9000 + 40 * 1920))
    assert [frame.payload for frame in frames] == SENT[1:]
    assert frames[0].pts_90k == 9000


def test_a_false_sync_word_is_not_believed() -> None:
    subject = stream()
    noise = b"\x00\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(30)
    assert [frame.payload for frame in subject.feed(noise + DATA, at(0))] == SENT


def test_frames_go_on_behind_damage() -> None:
    damaged = DATA[:215] + b"\x00" * 20 + DATA[215:]  # behind two frames
    subject = stream()
    assert [frame.payload for frame in subject.feed(damaged, at(0))] == SENT
    assert statistics_of(subject).malformed == 1


def test_frames_without_a_time_are_dropped() -> None:
    subject = stream()
    assert subject.feed(DATA, None) == []
    assert statistics_of(subject).dropped_frames == 40


def test_a_new_configuration_is_a_new_track() -> None:
    subject = stream()
    mono = AacConfig(bytes.fromhex("1188"))
    frames = subject.feed(adts(payload(0)) + adts(payload(1), mono), at(0))
    assert [frame.track.config for frame in frames] == [LC_48K, mono]
    assert frames[0].track.id == frames[1].track.id == 1


# ---------------------------------------------------------------------- HE-AAC that says nothing


def with_sbr(n: int) -> bytes:
    """A raw data block that ends with a fill element of SBR data."""
    writer = BitWriter()
    writer.u(13, 0x15 + n)
    writer.u(3, 0b110)
    writer.u(4, 3)
    writer.u(4, 0b1101)
    writer.u(20, 0x12345)
    writer.u(3, 0b111)
    return writer.to_bytes()


def test_he_aac_is_recognised_by_its_first_frames() -> None:
    subject = stream()
    counts = [len(subject.feed(adts(with_sbr(n), LC_24K), at(n * 3840))) for n in range(12)]
    assert counts == [0] * (FRAMES_LOOKED_AT - 1) + [FRAMES_LOOKED_AT] + [1] * 4
    assert subject.track is not None
    assert subject.track.audio.sample_rate == 48_000
    assert subject.track.audio.codec_string == "mp4a.40.5"


def test_aac_of_a_low_rate_stays_what_it_says() -> None:
    subject = stream()
    for n in range(12):
        subject.feed(adts(payload(n), LC_24K), at(n * 3840))
    assert subject.track is not None
    assert subject.track.config == LC_24K


def test_what_is_undecided_at_the_end_comes_out() -> None:
    subject = stream()
    assert subject.feed(adts(payload(0), LC_24K), at(0)) == []
    assert len(subject.end()) == 1
    assert subject.end() == []


# ---------------------------------------------------------------------- other codecs


@pytest.mark.parametrize(
    ("name", "codec"), [("mp3", TsCodec.MPEG_AUDIO), ("ac3", TsCodec.AC3), ("eac3", TsCodec.EAC3)]
)
def test_codecs_with_headers_of_their_own(name: str, codec: TsCodec) -> None:
    frames = clip(None, name)
    subject = stream(codec)
    data = b"".join(frame.payload for frame in frames)
    found = subject.feed(data[:1000], at(0)) + subject.feed(data[1000:], None)
    assert [frame.payload for frame in found] == [frame.payload for frame in frames]
    assert subject.track is not None
    assert subject.track.config == frames[0].track.config


def test_dependent_substreams_stay_with_their_frame() -> None:
    independent = clip(None, "eac3")[0].payload
    dependent = independent[:2] + bytes((independent[2] & 0x3F | 0x40,)) + independent[3:]
    subject = stream(TsCodec.EAC3)
    frames = subject.feed((independent + dependent) * 4, at(0))
    assert [len(frame.payload) for frame in frames] == [2 * len(independent)] * 4


def opus(packet: bytes, flags: int = 0, more: bytes = b"") -> bytes:
    full, rest = divmod(len(packet), 255)
    return bytes((0x7F, 0xE0 | flags)) + b"\xff" * full + bytes((rest,)) + more + packet


def test_opus_packets_lose_their_control_headers() -> None:
    packets = [b"\x78" + filling(size, size) for size in (3, 254, 255, 600)]
    data = opus(packets[0], 0x10, b"\x01\x38") + opus(packets[1], 0x08, b"\x00\x10")
    data += opus(packets[2], 0x04, b"\x02\xaa\xbb") + opus(packets[3])
    subject = stream(TsCodec.OPUS)
    frames = subject.feed(data, at(0))
    assert [frame.payload for frame in frames] == packets
    assert [frame.pts_90k for frame in frames] == [0, 1800, 3600, 5400]


@pytest.mark.parametrize("code", range(9))
def test_opus_channel_configurations(code: int) -> None:
    (unit,) = OpusFraming(code).units(opus(b"\x78abc"))
    assert unit.config is not None
    assert unit.config.channels == (code or 2)


def test_opus_that_lasts_impossibly_long_is_malformed() -> None:
    subject = stream(TsCodec.OPUS)
    assert subject.feed(opus(b"\x7b\x3f" + bytes(20)), at(0)) == []
    assert statistics_of(subject).malformed == 1


@pytest.mark.parametrize("head", [b"\x7f\xe0\xff", b"\x7f\xe4\x05", b"\x7e\xe0\x05", b"\x7f\x00\x05"])
def test_opus_control_headers_that_are_none(head: bytes) -> None:
    with pytest.raises(MediaError, match="control header"):
        OpusFraming(2).frame_bytes(head)


# ---------------------------------------------------------------------- LATM


def element(
    *payloads: bytes,
    config: bytes | None = b"\x11\x90",
    version: int = 0,
    other: int = 0,
    crc: bool = False,
    config_bits: int = 0,
) -> bytes:
    """An AudioMuxElement (1.7.3.1)."""
    writer = BitWriter()
    writer.u(1, config is None)
    if config is not None:
        writer.u(1, version)
        if version:
            writer.u(1, 0)
            writer.u(10, 0xFF)  # taraBufferFullness: one byte
        writer.u(1, 1)
        writer.u(6, len(payloads) - 1)
        writer.u(7, 0)
        if version:
            writer.u(2, 0)
            writer.u(8, 8 * len(config))
        size = config_bits or 8 * len(config)
        writer.u(size, int.from_bytes(config, "big") >> 8 * len(config) - size)
        writer.u(3, 0)
        writer.u(8, 0xFF)
        writer.u(1, other > 0)
        if other and version:
            writer.u(2, 0)
            writer.u(8, other)
        elif other:
            writer.u(1, 1)
            writer.u(8, 0)
            writer.u(1, 0)
            writer.u(8, other)
        writer.u(1, crc)
        if crc:
            writer.u(8, 0x5A)
    for each in payloads:
        full, rest = divmod(len(each), 255)
        for _ in range(full):
            writer.u(8, 255)
        writer.u(8, rest)
        writer.u(8 * len(each), int.from_bytes(each, "big"))
    return writer.to_bytes()


def loas(data: bytes) -> bytes:
    return (0x2B7 << 13 | len(data)).to_bytes(3, "big") + data


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("other", [0, 16])
@pytest.mark.parametrize("crc", [False, True])
def test_latm_gives_raw_frames_and_their_configuration(version: int, other: int, crc: bool) -> None:
    sent = [filling(size, size) for size in (10, 255, 700)]
    reader = LatmReader()
    found = reader.frames(element(sent[0], version=version, other=other, crc=crc))
    found += reader.frames(element(sent[1], config=None)) + reader.frames(element(sent[2], config=None))
    assert found == sent
    assert reader.config == LC_48K


def test_latm_may_have_several_frames_in_one_element() -> None:
    assert LatmReader().frames(element(b"one", b"three", b"two")) == [b"one", b"three", b"two"]


@pytest.mark.parametrize(
    "config",
    [
        "1190",  # LC, 48 kHz, stereo
        "2b118a00",  # SBR over 24 kHz LC, said in front
        "17800bb81000",  # LC, a sample rate in 24 bits
    ],
)
def test_latm_finds_the_end_of_a_configuration(config: str) -> None:
    reader = LatmReader()
    bits = AUDIO_SPECIFIC_CONFIG_BITS[config]
    assert reader.frames(element(b"payload", config=bytes.fromhex(config), config_bits=bits)) == [b"payload"]
    assert reader.config is not None


AUDIO_SPECIFIC_CONFIG_BITS = {"1190": 16, "2b118a00": 25, "17800bb81000": 40}


def test_latm_without_a_configuration_yet_gives_nothing() -> None:
    assert LatmReader().frames(element(b"payload", config=None)) == []


def test_latm_in_a_stream() -> None:
    sent = [filling(50, n) for n in range(10)]
    data = b"".join(
        loas(element(each, config=b"\x11\x90" if n % 4 == 0 else None)) for n, each in enumerate(sent)
    )
    subject = stream(TsCodec.AAC_LATM)
    frames = subject.feed(data, at(0))
    assert [frame.payload for frame in frames] == sent
    assert subject.track is not None
    assert subject.track.config == LC_48K


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ("0 1 1", "audioMuxVersionA"),
        ("0 0 0", "other time framing"),
        ("0 0 1 000000 0001", "several programs"),
        ("0 0 1 000000 0000 001", "several programs or layers"),
        ("0 0 1 000000 0000 000 00010 0011 0000", "object type 2 with channels 0"),
        ("0 0 1 000000 0000 000 00010 0011 0010 000 001", "variable length"),
        ("0 1 0 00 00000000 1 000000 0000 000 01 1111111111111111", "longer than allowed"),
    ],
)
def test_latm_that_is_not_supported_says_why(bits: str, words: str) -> None:
    text = bits.replace(" ", "")
    data = int(text.ljust(8 * -(-len(text) // 8), "0"), 2).to_bytes(-(-len(text) // 8), "big") + bytes(4)
    with pytest.raises(MediaError, match=words):
        LatmReader().frames(data)


def test_a_loas_header_needs_its_sync_word() -> None:
    assert loas_frame_bytes(b"\x56\xe0\x05") == 8
    for head in (b"\x56\xe0", b"\x57\xe0\x05"):
        with pytest.raises(MediaError, match="sync word"):
            loas_frame_bytes(head)


def test_an_element_that_cannot_be_read_is_counted() -> None:
    subject = stream(TsCodec.AAC_LATM)
    assert subject.feed(loas(b"\x60\x00"), at(0)) == []
    assert statistics_of(subject).malformed == 1
