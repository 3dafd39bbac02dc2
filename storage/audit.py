"""The audit log: append-only, each line bound to the one before by its hash."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Row, bindparam, select, update
from sqlmodel import Session, col

from engine.outcome import Entry
from engine.request import RequestId
from storage import batch
from storage.database import Write
from storage.tables import AuditHead, AuditRow

_HEAD = select(col(AuditHead.seq), col(AuditHead.hash))
_HEAD_LOCKED = _HEAD.with_for_update()
_MOVE_HEAD = update(AuditHead).values(seq=bindparam("at_seq"), hash=bindparam("at_hash"))


def append(tx: Write, entries: Sequence[tuple[RequestId | None, Entry]], now: datetime) -> None:
    """Append entries. Call it last: the head stays locked until the commit."""
    if not entries:
        return
    ((seq, link),) = tx.ask(_HEAD_LOCKED)
    rows = []
    for request, entry in entries:
        seq += 1
        body = dict(entry.detail)
        link = _hash(link, seq, now, entry.actor, entry.action, request, body)
        rows.append(
            {
                "seq": seq,
                "at": now,
                "actor": entry.actor,
                "action": entry.action,
                "request_id": request,
                "body": body,
                "hash": link,
                "key": "",
            }
        )
    batch.add(tx, AuditRow, rows)
    tx.do(_MOVE_HEAD, {"at_seq": seq, "at_hash": link})


def verify(session: Session) -> Iterator[str]:
    """Yield what is wrong with the chain, one sentence each; nothing: it is whole."""
    head = _head(session)
    link, expected = "", 0
    reached = head.seq == 0
    for row in session.execute(select(AuditRow).order_by(col(AuditRow.seq))).scalars():
        expected += 1
        if row.seq != expected:
            yield f"entry {expected} is missing: the next is {row.seq}"
            expected = row.seq
        link = _hash(link, row.seq, row.at, row.actor, row.action, row.request_id, row.body)
        if row.hash != link:
            yield f"entry {row.seq} ({row.action}) was changed, or one before it"
            link = row.hash
        reached = reached or (row.seq, row.hash) == (head.seq, head.hash)
    # Entries may have come since the head was read; none may lie beyond where it stands now.
    if not reached or expected > _head(session).seq:
        yield f"the log ends at {expected}, its head says {head.seq}"


def _head(session: Session) -> Row[int, str]:
    return session.execute(_HEAD).one()


def _hash(link: str, *fields: object) -> str:
    plain = [f.astimezone(UTC).isoformat() if isinstance(f, datetime) else f for f in fields]
    line = json.dumps([link, *plain], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(line.encode()).hexdigest()
