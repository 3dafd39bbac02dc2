"""Looks for sessions that hold locked what ends of access wait for, and ends those that it may."""

import time
from dataclasses import dataclass, replace

from bot.runtime.services import Services
from bot.usecases import holders
from bot.usecases.alarms import Alarms
from bot.usecases.holders import IDLE_FOR, Holder
from engine import alarms as words

__all__ = ["FAULT", "Holders"]

FAULT = "locks"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A session that was waited for in one transaction of its own: by time.monotonic(), since when,
    and when for the last time.

    Who waits gives up, and comes back: a holder that is not seen at a look may be there.
    """

    holder: Holder
    since: float
    last: float


class Holders:
    """`look` is to be called each second. What the database raises passes through."""

    def __init__(self, services: Services, alarms: Alarms) -> None:
        self._services, self._alarms = services, alarms
        self._seen: dict[tuple[int, str], _Seen] = {}  # by process and transaction
        self._ended: dict[int, str] = {}  # what is still to be told

    def look(self) -> None:
        """Tell of who has held something for `IDLE_FOR`; end what is of Latchkey's own login."""
        self._find(time.monotonic())
        held = {
            f"{pid}/{transaction}": words.holds(pid, seen.holder.role, seen.holder.tables)
            for (pid, transaction), seen in self._seen.items()
            if seen.last - seen.since >= IDLE_FOR
        }
        faults = self._services.vitals.faults
        if held:
            faults.set(FAULT, " ".join(held.values()))
        else:
            faults.clear(FAULT)
        for pid, sentence in self._ended.items():
            self._alarms.tell(f"ended/{pid}", sentence)
        self._ended.clear()
        if held:
            self._alarms.tell(FAULT, "\n".join(held.values()), " ".join(sorted(held)))
        else:
            self._alarms.well(FAULT)

    def _find(self, now: float) -> None:
        for holder, ended in holders.find(self._services):
            this = holder.pid, holder.transaction
            if ended:
                said = words.ended_holder(holder.pid, holder.role, holder.tables)
                self._ended[holder.pid] = said
                self._seen.pop(this, None)
                continue
            before = self._seen.get(this)
            known = _together(before.holder, holder) if before else holder
            self._seen[this] = _Seen(known, before.since if before else now, now)
        self._seen = {of: s for of, s in self._seen.items() if now - s.last <= IDLE_FOR}


def _together(before: Holder, now: Holder) -> Holder:
    """Return the holder with all tables that were waited for: at each look it may be another."""
    tables = {*before.tables.split(", "), *now.tables.split(", ")} - {""}
    return replace(now, tables=", ".join(sorted(tables)))
