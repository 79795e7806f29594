"""Sockets of live media that the event loop hears of at ticks only.

Encoders send a few hundred bytes of audio between two pictures. Woken for each of them, a server spends most
of its time on waking up: 77 times a second for a stream of 30 pictures and 47 audio frames. With a high
low-water mark on its socket (SO_RCVLOWAT, see socket(7)) the kernel says nothing of what comes; lowering the
mark at a tick wakes the loop at once for what is there. The end of the connection is told at any time.
"""

import socket
from contextlib import suppress
from typing import Final

HELD_BACK_BYTES: Final = 128 << 10  # between two ticks: that are 26 Mbit/s, and then the loop is woken


class HeldBack:
    """The socket under one connection. Whoever holds it back releases it at the next tick, see ``ticks``.

    ``connected`` is the socket itself: what uvloop's transports give out makes a new one for every call.
    """

    __slots__ = ("_socket", "holds")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.holds = False

    def hold(self) -> None:
        """Something was read: nothing more is wanted for now."""
        if not self.holds:
            self.holds = True
            self._mark(HELD_BACK_BYTES)

    def release(self) -> None:
        """Wake the loop for what has come, and for whatever comes first."""
        if self.holds:
            self.holds = False
            self._mark(1)

    def _mark(self, mark_bytes: int) -> None:
        with suppress(OSError):  # it is closed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, mark_bytes)
