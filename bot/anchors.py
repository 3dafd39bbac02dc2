"""Anchors of the audit, outside the database: in the log, and in what the administrators are told.

What is in the database alone, whoever has an old copy of it can put back.
"""

from datetime import datetime, timedelta

import structlog

from bot.services import Services
from engine.outcome import Card, Tell
from storage import apply, audit
from storage.audit import Anchor
from storage.company import Company
from storage.database import Write
from storage.jobs import Job

EVERY = timedelta(hours=1)  # a line in the log; of a day's, the first is told

log = structlog.get_logger()


def note(services: Services) -> Anchor | None:
    """Write to the log how the audit is now, and return it; None while it is empty."""
    with services.database.read() as session:
        found = audit.anchor(session)
    if found:
        log.info("anchor of the audit", anchor=str(found))
    return found


def tell(services: Services, _job: Job) -> timedelta:
    """Write it to the log, and tell the administrators, once a day."""
    found, now = note(services), services.clock.now()
    if found:
        services.write(lambda tx, company: _tell(tx, company, found, now))
    return EVERY


def _tell(tx: Write, company: Company, anchor: Anchor, now: datetime) -> None:
    key, said = f"anchor/{now:%Y-%m-%d}", _sentence(anchor, now)
    apply.tell(tx, [Tell(a, Card.NOTICE, key, said) for a in sorted(company.admins)], now)


def _sentence(anchor: Anchor, now: datetime) -> str:
    return (
        f"Anchor of the audit, {now:%Y-%m-%d %H:%M} UTC, at entry {anchor.seq:,}. From now on it "
        "shows whether anything up to there was changed, cut off or put back:\n"
        f"```latchkey audit verify --anchor {anchor}```"
    )
