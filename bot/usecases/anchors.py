"""Anchors of the audit, outside the database: in the log, and in what the administrators are told.

What is in the database alone, whoever has an old copy of it can put back. An anchor proves nothing
of who wrote what is before it: so none is handed out over entries that no key proves, without a
word of them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

import structlog

from bot.runtime.services import Services
from engine import alarms
from engine.audit import Anchor
from engine.outcome import Card, Tell
from storage import apply, audit
from storage.audit import AuditReading
from storage.company import Company
from storage.database import Write
from storage.jobs import Job

EVERY = timedelta(hours=1)  # a line in the log; of a day's, the first is told
FIRST = 1000  # newest entries that a process looks at before its first anchor
MOST = 3  # findings that are told; `latchkey audit verify` has all of them

log = structlog.get_logger()


class Anchors:
    """Those of one process. It looks at what has come since its last one before each.

    That one it has in memory: whoever writes to the database does not reach it.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._last: Anchor | None = None

    def note(self) -> tuple[Anchor | None, Sequence[str]]:
        """Write to the log how the audit is now; return it, and what is wrong since the last one.

        None while the audit is empty, and where its head says nothing.
        """
        with self._services.database.read() as session:
            found = audit.anchor(session)
            known = [a for a in (self._last, found) if a]
            after = min((a.seq for a in known), default=0) - (0 if self._last else FIRST)
            faults = list(islice(AuditReading(session, known, max(0, after)).findings(), MOST))
        self._last = found
        if faults:
            log.error("the audit is not whole: latchkey audit verify", findings=faults)
        elif found:
            log.info("anchor of the audit", anchor=str(found))
        return found, faults

    def tell(self, _job: Job | None = None) -> timedelta:
        """Write it to the log; tell the administrators, once a day, and of faults each time."""
        (found, faults), now = self.note(), self._services.clock.now()
        if faults:
            said = alarms.audit_not_whole(faults, now)
            self._services.write(
                lambda tx, company: apply.tell(tx, apply.alarm(company.admins, said), now)
            )
        elif found:
            self._services.write(lambda tx, company: _tell(tx, company, found, now))
        return EVERY


def newest(services: Services) -> tuple[int, datetime] | None:
    """Return the number of the newest entry, and what the clock said when it was written."""
    with services.database.read() as session:
        return audit.last(session)


def _tell(tx: Write, company: Company, anchor: Anchor, now: datetime) -> None:
    said = alarms.anchored(anchor, now)
    tells = [Tell(a, Card.NOTICE, said.key, said.sentence) for a in sorted(company.admins)]
    apply.tell(tx, tells, now)
