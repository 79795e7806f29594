"""Pulling HLS; see :mod:`openstreamer.sources.hls.source`."""

from openstreamer.sources.hls.source import HlsMemory, HlsSource
from openstreamer.sources.hls.web import HlsLimits

__all__ = ["HlsLimits", "HlsMemory", "HlsSource"]
