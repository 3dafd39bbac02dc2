"""The audit log: append-only, each entry bound to the one before, and proven by a key.

`hash` binds an entry to all before it; anybody can compute it. `mac` is made of it with a key that
is derived from one of LATCHKEY_KEYS, and that `key` names: who has no key can write no entry, and
none anew. The head (number and hash of the last entry) has a MAC of its own. Where it is not of the
key to write with (that is new, somebody wrote without one, or the head was moved), an entry BOUND
comes first, which says what was found.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import structlog
from sqlalchemy import bindparam, func, select, update
from sqlmodel import col

from engine.outcome import Entry
from engine.request import SYSTEM, RequestId
from storage import batch
from storage.database import Read, Write
from storage.secrets import AuditKey
from storage.tables import AuditHead, AuditRow

BOUND = "audit_bound"
PAGE = 1000  # entries that are in memory at once

_ENTRY, _HEAD = "entry", "head"  # what a MAC is of
_NEWEST = select(col(AuditHead.seq), col(AuditHead.hash), col(AuditHead.mac))
_NEWEST_LOCKED = _NEWEST.with_for_update()
_MOVE_HEAD = update(AuditHead).values(
    seq=bindparam("at_seq"), hash=bindparam("at_hash"), mac=bindparam("at_mac")
)
_KEY_OF = select(col(AuditRow.key)).where(col(AuditRow.seq) == bindparam("at_seq"))
_ANCHOR = re.compile("([1-9][0-9]{0,17}):([0-9a-f]{64})")

log = structlog.get_logger()


class BadAnchorError(ValueError):
    """An anchor is a number and a hash, NUMBER:HASH, as Latchkey has told it."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, slots=True)
