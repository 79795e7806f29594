"""UDP inputs: MPEG-TS in datagrams."""

from openstreamer.sources.udp.source import UdpLimits, UdpSource

__all__ = ["UdpLimits", "UdpSource"]
