"""How many accounts of one system are worked on at a time, and whether it answers.

Each system has workers of its own: however many hang, no other waits for them.
"""

from dataclasses import dataclass
from datetime import timedelta

from engine.account import Silence
from engine.request import AccountId

CALLS = 16  # of one system at a time
FOR_ENDS = 4  # of them, which only ends get: a system may take long to give
HANGS_AFTER = 5.0  # seconds; a call of a system that works takes a fraction of one
PROBE_EVERY = timedelta(seconds=1)  # and, after so many failures in a row, five times as long
OFTEN = 10
_NEVER = float("-inf")


@dataclass(slots=True)
class _Call:
    ends: bool
    probe: bool
    begun: float | None = None  # None: it is not being called


class System:
    """The accounts of one system that are worked on. Moments are of `time.monotonic()`.

    It hangs from when a call fails, or is not back after `HANGS_AFTER`, until one is answered.
    Meanwhile one account is called at a time, as a probe; a call that is not back by then is no
    reason to wait, so that what keeps one account keeps no other.
    """

    def __init__(self) -> None:
        self._calls: dict[AccountId, _Call] = {}
        self._answered = self._failed = _NEVER
        self._failures = 0  # in a row: the first, and of probes since
        self._since = _NEVER  # the first of them was begun

    def take(self, account: AccountId, *, ends: bool, probe: bool = False) -> None:
        """Keep a place for an account, until `leave`."""
        self._calls[account] = _Call(ends, probe)

    def call(self, account: AccountId, now: float) -> None:
        self._calls[account].begun = now

    def back(self, account: AccountId, now: float, *, answered: bool) -> Silence | None:
        """Take in how a call ended. Return how silent the system is, if it failed for that."""
        call = self._calls[account]
        begun, call.begun = now if call.begun is None else call.begun, None
        if answered:
            self._answered, self._failures = now, 0
            return None
        if begun <= self._answered:
            return None  # others are answered meanwhile
        if not self._failures:
            self._since = begun
        if call.probe or not self._failures:  # else it failed together with the first
            self._failures += 1
        self._failed = now
        return Silence(self._failures if call.probe else 1, self._pause)

    def leave(self, account: AccountId) -> None:
        self._calls.pop(account, None)

    def hangs(self, now: float) -> bool:
        marks = [begun + HANGS_AFTER for begun in self._late(now)]
        return max(self._failed, *marks, _NEVER) > self._answered

    def has_room(self, now: float, *, ends: bool) -> bool:
        """Tell whether one more account may be taken; where it hangs, see `wants_probe`."""
        if self.hangs(now) or len(self._calls) >= CALLS:
            return False
        return ends or sum(not call.ends for call in self._calls.values()) < CALLS - FOR_ENDS

    def wants_probe(self, now: float) -> bool:
        alone = len(self._calls) == len(self._late(now)) < CALLS
        rested = now - self._failed >= self._pause.total_seconds()
        return self.hangs(now) and alone and rested

    def silent(self, now: float) -> float:
        """Return for how many seconds nobody was answered; 0: it answers, as far as is known."""
        begun = [*self._late(now), *([self._since] if self._failures else [])]
        return now - min(begun) if self.hangs(now) else 0.0

    def awaited(self, now: float) -> int:
        """Return how many calls are worth waiting for."""
        under_way = sum(call.begun is not None for call in list(self._calls.values()))
        return under_way - len(self._late(now))

    @property
    def _pause(self) -> timedelta:
        return PROBE_EVERY * (1 if self._failures < OFTEN else 5)

    def _late(self, now: float) -> list[float]:
        """Return when those calls were begun that should be back."""
        begun = [call.begun for call in list(self._calls.values()) if call.begun is not None]
        return [moment for moment in begun if now - moment >= HANGS_AFTER]
