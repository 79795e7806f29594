"""The pipe between parent and child: what goes in comes out, and nonsense is a typed error."""

import itertools
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.aac import AacConfig
from openstreamer.media.errors import LocalProtocolError, OpenstreamerError, RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.media.track import CodecConfig, Track
from openstreamer.wire.pipe import (
    MAX_MESSAGE_BYTES,
    End,
    Hello,
    Message,
    PipeDecoder,
    PipeEncoder,
    PipeEvent,
    RecordKind,
    TracksAnnounced,
)
from openstreamer.wire.pipe_tracks import MAX_TRACKS
from tests.support.media import AUDIO, VIDEO, audio, video
from tests.support.tracks import CONFIGS


def identity(event: PipeEvent) -> object:
    """Frames have no equality of their own: this is what must not change on the way."""
    if isinstance(event, Frame):
        return event.track, event.pts_90k, event.dts_90k, event.key, event.payload, event.epoch
    return event


def decode(*pieces: bytes) -> list[object]:
    decoder = PipeDecoder()
    events: list[object] = []
    for piece in pieces:
        decoder.receive_data(piece)
        events += [identity(event) for event in decoder.events()]
    return events


def encoded(*, frames: int = 3) -> bytes:
    encoder = PipeEncoder()
    encoder.send_tracks([VIDEO, AUDIO])
    encoder.send_message({"log": "käse"})
    for number in range(frames):
        encoder.send_frame(video(number * 3600, key=number == 0, size=100 + number))
        encoder.send_frame(audio(number * 1920))
    encoder.send_tracks([VIDEO])
    encoder.send_end("done")
    return encoder.data_to_send()


def record(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body), kind) + body


HELLO = PipeEncoder().data_to_send()


class TestRoundTrip:
    @pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.codec)
    def test_every_codec_configuration_survives(self, config: CodecConfig) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([Track(7, config, "pt-BR")])
        hello, announced = decode(encoder.data_to_send())
        assert hello == Hello(1)
        assert announced == TracksAnnounced((Track(7, config, "pt-BR"),))

    @given(
        epoch=st.integers(0, 2**32 - 1),
        pts=st.integers(-(2**63), 2**63 - 1),
        dts=st.integers(-(2**63), 2**63 - 1),
        key=st.booleans(),
        payload=st.binary(min_size=1, max_size=300),
    )
    def test_frames_survive(self, epoch: int, pts: int, dts: int, key: bool, payload: bytes) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([VIDEO])
        frame = Frame(VIDEO, pts, dts, key, payload, epoch)
        encoder.send_frame(frame)
        assert decode(encoder.data_to_send())[2:] == [identity(frame)]

    @given(st.lists(st.integers(0, len(encoded()))))
    @settings(deadline=None)
    def test_any_split_of_the_bytes_gives_the_same_events(self, cuts: list[int]) -> None:
        data = encoded()
        bounds = [0, *sorted(cuts), len(data)]
        pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
        assert decode(*pieces) == decode(data)

    def test_single_bytes_give_the_same_events(self) -> None:
        data = encoded(frames=20)
        assert decode(*(bytes([byte]) for byte in data)) == decode(data)

    def test_an_unchanged_track_stays_the_same_object(self) -> None:
        decoder = PipeDecoder()
        encoder = PipeEncoder()
        encoder.send_tracks([VIDEO, AUDIO])
        encoder.send_tracks([VIDEO, Track(AUDIO.id, AacConfig(bytes.fromhex("1210")))])
        decoder.receive_data(encoder.data_to_send())
        first, second = [event for event in decoder.events() if isinstance(event, TracksAnnounced)]
        assert second.tracks[0] is first.tracks[0]
        assert second.tracks[1] != first.tracks[1]

    def test_frames_carry_the_announced_track_itself(self) -> None:
        decoder = PipeDecoder()
        decoder.receive_data(encoded())
        events = decoder.events()
        tracks = next(event.tracks for event in events if isinstance(event, TracksAnnounced))
        frames = [event for event in events if isinstance(event, Frame)]
        assert all(any(frame.track is track for track in tracks) for frame in frames)

    def test_the_end_comes_out_and_the_pipe_may_close(self) -> None:
        decoder = PipeDecoder()
        decoder.receive_data(encoded())
        decoder.receive_eof()
        assert decoder.events()[-1] == End("done")