class Anchor:
    """How the log was at a moment. Kept outside the database, it proves all up to its entry."""

    seq: int
    hash: str

    @classmethod
    def of(cls, text: str) -> Self:
        found = _ANCHOR.fullmatch(text)
        if not found:
            raise BadAnchorError
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is stored."""

    seq: int
    at: datetime
    actor: str
    action: str
    request: RequestId | None
    detail: Mapping[str, Any]
    hash: str
    key: str
    mac: str

    @property
    def named(self) -> str:
        return f"entry {self.seq} ({self.action})"


_WRITTEN = select(
    col(AuditRow.seq),
    col(AuditRow.at),
    col(AuditRow.actor),
    col(AuditRow.action),
    col(AuditRow.request_id),
    col(AuditRow.body),
    col(AuditRow.hash),
    col(AuditRow.key),
    col(AuditRow.mac),
)


def append(tx: Write, entries: Sequence[tuple[RequestId | None, Entry]], now: datetime) -> None:
    """Append entries. Call it last: the head stays locked until the commit."""
    if not entries:
        return
    key = tx.keys.audit_key if tx.keys else None
    ((seq, link, mac),) = tx.ask(_NEWEST_LOCKED)
    if key and seq and not key.made(mac, _HEAD, seq, link):
        entries = [(None, _bound(tx, seq, link, mac)), *entries]
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
                "key": key.id if key else "",
                "mac": key.mac(_ENTRY, link) if key else "",
            }
        )
    batch.add(tx, AuditRow, rows)
    mac = key.mac(_HEAD, seq, link) if key else ""
    tx.do(_MOVE_HEAD, {"at_seq": seq, "at_hash": link, "at_mac": mac})


def _bound(tx: Write, seq: int, link: str, mac: str) -> Entry:
    """Say what head was found, and whether it was as its own key had left it: None, not known."""
    before = "".join(key for (key,) in tx.ask(_KEY_OF, {"at_seq": seq}))
    known = _key(tx, before)
    intact = known.made(mac, _HEAD, seq, link) if known else None
    if intact is False:
        log.error("the audit's head is not as it was left: latchkey audit verify", entry=seq)
    return Entry(BOUND, SYSTEM, {"seq": seq, "hash": link, "key": before, "intact": intact})


def anchor(session: Read) -> Anchor | None:
    """Return how the log is now; None while nothing is in it."""
    ((seq, link, _),) = session.ask(_NEWEST)
    return Anchor(seq, link) if seq else None


def written(
    session: Read, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Written]:
    """Read entries in their order, a page at a time. `until` itself does not count."""
    query = _WRITTEN.order_by(col(AuditRow.seq)).limit(PAGE)
    if since:
        query = query.where(col(AuditRow.at) >= since)
    if until:
        query = query.where(col(AuditRow.at) < until)
    page = query
    while rows := session.execute(page).all():
        for row in rows:
            yield Written(*row)
        page = query.where(col(AuditRow.seq) > rows[-1].seq)


def verify(session: Read, anchors: Sequence[Anchor] = ()) -> Iterator[str]:
    """Yield what is wrong with the log, one sentence each; nothing: it is whole."""
    return Reading(session, anchors).findings()


@dataclass(slots=True)
class _Unproven:
    """Entries in a row that no key proves. `after`: a proven one, which binds them."""

    first: Written
    last: Written
    forged: bool  # the key is there, and did not make the MAC
    after: int | None = None

    def __str__(self) -> str:
        key, end = self.first.key, self.last.seq
        which = self.first.named if self.first.seq == end else f"entries {self.first.seq} to {end}"
        if self.forged:
            return f"{which}: written by somebody who does not have key {key}"
        how = f"under key {key}, which is not in LATCHKEY_KEYS" if key else "without a key"
        since = f". Since entry {self.after} nothing has changed there" if self.after else ""
        return f"{which}: written {how}. Only an anchor of entry {end} or later proves it{since}"


_START = Written(0, datetime.min.replace(tzinfo=UTC), "", "", None, {}, "", "", "")


@dataclass(slots=True)
class Reading:
    """One reading of the whole log; what it has counted is whole when `findings` is at its end.

    It is whole as far as keys and anchors reach: an anchor also proves what no key proves.
    """

    session: Read
    anchors: Sequence[Anchor] = ()
    entries: int = 0
    by_anchor: int = 0  # entries that anchors alone prove
    _last: Written = _START
    _unproven: list[_Unproven] = field(default_factory=list)
    _unbound: list[_Unproven] = field(default_factory=list)  # of them, what the next one may bind
    _met: set[Anchor] = field(default_factory=set)

    def findings(self) -> Iterator[str]:
        try:
            yield from self._findings()
        except ValueError:  # no moment, or no JSON
            yield f"an entry after {self._last.seq} cannot be read, nor what follows it"

    def _findings(self) -> Iterator[str]:
        head = self._head()
        reached = head[0] == 0
        anchors = {(a.seq, a.hash): a for a in self.anchors}
        for entry in written(self.session):
            self.entries += 1
            yield from self._link(entry)
            self._prove(entry)
            if known := anchors.get((entry.seq, entry.hash)):
                self._met.add(known)
            reached = reached or (entry.seq, entry.hash) == head[:2]
            if (entry.seq, entry.hash) == head[:2]:
                yield from self._head_made(entry, head[2])
            self._last = entry
        yield from self._end(head[0], reached=reached)
        yield from self._anchored()

    def _link(self, entry: Written) -> Iterator[str]:
        """Compare with the entry before."""
        last = self._last
        first, next_ = last.seq + 1, entry.seq
        if next_ < first:
            yield f"entry {next_} comes after entry {last.seq}"
        elif next_ == first + 1:
            yield f"entry {first} is missing: the next is {next_}"
        elif next_ > first:
            yield f"entries {first} to {next_ - 1} are missing: the next is {next_}"
        if entry.hash != _hash_of(last.hash, entry):
            self._unbound.clear()
            yield f"{entry.named} was changed, or one before it"
        if entry.action == BOUND and not _rightly_bound(last, entry):
            yield (
                f"before {entry.named} the head was not as Latchkey had left it: entries after "
                f"{last.seq} were cut off, or the head was changed"
            )

    def _prove(self, entry: Written) -> None:
        key = _key(self.session, entry.key)
        if key and key.made(entry.mac, _ENTRY, entry.hash):
            for some in self._unbound:
                some.after = entry.seq
            self._unbound.clear()
            return
        last = self._unproven[-1] if self._unproven else None
        if last and last.last is self._last and self._last.key == entry.key:
            last.last = entry
        else:
            last = _Unproven(entry, entry, forged=bool(key))
            self._unproven.append(last)
            self._unbound.append(last)

    def _head_made(self, newest: Written, mac: str) -> Iterator[str]:
        key = _key(self.session, newest.key)
        if key and not key.made(mac, _HEAD, newest.seq, newest.hash):
            yield f"the head, at entry {newest.seq}, is not as Latchkey had left it"

    def _end(self, head: int, *, reached: bool) -> Iterator[str]:
        end = self._last.seq
        # Entries may have come since the head was read; none may lie beyond where it is now.
        if not reached or end > self._head()[0]:
            yield f"the log ends at {end}, its head says {head}"
        told_apart = select(func.count()).where(col(AuditRow.seq) <= end)
        if (there := self.session.execute(told_apart).scalar_one()) != self.entries:
            yield f"there are {there} entries, of which {self.entries} have a number of their own"

    def _anchored(self) -> Iterator[str]:
        """Compare with the anchors, and say what neither they nor keys prove."""
        end = self._last.seq
        for known in sorted(set(self.anchors) - self._met, key=lambda a: a.seq):
            if known.seq > end:
                yield (
                    f"the log ends at {end}, before the anchor {known}: its end was cut off, or "
                    "an older state was put back"
                )
            else:
                yield f"up to entry {known.seq} the log is not what it was at the anchor {known}"
        proven = max((a.seq for a in self._met), default=0)
        for some in self._unproven:
            if some.forged or some.last.seq > proven:
                yield str(some)
            else:
                self.by_anchor += some.last.seq - some.first.seq + 1

    def _head(self) -> tuple[int, str, str]:
        found = self.session.ask(_NEWEST)
        return found[0] if found else (0, "", "")


def _rightly_bound(last: Written, entry: Written) -> bool:
    """Tell whether the head was where the log ended, and needed to be bound."""
    found = {"seq": last.seq, "hash": last.hash, "key": last.key}
    rightly = [found | {"intact": intact} for intact in (True, None)]
    return entry.detail in rightly and last.key != entry.key


def _key(session: Read, id_: str) -> AuditKey | None:
    return session.keys.audit_keys.get(id_) if session.keys else None


def _hash_of(link: str, entry: Written) -> str:
    about = entry.actor, entry.action, entry.request, entry.detail
    return _hash(link, entry.seq, entry.at, *about)


def _hash(link: str, *fields: object) -> str:
    plain = [f.astimezone(UTC).isoformat() if isinstance(f, datetime) else f for f in fields]
    line = json.dumps([link, *plain], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(line.encode()).hexdigest()
