"""The records between parent and child. The first byte says into what pieces the rest is cut."""

from collections.abc import Iterator

from tests.support.media import AUDIO, VIDEO, audio, video
from tests.support.tracks import TRACKS

from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.wire.pipe import PipeDecoder, PipeEncoder

MAX_RECORD_BYTES = 2048


def run(data: bytes) -> None:
    whole = _events([data[1:]])
    assert whole == _events(list(pieces_of(data[1:], data[0] if data else 1)))


def _events(pieces: list[bytes]) -> tuple[list[object], str]:
    decoder = PipeDecoder(max_record_bytes=MAX_RECORD_BYTES)
    error = ""
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            assert decoder.buffered_bytes <= MAX_RECORD_BYTES + 5
        decoder.receive_eof()
    except RemoteProtocolError as err:
        error = str(err)
    return [_identity(event) for event in decoder.events()], error


def _identity(event: object) -> object:
    if isinstance(event, Frame):
        return event.track, event.pts_90k, event.dts_90k, event.key, event.payload, event.epoch
    return event


def seeds() -> Iterator[bytes]:
    encoder = PipeEncoder()
    encoder.send_tracks([VIDEO, AUDIO])
    encoder.send_message({"log": "x"})
    encoder.send_frame(video(3600, key=True, size=60))
    encoder.send_frame(audio(0))
    encoder.send_end("done")
    yield b"\x07" + encoder.data_to_send()
    for track in TRACKS:
        encoder = PipeEncoder()
        encoder.send_tracks([track])
        yield b"\xff" + encoder.data_to_send()


TARGET = FuzzTarget("pipe", run, (), seeds)
