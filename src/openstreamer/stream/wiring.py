"""From the URL of an input to its source."""

from collections.abc import Mapping
from pathlib import Path

from openstreamer.access.egress import EgressGuard
from openstreamer.config.global_config import Ingestor
from openstreamer.config.input_urls import FileInput, HttpInput, RtmpInput, TestInput, UdpInput, scheme_of
from openstreamer.config.models import Input
from openstreamer.media.errors import SourceRejected
from openstreamer.sources.base import Source
from openstreamer.sources.file import FileSource
from openstreamer.sources.hls import HlsLimits, HlsSource
from openstreamer.sources.http import HttpSource
from openstreamer.sources.outbound import Outbound
from openstreamer.sources.reconnecting import ReconnectingSource
from openstreamer.sources.rtmp_pull import RtmpPullSource
from openstreamer.sources.testcard import TestcardSource
from openstreamer.sources.udp import UdpSource


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
        self._outbound = Outbound(EgressGuard(lambda: self.ingestor.allow_private_addresses))

    def open(self, chosen: Input) -> Source:
        """The source of a pull input, not yet connected.

        Raises :class:`SourceRejected` for a scheme that has none.
        """
        match chosen.parsed_url:
            case TestInput() as settings:
                return TestcardSource(settings)
            case RtmpInput() as rtmp:
                return ReconnectingSource(lambda: RtmpPullSource(self._outbound, rtmp, chosen))
            case HttpInput(kind="hls") as http:
                return self.open_hls(http, chosen)
            case HttpInput() as http:
                return self._open_http(http, chosen)
            case UdpInput() as udp:
                return UdpSource(udp, chosen)
            case FileInput() as file:
                return FileSource(file, self._file_roots, program=chosen.program or None, pids=chosen.pids)
            case _:
                raise SourceRejected(f"{scheme_of(chosen.url)}:// inputs are not supported by this version")

    def _open_http(self, http: HttpInput, chosen: Input) -> Source:
        """The source of any other http URL: what it is, is seen when it is open."""

        def connect() -> HttpSource:
            return HttpSource(self._outbound, chosen, lambda playlist: self.open_hls(http, playlist))

        return ReconnectingSource(connect, may_reconnect=lambda source: not source.is_playlist)

    def open_hls(self, http: HttpInput, chosen: Input) -> HlsSource:
        """The source of an HLS input, also of one whose URL does not say that it is."""
        limits = HlsLimits(max_segments_ahead=self.ingestor.hls_max_segment_buffer)
        return HlsSource(self._outbound, http, chosen, limits=limits)
