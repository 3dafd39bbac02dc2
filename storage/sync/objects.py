"""Takes in bundles, scopes and spaces by name: each change makes a revision."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import and_, func, select, tuple_
from sqlmodel import col

from engine import targets
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from engine.targets import Key, Object, ObjectKind, key_of, kind_of
from storage import audit
from storage.bounds import parts
from storage.codec import dump_object, load_object
from storage.database import Read, Write
from storage.sync.step import Log, SyncStep
from storage.tables import ObjectRevisionRow, ObjectRow

OBJECTS_AT_ONCE = 15
_OBJECTS = (
    select(col(ObjectRow.kind), col(ObjectRow.name), col(ObjectRevisionRow.body))
    .outerjoin(
        ObjectRevisionRow,
        and_(
            col(ObjectRevisionRow.object_id) == col(ObjectRow.id),
            col(ObjectRevisionRow.number) == col(ObjectRow.revision),
        ),
    )
    .where(~col(ObjectRow.deleted))
)


def objects(tx: Write, listed: Iterable[Object], now: datetime) -> None:
    """Take in all of them in this one transaction, as `object_steps` says."""
    tx.alone()
    new, gone = object_steps(tx, listed, now)
    for step in (*new, *gone):
        step(tx)


def object_steps(
    session: Read, listed: Iterable[Object], now: datetime
) -> tuple[list[SyncStep], list[SyncStep]]:
    """Compare all with what is known; return what to do before flows are taken in, and after.

    Each is done in a transaction of its own. What is listed no more is deleted; its revisions stay.
    """
    known = {
        (ObjectKind(kind), name): load_object(kind, body)
        for kind, name, body in session.execute(_OBJECTS)
        if kind in {*ObjectKind}
    }
    other, gone = targets.compare(known, listed)
    take_in, most = partial(_take_in_objects, now=now), OBJECTS_AT_ONCE
    return (
        [partial(take_in, other=some, gone=()) for some in parts(other, most=most)],
        [partial(take_in, other=(), gone=some) for some in parts(gone, most=most)],
    )


def _take_in_objects(
    tx: Write, *, other: Sequence[Object], gone: Sequence[Key], now: datetime
) -> None:
    tx.alone()
    wanted = {(kind_of(each), key_of(each.name)): each for each in other}
    keys = [(kind.value, name) for kind, name in (*gone, *wanted)]
    these = select(ObjectRow).where(tuple_(col(ObjectRow.kind), col(ObjectRow.name)).in_(keys))
    rows = {(ObjectKind(row.kind), row.name): row for row in tx.execute(these).scalars()}
    log: Log = []
    for (kind, name), each in wanted.items():
        row = rows.get((kind, name))
        if row is None:
            row = ObjectRow(kind=kind.value, name=name, revision=1)
            tx.add(row)
            tx.flush()
        else:
            stored = tx.get(ObjectRevisionRow, (row.id, row.revision))
            if not row.deleted and stored and load_object(kind, stored.body) == each:
                continue
            row.revision, row.deleted = _newest(tx, row) + 1, False
        body = dump_object(each)
        number = row.revision
        tx.add(ObjectRevisionRow(object_id=row.id or 0, number=number, saved_at=now, body=body))
        detail = {kind.value: name, "revision": number}
        log.append((None, AuditEntry(f"{kind}_saved", SYSTEM, detail)))
    for kind, name in gone:
        if not rows[kind, name].deleted:
            rows[kind, name].deleted = True
            log.append((None, AuditEntry(f"{kind}_deleted", SYSTEM, {kind.value: name})))
    if log:
        tx.flush()
        audit.append(tx, log, now)


def _newest(tx: Write, row: ObjectRow) -> int:
    newest = select(func.max(col(ObjectRevisionRow.number))).where(
        col(ObjectRevisionRow.object_id) == row.id
    )
    return max(row.revision, tx.execute(newest).scalar() or 0)
