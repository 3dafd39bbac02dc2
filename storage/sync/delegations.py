"""Stores that somebody lends their right to approve, and that it has ended."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import col

from engine.delegating import Why, said_begun, said_ended
from engine.directory import Delegation, DelegationId, Directory, PersonId
from engine.outcome import AuditEntry, Card, Tell
from engine.request import SYSTEM
from engine.touch import keys_between
from storage import apply, audit, jobs, touched
from storage.codec import dump_delegation
from storage.database import Write
from storage.jobs import JobKind
from storage.tables import DelegationRow
from storage.touched import Touched

_OPEN = (
    select(DelegationRow)
    .where(col(DelegationRow.id) == bindparam("id"), col(DelegationRow.ended_at).is_(None))
    .with_for_update()
)


def lend(tx: Write, made: Delegation, directory: Directory, now: datetime) -> Delegation:
    """Store a delegation that has begun, with its number; both hear of it, their requests wake."""
    tx.alone()
    row = DelegationRow(body=dump_delegation(made))
    tx.add(row)
    tx.flush()
    made = replace(made, id=DelegationId(row.id or 0))
    jobs.schedule(tx, JobKind.DELEGATION, str(made.id), made.until)
    said = {"to": made.delegate, "until": made.until.isoformat(), "reason": made.reason}
    _changed(tx, made, directory, AuditEntry("delegated", made.delegator, said), now)
    _tell(tx, made, "begun", {p: said_begun(made, directory, p) for p in _both(made)}, now)
    return made


def take_back(
    tx: Write,
    these: Iterable[tuple[Delegation, Why]],
    by: PersonId,
    directory: Directory,
    now: datetime,
) -> int:
    """Store that these have ended, and why; return how many had not before. Both hear of it."""
    tx.alone()
    ended = 0
    for one, why in these:
        row = tx.execute(_OPEN, {"id": one.id}).scalars().first()
        if row is None:
            continue
        row.ended_at = now
        tx.flush()
        ended += 1
        detail = {"of": one.delegator, "to": one.delegate, "why": why.value}
        action = "delegation_expired" if by == SYSTEM else "delegation_ended"
        _changed(tx, one, directory, AuditEntry(action, by, detail), now)
        said = {p: said_ended(one, directory, p, by, why) for p in _both(one)}
        _tell(tx, one, "ended", said, now)
    return ended


def _changed(
    tx: Write, one: Delegation, directory: Directory, entry: AuditEntry, now: datetime
) -> None:
    """Wake whoever's requests the two decide, or could: the delegator may be asked about none."""
    known = directory.get(one.delegator)
    keys = keys_between(None, known) if known else set()
    touched.note(tx, Touched(people={*_both(one)}, keys=keys))
    audit.append(tx, [(None, entry)], now)


def _tell(tx: Write, one: Delegation, what: str, said: dict[PersonId, str], now: datetime) -> None:
    key = f"delegation/{one.id}/{what}"
    apply.tell(tx, [Tell(p, Card.NOTICE, key, sentence) for p, sentence in said.items()], now)


def _both(one: Delegation) -> tuple[PersonId, PersonId]:
    return one.delegator, one.delegate