class TestDecoderBounds:
    def test_an_oversized_record_is_refused_from_its_head_alone(self) -> None:
        decoder = PipeDecoder(max_record_bytes=1000)
        decoder.receive_data(HELLO)
        with pytest.raises(RemoteProtocolError, match="1001"):
            decoder.receive_data(struct.pack(">IB", 1001, RecordKind.FRAME))

    def test_an_oversized_message_is_refused_from_its_head_alone(self) -> None:
        decoder = PipeDecoder()
        decoder.receive_data(HELLO)
        with pytest.raises(RemoteProtocolError, match="too long"):
            decoder.receive_data(struct.pack(">IB", MAX_MESSAGE_BYTES + 1, RecordKind.MESSAGE))

    def test_nothing_but_an_incomplete_record_is_kept(self) -> None:
        decoder = PipeDecoder()
        data = encoded(frames=50)
        for start in range(0, len(data), 1000):
            decoder.receive_data(data[start : start + 1000])
            assert decoder.buffered_bytes < 200
        assert decoder.buffered_bytes == 0

    def test_after_an_error_every_call_fails(self) -> None:
        decoder = PipeDecoder()
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                decoder.receive_data(b"GET / HTTP/1.1\r\n")
        with pytest.raises(RemoteProtocolError):
            decoder.receive_eof()


class TestNonsenseIsRefused:
    def refused(self, data: bytes, match: str) -> None:
        decoder = PipeDecoder()
        with pytest.raises(RemoteProtocolError, match=match):
            decoder.receive_data(data)

    def test_another_version(self) -> None:
        self.refused(record(RecordKind.HELLO, b"\x00\x02"), "version")

    def test_anything_before_hello(self) -> None:
        self.refused(record(RecordKind.MESSAGE, b"{}"), "HELLO")

    def test_a_second_hello(self) -> None:
        self.refused(HELLO + HELLO, "HELLO")

    def test_anything_after_the_end(self) -> None:
        self.refused(HELLO + record(RecordKind.END, b"") + record(RecordKind.MESSAGE, b"{}"), "after END")

    def test_a_frame_after_the_end(self) -> None:
        self.refused(encoded() + record(RecordKind.FRAME, bytes(30)), "after END")

    def test_an_unknown_kind(self) -> None:
        self.refused(HELLO + record(77, b""), "77")

    @pytest.mark.parametrize(
        "head",
        [
            struct.pack(">HBIqq", 99, 0, 0, 0, 0),  # unknown track
            struct.pack(">HBIqq", VIDEO.id, 0x40, 0, 0, 0),  # unknown flag
        ],
    )
    def test_a_frame_that_cannot_be(self, head: bytes) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([VIDEO])
        self.refused(encoder.data_to_send() + record(RecordKind.FRAME, head + b"x"), "unknown")

    @pytest.mark.parametrize("size", [0, 22, 23])
    def test_a_frame_without_a_payload(self, size: int) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([VIDEO])
        self.refused(encoder.data_to_send() + record(RecordKind.FRAME, bytes(size)), "payload")

    @pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"\xff", b"[" * 60_000, b"1" * 60_000])
    def test_a_message_that_is_no_json_object(self, body: bytes) -> None:
        self.refused(HELLO + record(RecordKind.MESSAGE, body), "JSON")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\x01",
            bytes([MAX_TRACKS + 1]),
            b"\x00trailing",
            b"\x01\x00\x01\x04mpeg\x00\x00\x00\x00\x00",
            b"\x01\x00\x01\x02\xff\xff\x00\x00\x00\x00\x00",
            b"\x01\x00\x01\x04h264\x00\x00\x00\x00\x03abc",
            b"\x02" + b"\x00\x01\x03mp3\x00\x00\x00\x00\x06\x00\x00\xac\x44\x02\x03" * 2,
        ],
    )
    def test_a_table_of_tracks_that_cannot_be(self, body: bytes) -> None:
        self.refused(HELLO + record(RecordKind.TRACKS, body), "tracks")

    @pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.codec)
    def test_every_truncated_configuration_is_an_error_or_another_table(self, config: CodecConfig) -> None:
        encoder = PipeEncoder()
        encoder.data_to_send()
        encoder.send_tracks([Track(1, config)])
        body = encoder.data_to_send()[5:]
        for size in range(len(body)):
            self.refused(HELLO + record(RecordKind.TRACKS, body[:size]), "tracks")

    @given(st.binary(max_size=200))
    def test_random_bytes_raise_typed_errors_only(self, noise: bytes) -> None:
        for prefix in (b"", HELLO, encoded()[:-9]):
            decoder = PipeDecoder()
            try:
                decoder.receive_data(prefix + noise)
                decoder.receive_eof()
            except OpenstreamerError as err:
                assert isinstance(err, RemoteProtocolError)  # noqa: PT017 - both outcomes are allowed

    def test_eof_without_an_end_is_an_error(self) -> None:
        decoder = PipeDecoder()
        decoder.receive_data(HELLO)
        with pytest.raises(RemoteProtocolError, match="without an END"):
            decoder.receive_eof()

    def test_eof_inside_a_record_is_an_error(self) -> None:
        decoder = PipeDecoder()
        decoder.receive_data(encoded()[:-1])
        with pytest.raises(RemoteProtocolError, match="middle"):
            decoder.receive_eof()


