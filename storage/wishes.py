"""What people told the administrators that they want: kept for a while, so many of each."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import col

from engine.directory import PersonId
from engine.inventory import ResourceId
from engine.outcome import AuditEntry
from engine.wishes import KEPT, MOST, Wish
from storage import audit, batch, facts
from storage.database import Read, Write
from storage.tables import WishRow
from storage.types import among

__all__ = ["forget", "keep", "listed", "of_person", "tell"]

_WISHES = select(WishRow).order_by(col(WishRow.id).desc())


def of_person(
    session: Read, person: PersonId, had: Iterable[PersonId], now: datetime
) -> list[Wish]:
    """Return what somebody wants. A transaction that writes waits for their other ones."""
    facts.alone_with(session, person)
    theirs = _WISHES.where(among(col(WishRow.person_id), "people"), col(WishRow.at) > now - KEPT)
    found = session.execute(theirs, {"people": [person, *had]}).scalars()
    return [*filter(None, map(_wish, found))]


def keep(tx: Write, wish: Wish) -> None:
    """Store a wish; of one that is there already, what is new. Who was told of it, was."""
    row = {
        "person_id": wish.person,
        "about": wish.about,
        "resource_id": wish.resource,
        "words": wish.words,
        "called": wish.called,
        "reason": wish.reason,
        "at": wish.at,
        "told": False,
    }
    new = ("words", "called", "reason", "at")
    batch.add(tx, WishRow, [row], key=("person_id", "about"), change=new)
    detail = {"wish": wish.called, "resource": wish.resource}
    audit.append(tx, [(None, AuditEntry("wished", wish.person, detail))], wish.at)


def listed(session: Read, now: datetime) -> list[Wish]:
    """Return all wishes that are kept, the newest first."""
    kept = _WISHES.where(col(WishRow.at) > now - KEPT).limit(MOST)
    return [*filter(None, map(_wish, session.execute(kept).scalars()))]


def tell(tx: Write, now: datetime) -> list[Wish]:
    """Return all wishes, if some are not told yet, as they were; and note that they are told."""
    new = select(col(WishRow.id)).where(~col(WishRow.told), col(WishRow.at) > now - KEPT).limit(1)
    if tx.execute(new).first() is None:
        return []
    found = listed(tx, now)
    tx.execute(
        update(WishRow)
        .where(~col(WishRow.told))
        .values(told=True)
        .execution_options(synchronize_session=False)
    )
    return found


def forget(tx: Write, now: datetime) -> None:
    """Delete what is older than it is kept, and of too many the oldest."""
    tx.execute(delete(WishRow).where(col(WishRow.at) <= now - KEPT))
    first = select(col(WishRow.id)).order_by(col(WishRow.id).desc()).offset(MOST).limit(1)
    oldest = tx.execute(first).scalar()
    if oldest is not None:
        tx.execute(delete(WishRow).where(col(WishRow.id) <= oldest))


def _wish(row: WishRow) -> Wish | None:
    """Return what a row says; None: it has no moment, so that nobody can know how old it is."""
    if not row.at:
        return None
    resource = None if row.resource_id is None else ResourceId(row.resource_id)
    return Wish(
        PersonId(row.person_id), row.words, row.called, row.reason, row.at, resource, row.told
    )
