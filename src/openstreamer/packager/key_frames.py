"""How an encoder lets viewers begin: by key frames, by intra refreshes, or hardly ever."""

from typing import Final

from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config, begins_refresh

LONGEST_SEGMENT_90K: Final = 60 * 90_000  # without a key frame a segment is cut here: memory is bounded
KEYLESS_SEGMENT_90K: Final = 20 * 90_000  # and here, of an encoder that has not sent a second key frame yet
REFRESHES_TO_BELIEVE: Final = 2  # intra refreshes that were due as a segment, and no key frame


class KeyFrames:
    """What the pictures of one track have shown about it so far."""

    __slots__ = ("_recur", "_refreshes_due")

    def __init__(self) -> None:
        self._recur = False  # not the first one alone
        self._refreshes_due = 0  # since the last key frame, where a segment might have begun

    @property
    def refreshes(self) -> bool:
        """Whether the encoder renews its picture bit by bit now (intra refresh) instead of by key frames."""
        return self._refreshes_due >= REFRESHES_TO_BELIEVE

    @property
    def longest_segment_90k(self) -> int:
        """Where a segment is cut without one."""
        return LONGEST_SEGMENT_90K if self._recur else KEYLESS_SEGMENT_90K

    def key_frame(self, *, again: bool) -> None:
        """A key frame came; ``again``: behind others of the same source."""
        self._recur = again
        self._refreshes_due = 0

    def missing(self) -> None:
        """A segment had to be cut without one."""
        self._recur = False

    def begins_segment(self, due: Frame) -> bool:
        """Whether a segment begins at ``due``, a picture where one is due, though no player can begin with it
        at once. Browsers cannot at all, others show a whole picture after the refresh; and without it there
        would be no segment for long."""
        if not isinstance(due.track.config, H264Config) or not _begins_refresh(due.payload):
            return False
        self._refreshes_due += 1
        return self.refreshes


def _begins_refresh(payload: bytes) -> bool:
    try:
        return begins_refresh(payload)
    except MediaError:  # a damaged picture is none to begin with
        return False
