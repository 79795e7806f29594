"""How many log lines peers may cause that nobody let in: one wrong byte is enough for one, over and over."""

from collections import Counter

OTHERS = "others"  # the peers that came when ``max_peers`` had a line already; no address looks like it


class PeerLogBudget:
    """The lines of one window of time, by peer. The counters go on counting; only the log stops repeating.

    Args:
        lines: of each peer in a window.
        max_peers: that are told apart in a window; the others share one allowance.
    """

    def __init__(self, *, lines: int, max_peers: int) -> None:
        self._lines = lines
        self._max_peers = max_peers
        self._wanted: Counter[str] = Counter()

    def admit(self, peer: str) -> bool:
        """Whether a line of ``peer`` shall be written; if not, it is counted as left out."""
        if peer not in self._wanted and len(self._wanted) >= self._max_peers:
            peer = OTHERS
        self._wanted[peer] += 1
        return self._wanted[peer] <= self._lines

    def end_window(self) -> dict[str, int]:
        """How many lines were left out, of whom; everybody has the whole allowance again."""
        wanted, self._wanted = self._wanted, Counter()
        return {peer: count - self._lines for peer, count in wanted.items() if count > self._lines}
