"""An ffmpeg that writes a small live HLS presentation into a directory, for tests of players."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

SIZE = (320, 180)


class LiveHls:
    """Segments of one second, continued where an earlier run in the same directory ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        size = "x".join(map(str, SIZE))
        self._process = subprocess.Popen(
            [
                *("ffmpeg", "-loglevel", "error", "-re"),
                *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-f", "lavfi", "-i", "sine=r=48000"),
                *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"),
                *("-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "8"),
                *("-hls_segment_type", "fmp4", "-hls_segment_filename", "segment%05d.m4s"),
                *("-hls_flags", "delete_segments+program_date_time+append_list+omit_endlist+temp_file"),
                "index.m3u8",
            ],
            cwd=self._directory,
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
