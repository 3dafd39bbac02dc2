"""The audit log: append-only; how its entries are bound and proven, `engine.audit` says.

Keys are derived from those of LATCHKEY_KEYS. Whatever was done to the head or beside it, the log
goes on: the duty to end access does not wait for it.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import (
    BigInteger,
    Text,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from engine import alarms
from engine import audit as chain
from engine.audit import ENTRY, HEAD, Anchor, AuditKey, Chain, Head, Keys, Written
from engine.directory import PersonId
from engine.outcome import AuditEntry
from engine.request import RequestId, code_of
from storage import batch
from storage.codec import fields_of
from storage.database import Read, Write
from storage.secrets import KeyRing
from storage.tables import AuditHead, AuditRow, FlowRow, IntegrationRow, ObjectRow, RequestRow
from storage.types import among, as_kept, as_text, read_json

PAGE = 1000  # entries that are in memory at once
NAMED = 5  # requests, or what else is stored, of a finding
SUBMITTED = "submitted"  # the first entry of a request

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
_NEWEST_KEY = select(cast(col(AuditRow.key), Text)).order_by(col(AuditRow.seq).desc()).limit(1)
_BOUND = (
    select(cast(col(AuditRow.key), Text), as_kept(col(AuditRow.body)))
    .where(cast(col(AuditRow.action), Text) == chain.BOUND)
    .order_by(col(AuditRow.seq).desc())
    .limit(PAGE)
)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\ud800-\udfff]|\\u0000")  # the same in JSON, perhaps

log = structlog.get_logger()


# A driver gives nothing of a page if there is one moment in it that Python has none for.
_WRITTEN = select(
    col(AuditRow.seq),
    as_kept(col(AuditRow.at)),
    as_kept(col(AuditRow.actor)),
    as_kept(col(AuditRow.action)),
    col(AuditRow.request_id),
    as_kept(col(AuditRow.body)),
    as_kept(col(AuditRow.hash)),
    as_kept(col(AuditRow.key)),
    as_kept(col(AuditRow.mac)),
)
_OF_REQUESTS = _WRITTEN.where(among(col(AuditRow.request_id), "ids")).order_by(col(AuditRow.seq))
_LAST_TIME = (
    select(col(AuditRow.seq), cast(col(AuditRow.at), Text))
    .order_by(col(AuditRow.seq).desc())
    .limit(1)
)
# Moments that Python has, too: a reckoning in SQL with others would fail, or go by them.
HAS_MOMENT = col(AuditRow.at).between(
    datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
)
_NO_MOMENT = or_(
    func.typeof(col(AuditRow.at)) != "text",
    cast(col(AuditRow.at), Text).op("not glob")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] *"),
    func.julianday(col(AuditRow.at)).is_(None),
)
# What is stored in one transaction with an entry that says so, as requests are. People are not: of
# many, the first are stored some time before the entry that says so.
_SAVED = union_all(
    select(literal("flow"), col(FlowRow.name)),
    select(literal("integration"), col(IntegrationRow.id)),
    select(col(ObjectRow.kind), col(ObjectRow.name)),
)
_UNTOLD = (
    select(col(RequestRow.id))
    .where(
        ~exists().where(
            col(AuditRow.request_id) == col(RequestRow.id), col(AuditRow.action) == SUBMITTED
        )
    )
    .order_by(col(RequestRow.id))
)
_TIMES = select(cast(col(AuditRow.at), Text)).order_by(col(AuditRow.seq).desc()).limit(PAGE)


def append(
    tx: Write, entries: Sequence[tuple[RequestId | None, AuditEntry]], now: datetime
) -> None:
    """Append entries. Call it last: the head stays locked until the commit."""
    if entries:
        _append(tx, entries, now)


def bind(tx: Write, now: datetime) -> None:
    """Bind what another key of the ring has left under the one to write with, if that is so.

    From then on all of it is proven without the other. Call it last, as `append`.
    """
    if tx.keys and under(tx, tx.keys) is Under.OLDER:
        _append(tx, [], now)


class Under(StrEnum):
    """What key has made the head, seen from a ring of keys."""

    FIRST = "first"  # the one to write with; or no key has made anything, or who did nobody knows
    OLDER = "older"  # another one of the ring
    NEWER = "newer"  # one that is not in the ring, and that replaced one that is


def under(session: Read, ring: KeyRing) -> Under:
    """Tell by what key the log is proven by now."""
    head = _head(session)
    if not head.is_place or ring.audit_key.made(head.mac, HEAD, head.seq, head.hash):
        return Under.FIRST
    if _made(ring.audit_keys, head.mac, HEAD, head.seq, head.hash):
        return Under.OLDER
    newest = session.execute(_NEWEST_KEY).scalar()
    if not newest or newest in ring.audit_keys:
        return Under.FIRST
    bound = session.execute(_BOUND).all()
    replaced = (fields_of(read_json(body)).get("key") for key, body in bound
                if key not in ring.audit_keys)  # fmt: skip
    return Under.NEWER if set(ring.audit_keys) & set(map(str, replaced)) else Under.FIRST


def _append(
    tx: Write, entries: Sequence[tuple[RequestId | None, AuditEntry]], now: datetime
) -> None:
    key = tx.keys.audit_key if tx.keys else None
    room = len(entries) + 1
    head, taken = _lock_head(tx, room)
    seq, link = head.seq, head.hash
    fits = not taken and head.is_place and seq <= _LAST - room
    if not fits or (key and not key.made(head.mac, HEAD, seq, link)):
        seq, link, bound = _end(tx, head, room, fits=fits)
        entries = [*((None, entry) for entry in bound), *entries]
    if not entries:  # somebody else has bound it at this moment
        return
    rows = list[dict[str, Any]]()
    for request, entry in entries:
        row = _row((seq, link), now, request, entry, key)
        seq, link = row["seq"], row["hash"]
        rows.append(row)
    batch.add(tx, AuditRow, rows)
    mac = key.mac(HEAD, seq, link) if key else ""
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
    line = chain.line(link, seq, at, actor, entry.action, request, body, key=id_)
    if _UNSTORABLE.search(line):
        actor, body = PersonId(_storable(actor)), _storable(body)
        line = chain.line(link, seq, at, actor, entry.action, request, body, key=id_)
    hash_ = chain.digest(line)
    return {
        "seq": seq,
        "at": now,
        "actor": actor,
        "action": entry.action,
        "request_id": request,
        "body": body,
        "hash": hash_,
        "key": id_,
        "mac": key.mac(ENTRY, hash_) if key else "",
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


def _lock_head(tx: Write, room: int) -> tuple[Head, bool]:
    """Return the head, and whether an entry stands where the next ones belong."""
    found = tx.ask(_HEAD_LOCKED, {"room": room})
    if not found:
        anew = {"id": 1, "seq": 0, "hash": "", "mac": ""}
        batch.add(tx, AuditHead, [anew], key=("id",))
        found = tx.ask(_HEAD_LOCKED, {"room": room})
    *head, taken = found[0]
    return Head(*head), bool(taken)


def _end(tx: Write, head: Head, room: int, *, fits: bool) -> tuple[int, str, list[AuditEntry]]:
    """Return the number and the hash to go on from, and what to say of the head first."""
    found = tx.ask(_END, {"room": room})
    newest = found[0] if found else (0, "", "")
    bound = chain.bound(newest, head, _keys(tx), fits=fits)
    if any(entry.detail["intact"] is False for entry in bound):
        log.error("the audit's head is not as it was left: latchkey audit verify", entry=newest[0])
    return newest[0], newest[1], bound


def anchor(session: Read) -> Anchor | None:
    """Return how the log is now; None while nothing is in it, or its head says no such thing."""
    return _head(session).anchor


def written(
    session: Read,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    after: int = 0,
) -> Iterator[Written]:
    """Read entries in their order, a page at a time. `until` itself does not count.

    One that names no moment may be of any: it is among them.
    """
    query = _WRITTEN.order_by(col(AuditRow.seq)).limit(PAGE)
    no_moment = _NO_MOMENT if session.dialect == "sqlite" else false()
    if since:
        query = query.where(or_(col(AuditRow.at) >= since, no_moment))
    if until:
        query = query.where(or_(col(AuditRow.at) < until, no_moment))
    page = query.where(col(AuditRow.seq) > after) if after else query
    while rows := session.execute(page).all():
        for row in rows:
            yield _written(session, row)
        page = query.where(col(AuditRow.seq) > rows[-1].seq)


def newest(session: Read) -> int:
    """Return the number of the newest entry; 0: there is none."""
    return session.execute(select(func.max(col(AuditRow.seq)))).scalar() or 0


def proven(session: Read, keys: Keys) -> bool | None:
    """Tell whether one of these keys has made a MAC that is here; None: no entry names a key.

    The newest is looked at first, and then all: what none of them made says nothing of them, as
    whoever may write to the database can put it there.
    """
    head = _head(session)
    if head.is_place and _made(keys, head.mac, HEAD, head.seq, head.hash):
        return True
    under = (
        select(col(AuditRow.seq), cast(col(AuditRow.hash), Text), cast(col(AuditRow.mac), Text))
        .where(cast(col(AuditRow.key), Text).in_(list(keys)))
        .order_by(col(AuditRow.seq).desc())
        .limit(PAGE)
    )
    page = under
    while rows := session.execute(page).all():
        if any(_made(keys, mac, ENTRY, hash_) for _, hash_, mac in rows):
            return True
        page = under.where(col(AuditRow.seq) < rows[-1].seq)
    keyed = select(col(AuditRow.seq)).where(col(AuditRow.key) != "").limit(1)
    return None if session.execute(keyed).first() is None else False


def _made(keys: Keys, mac: object, *what: str | int) -> bool:
    return any(key.made(mac, *what) for key in keys.values())


def of_requests(session: Read, ids: Collection[RequestId]) -> Iterator[Written]:
    """Read the entries of some requests, in their order. What is not as written is named."""
    for row in session.ask(_OF_REQUESTS, {"ids": list(ids)}):
        entry = _written(session, row)
        if entry.unread:
            session.unread.note("audit", entry.seq, tuple(row), alarms.unread_entry(entry))
        yield entry


def delays(session: Read, after: int, since: datetime) -> list[tuple[int, Mapping[str, Any]]]:
    """Return what was noted of accounts that could not be brought in line, by entry."""
    query = select(col(AuditRow.seq), col(AuditRow.body)).where(
        col(AuditRow.seq) > after, col(AuditRow.action) == "delayed", col(AuditRow.at) > since
    )
    rows = session.execute(query.order_by(col(AuditRow.seq)))
    return [(seq, fields_of(body)) for seq, body in rows]


def last(session: Read) -> tuple[int, datetime] | None:
    """Return the number of the newest entry, and what the clock said when it was written."""
    found = session.ask(_LAST_TIME)
    return next(((seq, at) for seq, text in found if (at := moment_of(text))), None)


def newest_moment(session: Read, now: datetime) -> datetime | None:
    """Return when the newest entry was written, of those that name a moment that has been."""
    moments = (moment_of(at) for at in session.execute(_TIMES).scalars())
    return next((at for at in moments if at and at <= now), None)


def moment_of(text: str) -> datetime | None:
    """Return what a database calls a moment; it may know some that Python does not."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _written(session: Read, row: Sequence[Any]) -> Written:
    seq, at, actor, action, request, body, hash_, key, mac = row
    moment, detail = moment_of(_text(at)), read_json(body)
    good = {
        "at": moment is not None and (session.dialect != "sqlite" or at == _sqlite_text(moment)),
        "actor": isinstance(actor, str),
        "action": isinstance(action, str),
        "request_id": request is None or isinstance(request, int),
        "body": isinstance(body, str)
        and isinstance(detail, dict)
        and (session.dialect != "sqlite" or body == json.dumps(detail)),
        "hash": isinstance(hash_, str),
        "key": isinstance(key, str),
        "mac": isinstance(mac, str),
    }
    return Written(
        seq,
        moment.isoformat() if moment and good["at"] else _text(at),
        _text(actor),
        _text(action),
        request if good["request_id"] else _text(request),
        detail if isinstance(detail, dict) else _text(body),
        _text(hash_),
        _text(key),
        _text(mac),
        tuple(name for name, is_good in good.items() if not is_good),
    )


