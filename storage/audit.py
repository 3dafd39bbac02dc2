"""The audit log: append-only, each entry bound to the one before, and proven by a key.

`hash` binds an entry to all before it; anybody can compute it. `mac` is made of it with a key that
is derived from one of LATCHKEY_KEYS, and that `key` names: who has no key can write no entry, and
none anew. The head (number and hash of the last entry) has a MAC of its own. Where it is not of the
key to write with (that is new, somebody wrote without one, or the head was moved), an entry BOUND
comes first, which says what was found. Whatever was done to the head or beside it, the log goes on:
the duty to end access does not wait for it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

import structlog
from sqlalchemy import BigInteger, Text, bindparam, cast, exists, func, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from engine.directory import PersonId
from engine.errors import LatchkeyError
from engine.outcome import AuditEntry
from engine.request import SYSTEM, RequestId
from storage import batch
from storage.codec import fields_of
from storage.database import Read, Write
from storage.secrets import AuditKey
from storage.tables import AuditHead, AuditRow

BOUND = "audit_bound"
PAGE = 1000  # entries that are in memory at once

_ENTRY, _HEAD = "entry", "head"  # what a MAC is of
_LAST = 2**31 - 1  # the greatest number that PostgreSQL has room for
_ONE = col(AuditHead.id) == 1
_HEAD_NOW = select(col(AuditHead.seq), col(AuditHead.hash), col(AuditHead.mac)).where(_ONE)
_ROOM: Any = bindparam("room", type_=BigInteger)
_AFTER_HEAD = exists().where(
    col(AuditRow.seq) > col(AuditHead.seq),
    col(AuditRow.seq) <= cast(col(AuditHead.seq), BigInteger) + _ROOM,
)
_HEAD_LOCKED = _HEAD_NOW.add_columns(_AFTER_HEAD).with_for_update(of=AuditHead)
_MOVE_HEAD = (
    update(AuditHead)
    .where(_ONE)
    .values(seq=bindparam("at_seq"), hash=bindparam("at_hash"), mac=bindparam("at_mac"))
)
_NEXT = aliased(AuditRow)
# The newest one that has room behind it: who may insert could have taken the last number of all.
_END = (
    select(col(AuditRow.seq), cast(col(AuditRow.hash), Text), cast(col(AuditRow.key), Text))
    .where(
        col(AuditRow.seq) <= _LAST - _ROOM,
        ~exists().where(
            col(_NEXT.seq) > col(AuditRow.seq),
            col(_NEXT.seq) <= cast(col(AuditRow.seq), BigInteger) + _ROOM,
        ),
    )
    .order_by(col(AuditRow.seq).desc())
    .limit(1)
)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\ud800-\udfff]|\\u0000")  # the same in JSON, perhaps
_ANCHOR = re.compile("([1-9][0-9]{0,17}):([0-9a-f]{64})")

log = structlog.get_logger()


class BadAnchorError(LatchkeyError, ValueError):
    """An anchor is a number and a hash, NUMBER:HASH, as Latchkey has told it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """How the log was at a moment.

    Kept outside the database, it proves that nothing up to its entry has changed since; who had
    written that, only keys prove.
    """

    seq: int
    hash: str

    @classmethod
    def of(cls, text: str) -> Self:
        found = _ANCHOR.fullmatch(text.strip())
        if not found:
            raise BadAnchorError
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is stored. What of it is `unread` is what stands there, as text."""

    seq: int
    at: str  # ISO 8601, UTC
    actor: str
    action: str
    request: RequestId | str | None
    detail: Mapping[str, Any] | str
    hash: str
    key: str
    mac: str
    unread: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        return f"entry {self.seq} ({self.action})"


# A driver gives nothing of a page if there is one moment in it that Python has none for.
_WRITTEN = select(
    col(AuditRow.seq),
    cast(col(AuditRow.at), Text),
    cast(col(AuditRow.actor), Text),
    cast(col(AuditRow.action), Text),
    col(AuditRow.request_id),
    col(AuditRow.body),
    cast(col(AuditRow.hash), Text),
    cast(col(AuditRow.key), Text),
    cast(col(AuditRow.mac), Text),
)
_TIMES = select(cast(col(AuditRow.at), Text)).order_by(col(AuditRow.seq).desc()).limit(PAGE)


def append(
    tx: Write, entries: Sequence[tuple[RequestId | None, AuditEntry]], now: datetime
) -> None:
    """Append entries. Call it last: the head stays locked until the commit."""
    if not entries:
        return
    key = tx.keys.audit_key if tx.keys else None
    room = len(entries) + 1
    seq, link, mac, taken = _lock_head(tx, room)
    fits = not taken and _is_place(seq, link) and seq <= _LAST - room
    if not fits or (key and not key.made(mac, _HEAD, seq, link)):
        seq, link, bound = _end(tx, (seq, link, mac), room, fits=fits)
        entries = [*((None, entry) for entry in bound), *entries]
    rows = []
    for request, entry in entries:
        row = _row((seq, link), now, request, entry, key)
        seq, link = row["seq"], row["hash"]
        rows.append(row)
    batch.add(tx, AuditRow, rows)
    mac = key.mac(_HEAD, seq, link) if key else ""
    tx.do(_MOVE_HEAD, {"at_seq": seq, "at_hash": link, "at_mac": mac})


def _row(
    before: tuple[int, str],
    now: datetime,
    request: RequestId | None,
    entry: AuditEntry,
    key: AuditKey | None,
) -> dict[str, Any]:
    seq, link = before[0] + 1, before[1]
    id_, at = key.id if key else "", now.astimezone(UTC).isoformat()
    actor, body = entry.actor, dict(entry.detail)
    line = _line(link, seq, at, actor, entry.action, request, body, key=id_)
    if _UNSTORABLE.search(line):
        actor, body = PersonId(_storable(actor)), _storable(body)
        line = _line(link, seq, at, actor, entry.action, request, body, key=id_)
    hash_ = _digest(line)
    return {
        "seq": seq,
        "at": now,
        "actor": actor,
        "action": entry.action,
        "request_id": request,
        "body": body,
        "hash": hash_,
        "key": id_,
        "mac": key.mac(_ENTRY, hash_) if key else "",
    }


def _storable(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Put a sign in place of what a database has no text for: no end waits for a bad letter."""
    if isinstance(value, str):
        return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_storable(name): _storable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(one) for one in value]
    return value


