"""The clock loop's reads and writes: requests whose moment has come."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Integer, bindparam, cast, null, select, union_all, update
from sqlmodel import col

from engine import alarms
from engine.commands import Tick
from engine.flow import MAX_DURATION
from engine.request import BEFORE_ALL, RequestId
from engine.retry import ALARM_AFTER, is_asleep, pause
from storage import apply, facts, touched
from storage.company import Company, knowing
from storage.database import Database, Read, Write
from storage.tables import ChangeRow, RequestRow
from storage.types import UtcDateTime
from storage.unit_of_work import UnitOfWork

NEVER = 100 * MAX_DURATION  # ahead: no request is to be looked at so late
LOOKED_AT = 500  # requests in one statement

_COME = (
    select(col(RequestRow.id), col(RequestRow.wake_at))
    .where(col(RequestRow.wake_at).is_not(None), col(RequestRow.wake_at) <= bindparam("now"))
    .order_by(col(RequestRow.wake_at))
    .limit(bindparam("limit"))
    .subquery()
)
# `infinity`, or on SQLite a word: a hand wrote it.
_IMPOSSIBLE = (
    select(col(RequestRow.id), col(RequestRow.wake_at))
    .where(col(RequestRow.wake_at).is_not(None), col(RequestRow.wake_at) > bindparam("never"))
    .order_by(col(RequestRow.wake_at))
    .limit(bindparam("limit"))
    .subquery()
)
# In one question: it is asked every second, and a change is seldom. No request has no id.
_CHANGED = select(
    cast(null(), Integer).label("id"), bindparam("now", type_=UtcDateTime).label("wake_at")
).where(select(col(ChangeRow.id)).where(touched.IS_DUE).exists())
_ALL = union_all(select(_COME), select(_IMPOSSIBLE), _CHANGED).subquery()
DUE = select(_ALL.c.id).order_by(_ALL.c.wake_at).limit(bindparam("limit"))
_LIVE = (
    select(col(RequestRow.wake_at), *facts.PARTS)
    .where(facts.IS_LIVE, col(RequestRow.id) > bindparam("after"))
    .order_by(col(RequestRow.id))
    .limit(LOOKED_AT)
)


def due(database: Database, now: datetime, limit: int) -> list[RequestId]:
    """Return requests whose moment has come, as `look` does."""
    return look(database, now, limit)[0]


def look(database: Database, now: datetime, limit: int) -> tuple[list[RequestId], bool]:
    """Return requests whose `wake_at` has come, the longest waiting first. No transaction.

    One that is no possible moment has come, too: a tick sets it right. True: facts have changed
    (`storage.touched`); it may not be said before what is due is fewer than the limit.
    """
    with database.read() as session:
        given = {**touched.moments(now), "never": now + NEVER, "limit": limit}
        rows = session.ask(DUE, given)
    ids = [RequestId(id_) for (id_,) in rows if id_ is not None]
    return ids, len(ids) < len(rows)


def asleep(session: Read, company: Company, now: datetime) -> list[RequestId]:
    """Return live requests that would be looked at too late, or never, by their `wake_at`."""
    found, after = list[RequestId](), BEFORE_ALL
    while rows := session.ask(_LIVE, {"after": after}):
        after = rows[-1][1]
        planned = {id_: wake for wake, id_, *_ in rows}
        requests = facts.loaded(session, [row[1:] for row in rows])
        known = knowing(session, company, requests)
        for request in requests:
            wake = apply.wake(known, request, now)
            if wake and is_asleep(planned[request.id], wake, now):
                found.append(request.id)
    return found


def rouse(tx: Write, ids: Collection[RequestId], now: datetime) -> None:
    """Have the requests looked at now."""
    mine = select(col(RequestRow.id)).where(col(RequestRow.id).in_(ids))
    in_order = mine.order_by(col(RequestRow.id)).with_for_update()  # as everybody locks requests
    tx.execute(update(RequestRow).where(col(RequestRow.id).in_(in_order)).values(wake_at=now))
    tx.wake("clock")


def tick(tx: Write, company: Company, ids: Sequence[RequestId], now: datetime) -> int:
    """Let time pass for the first of the requests, and return for how many of them.

    As many as one transaction stores. Who else ticked them meanwhile did no harm.
    """
    book = UnitOfWork(tx, company, facts.together(tx, ids), now)
    ticked = list[RequestId]()
    for id_ in ids:
        if book.full:
            break
        book.decide(id_, Tick())
        ticked.append(id_)
    book.store(only=ticked)
    return len(ticked)


def fail(tx: Write, company: Company, id_: RequestId, why: str, now: datetime) -> None:
    """Put off a request that could not be decided; at three failures tell the admins."""
    attempts = tx.execute(
        update(RequestRow)
        .where(col(RequestRow.id) == id_)
        .values(attempts=col(RequestRow.attempts) + 1)
        .returning(col(RequestRow.attempts))
    ).scalar_one()
    again = update(RequestRow).where(col(RequestRow.id) == id_)
    tx.execute(again.values(wake_at=now + pause(attempts)))
    if attempts == ALARM_AFTER:
        apply.tell(tx, apply.alarm(company.admins, alarms.poisoned(id_, why)), now)
