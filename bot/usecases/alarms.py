"""Tells the administrators of what is out of order: once a day while it lasts, whoever finds it."""

from collections.abc import Sequence

from bot.runtime.services import Services
from engine.alarms import digest
from storage import sync
from storage.company import Company
from storage.database import Write

__all__ = ["Alarms", "in_lines", "tell_admins"]

NAMED = 10  # faults, in one message


class Alarms:
    """What was told today is not looked for in the database again."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._told: dict[str, str] = {}  # by what is out of order, the key of what was said last

    def tell(self, what: str, sentence: str) -> None:
        """Say it, if it was not said today: each replica finds it, and each start."""
        now = self._services.clock.now()
        key = f"{what}/{digest([sentence])}/{now:%Y-%m-%d}"
        if self._told.get(what) == key:
            return

        def change(tx: Write, company: Company) -> bool:
            sync.tell_admins(tx, key, sentence, now)
            return bool(company.directory.people)

        if self._services.write(change):
            self._told[what] = key


def tell_admins(services: Services, key: str, sentence: str) -> None:
    """Say it to the administrators; what was said under this key is not said again."""
    now = services.clock.now()
    services.transaction(lambda tx: sync.tell_admins(tx, key, sentence, now))


def in_lines(sentence: str, faults: Sequence[object]) -> str:
    """Return the sentence, and the first of the faults below it."""
    named = [f"• {fault}" for fault in faults[:NAMED]]
    more = len(faults) - len(named)
    rest = [f"• and {more} more: latchkey doctor"] if more else []
    return "\n".join([sentence, *named, *rest])
