"""How much of a time the machine, not the program, is to blame for."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LOOK_S = 0.02
_SWITCH_S = 0.005  # the interpreter makes a thread wait that long for a busy one: that is no stall


class StallMeter:
    """``stalled_s`` adds up how late a thread of this process woke up that only sleeps.

    A machine that is loaded keeps it from running as it keeps the loop. A loop that waits, that is blocked by
    a call or that computes does not: the interpreter lets other threads run meanwhile.
    """

    def __init__(self) -> None:
        self.stalled_s = 0.0
        self._stop = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while True:
            due_s = time.monotonic() + _LOOK_S
            stopped = self._stop.wait(_LOOK_S)
            self.stalled_s += max(0.0, time.monotonic() - due_s - 2 * _SWITCH_S)
            if stopped:
                return

    def stop(self) -> None:
        """End ``run``."""
        self._stop.set()


@contextmanager
def measured_stalls() -> Iterator[StallMeter]:
    """A meter that runs during the block."""
    meter = StallMeter()
    thread = threading.Thread(target=meter.run, name="stall meter", daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.stop()
        thread.join()
