"""What a change of people touches, by how they were before it and are after it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from engine.directory import Person
from engine.outcome import AuditEntry
from engine.touch import keys_between, stands_otherwise
from storage import audit, jobs, touched
from storage.codec import load_person
from storage.database import Write
from storage.jobs import JobKind
from storage.tables import DelegationRow, PersonRow
from storage.touched import Touched
from storage.types import among

_LENT = select(col(DelegationRow.id)).where(col(DelegationRow.ended_at).is_(None)).limit(1)
THESE = select(PersonRow).where(among(col(PersonRow.id), "ids")).order_by(col(PersonRow.id))


class Touching:
    """What is touched by a change of people, who are given as they are before it."""

    def __init__(self, rows: Iterable[PersonRow] = ()) -> None:
        self._before = [(row, person_of(row)) for row in rows]
        self._touched = Touched()

    def newcomers(self, people: Iterable[Person]) -> None:
        for person in people:
            self._take_in(person.id, None, person)

    def groups(self, groups: Collection[str]) -> None:
        """Take in that groups are called otherwise, or are no more."""
        if groups:
            self._touched.keys.add(("group", None))

    def done(self) -> Touched:
        """Return what is, of people who are by now as they will be."""
        for row, before in self._before:
            self._touched.people.add(row.id)
            self._take_in(row.id, before, person_of(row))
        return self._touched

    def _take_in(self, id_: str, before: Person | None, after: Person | None) -> None:
        self._touched.keys |= keys_between(before, after)
        if stands_otherwise(before, after):
            self._touched.standing.add(id_)


def note(tx: Write, what: Touched, now: datetime, *, held: bool = False) -> None:
    """Store what a change of people touches. Where one may decide no more, delegations end."""
    if what.standing:
        look_at_delegations(tx, now)
    touched.note(tx, what, held=held)


def look_at_delegations(tx: Write, now: datetime) -> None:
    """Have those ended that hold no more, if there is any."""
    if tx.ask(_LENT):
        jobs.schedule(tx, JobKind.DELEGATION, "", now)


def person_of(row: PersonRow) -> Person | None:
    return None if row.successor else load_person(row.body, row.account)


def changed(tx: Write, log: Sequence[AuditEntry], now: datetime, what: Touched) -> None:
    """Store that facts have changed, if anything is to be said of it, and what that touches."""
    if log:
        tx.flush()
        note(tx, what, now)
        audit.append(tx, [(None, entry) for entry in log], now)
