"""Who administers, what they are told, and whether new access begins."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from sqlalchemy import select, update
from sqlmodel import col

from engine.alarms import Said
from engine.directory import PersonId
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from engine.risk import Risks
from storage import apply, audit, jobs, touched
from storage.bounds import parts
from storage.codec import dump_risks, load_person
from storage.company import now_known_as
from storage.database import Read, Write
from storage.jobs import JobKind
from storage.sync.step import SyncStep
from storage.sync.touching import THESE
from storage.tables import CompanyRow
from storage.touched import Touched


def tell_admins(tx: Write, key: str, sentence: str, now: datetime) -> None:
    """Say something to all admins who may decide anything, once for each key."""
    admins = tx.execute(select(col(CompanyRow.admins))).scalar() or []
    ids = now_known_as(tx, map(PersonId, admins))
    named = [ids.get(PersonId(admin), admin) for admin in admins]
    rows = tx.execute(THESE, {"ids": named}).scalars()
    people = ((PersonId(r.id), load_person(r.body, r.account)) for r in rows)
    able = [id_ for id_, person in people if person and person.may_ask]
    apply.tell(tx, apply.alarm(able, Said(key, sentence)), now)


def administrators(tx: Write, admins: Iterable[PersonId], now: datetime) -> None:
    tx.alone()
    tx.ensure_company()
    wanted = sorted(admins)
    if tx.execute(select(col(CompanyRow.admins))).scalar_one() == wanted:
        return
    tx.execute(update(CompanyRow).values(admins=wanted, epoch=tx.epoch))
    touched.note(tx, Touched(admins=True))
    audit.append(tx, [(None, AuditEntry("admins_changed", SYSTEM, {"admins": wanted}))], now)


def risks(tx: Write, said: Risks, now: datetime) -> None:
    """Store what administrators say of risks.

    What is stored of things has the risks that were said before, until they are discovered anew.
    """
    tx.alone()
    if not _is_said(tx, said):
        tx.execute(update(CompanyRow).values(risks=dump_risks(said), epoch=tx.epoch))
        detail = {"set": len(said.set), "rules": len(said.rules)}
        audit.append(tx, [(None, AuditEntry("risks_changed", SYSTEM, detail))], now)


def risk_steps(session: Read, said: Risks, systems: Iterable[str], now: datetime) -> list[SyncStep]:
    """Compare what administrators say of risks with what is known; return what to do.

    Where it is something else, all systems are to be discovered anew.
    """
    if _is_said(session, said):
        return []
    anew = (
        partial(jobs.reschedule_each, kind=JobKind.DISCOVER, subjects=some, at=now)
        for some in parts(systems)
    )
    return [partial(risks, said=said, now=now), *anew]


def _is_said(session: Read, said: Risks) -> bool:
    stored = session.execute(select(col(CompanyRow.risks))).scalar_one()
    return bool(stored == dump_risks(said))


def pause(tx: Write, by: PersonId, now: datetime, *, paused: bool) -> bool:
    """Begin no new access, or begin it again. Revoking goes on. False: it was so already."""
    tx.alone()
    tx.ensure_company()
    if tx.execute(select(col(CompanyRow.paused))).scalar_one() == paused:
        return False
    tx.execute(update(CompanyRow).values(paused=paused, epoch=tx.epoch))
    if not paused:
        touched.note(tx, Touched(waiting=True))
    action = "paused" if paused else "resumed"
    audit.append(tx, [(None, AuditEntry(action, by))], now)
    return True
