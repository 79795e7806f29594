"""MIDDLE: one ring of frames per rendition, with one writer and many readers."""

from openstreamer.hub.hub import (
    Hub,
    HubLimits,
    HubReader,
    HubStatistics,
    HubWriter,
    ReaderStatistics,
    TrackFlow,
)

__all__ = ["Hub", "HubLimits", "HubReader", "HubStatistics", "HubWriter", "ReaderStatistics", "TrackFlow"]