def _lock_head(tx: Write, room: int) -> tuple[int, str, str, bool]:
    """Return the head, and whether an entry stands where the next ones belong."""
    found = tx.ask(_HEAD_LOCKED, {"room": room})
    if not found:
        anew = {"id": 1, "seq": 0, "hash": "", "mac": ""}
        batch.add(tx, AuditHead, [anew], key=("id",))
        found = tx.ask(_HEAD_LOCKED, {"room": room})
    return found[0]


def _is_place(seq: object, link: object) -> bool:
    """Tell whether this can be the number and the hash of an entry: SQLite keeps anything."""
    return isinstance(seq, int) and isinstance(link, str) and seq >= 0


def _end(
    tx: Write, head: tuple[int, str, str], room: int, *, fits: bool
) -> tuple[int, str, list[AuditEntry]]:
    """Return the number and the hash to go on from, and what to say of the head first.

    That is whether it was as its own key had left it; None: not known, as that key is not there.
    """
    found = tx.ask(_END, {"room": room})
    seq, link, before = found[0] if found else (0, "", "")
    said: dict[str, Any] = {"seq": seq, "hash": link, "key": before}
    if fits and head[:2] == (seq, link):
        if not seq:
            return seq, link, []
        known = _key(tx, before)
        said["intact"] = known.made(head[2], _HEAD, seq, link) if known else None
    else:
        said |= {"intact": False, "head": f"{head[0]}:{head[1]}"[:100]}
    if said["intact"] is False:
        log.error("the audit's head is not as it was left: latchkey audit verify", entry=seq)
    return seq, link, [AuditEntry(BOUND, SYSTEM, said)]


