"""The RTMP and rtmps port."""

from openstreamer.listen.rtmp.limits import RtmpListenerLimits, RtmpStatistics
from openstreamer.listen.rtmp.listener import RtmpListener
from openstreamer.listen.rtmp.service import PublishGate

__all__ = ["PublishGate", "RtmpListener", "RtmpListenerLimits", "RtmpStatistics"]
