"""When damage is no accident any more: nothing that a publisher sends can be used.

Damage here and there is dropped, and costs what it touched. A publisher whose units are all damaged would
hold its stream for ever and look well on the wire: it is sent away, with words that say what is wrong.
"""

from dataclasses import dataclass

from openstreamer.media.errors import MediaError, SourceRejected


@dataclass(frozen=True, slots=True)
class DamageLimits:
    """How much damage, with nothing usable in between, ends a publication.

    ``wait_ms`` is two long GOPs: whoever lost the key frames of both has had no picture for as long.
    ``least_units`` keeps slow video (a slide every few seconds) from ending by one bad unit. ``most_units``
    is for media time that does not pass; it is eight seconds of video at 25 frames per second.
    """

    wait_ms: int = 5000  # of media time
    least_units: int = 3
    most_units: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.least_units <= self.most_units:
            raise ValueError(f"least_units is {self.least_units}, most_units {self.most_units}")


class DamageRun:
    """The damaged units of one track since one of it could be used."""

    __slots__ = ("_last_ms", "_limits", "_since_ms", "_units")

    def __init__(self, limits: DamageLimits) -> None:
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """A unit could be used."""
        self._units = 0
        self._since_ms = self._last_ms = 0

    def __bool__(self) -> bool:
        return self._units > 0

    def add(self, name: str, now_ms: int, reason: MediaError) -> None:
        """One more at ``now_ms`` of media time; ``name`` says of what, in the words of the error.

        Raises:
            SourceRejected: that were too many.
        """
        if not self._units or now_ms < self._since_ms:
            self._since_ms = now_ms
        self._units += 1
        self._last_ms = now_ms
        limits = self._limits
        lasted = now_ms - self._since_ms >= limits.wait_ms
        if self._units >= (limits.least_units if lasted else limits.most_units):
            count = self._units
            raise SourceRejected(
                f"{name} are damaged: {count} of them, and none that could be used; the last one: {reason}"
            ) from reason

    def goes_on(self, now_ms: int) -> bool:
        """Whether there was damage lately, and nothing usable since."""
        return self._units > 0 and now_ms - self._last_ms < self._limits.wait_ms
