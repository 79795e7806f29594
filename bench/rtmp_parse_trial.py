"""What it costs to turn the bytes of a publisher into frames, without any socket.

python -m bench.rtmp_parse_trial
"""

import time

from bench.clip import DURATION_MS, cached_clip, load_clip
from openstreamer.wire.flv import FlvDecoder
from openstreamer.wire.rtmp import (
    ConnectAnswered,
    HandshakeCompleted,
    MediaReceived,
    PublishRequested,
    RtmpClient,
    RtmpServer,
    StatusReceived,
    StreamCreated,
)

READ_SIZES = (1_460, 16_384, 65_536)
ROUNDS = 5


def published(server: RtmpServer, client: RtmpClient) -> int:
    """Let the two agree on a publication; returns its stream id."""
    stream_id = 0
    while True:
        server.receive_data(client.data_to_send())
        for event in server.events():
            if isinstance(event, PublishRequested):
                server.accept_publish(event.stream_id)
        client.receive_data(server.data_to_send())
        for event in client.events():
            match event:
                case HandshakeCompleted():
                    client.send_connect("live", "rtmp://localhost/live")
                case ConnectAnswered():
                    client.send_create_stream(publish_name="news")
                case StreamCreated():
                    stream_id = event.stream_id
                    client.send_publish(stream_id, "news")
                case StatusReceived():
                    return stream_id


def media_bytes(client: RtmpClient, stream_id: int) -> bytes:
    """The clip as the client sends it, at the chunk size that the server asked for."""
    clip = load_clip(cached_clip())
    for tag in (*clip.headers, *clip.tags):
        client.send_media(stream_id, tag.is_video, tag.time_ms, tag.payload)
    return client.data_to_send()


def parse(server: RtmpServer, data: bytes, read_bytes: int) -> int:
    """Feed ``data`` in reads of one size; returns the number of frames."""
    decoder, frames = FlvDecoder(), 0
    for start in range(0, len(data), read_bytes):
        server.receive_data(data[start : start + read_bytes])
        for event in server.events():
            if isinstance(event, MediaReceived):
                decode = decoder.video if event.is_video else decoder.audio
                frames += len(decode(event.timestamp_ms, event.payload))
        server.data_to_send()
    return frames


def main() -> None:
    """Print milliseconds of CPU per stream-second, the best of some rounds, by size of the reads."""
    for read_bytes in READ_SIZES:
        best_s = float("inf")
        for _ in range(ROUNDS):
            server, client = RtmpServer(), RtmpClient()
            data = media_bytes(client, published(server, client))
            began_s = time.process_time()
            frames = parse(server, data, read_bytes)
            best_s = min(best_s, time.process_time() - began_s)
        cost_ms, each_us = best_s / DURATION_MS * 1e6, best_s / frames * 1e6
        print(f"reads of {read_bytes:6} B: {cost_ms:.2f} ms per stream-second, {each_us:.1f} µs per frame")


if __name__ == "__main__":
    main()