def anchor(session: Read) -> Anchor | None:
    """Return how the log is now; None while nothing is in it, or its head says no such thing."""
    for seq, link, _ in session.ask(_HEAD_NOW):
        if _ANCHOR.fullmatch(text := f"{seq}:{link}"):
            return Anchor.of(text)
    return None


def written(
    session: Read,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    after: int = 0,
) -> Iterator[Written]:
    """Read entries in their order, a page at a time. `until` itself does not count."""
    query = _WRITTEN.order_by(col(AuditRow.seq)).limit(PAGE)
    if since:
        query = query.where(col(AuditRow.at) >= since)
    if until:
        query = query.where(col(AuditRow.at) < until)
    page = query.where(col(AuditRow.seq) > after) if after else query
    while rows := session.execute(page).all():
        for row in rows:
            yield _written(row)
        page = query.where(col(AuditRow.seq) > rows[-1].seq)


def newest(session: Read) -> int:
    """Return the number of the newest entry; 0: there is none."""
    return session.execute(select(func.max(col(AuditRow.seq)))).scalar() or 0


def newest_key(session: Read) -> str | None:
    """Return the key that proves the newest of the entries that are proven; None: none is."""
    query = select(col(AuditRow.key)).where(col(AuditRow.key) != "")
    return session.execute(query.order_by(col(AuditRow.seq).desc()).limit(1)).scalar()


def of_request(session: Read, request: RequestId) -> list[AuditRow]:
    """Return the entries of one request, in their order."""
    query = select(AuditRow).where(col(AuditRow.request_id) == request)
    return list(session.execute(query.order_by(col(AuditRow.seq))).scalars())


def delays(session: Read, after: int, since: datetime) -> list[tuple[int, Mapping[str, Any]]]:
    """Return what was noted of accounts that could not be brought in line, by entry."""
    query = select(col(AuditRow.seq), col(AuditRow.body)).where(
        col(AuditRow.seq) > after, col(AuditRow.action) == "delayed", col(AuditRow.at) > since
    )
    rows = session.execute(query.order_by(col(AuditRow.seq)))
    return [(seq, fields_of(body)) for seq, body in rows]


def last(session: Read) -> tuple[int, datetime] | None:
    """Return the number of the newest entry, and what the clock said when it was written."""
    query = select(col(AuditRow.seq), col(AuditRow.at)).order_by(col(AuditRow.seq).desc()).limit(1)
    return next(((seq, at) for seq, at in session.execute(query) if at), None)


def newest_moment(session: Read, now: datetime) -> datetime | None:
    """Return when the newest entry was written, of those that name a moment that has been."""
    moments = (_moment(at) for at in session.execute(_TIMES).scalars())
    return next((at for at in moments if at and at <= now), None)


def _written(row: Sequence[Any]) -> Written:
    seq, at, actor, action, request, body, hash_, key, mac = row
    moment = _moment(at)
    good = {
        "at": moment is not None,
        "request_id": request is None or isinstance(request, int),
        "body": isinstance(body, dict),
    }
    return Written(
        seq,
        moment.isoformat() if moment else at,
        actor,
        action,
        request if good["request_id"] else str(request),
        body if good["body"] else str(body),
        hash_,
        key,
        mac,
        tuple(name for name, is_good in good.items() if not is_good),
    )


