"""Tells the administrators of what is out of order: once a day while it lasts, whoever finds it."""

from collections.abc import Sequence

from bot.runtime.services import Services
from engine.alarms import digest
from engine.words import line
from storage import alarms, sync
from storage.company import Company
from storage.database import Write

__all__ = ["NAMED", "Alarms", "in_lines", "tell_admins"]

NAMED = 10  # faults, in one message


class Alarms:
    """What was told today, and what is well, is not looked for in the database again."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._told: dict[str, str] = {}  # by what is out of order, the key of what was said last
        self._well = set[str]()

    def tell(self, what: str, sentence: str, why: str = "") -> None:
        """Say it, if it was not said today: each replica finds it, and each start.

        Of one `why`, else of one sentence, it is said once. Where another has found it well
        meanwhile, it is said again, in the same message.
        """
        self._well.discard(what)
        now, company = self._services.clock.now(), self._services.company()
        key = f"{what}/{digest([why or sentence])}/{now:%Y-%m-%d}"
        if self._told.get(what) == key:
            with self._services.database.read() as session:
                if not alarms.was_taken_back(session, key, company.admins):
                    return

        def change(tx: Write, company: Company) -> bool:
            sync.tell_admins(tx, key, sentence, now)
            alarms.put_back(tx, key, sentence, company.admins, now)
            return bool(company.directory.people)

        if self._services.write(change):
            self._told[what] = key

    def well(self, what: str) -> None:
        """Take back what was told of it. To be called as often as it is found to be well."""
        if what in self._well:
            return
        now = self._services.clock.now()
        self._services.write(lambda tx, c: alarms.take_back(tx, what, c.admins, now))
        self._told.pop(what, None)
        self._well.add(what)


def tell_admins(services: Services, key: str, sentence: str) -> None:
    """Say it to the administrators; what was said under this key is not said again."""
    now = services.clock.now()
    services.transaction(lambda tx: sync.tell_admins(tx, key, sentence, now))


def in_lines(sentence: str, faults: Sequence[object]) -> str:
    """Return the sentence, and the first of the faults below it."""
    named = [f"• {line(str(fault))}" for fault in faults[:NAMED]]
    more = len(faults) - len(named)
    rest = [f"• and {more} more: latchkey doctor"] if more else []
    return "\n".join([sentence, *named, *rest])
