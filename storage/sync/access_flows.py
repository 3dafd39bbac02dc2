"""Takes in flows by name: each change makes a revision; what is not listed is deleted."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import and_, func, select
from sqlmodel import col

from engine import flow
from engine.directory import PersonId
from engine.flow import KnownFlow, Revision
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import audit, jobs, touched
from storage.bounds import parts
from storage.codec import dump_revision, load_revision
from storage.company import formerly
from storage.database import Read, Write
from storage.jobs import JobKind
from storage.sync.step import Log, SyncStep
from storage.tables import FlowRevisionRow, FlowRow
from storage.touched import Touched
from storage.types import among

FLOWS_AT_ONCE = 15
_FLOWS = select(
    col(FlowRow.name), col(FlowRow.active), col(FlowRow.deleted), col(FlowRevisionRow.body)
).outerjoin(
    FlowRevisionRow,
    and_(
        col(FlowRevisionRow.flow_id) == col(FlowRow.id),
        col(FlowRevisionRow.number) == col(FlowRow.revision),
    ),
)


def flows(tx: Write, listed: Iterable[tuple[Revision, bool]], now: datetime) -> None:
    """Take in flows by name: each change makes a revision; what is not listed is deleted."""
    tx.alone()
    for step in flow_steps(tx, listed, now):
        step(tx)


def flow_steps(
    session: Read, listed: Iterable[tuple[Revision, bool]], now: datetime
) -> list[SyncStep]:
    """Compare all flows with what is known; return what to do, each in its own transaction."""
    known = {
        name: KnownFlow(load_revision(body), active=active, deleted=deleted)
        for name, active, deleted, body in session.execute(_FLOWS)
    }
    ids = formerly(session)
    other, gone = flow.compare(known, listed, ids)
    take_in = partial(_take_in_flows, ids=ids, now=now)
    return [
        *(partial(take_in, other=some, gone=()) for some in parts(other, most=FLOWS_AT_ONCE)),
        *(partial(take_in, other=(), gone=some) for some in parts(gone, most=FLOWS_AT_ONCE)),
    ]


def _take_in_flows(
    tx: Write,
    *,
    other: Sequence[tuple[Revision, bool]],
    gone: Sequence[str],
    ids: Mapping[PersonId, PersonId],
    now: datetime,
) -> None:
    tx.alone()
    names = [*gone, *(revision.name.casefold() for revision, _ in other)]
    these = select(FlowRow).where(among(col(FlowRow.name), "names")).order_by(col(FlowRow.id))
    rows = {r.name: r for r in tx.execute(these, {"names": names}).scalars()}
    log: Log = []
    for revision, active in other:
        name = revision.name.casefold()
        row = rows.get(name)
        body = dump_revision(revision)
        if row is None:
            row = rows[name] = FlowRow(name=name, revision=1, active=active)
            tx.add(row)
            tx.flush()
            log += _save_revision(tx, row, body, now)
            continue
        stored = tx.get(FlowRevisionRow, (row.id, row.revision))
        known = load_revision(stored.body) if stored else None
        if row.deleted or flow.is_other(known, revision, ids):
            row.revision = _newest_revision(tx, row) + 1
            log += _save_revision(tx, row, body, now)
        if (row.active, row.deleted) != (active, False):
            row.active, row.deleted = active, False
            action = "flow_enabled" if active else "flow_disabled"
            log.append((None, AuditEntry(action, SYSTEM, {"flow": name})))
    for name in gone:
        row = rows.get(name)  # none by bytes, which SQLite may keep in the place of a name
        if row and not row.deleted:
            row.deleted = True
            log.append((None, AuditEntry("flow_deleted", SYSTEM, {"flow": name})))
    channels = {revision.notify.channel for revision, _ in other} - {None}
    jobs.reschedule_each(tx, JobKind.CHANNEL, sorted(filter(None, channels)), now)
    if log:
        tx.flush()
        touched.note(tx, Touched(flows={row.id or 0 for row in rows.values()}))
        audit.append(tx, log, now)


def _newest_revision(tx: Write, row: FlowRow) -> int:
    newest = select(func.max(col(FlowRevisionRow.number))).where(
        col(FlowRevisionRow.flow_id) == row.id
    )
    return max(row.revision, tx.execute(newest).scalar() or 0)


def _save_revision(tx: Write, row: FlowRow, body: dict[str, Any], now: datetime) -> Log:
    tx.add(FlowRevisionRow(flow_id=row.id or 0, number=row.revision, saved_at=now, body=body))
    detail = {"flow": row.name, "revision": row.revision}
    return [(None, AuditEntry("flow_saved", SYSTEM, detail))]
