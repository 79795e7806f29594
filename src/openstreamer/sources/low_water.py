"""How much of a publication must have arrived before the event loop is woken for it.

Encoders send a few hundred bytes of audio between two pictures. Woken for each of them, a server spends most
of its time on waking up: 77 times a second for a stream of 30 pictures and 47 audio frames. With a low-water
mark on its socket (SO_RCVLOWAT, see socket(7)) the kernel keeps such crumbs until something worth reading has
come. On real networks it also joins the packets of one picture.
"""

from typing import Final

LOOK_EVERY_S: Final = (
    0.25  # the mark follows the rate, and what a publisher leaves unread waits at most so long
)
HELD_BACK_S: Final = (
    0.008  # at the present rate the mark is reached within this: a quarter of a picture at 30/s
)
MOST_BYTES: Final = 4096  # more than nearly all audio frames, less than nearly all pictures
_CHANGE = 1.5  # a mark that is off by less than this factor stays: setting it is a system call


class LowWaterMark:
    """The mark of one connection, from how many bytes arrived between two looks at it."""

    __slots__ = ("_held_back_s", "_most_bytes", "_received_bytes", "mark_bytes")

    def __init__(
        self, received_bytes: int, *, held_back_s: float = HELD_BACK_S, most_bytes: int = MOST_BYTES
    ) -> None:
        self._received_bytes = received_bytes
        self._held_back_s = held_back_s
        self._most_bytes = most_bytes
        self.mark_bytes = 1

    def look(self, received_bytes: int) -> bool:
        """``received_bytes`` have come in all, ``LOOK_EVERY_S`` after the last look. True if it changed.

        A publisher that sends little or nothing has a mark of one byte: everything is read at once.
        """
        rate_bps = (received_bytes - self._received_bytes) / LOOK_EVERY_S
        self._received_bytes = received_bytes
        wanted = max(1, min(self._most_bytes, int(rate_bps * self._held_back_s)))
        if self.mark_bytes / _CHANGE < wanted < self.mark_bytes * _CHANGE:
            return False
        self.mark_bytes = wanted
        return True
