"""From the URL of an input to its source.

The modules of a scheme are loaded when the first input has it: a server that only takes RTMP in has no use
for the readers of all containers, which are several megabytes. They are loaded in a thread, because that
takes longer than the event loop may be held.
"""

import asyncio
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openstreamer.access.egress import EgressGuard
from openstreamer.config.global_config import Ingestor
from openstreamer.config.input_urls import FileInput, HttpInput, RtmpInput, TestInput, UdpInput, scheme_of
from openstreamer.config.models import Input
from openstreamer.media.errors import SourceRejected
from openstreamer.sources.base import Source
from openstreamer.sources.outbound import Outbound
from openstreamer.sources.reconnecting import ReconnectingSource

if TYPE_CHECKING:
    from openstreamer.sources.hls import HlsMemory, HlsSource
    from openstreamer.sources.http import HttpSource

MEMORIES = 4096  # HLS inputs of which it is known where they stalled


class SourceOpener:
    """Makes the sources of a node's pull inputs, which share what connects them.

    ``ingestor`` may be replaced at any time; what it says holds for connections made from then on.
    ``file_roots`` maps the names of mounts to the directories that files may be read from.
    """

    def __init__(
        self, ingestor: Ingestor | None = None, file_roots: Mapping[str, Path] | None = None
    ) -> None:
        self.ingestor = ingestor or Ingestor()
        self._file_roots = file_roots or {}
        self._memories: dict[str, HlsMemory] = {}  # by URL, the newest last
        self._outbound = Outbound(EgressGuard(lambda: self.ingestor.allow_private_addresses))

    async def open(self, chosen: Input) -> Source:
        """The source of a pull input, not yet connected.

        Raises :class:`SourceRejected` for a scheme that has none.
        """
        match chosen.parsed_url:
            case TestInput() as settings:
                await _load("testcard")
                from openstreamer.sources.testcard import TestcardSource

                return TestcardSource(settings)
            case RtmpInput() as rtmp:
                await _load("rtmp_pull")
                from openstreamer.sources.rtmp_pull import RtmpPullSource

                return ReconnectingSource(lambda: RtmpPullSource(self._outbound, rtmp, chosen))
            case HttpInput(kind="hls") as http:
                await _load("hls")
                return self._open_hls(http, chosen)
            case HttpInput() as http:
                await _load("http", "hls")  # what it is, is seen when it is open
                return self._open_http(http, chosen)
            case UdpInput() as udp:
                await _load("udp")
                from openstreamer.sources.udp import UdpSource

                return UdpSource(udp, chosen)
            case FileInput() as file:
                await _load("file")
                from openstreamer.sources.file import FileSource

                return FileSource(file, self._file_roots, program=chosen.program or None, pids=chosen.pids)
            case _:
                raise SourceRejected(f"{scheme_of(chosen.url)}:// inputs are not supported by this version")

    def _open_http(self, http: HttpInput, chosen: Input) -> Source:
        from openstreamer.sources.http import HttpSource

        def connect() -> "HttpSource":
            return HttpSource(self._outbound, chosen, lambda playlist: self._open_hls(http, playlist))

        return ReconnectingSource(
            connect, may_reconnect=lambda source: not (source.is_playlist or source.is_file)
        )

    def _open_hls(self, http: HttpInput, chosen: Input) -> "HlsSource":
        from openstreamer.sources.hls import HlsLimits, HlsMemory, HlsSource

        limits = HlsLimits(max_segments_ahead=self.ingestor.hls_max_segment_buffer)
        memory = self._memories.pop(chosen.url, None) or HlsMemory()
        self._memories[chosen.url] = memory
        if len(self._memories) > MEMORIES:
            del self._memories[next(iter(self._memories))]
        return HlsSource(self._outbound, http, chosen, limits=limits, memory=memory)


async def _load(*names: str) -> None:
    for name in names:
        module = f"openstreamer.sources.{name}"
        if module not in sys.modules:
            await asyncio.to_thread(importlib.import_module, module)
