"""Whatever a hub delivers, the packager neither fails nor breaks its promises."""

from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.aac import AacConfig
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.playlist import Terms, low_latency_playlist
from openstreamer.packager.presentation import Presentation
from openstreamer.packager.segment import PartReady, SegmentReady
from tests.support.hls_playlist import parse
from tests.support.made_streams import START_90K
from tests.support.media import AUDIO, PPS, SPS, VIDEO
from tests.support.mp4_reader import samples

VIDEOS = (VIDEO, Track(1, H264Config((SPS,), (PPS + b"\x80",))), Track(5, VIDEO.config))
AUDIOS = (AUDIO, Track(2, AacConfig(bytes.fromhex("1210"))), Track(2, OpusConfig()))
OPUS_20_MS = b"\xf8\xff\xfe"

steps = st.one_of(
    # a track's frame: which track, how far its time moves on (in ms), key, arrival of a new epoch
    st.tuples(
        st.sampled_from(VIDEOS + AUDIOS),
        st.sampled_from((33, 33, 33, 21, 21, 0, -40, 500, 2_500, 9_000)),
        st.booleans(),
        st.sampled_from((False, False, False, False, False, False, False, True)),
    ),
    st.just("flush"),
    st.just("only video"),
    st.just("only audio"),
    st.just("both"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=120), st.integers(1, 6))
def test_any_sequence_of_frames_gives_sound_segments(sequence: list[object], batch_size: int) -> None:
    presentation = Presentation(PackagerOptions(), 100, clock_ns=lambda: 0)
    now_90k = dict.fromkeys(TrackKind, START_90K)
    epoch, announced = 1, "both"
    batch: list[Frame] = []
    events: list[object] = []
    for step in [*sequence, "flush"]:
        if step == "flush" or len(batch) >= batch_size:
            tracks = tuple(
                next((frame.track for frame in reversed(batch) if frame.track.kind is kind), default)
                for kind, default in ((TrackKind.VIDEO, VIDEO), (TrackKind.AUDIO, AUDIO))
                if announced in ("both", f"only {kind.value}")
            )
            events += presentation.push(batch, tracks, now_90k[TrackKind.VIDEO] // 90)
            batch = []
        if step == "flush":
            events += presentation.flush()
        elif isinstance(step, str):
            announced = step
        elif isinstance(step, tuple):
            track, move_ms, key, renewed = step
            epoch += renewed
            now_90k[track.kind] += move_ms * 90
            at = now_90k[track.kind]
            payload = bytes(9) if track.codec != "opus" else OPUS_20_MS
            batch.append(Frame(track, at, at, key, payload, epoch))
    check(events)
    check_playlists(presentation)


def check(events: list[object]) -> None:
    for kind in (TrackKind.VIDEO, TrackKind.AUDIO):
        closed = [e.segment for e in events if isinstance(e, SegmentReady) and e.kind is kind]
        numbers = [segment.msn for segment in closed]
        assert numbers == sorted(set(numbers))
        newest: tuple[object, int] = (None, 0)
        for segment in closed:
            assert segment.gap == (not segment.parts)
            assert segment.duration_s > 0
            for sample in samples(b"".join(segment.chunks)):
                assert newest[0] is not segment.init or sample.decode_time > newest[1]
                newest = (segment.init, sample.decode_time)
        for event in events:
            if isinstance(event, PartReady) and event.part.independent:
                assert samples(event.part.data)[0].key


def check_playlists(presentation: Presentation) -> None:
    packager = presentation.packager
    for track in packager.playing:
        if packager.part_target_s is None:
            continue
        terms = Terms(packager.target_duration_s, packager.part_target_s, 3 * packager.part_target_s)
        listed = parse(low_latency_playlist(track.window, terms, (), delta=False).replace("\0", ""))
        for segment in listed.segments:
            assert segment.duration_s is not None
            assert int(segment.duration_s + 0.5) <= packager.target_duration_s
            assert all(part.duration_s <= packager.part_target_s + 1e-6 for part in segment.parts)
