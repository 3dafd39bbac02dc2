"""The clock loop's reads and writes: requests whose moment has come."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from engine.commands import Tick
from engine.request import RequestId, code_of
from storage import apply, facts
from storage.book import Book
from storage.claims import LONGEST_PAUSE
from storage.company import Company
from storage.database import Database, Write
from storage.tables import RequestRow

ALARM_AFTER = 3  # failures in a row
_DUE = (
    select(col(RequestRow.id))
    .where(col(RequestRow.wake_at).is_not(None), col(RequestRow.wake_at) <= bindparam("now"))
    .order_by(col(RequestRow.wake_at))
    .limit(bindparam("limit"))
)


def due(database: Database, now: datetime, limit: int) -> list[RequestId]:
    """Return requests whose `wake_at` has come, the longest waiting first. No transaction."""
    rows = database.ask(_DUE, {"now": now, "limit": limit})
    return [RequestId(id_ or 0) for (id_,) in rows]


def tick(tx: Write, company: Company, ids: Sequence[RequestId], now: datetime) -> None:
    """Let time pass for the requests. Who else ticked them meanwhile did no harm."""
    book = Book(tx, company, facts.together(tx, ids), now)
    for id_ in ids:
        book.decide(id_, Tick())
    book.store(only=ids)


def fail(tx: Write, company: Company, id_: RequestId, why: str, now: datetime) -> None:
    """Put off a request that could not be decided; at three failures tell the admins."""
    attempts = tx.execute(
        update(RequestRow)
        .where(col(RequestRow.id) == id_)
        .values(attempts=col(RequestRow.attempts) + 1)
        .returning(col(RequestRow.attempts))
    ).scalar_one()
    pause = min(LONGEST_PAUSE, timedelta(seconds=2 ** min(attempts, 10)))
    tx.execute(update(RequestRow).where(col(RequestRow.id) == id_).values(wake_at=now + pause))
    if attempts == ALARM_AFTER:
        sentence = f"{code_of(id_)} cannot be worked on: {why}. It is being tried again."
        alarms = apply.alarm(company.admins, f"poisoned/{id_}", sentence)
        apply.tell(tx, alarms, now)