def _text(kept: object) -> str:
    return kept.decode(errors="replace") if isinstance(kept, bytes) else str(kept)


def _sqlite_text(moment: datetime) -> str:
    """Return the one text in which a moment is written there: texts are what is compared."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


class AuditReading:
    """One reading of the log; what it has counted is whole when `findings` is at its end.

    `after`: only what comes after that entry is read.
    """

    def __init__(self, session: Read, anchors: Sequence[Anchor] = (), after: int = 0) -> None:
        self._session = session
        self._after = after
        self._chain = Chain(_keys(session), anchors)

    @property
    def entries(self) -> int:
        return self._chain.entries

    @property
    def early(self) -> int:
        """How many entries are from before there were keys, that an anchor knows."""
        return self._chain.early

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the log, one sentence each; nothing: it is whole."""
        head = _head(self._session)
        stored = [] if self._after else self._session.execute(_SAVED).all()  # before the entries
        saved = set[tuple[str, str]]()
        if self._after:
            last = chain.starting_at(self._after, self._entry(self._after))
            yield from self._chain.begin(head, last, keyed=self._keyed_before())
        else:
            yield from self._chain.begin(head)
        for entry in written(self._session, after=self._after):
            yield from self._chain.read(entry)
            saved |= _saved(entry)
        there = select(func.count()).where(
            col(AuditRow.seq) > self._after, col(AuditRow.seq) <= self._chain.newest
        )
        now = _head(self._session)
        yield from self._chain.end(now, self._session.execute(there).scalar_one())
        if not self._after:
            yield from self._untold([what for what in map(tuple, stored) if what not in saved])

    def _untold(self, unsaved: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        """Say what is stored that the log knows nothing of, though it was told."""
        ids = [RequestId(id_ or 0) for id_ in self._session.execute(_UNTOLD).scalars()]
        if ids:
            which = _first([code_of(id_) for id_ in ids])
            yield f"there is no entry of how {which} began: it was taken out"
        if unsaved:
            which = _first([f"{as_text(kind)} {as_text(name)}" for kind, name in unsaved])
            yield f"there is no entry of how {which} was saved: it was taken out"

    def _entry(self, seq: int) -> Written | None:
        row = self._session.execute(_WRITTEN.where(col(AuditRow.seq) == seq)).first()
        return _written(self._session, row) if row else None

    def _keyed_before(self) -> bool:
        seq = col(AuditRow.seq)
        keyed = select(seq).where(seq <= self._after, col(AuditRow.key) != "").limit(1)
        return self._session.execute(keyed).first() is not None


def _saved(entry: Written) -> set[tuple[str, str]]:
    """Return what an entry says was saved: what it is, and what it is called."""
    kind, _, did = entry.action.rpartition("_")
    return {(kind, str(fields_of(entry.detail).get(kind)))} if did == "saved" else set()


def _first(named: Sequence[str]) -> str:
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"{', '.join(named[:NAMED])}{more}"


def _head(session: Read) -> Head:
    found = session.ask(_HEAD_NOW)
    return Head(*found[0]) if found else Head()


def _keys(session: Read) -> Keys:
    return session.keys.audit_keys if session.keys else {}
