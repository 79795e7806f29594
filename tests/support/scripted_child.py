"""A child process that behaves as its first argument says; run by tests of ``sources/child``."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from openstreamer.sources.child_entry import open_pipe
from openstreamer.wire.pipe import Message, PipeDecoder, PipeEncoder
from tests.support.media import AUDIO, VIDEO, audio, video

MODULE = "tests.support.scripted_child"
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def main(behaviour: str, *arguments: str) -> None:
    pipe = open_pipe()
    out = PipeEncoder()
    match behaviour:
        case "echo":
            _echo(pipe, out)
        case "flood":
            _flood(pipe, out, int(arguments[0]))
        case "die":
            print(*arguments[1:], sep="\n", file=sys.stderr)
            raise SystemExit(int(arguments[0]))
        case "nonsense":
            pipe.sendall(b"GET / HTTP/1.1\r\n\r\n")
            signal.pause()
        case "error":
            _say(pipe, out, {"error": "cannot encode: no libx264"})
        case "end":
            out.send_tracks([VIDEO, AUDIO])
            out.send_frame(video(0, key=True))
            out.send_message({"last": True})
            out.send_end("finished")
            pipe.sendall(out.data_to_send())
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _say(pipe, out, {"ready": True})
            while True:
                signal.pause()
        case "polite":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            _say(pipe, out, {"ready": True})
            signal.pause()
        case "family":
            grandchild = subprocess.Popen(["sleep", "1000"])
            _say(pipe, out, {"grandchild": grandchild.pid})
            signal.pause()
        case "describe":
            pipe.recv(1)  # it is asked
            _say(pipe, out, _description())
            signal.pause()
        case "mute":
            signal.pause()


def _say(pipe: socket.socket, out: PipeEncoder, body: dict[str, object]) -> None:
    out.send_message(body)
    pipe.sendall(out.data_to_send())


def _echo(pipe: socket.socket, out: PipeEncoder) -> None:
    decoder = PipeDecoder()
    while data := pipe.recv(65536):
        decoder.receive_data(data)
        for event in decoder.events():
            if isinstance(event, Message):
                out.send_message(event.body)
        pipe.sendall(out.data_to_send())


def _flood(pipe: socket.socket, out: PipeEncoder, frame_bytes: int) -> None:
    out.send_tracks([VIDEO, AUDIO])
    number = 0
    while True:
        out.send_frame(video(number * 3600, key=number % 25 == 0, size=frame_bytes))
        out.send_frame(audio(number * 3600))
        pipe.sendall(out.data_to_send())
        number += 1


def _description() -> dict[str, object]:
    return {
        "environment": sorted(os.environ),
        "files": _open_files(),
        "group": os.getpgrp() == os.getpid(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cwd": str(Path.cwd()),
        "limits": Path("/proc/self/limits").read_text(),
    }


def _open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            found.append(str(Path(f"/proc/self/fd/{name}").readlink()))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