class TestEncoderRefuses:
    def test_a_frame_of_an_unannounced_track(self) -> None:
        encoder = PipeEncoder()
        with pytest.raises(LocalProtocolError, match="announced"):
            encoder.send_frame(video(0, key=True))

    def test_a_frame_of_a_track_that_changed(self) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([AUDIO])
        changed = Track(AUDIO.id, AacConfig(bytes.fromhex("1210")))
        with pytest.raises(LocalProtocolError, match="announced"):
            encoder.send_frame(audio(0, track=changed))

    def test_but_not_an_equal_track(self) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([AUDIO])
        equal = Track(AUDIO.id, AacConfig(bytes.fromhex("1190")))
        encoder.send_frame(audio(0, track=equal))
        assert len(decode(encoder.data_to_send())) == 3

    def test_two_tracks_of_one_id(self) -> None:
        with pytest.raises(LocalProtocolError, match="same id"):
            PipeEncoder().send_tracks([VIDEO, Track(VIDEO.id, AUDIO.config)])

    def test_too_many_tracks(self) -> None:
        with pytest.raises(LocalProtocolError, match="exceed"):
            PipeEncoder().send_tracks([Track(number, AUDIO.config) for number in range(MAX_TRACKS + 1)])

    @pytest.mark.parametrize("payload", [b"", bytes(1001)])
    def test_a_payload_of_a_size_the_other_side_refuses(self, payload: bytes) -> None:
        encoder = PipeEncoder(max_record_bytes=1023)
        encoder.send_tracks([AUDIO])
        with pytest.raises(LocalProtocolError, match="bytes"):
            encoder.send_frame(Frame(AUDIO, 0, 0, False, payload))

    def test_a_timestamp_beyond_64_bits(self) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([AUDIO])
        with pytest.raises(LocalProtocolError, match="cannot be written"):
            encoder.send_frame(Frame(AUDIO, 2**63, 0, False, b"x"))

    @pytest.mark.parametrize("body", [{"a": {1}}, {"a": float("nan")}, {"a": "x" * MAX_MESSAGE_BYTES}])
    def test_a_message_that_does_not_fit(self, body: dict[str, object]) -> None:
        with pytest.raises(LocalProtocolError):
            PipeEncoder().send_message(body)

    def test_everything_after_the_end(self) -> None:
        encoder = PipeEncoder()
        encoder.send_tracks([AUDIO])
        encoder.send_end("x" * 10_000)
        with pytest.raises(LocalProtocolError, match="after END"):
            encoder.send_message({})
        with pytest.raises(LocalProtocolError, match="after END"):
            encoder.send_frame(audio(0))
        assert isinstance(decode(encoder.data_to_send())[-1], End)

    def test_messages_are_compact_json(self) -> None:
        encoder = PipeEncoder()
        encoder.send_message({"a": [1, 2]})
        data = encoder.data_to_send()
        assert data.endswith(b'{"a":[1,2]}')
        assert json.loads(data[-11:]) == {"a": [1, 2]}
        assert decode(data)[-1] == Message({"a": [1, 2]})
