"""UDP inputs end to end: what ffmpeg and GStreamer send comes out of LL-HLS as it went in."""

import contextlib
from pathlib import Path

import pytest

from tests.e2e.test_pull import LEAST_AUDIO, LEAST_VIDEO, SKEW_S, copy, shift_of
from tests.support.encoded import encode
from tests.support.served import ServedTrack, fetch_track
from tests.support.server import Server, peer, until
from tests.support.udp_sender import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

GROUP = "239.255.77.17"


def gstreamer(clip: Path, host: str, port: int) -> tuple[str, ...]:
    pipeline = (
        "mpegtsmux name=mux alignment=7 ! rtpmp2tpay ! "
        f"udpsink host={host} port={port} multicast-iface=lo filesrc location={clip} ! qtdemux name=file "
        "file.video_0 ! queue ! h264parse ! mux. file.audio_0 ! queue ! aacparse ! mux."
    )
    return ("gst-launch-1.0", "-q", *pipeline.split())


@pytest.mark.parametrize("code", ["udp-unicast", "rtp-multicast"])
def test_a_udp_stream_comes_out_as_it_went_in(server: Server, tmp_path: Path, code: str) -> None:
    clip = encode(
        tmp_path / "clip.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=8"),
        *("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-b_strategy", "0", "-g", "25"),
        *("-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"),
    )
    port = free_port()
    if code == "udp-unicast":
        url = f"udp://127.0.0.1:{port}"
        sender = copy(clip.path, "-f", "mpegts", f"{url}?pkt_size=1316")
    else:
        url = f"udp://{GROUP}:{port}?iface=lo"
        sender = gstreamer(clip.path, GROUP, port)

    def enough() -> tuple[ServedTrack, ServedTrack] | None:
        with contextlib.suppress(AssertionError, KeyError):
            video, audio = (fetch_track(server.url(f"/{code}"), kind) for kind in ("video", "audio"))
            if len(video.units) >= LEAST_VIDEO and len(audio.units) >= LEAST_AUDIO:
                return video, audio
        return None

    server.put_stream(code, inputs=[{"url": url, "priority": 0}])
    with peer(*sender, log=tmp_path / "sender.log"):
        video, audio = until(enough, f"{code} is served: {server.runtime(code)}", 40)
    video_shift_s = shift_of(video.units[:LEAST_VIDEO], clip.video)
    audio_shift_s = shift_of(audio.units[:LEAST_AUDIO], clip.audio)
    assert abs(video_shift_s - audio_shift_s) < SKEW_S
