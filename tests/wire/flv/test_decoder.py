"""What the decoder waits for, what it drops, and what it refuses."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.nal import iter_length_prefixed, to_length_prefixed
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.flv import FlvDecoder, FlvLimits
from tests.support.clips import clip
from tests.support.media import PPS, SPS
from tests.support.rtmp_publisher import tags_of

CONFIG = H264Config((SPS,), (PPS,))
AVC_HEADER = b"\x17\x00\x00\x00\x00" + CONFIG.avcc()
AAC_HEADER = b"\xaf\x00\x11\x90"
BOTH: dict[str, AmfValue] = {"videocodecid": 7.0, "audiocodecid": 10.0}


def picture(*, key: bool, composition_ms: int = 0, marker: int = 0) -> bytes:
    nal = bytes((0x65 if key else 0x41, marker, 0, 0))
    start = bytes((0x17 if key else 0x27, 1)) + composition_ms.to_bytes(3, "big", signed=True)
    return start + len(nal).to_bytes(4, "big") + nal


def sound(marker: int = 0) -> bytes:
    return b"\xaf\x01" + bytes((marker, 1, 2))


def started(decoder: FlvDecoder | None = None) -> FlvDecoder:
    decoder = decoder or FlvDecoder()
    decoder.metadata(BOTH)
    decoder.video(0, AVC_HEADER)
    decoder.audio(0, AAC_HEADER)
    return decoder


def running() -> FlvDecoder:
    decoder = started()
    assert decoder.video(0, picture(key=True))
    return decoder


# ---------------------------------------------------------------------- waiting


def test_frames_wait_for_the_announced_track() -> None:
    decoder = FlvDecoder()
    decoder.metadata(BOTH)
    decoder.video(0, AVC_HEADER)
    assert decoder.video(0, picture(key=True)) == []
    assert decoder.video(33, picture(key=False)) == []
    released = decoder.audio(0, AAC_HEADER)
    assert [frame.dts_90k for frame in released] == [0, 33 * 90]
    assert [track.codec for track in decoder.tracks] == ["h264", "aac"]


def test_without_metadata_the_other_track_is_waited_for_only_so_long() -> None:
    decoder = FlvDecoder(FlvLimits(announced_wait_ms=200))
    decoder.video(0, AVC_HEADER)
    released: list[Frame] = []
    times_ms = iter(range(0, 1000, 40))
    while not released:
        released = decoder.video(time_ms := next(times_ms), picture(key=time_ms == 0))
    assert time_ms == 200
    assert len(released) == 6


@pytest.mark.parametrize("limits", [FlvLimits(max_held_frames=5), FlvLimits(max_held_bytes=5 * 8)])
def test_what_is_held_back_is_bounded(limits: FlvLimits) -> None:
    decoder = FlvDecoder(limits)
    decoder.video(0, AVC_HEADER)
    counts = [len(decoder.video(0, picture(key=True))) for _ in range(6)]
    assert counts == [0, 0, 0, 0, 5, 1]


def test_announced_video_that_never_comes_leaves_an_audio_stream() -> None:
    decoder = FlvDecoder()
    decoder.metadata(BOTH)
    decoder.audio(0, AAC_HEADER)
    released = [frame for time_ms in range(0, 12_000, 20) for frame in decoder.audio(time_ms, sound())]
    assert released[0].dts_90k == 11_500 * 90, "a long GOP may have been joined"
    assert all(frame.key for frame in released)
    assert [track.codec for track in decoder.tracks] == ["aac"]


def test_announced_video_that_begins_at_the_end_of_a_long_gop_is_there_from_the_first_frame() -> None:
    decoder = FlvDecoder()
    decoder.metadata(BOTH)
    decoder.audio(0, AAC_HEADER)
    for time_ms in range(0, 10_400, 20):  # what nginx-rtmp sends to who joins behind a key frame
        assert decoder.audio(time_ms, sound()) == []
    decoder.video(10_400, AVC_HEADER)
    released = decoder.video(10_400, picture(key=True)) + decoder.audio(10_410, sound())
    assert [(frame.track.is_video, frame.key) for frame in released] == [(True, True), (False, False)]
    assert [track.codec for track in decoder.tracks] == ["h264", "aac"]


def test_sound_without_a_word_about_video_does_not_wait_for_a_long_gop() -> None:
    decoder = FlvDecoder()
    decoder.audio(0, AAC_HEADER)
    released = [frame for time_ms in range(0, 1020, 20) for frame in decoder.audio(time_ms, sound())]
    assert [frame.dts_90k for frame in released] == [time_ms * 90 for time_ms in range(0, 1020, 20)]


def test_the_sound_that_waits_for_announced_video_is_bounded() -> None:
    decoder = FlvDecoder(FlvLimits(max_held_frames=5))
    decoder.metadata(BOTH)
    decoder.audio(0, AAC_HEADER)
    for _ in range(17):
        assert decoder.audio(0, sound()) == []
    assert decoder.statistics.before_key_frame == 15


def test_sound_without_a_picture_yet_does_not_become_an_audio_stream() -> None:
    decoder = started()
    for time_ms in range(0, 3000, 20):
        assert decoder.video(time_ms, picture(key=False)) == []
        assert decoder.audio(time_ms, sound()) == []
    released = decoder.video(3000, picture(key=True))
    assert [frame.key for frame in released] == [True]
    assert [frame.key for frame in decoder.audio(3010, sound())] == [False]
    assert decoder.statistics.before_key_frame == 300


def test_audio_before_the_first_key_frame_is_dropped_and_counted() -> None:
    decoder = FlvDecoder()
    decoder.metadata(BOTH)
    decoder.audio(0, AAC_HEADER)
    decoder.audio(0, sound(1))
    decoder.audio(21, sound(2))
    decoder.audio(43, sound(3))
    decoder.video(30, AVC_HEADER)
    released = decoder.video(30, picture(key=True))
    assert [frame.payload[0] for frame in released if not frame.track.is_video] == [3]
    assert decoder.statistics.before_key_frame == 2


def test_video_that_appears_late_is_added_and_audio_goes_on() -> None:
    decoder = FlvDecoder(FlvLimits(announced_wait_ms=100))
    decoder.audio(0, AAC_HEADER)
    frames = [frame for time_ms in range(0, 300, 20) for frame in decoder.audio(time_ms, sound())]
    assert len(frames) == 15
    decoder.video(300, AVC_HEADER)
    assert decoder.video(300, picture(key=False)) == []
    assert len(decoder.audio(301, sound())) == 1
    assert [frame.key for frame in decoder.video(340, picture(key=True))] == [True]
    assert [frame.key for frame in decoder.audio(341, sound())] == [False]
    assert len(decoder.tracks) == 2


def test_a_publisher_that_ends_early_gives_what_there_is() -> None:
    decoder = FlvDecoder()
    decoder.video(0, AVC_HEADER)
    assert decoder.video(0, picture(key=True)) == []
    assert len(decoder.end()) == 1
    assert decoder.end() == []


# ---------------------------------------------------------------------- configuration


def test_aac_without_its_configuration_is_dropped_and_counted() -> None:
    decoder = FlvDecoder()
    decoder.audio(0, sound())
    decoder.audio(0, b"\xaf\x00")  # an empty sequence header
    decoder.audio(21, sound())
    assert decoder.statistics.without_configuration == 2


def test_a_key_frame_with_parameter_sets_needs_no_sequence_header() -> None:
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": 7.0})
    idr = b"\x65\x88\x84\x00"
    body = b"".join(len(nal).to_bytes(4, "big") + nal for nal in (SPS, PPS, idr))
    (frame,) = decoder.video(0, b"\x17\x01\x00\x00\x00" + body)
    assert frame.track.config == CONFIG


@pytest.mark.parametrize(("codec", "four_cc"), [("h265", b"hvc1"), ("av1", b"av01"), ("vp9", b"vp09")])
def test_other_codecs_configure_themselves_from_a_key_frame_as_well(codec: str, four_cc: bytes) -> None:
    first, second = clip(codec, None)[:2]
    in_band = first.payload
    if isinstance(first.track.config, H265Config):
        sets = (*first.track.config.vps, *first.track.config.sps, *first.track.config.pps)
        in_band = to_length_prefixed(sets) + first.payload
    start = b"\x93" if codec == "h265" else b"\x91"
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": 1.0})
    assert decoder.video(0, b"\xa1" + four_cc + (bytes(3) if codec == "h265" else b"") + second.payload) == []
    (frame,) = decoder.video(0, start + four_cc + in_band)
    assert frame.track.config == first.track.config
    assert (decoder.statistics.before_key_frame, decoder.statistics.dropped_frames) == (1, 0)


def test_audio_of_another_codec_than_announced_needs_its_own_configuration() -> None:
    decoder = running()
    assert decoder.audio(0, b"\x91Opus" + b"\xfc\xff\xfe") == []
    assert decoder.statistics.without_configuration == 1


def test_a_damaged_first_frame_does_not_configure_mp3() -> None:
    decoder = FlvDecoder()
    decoder.metadata({"audiocodecid": 2.0})
    assert decoder.audio(0, b"\x2f" + bytes(20)) == []
    good = clip(None, "mp3")[0].payload
    assert [frame.payload for frame in decoder.audio(24, b"\x2f" + good)] == [good]
    assert decoder.statistics.malformed == 1


def test_metadata_about_nothing_announces_nothing() -> None:
    decoder = FlvDecoder(FlvLimits(announced_wait_ms=100))
    decoder.metadata({"encoder": "x", "width": 0.0})
    decoder.video(0, AVC_HEADER)
    assert decoder.video(0, picture(key=True)) == [], "audio may still come"
    assert not decoder.flowing


def test_video_without_any_configuration_is_rejected_by_name() -> None:
    decoder = FlvDecoder()
    for time_ms in range(0, 11_501, 40):
        assert decoder.video(time_ms, picture(key=time_ms % 2000 == 0)) == []
    with pytest.raises(SourceRejected, match="H264 without its decoder configuration"):
        decoder.video(11_520, picture(key=False))
    assert (decoder.statistics.without_configuration, decoder.statistics.before_key_frame) == (6, 283)


def test_a_new_sequence_header_is_a_new_track_at_the_next_key_frame() -> None:
    other = next(frame for frame in clip("h264", None) if frame.key).track.config
    assert isinstance(other, H264Config)
    decoder = running()
    before = decoder.tracks[0]
    decoder.video(40, b"\x17\x00\x00\x00\x00" + other.avcc())
    assert decoder.video(40, picture(key=False)) == []
    (frame,) = decoder.video(80, picture(key=True))
    assert frame.track.config == other
    assert frame.track.id == before.id
    assert decoder.tracks[0] is frame.track


def test_a_repeated_sequence_header_changes_nothing() -> None:
    decoder = running()
    before = decoder.tracks
    decoder.video(40, AVC_HEADER)
    decoder.audio(40, AAC_HEADER)
    (frame,) = decoder.video(40, picture(key=False))
    assert frame.track is before[0]
    assert decoder.tracks == before


def test_parameter_sets_that_change_in_band_are_a_new_track() -> None:
    source = next(frame for frame in clip("h264", None) if frame.key)
    assert isinstance(source.track.config, H264Config)
    sps, pps = source.track.config.sps[0], source.track.config.pps[0]
    decoder = running()
    body = b"".join(len(nal).to_bytes(4, "big") + nal for nal in (sps, pps, b"\x65\x88\x84\x00"))
    (frame,) = decoder.video(40, b"\x17\x01\x00\x00\x00" + body)
    assert isinstance(frame.track.config, H264Config)
    assert frame.track.config.width == source.track.config.width
    (following,) = decoder.video(80, picture(key=False))
    assert following.track is frame.track


def test_a_change_of_codec_waits_for_the_new_ones_key_frame() -> None:
    frames = clip("h265", None)
    decoder = running()
    assert decoder.video(40, b"\x90hvc1" + frames[0].track.config.hvcc()) == []  # type: ignore[union-attr]
    assert decoder.video(40, b"\xa3hvc1" + frames[1].payload) == []
    assert decoder.statistics.dropped_frames == 1, "it is missing in the middle"
    (frame,) = decoder.video(80, b"\x93hvc1" + frames[0].payload)
    assert frame.track.codec == "h265"


def test_the_older_numeric_id_of_h265_is_understood() -> None:
    frames = clip("h265", None)
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": 12.0})
    decoder.video(0, b"\x1c\x00\x00\x00\x00" + frames[0].track.config.hvcc())  # type: ignore[union-attr]
    (frame,) = decoder.video(0, b"\x1c\x01\x00\x00\x00" + frames[0].payload)
    assert (frame.track.codec, frame.payload) == ("h265", frames[0].payload)


@pytest.mark.parametrize("size", [1, 2])
def test_short_nal_lengths_are_made_four_bytes_long(size: int) -> None:
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": 7.0})
    avcc = CONFIG.avcc()
    decoder.video(0, b"\x17\x00\x00\x00\x00" + avcc[:4] + bytes((0xFC | size - 1,)) + avcc[5:])
    nals = [b"\x06\x05\x01\x00", b"\x65\x88\x84"]
    body = b"".join(len(nal).to_bytes(size, "big") + nal for nal in nals)
    (frame,) = decoder.video(0, b"\x17\x01\x00\x00\x00" + body)
    assert list(iter_length_prefixed(frame.payload)) == nals


def test_av1_without_a_sequence_header_in_its_record_takes_the_key_frames() -> None:
    frames = clip("av1", None)
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": float(int.from_bytes(b"av01", "big"))})
    decoder.video(0, b"\x90av01" + frames[0].track.config.av1c()[:4])  # type: ignore[union-attr]
    (frame,) = decoder.video(0, b"\x91av01" + b"\x12\x00" + frames[0].payload)
    assert frame.track.config == frames[0].track.config
    assert frame.payload == frames[0].payload, "the temporal delimiter is dropped"


def test_a_temporal_unit_of_delimiters_only_is_no_frame() -> None:
    first = clip("av1", None)[0]
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": 1.0})
    assert len(decoder.video(0, b"\x91av01" + first.payload)) == 1
    assert decoder.video(40, b"\xa1av01\x12\x00") == []
    assert decoder.statistics.malformed == 1


def test_a_malformed_sequence_header_is_rejected_with_its_reason() -> None:
    with pytest.raises(SourceRejected, match="video: the sequence header is malformed: avcC"):
        FlvDecoder().video(0, b"\x17\x00\x00\x00\x00\x01\x02")
    with pytest.raises(SourceRejected, match="audio: the sequence header is malformed"):
        FlvDecoder().audio(0, b"\x90OpusOpusHead")


def test_an_opus_comment_header_is_ignored() -> None:
    decoder = FlvDecoder()
    assert decoder.audio(0, b"\x90OpusOpusTags\0\0\0\0") == []
    assert decoder.tracks == ()


def test_the_key_frame_flag_is_believed_until_the_bit_stream_shows_its_own() -> None:
    decoder = started()
    flagged = b"\x17" + picture(key=False)[1:]
    assert [frame.key for frame in decoder.video(0, flagged)] == [True]
    unflagged = b"\x27" + picture(key=True)[1:]
    assert [frame.key for frame in decoder.video(40, unflagged)] == [True]
    assert [frame.key for frame in decoder.video(80, flagged)] == [False]


# ---------------------------------------------------------------------- time


def test_times_beyond_32_bits_go_on() -> None:
    decoder = started()
    times_ms = [0xFFFFFFFF - 60, 0xFFFFFFFF - 20, 20, 60]
    frames = [f for time_ms in times_ms for f in decoder.video(time_ms, picture(key=time_ms == times_ms[0]))]
    steps = [after.dts_90k - before.dts_90k for before, after in itertools.pairwise(frames)]
    assert steps == [3600, 41 * 90, 3600]
    (late_audio,) = decoder.audio(61, sound())
    assert late_audio.dts_90k == frames[-1].dts_90k + 90


def test_a_small_step_back_is_held() -> None:
    decoder = running()
    times = [f.dts_90k for time_ms in (100, 80, 120) for f in decoder.video(time_ms, picture(key=False))]
    assert times == [9000, 9000, 10_800]


def test_a_picture_that_is_decoded_too_early_is_shown_when_it_says() -> None:
    decoder = running()
    sent = [(100, 40), (80, 100), (90, 0), (140, 40)]
    frames = [
        frame
        for time_ms, composition_ms in sent
        for frame in decoder.video(time_ms, picture(key=False, composition_ms=composition_ms))
    ]
    assert [frame.dts_90k // 90 for frame in frames] == [100, 100, 100, 140]
    assert [frame.pts_90k // 90 for frame in frames] == [140, 180, 100, 180]


def test_a_publisher_that_begins_anew_goes_on_with_both_tracks_in_step() -> None:
    decoder = running()
    decoder.video(60_000, picture(key=False))
    decoder.audio(60_000, sound())
    video = [f for time_ms in (0, 40, 80) for f in decoder.video(time_ms, picture(key=False))]
    decoder.audio(60_021, sound())
    audio = [f for time_ms in (40, 80, 101) for f in decoder.audio(time_ms, sound())]
    assert [f.dts_90k // 90 for f in video] == [60_000, 60_020, 60_060]
    assert [f.dts_90k // 90 for f in audio] == [60_021, 60_060, 60_081]


def test_one_stray_time_moves_nothing() -> None:
    decoder = running()
    times = [f.dts_90k // 90 for ms in (5000, 0, 5040, 5080) for f in decoder.video(ms, picture(key=False))]
    assert times == [5000, 5000, 5040, 5080]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 0xFFFFFFFF)), max_size=60))
def test_decoding_times_never_fall_whatever_is_sent(sent: list[tuple[bool, int]]) -> None:
    decoder = running()
    last = {True: 0, False: -(1 << 62)}
    for is_video, time_ms in sent:
        frames = decoder.video(time_ms, picture(key=False)) if is_video else decoder.audio(time_ms, sound())
        for frame in frames:
            assert frame.dts_90k >= last[is_video]
            last[is_video] = frame.dts_90k


# ---------------------------------------------------------------------- what is not carried


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (b"\x12\x00\x00\x00\x00", "Sorenson H.263"),
        (b"\x14\x00\x00\x00\x00", "VP6"),
        (b"\x90vp08", "VP8"),
        (b"\x90vvc1", "H.266"),
        (b"\x90abcd", "codec 'abcd'"),
        (b"\x95av01\x00", "MPEG-2 TS"),
    ],
)
def test_video_codecs_we_do_not_carry_are_named(tag: bytes, name: str) -> None:
    with pytest.raises(SourceRejected, match=name):
        FlvDecoder().video(0, tag)


@pytest.mark.parametrize(
    ("tag", "name"),
    [(b"\xb2x", "Speex"), (b"\x62x", "Nellymoser"), (b"\x91fLaCx", "FLAC"), (b"\x32x", "PCM")],
)
def test_audio_codecs_we_do_not_carry_are_named(tag: bytes, name: str) -> None:
    decoder = FlvDecoder()
    decoder.metadata({"audiocodecid": 11.0})
    with pytest.raises(SourceRejected, match=name):
        decoder.audio(0, tag)


def test_sound_that_is_not_carried_is_left_out_beside_a_picture() -> None:
    decoder = FlvDecoder()
    assert decoder.audio(0, b"\x32x") == []
    assert decoder.left_out == "RTMP audio: PCM is not supported"
    tags = [tag for tag in tags_of(clip()) if tag.is_video]
    frames = [frame for tag in tags for frame in decoder.video(tag.timestamp_ms, tag.payload)]
    assert decoder.audio(1600, b"\x32x") == []
    assert len(frames) == sum(frame.track.is_video for frame in clip())
    assert decoder.statistics.not_carried == decoder.statistics.dropped_frames == 2


@pytest.mark.parametrize(("said", "waited_ms"), [({}, 1000), ({"videocodecid": 7.0}, 11_500)])
def test_sound_that_is_not_carried_waits_for_a_picture_no_longer_than_any(
    said: dict[str, AmfValue], waited_ms: int
) -> None:
    decoder = FlvDecoder()
    decoder.metadata(said)
    assert decoder.audio(0, b"\x32x") == []
    assert decoder.audio(waited_ms - 1, b"\x32x") == []
    with pytest.raises(SourceRejected, match="PCM"):
        decoder.audio(waited_ms, b"\x32x")


@pytest.mark.parametrize(
    "tag", [b"\x17", b"\x17\x01\x00", b"\x90av", b"\x9fav01x", b"\x97\x05", b"\x91hvc1\x00"]
)
def test_a_malformed_video_tag_is_counted_and_costs_nothing_else(tag: bytes) -> None:
    decoder = running()
    assert decoder.video(40, tag) == []
    assert decoder.statistics.malformed == 1
    assert decoder.video(40, picture(key=False))


def test_silence_commands_and_hdr_metadata_are_no_frames() -> None:
    decoder = running()
    for tag in (
        b"",
        b"\x57\x00",
        b"\xd1\x00",
        b"\xd4hvc1" + b"\x02\x00\x09colorInfo",
        b"\x17\x02\x00\x00\x00",
    ):
        assert decoder.video(40, tag) == []
    for tag in (b"", b"\x94Opus\x01\x02\x00\x00\x00\x03", b"\x92mp4a"):
        assert decoder.audio(40, tag) == []
    assert decoder.statistics.dropped_frames == 0


def test_of_multitrack_the_first_track_is_kept_and_the_rest_counted() -> None:
    decoder = FlvDecoder()
    decoder.metadata({"videocodecid": 7.0})
    avcc = CONFIG.avcc()

    def many(packet_type: int, bodies: list[bytes]) -> bytes:
        parts = b"".join(
            bytes((number,)) + len(body).to_bytes(3, "big") + body for number, body in enumerate(bodies)
        )
        return b"\x96" + bytes((0x10 | packet_type,)) + b"avc1" + parts

    decoder.video(0, many(0, [avcc, avcc]))
    body = picture(key=True)[5:]
    frames = decoder.video(0, many(3, [body, body]))
    assert [frame.payload for frame in frames] == [body]
    one_track = b"\x96" + b"\x03" + b"avc1" + b"\x01" + body
    assert decoder.video(33, one_track) == []
    assert decoder.statistics.other_tracks == 2
    many_codecs = b"\xa6\x23" + b"avc1\x00" + len(body).to_bytes(3, "big") + body
    assert len(decoder.video(66, many_codecs + b"hvc1\x01\x00\x00\x01x")) == 1


def test_a_chain_of_modifiers_is_malformed_before_it_costs_anything() -> None:
    decoder = running()
    assert decoder.video(40, b"\x97" + b"\x00\x00\x07" * (8 << 20)) == []
    assert decoder.statistics.malformed == 1


def test_modifiers_are_skipped() -> None:
    decoder = running()
    body = picture(key=False)[5:]
    small = b"\xa7" + b"\x02" + b"abc" + b"\x03" + b"avc1" + body
    large = b"\xa7" + b"\xff\x01\x00" + bytes(257) + b"\x03" + b"avc1" + body
    assert [frame.payload for tag in (small, large) for frame in decoder.video(40, tag)] == [body, body]


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=20))
def test_random_tags_are_frames_or_a_rejection(tags: list[tuple[bool, bytes]]) -> None:
    decoder = running()
    for is_video, tag in tags:
        try:
            decoder.video(0, tag) if is_video else decoder.audio(0, tag)
        except SourceRejected:
            return


# ---------------------------------------------------------------------- damage

DAMAGED = b"\x17\x01\x00\x00\x00" + b"\x00\x00\xff\xff\x65" + bytes(100)  # ends long before its NAL unit does


def refusal_of_video(bodies: list[bytes]) -> str:
    """What is said when these come at 25 per second."""
    decoder = started()
    try:
        for number, body in enumerate(bodies):
            decoder.video(number * 40, body)
    except SourceRejected as err:
        return str(err)
    raise AssertionError("it was not refused")


@pytest.mark.parametrize("damaged", [DAMAGED, b"\x17\x01"])
@pytest.mark.parametrize("with_sound", [True, False])
def test_video_of_which_nothing_can_be_used_is_refused_also_beside_good_sound(
    damaged: bytes, with_sound: bool
) -> None:
    decoder = FlvDecoder()
    decoder.video(0, AVC_HEADER)
    decoder.audio(0, AAC_HEADER)
    for time_ms in range(0, 4981, 20):
        assert decoder.video(time_ms, damaged) == [] if time_ms % 40 == 0 else True
        assert not with_sound or decoder.audio(time_ms, sound()) == [], "sound alone went on the air"
    with pytest.raises(SourceRejected, match=r"access units are damaged: 126 of them, and none that could"):
        decoder.video(5000, damaged)


def test_the_damaged_codec_is_named() -> None:
    said = refusal_of_video([DAMAGED] * 150)
    assert said.startswith("H.264 access units are damaged: 126 of them, ")
    assert "a NAL unit ends" in said


def test_damage_without_passing_time_is_refused_by_its_number() -> None:
    decoder = running()
    for _ in range(199):
        decoder.video(40, DAMAGED)
    with pytest.raises(SourceRejected, match="damaged: 200 of them"):
        decoder.video(40, DAMAGED)


def test_scattered_damage_ends_no_stream_however_much_it_is() -> None:
    decoder = running()
    passed = 0
    for number in range(1, 2001):
        good = number % 100 == 0  # 4 s of damage after each picture
        passed += len(decoder.video(number * 40, picture(key=number % 200 == 0) if good else DAMAGED))
    assert passed == 20
    assert decoder.statistics.malformed == 1980


def test_slow_video_is_not_refused_for_two_bad_pictures() -> None:
    decoder = running()
    assert decoder.video(30_000, DAMAGED) == []
    assert decoder.video(60_000, DAMAGED) == []
    assert len(decoder.video(90_000, picture(key=True))) == 1


def test_key_frames_that_are_all_damaged_leave_nothing_to_begin_with() -> None:
    assert "damaged: 4 of them" in refusal_of_video(([DAMAGED] + [picture(key=False)] * 49) * 4)


def test_damaged_sound_alone_is_refused_and_beside_a_picture_is_left_out() -> None:
    damaged = b"\x2f" + bytes(20)
    decoder = FlvDecoder()
    for time_ms in range(0, 5000, 40):
        assert decoder.audio(time_ms, damaged) == []
    with pytest.raises(SourceRejected, match=r"^MP3 frames are damaged"):
        decoder.audio(5000, damaged)
    decoder = FlvDecoder()
    decoder.video(0, AVC_HEADER)
    passed = 0
    for time_ms in range(0, 20_000, 40):
        passed += len(decoder.video(time_ms, picture(key=time_ms % 2000 == 0)))
        assert decoder.audio(time_ms, damaged) == []
    assert passed == 500
