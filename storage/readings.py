"""What clocks say, against the time that has passed, which nobody sets."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.connectors.elapsed import boottime

FINENESS = 0.001  # seconds; SQLite's clock tells no less


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clock said, in seconds since 1970, and the moments of `boottime` around it."""

    said: float
    before: float
    after: float


def take(ask: Callable[[], float], passed: Callable[[], float] = boottime) -> Reading:
    before = passed()
    return Reading(ask(), before, passed())


class ClockReader:
    """Says what another clock says, between two readings of it, by the time that has passed.

    An answer that took its time leaves open when it was true. What is known stays as long as an
    answer allows, and else moves by the least: so what is said neither trembles nor drifts.
    """

    def __init__(self, passed: Callable[[], float] = boottime) -> None:
        self._passed = passed
        self._ahead: float | None = None  # of the time that has passed

    @property
    def known(self) -> bool:
        return self._ahead is not None

    def now(self) -> float:
        """Return seconds since 1970. It needs a reading before."""
        if self._ahead is None:
            raise LookupError("the clock was never read")
        return self._passed() + self._ahead

    def hear(self, reading: Reading) -> float:
        """Take a reading in; return by how many seconds, at least, the clock was set since then."""
        least, most = reading.said - reading.after, reading.said + FINENESS - reading.before
        before = self._ahead if self._ahead is not None else (least + most) / 2
        self._ahead = min(max(before, least), most)
        return self._ahead - before
