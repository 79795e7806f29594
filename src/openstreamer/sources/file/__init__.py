"""Files as a source: inside configured roots only, paced in real time, looped without a gap."""

from openstreamer.sources.file.source import FileSource

__all__ = ["FileSource"]