def _moment(text: str) -> datetime | None:
    """Return what a database calls a moment; it may know some that Python does not."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def verify(session: Read, anchors: Sequence[Anchor] = ()) -> Iterator[str]:
    """Yield what is wrong with the log, one sentence each; nothing: it is whole."""
    return AuditReading(session, anchors).findings()


@dataclass(slots=True)
class _Unproven:
    """Entries in a row that no key proves. `after`: a proven one, which binds them."""

    first: Written
    last: Written
    forged: bool  # the key is there, and did not make the MAC
    early: bool  # no key was there yet
    goes_on: bool  # its first entry says that the head before it was as it had been left
    vouched: bool = False  # by who had both keys: the head was then as its own key had left it
    after: int | None = None

    def __str__(self) -> str:
        key, end = self.first.key, self.last.seq
        which = self.first.named if self.first.seq == end else f"entries {self.first.seq} to {end}"
        if self.forged:
            return f"{which}: written by somebody who does not have key {key}"
        how = f"under key {key}, which is not in LATCHKEY_KEYS" if key else "without a key"
        since = f". Since entry {self.after} nothing has changed there" if self.after else ""
        if self.early:
            return f"{which}: written {how}, before there was one. Only an anchor tells what it was"
        return f"{which}: written {how}. Nothing proves by whom, nor what was cut off before{since}"


_START = Written(0, "", "", "", None, {}, "", "", "")


@dataclass(slots=True)
class AuditReading:
    """One reading of the log; what it has counted is whole when `findings` is at its end.

    It is whole as far as keys reach. An anchor proves that nothing has changed since, and that is
    all there is to know of entries from before there were keys. `after`: only what comes after that
    entry is read.
    """

    session: Read
    anchors: Sequence[Anchor] = ()
    after: int = 0
    entries: int = 0
    early: int = 0  # entries from before there were keys, that an anchor knows
    _last: Written = _START
    _keyed: bool = False  # an entry under a key was there
    _unproven: list[_Unproven] = field(default_factory=list)
    _unbound: list[_Unproven] = field(default_factory=list)  # of them, what the next one may bind
    _met: set[Anchor] = field(default_factory=set)

    def findings(self) -> Iterator[str]:
        head = self._head()
        self._begin()
        reached = self._last.seq == head[0]
        known = set(self.anchors)
        self._met = known & {Anchor(self._last.seq, self._last.hash)}
        if self.after and reached:
            yield from self._head_made(self._last, head[2])
        for entry in written(self.session, after=self.after):
            self.entries += 1
            yield from self._link(entry)
            self._prove(entry)
            self._met |= known & {Anchor(entry.seq, entry.hash)}
            if (entry.seq, entry.hash) == head[:2]:
                reached = True
                yield from self._head_made(entry, head[2])
            self._last = entry
        yield from self._ends(head[0], reached=reached)
        yield from self._anchored()

    def _begin(self) -> None:
        """Take what is before as it is."""
        if not self.after:
            return
        seq = col(AuditRow.seq)
        row = self.session.execute(_WRITTEN.where(seq == self.after)).first()
        self._last = _written(row) if row else replace(_START, seq=self.after)
        keyed = select(seq).where(seq <= self.after, col(AuditRow.key) != "").limit(1)
        self._keyed = self.session.execute(keyed).first() is not None

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
        if entry.unread:
            yield f"{entry.named}: what it says cannot be read ({', '.join(entry.unread)})"
        elif entry.hash != _hash_of(last.hash, entry):
            yield f"{entry.named} was changed, or one before it"
        if entry.unread or entry.hash != _hash_of(last.hash, entry):
            self._unbound.clear()
        if entry.action == BOUND and not self._rightly_bound(entry):
            yield (
                f"before {entry.named} the head was not as Latchkey had left it: entries after "
                f"{last.seq} were cut off or put in, or the head was changed"
            )

    def _rightly_bound(self, entry: Written) -> bool:
        """Tell whether the head was where the log ended, and needed to be bound.

        Who wrote it may not have known the key of the head (None): then nothing proves what is
        before, and that is a finding of its own, unless that key is one of ours.
        """
        known = _key(self.session, self._last.key)
        ways = (True,) if known else (True, None)
        return any(_binds(self._last, entry, intact) for intact in ways)

    def _prove(self, entry: Written) -> None:
        key = _key(self.session, entry.key)
        goes_on = entry.action == BOUND and _binds(self._last, entry, intact=True)
        if key and key.made(entry.mac, _ENTRY, entry.hash):
            if goes_on:
                self._vouch()
            for some in self._unbound:
                some.after = entry.seq
            self._unbound.clear()
            self._keyed = True
            return
        last = self._unproven[-1] if self._unproven else None
        early = not entry.key and not self._keyed
        self._keyed = self._keyed or bool(entry.key)
        same = last and last.last is self._last and self._last.key == entry.key
        if last and same and last.early == early:
            last.last = entry
        else:
            last = _Unproven(entry, entry, forged=bool(key), early=early, goes_on=goes_on)
            self._unproven.append(last)
            self._unbound.append(last)

    def _vouch(self) -> None:
        """Take the word of who had the next key, as far back as each had the one before."""
        for some in reversed(self._unbound):
            if some.forged or not some.first.key:
                return
            some.vouched = True
            if not some.goes_on:
                return

    def _head_made(self, newest: Written, mac: str) -> Iterator[str]:
        key = _key(self.session, newest.key)
        if self._keyed and not (key and key.made(mac, _HEAD, newest.seq, newest.hash)):
            yield (
                f"the head, at entry {newest.seq}, is not as Latchkey had left it: no key in "
                "LATCHKEY_KEYS made its MAC, and entries after it may have been cut off"
            )

    def _ends(self, head: object, *, reached: bool) -> Iterator[str]:
        end = self._last.seq
        now = self._head()[0]
        # Entries may have come since the head was read; none may lie beyond where it is now.
        if not reached or not isinstance(now, int) or end > now:
            yield f"the log ends at {end}, its head says {head}"
        told_apart = select(func.count()).where(
            col(AuditRow.seq) > self.after, col(AuditRow.seq) <= end
        )
        if (there := self.session.execute(told_apart).scalar_one()) != self.entries:
            yield f"there are {there} entries, of which {self.entries} have a number of their own"

    def _anchored(self) -> Iterator[str]:
        """Compare with the anchors, and say what no key proves."""
        end = self._last.seq
        for known in sorted(set(self.anchors) - self._met, key=lambda a: a.seq):
            if known.seq > end:
                yield (
                    f"the log ends at {end}, before the anchor {known}: its end was cut off, or "
                    "an older state was put back"
                )
            else:
                yield f"up to entry {known.seq} the log is not what it was at the anchor {known}"
        anchored = max((a.seq for a in self._met), default=0)
        for some in self._unproven:
            if some.early and some.last.seq <= anchored:
                self.early += some.last.seq - some.first.seq + 1
            elif not some.vouched:
                yield str(some)

    def _head(self) -> tuple[object, object, Any]:
        found = self.session.ask(_HEAD_NOW)
        return found[0] if found else (0, "", "")


def _binds(last: Written, entry: Written, intact: bool | None) -> bool:  # noqa: FBT001
    found = {"seq": last.seq, "hash": last.hash, "key": last.key, "intact": intact}
    return entry.detail == found and last.key != entry.key


def _key(session: Read, id_: str) -> AuditKey | None:
    return session.keys.audit_keys.get(id_) if session.keys else None


def _hash_of(link: str, entry: Written) -> str:
    about = entry.seq, entry.at, entry.actor, entry.action, entry.request, entry.detail
    try:
        return _digest(_line(link, *about, key=entry.key))
    except (ValueError, RecursionError):  # no text, or deeper than anybody writes
        return ""


def _line(link: str, *about: object, key: str) -> str:
    """Return what a hash is of. What was written without a key may be older than keys are."""
    said = [link, *about, key] if key else [link, *about]
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
