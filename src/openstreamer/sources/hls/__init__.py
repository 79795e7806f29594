"""Pulling HLS; see :mod:`openstreamer.sources.hls.source`."""

from openstreamer.sources.hls.source import HlsSource
from openstreamer.sources.hls.web import HlsLimits

__all__ = ["HlsLimits", "HlsSource"]
