"""Openstreamer: a high-availability live media server."""

__version__ = "0.1.0"
