"""How fast the machine is just now: a virtual machine is not always equally fast, and figures of CPU time are
only comparable with others that were taken at the same speed."""

import time

ROUNDS = 200_000
REPEATS = 5


def loop_ms() -> list[float]:
    """CPU time of a loop that is always the same, several times."""
    return [_once_ms() for _ in range(REPEATS)]


def _once_ms() -> float:
    began_ns = time.process_time_ns()
    total = 0
    for number in range(ROUNDS):
        total += number * number % 7
    return (time.process_time_ns() - began_ns) / 1e6
