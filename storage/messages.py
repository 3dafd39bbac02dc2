"""The message loop's reads and writes: which card Slack does not show yet, and what came of it.

A row is born leased to the process that stored it, which sends it without another transaction.
A lease whose process is dead means that nobody knows whether the card was posted.
"""

from collections import namedtuple
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from sqlalchemy import (
    Boolean,
    Integer,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlmodel import col

from engine import alarms
from engine.directory import PersonId
from engine.outcome import Card, News
from engine.request import AccessRequest, RequestId
from storage import claims, facts
from storage.claims import InstanceId
from storage.database import Database, Write
from storage.tables import CompanyRow, MessageRow, PersonRow, RequestRow
from storage.types import Json, UtcDateTime, among

_KNOWN = [kind.value for kind in Card]  # during an upgrade there may be others
_NEWS = frozenset(news.value for news in News)
LOOK_AFTER = timedelta(seconds=3)  # until a send whose outcome is unknown shows in the history
SHRINKING = 9  # the priority of a card that is only left to be made one line

_UNPOSTED = or_(col(MessageRow.ts).is_(None), col(MessageRow.posting) > col(MessageRow.posted))
# By what a direct message is named that was never written to: Slack takes the person's id. A card
# for a channel has that one as its recipient.
_CHANNEL = func.coalesce(
    col(MessageRow.channel),
    col(PersonRow.channel),
    col(PersonRow.slack),
    col(MessageRow.recipient),
)
_PARTS = [part.label(f"its_{part.key}") for part in facts.PARTS]
_READY = (
    select(
        MessageRow,
        col(PersonRow.channel).label("direct"),
        *_PARTS,
        select(col(CompanyRow.epoch)).scalar_subquery().label("epoch"),
    )
    .outerjoin(PersonRow, col(PersonRow.id) == col(MessageRow.recipient))
    .outerjoin(RequestRow, col(RequestRow.id) == col(MessageRow.request_id))
    .where(
        col(MessageRow.shown) < col(MessageRow.wanted),
        claims.due(col(MessageRow.due_at)),
        among(col(MessageRow.kind), "kinds"),
        or_(
            col(MessageRow.attempted_at).is_(None),
            col(MessageRow.attempted_at) <= bindparam("settled"),
            col(MessageRow.attempted_at) > bindparam("real"),  # the clock has been set back
        ),
        or_(col(MessageRow.lease) == bindparam("instance"), claims.free(col(MessageRow.lease))),
        not_(among(col(MessageRow.id), "busy")),
        or_(~_UNPOSTED, bindparam("posts", type_=Boolean)),
        or_(_UNPOSTED, bindparam("updates", type_=Boolean)),
        or_(~_UNPOSTED, not_(among(_CHANNEL, "full"))),
    )
    .order_by(col(MessageRow.priority), col(MessageRow.place), col(MessageRow.id))
    .limit(bindparam("most"))
)
_Row: Any = namedtuple("_Row", _READY.exported_columns.keys())  # type: ignore[misc]  # noqa: PYI024
_AT = [_Row._fields.index(part.key) for part in _PARTS]
_MINE = and_(col(MessageRow.id) == bindparam("of"), col(MessageRow.lease) == bindparam("instance"))
_BUMPED = col(MessageRow.wanted) > bindparam("version", type_=Integer)
_LATER = func.coalesce(bindparam("due", type_=UtcDateTime), col(MessageRow.due_at))
_LAST = func.coalesce(bindparam("turn", type_=Integer), col(MessageRow.priority))
_SHOWN = (
    update(MessageRow)
    .where(_MINE)
    .values(
        drawn=bindparam("version"),
        shown=bindparam("done", type_=Integer),
        channel=bindparam("in", type_=String),
        ts=bindparam("at", type_=String),
        posted=bindparam("number", type_=Integer),
        posted_news=bindparam("because", type_=String),
        earlier=bindparam("earlier", type_=Json),
        attempts=bindparam("tried", type_=Integer),
        attempted_at=None,
        due_at=case((_BUMPED, col(MessageRow.due_at)), else_=_LATER),
        priority=case((_BUMPED, col(MessageRow.priority)), else_=_LAST),
        lease=case(
            (col(MessageRow.wanted) > bindparam("done", type_=Integer), bindparam("instance")),
            else_=None,
        ),
    )
)
_ANEW, _DOUBTFUL = bindparam("anew", type_=Boolean), bindparam("doubtful", type_=Boolean)
_PUT_OFF = (
    update(MessageRow)
    .where(_MINE)
    .values(
        attempts=bindparam("tried", type_=Integer),
        due_at=bindparam("at", type_=UtcDateTime),
        ts=case((_ANEW, None), else_=col(MessageRow.ts)),
        attempted_at=case(
            (_ANEW, None),
            (_DOUBTFUL, bindparam("real", type_=UtcDateTime)),
            else_=col(MessageRow.attempted_at),
        ),
        # Of another number than the one that cannot be changed: that is not to be found again.
        posting=case((_ANEW, bindparam("number", type_=Integer)), else_=col(MessageRow.posting)),
    )
)
_OPENED = (
    update(PersonRow)
    .where(col(PersonRow.id) == bindparam("of"))
    .values(channel=bindparam("in"))
    .execution_options(facts="none")  # nothing is decided by it
)


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that stands in Slack, and because of which news it was posted."""

    channel: str
    ts: str
    news: News | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """One card to post anew or to bring up to date, and those before it to shrink.

    It is to be posting number `posting`, because of `news`; the live one that is known is number
    `posted`, and shows the version `drawn`. `doubtful`: it may have been posted anew since then.
    `request` None: it belongs to no request.
    """

    id: int
    request: RequestId | None
    recipient: PersonId
    kind: Card
    key: str
    detail: str
    version: int
    drawn: int
    shown: int
    posting: int
    news: News | None
    posted: int
    live: Posted | None
    earlier: tuple[Posted, ...]
    channel: str | None
    attempts: int
    doubtful: datetime | None

    @property
    def unposted(self) -> bool:
        """Whether it is to be posted, or posted anew."""
        return self.live is None or self.posting > self.posted


@dataclass(frozen=True, slots=True)
class Shown:
    """Slack shows it, as posting `posted`, at `live`; None: there is nothing (more) to show.

    `earlier` are those that are still to be shrunk, at `again`.
    """

    parcel: Parcel
    live: Posted | None
    posted: int
    earlier: tuple[Posted, ...] = ()
    again: datetime | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """It was not sent, or (`doubtful`) nobody knows whether it was. Try again at `at`."""

    parcel: Parcel
    at: datetime
    doubtful: bool = False
    anew: bool = False  # the old message cannot be changed any more


Result = Shown | Later


@dataclass(frozen=True, slots=True)
class Ready:
    """What is leased to this process, and the ids of what it may claim; with all it takes to draw.

    `direct` are the recipients' direct messages that are known.
    """

    mine: list[Parcel]
    free: list[int]
    requests: Mapping[RequestId, AccessRequest]
    direct: Mapping[PersonId, str]
    epoch: int  # the company's


def ready(
    database: Database,
    instance: InstanceId,
    now: datetime,
    *,
    real: datetime | None = None,
    busy: Collection[int] = (),
    posts: bool = True,
    updates: bool = True,
    full: Collection[str] = (),
    limit: int = 50,
) -> Ready:
    """Return what may be sent, urgent first. `busy` is being sent already. No transaction.

    `posts`, `updates`: which of the two may be sent now. `full`: channels that take no post now.
    `real` is the time that Slack's history goes by, if the product's clock was moved.
    """
    given = {
        **claims.moments(now),
        "instance": instance,
        "real": real or now,
        "settled": (real or now) - LOOK_AFTER,
        "busy": list(busy),
        "posts": posts,
        "updates": updates,
        "full": sorted(full),
        "kinds": _KNOWN,
        "most": limit,
    }
    with database.read() as session:
        rows: list[Any] = [_Row(*row) for row in session.ask(_READY, given)]
        for row in rows:
            if not _is_read(row.earlier):
                sentence = alarms.unread_message(row.id, row.recipient)
                session.unread.note("message", row.id, row.earlier, sentence)
        known = {r.request_id: [r[at] for at in _AT] for r in rows if r.its_of}
        drawn = facts.loaded(session, known.values())
    return Ready(
        [_parcel(row) for row in rows if row.lease == instance],
        [row.id for row in rows if row.lease != instance],
        {request.id: request for request in drawn},
        {PersonId(row.recipient): row.direct for row in rows if row.direct},
        rows[0].epoch if rows else 0,
    )


def claim(tx: Write, instance: InstanceId, ids: Iterable[int], real: datetime) -> list[Parcel]:
    """Lease messages that nobody alive has; of a dead process's, it is not known what was sent."""
    free = (
        select(col(MessageRow.id))
        .where(
            col(MessageRow.id).in_(list(ids)),
            col(MessageRow.shown) < col(MessageRow.wanted),
            claims.free(col(MessageRow.lease)),
        )
        .with_for_update(skip_locked=True)
    )
    was_sent = and_(col(MessageRow.lease).is_not(None), _UNPOSTED)
    # Whatever was attempted before: the dead process may have tried again until now.
    attempted = case((was_sent, literal(real, UtcDateTime)), else_=col(MessageRow.attempted_at))
    taken = (
        update(MessageRow)
        .where(col(MessageRow.id).in_(free))
        .values(lease=instance, attempted_at=attempted)
        .returning(MessageRow)
        .execution_options(synchronize_session=False)
    )
    rows = tx.execute(taken).scalars().all()
    return [
        _parcel(row)
        for row in rows
        if not row.attempted_at or not real - LOOK_AFTER < row.attempted_at <= real
    ]


def settle(tx: Write, instance: InstanceId, results: Sequence[Result], real: datetime) -> None:
    """Store what came of sending. Where the card was bumped meanwhile, it stays leased."""
    results = sorted(results, key=lambda r: r.parcel.id)  # as all locks on messages are taken
    if len({type(r) for r in results}) > 1:
        ids = [r.parcel.id for r in results]
        locked = select(col(MessageRow.id)).where(col(MessageRow.id).in_(ids))
        tx.execute(locked.order_by(col(MessageRow.id)).with_for_update())
    shown = [_as_shown(r, instance) for r in results if isinstance(r, Shown)]
    if shown:
        tx.do(_SHOWN, *shown)
    put_off = [_as_put_off(r, instance, real) for r in results if isinstance(r, Later)]
    if put_off:
        tx.do(_PUT_OFF, *put_off)


def _as_shown(result: Shown, instance: InstanceId) -> dict[str, object]:
    parcel, live, left = result.parcel, result.live, result.earlier
    return {
        "of": parcel.id,
        "instance": instance,
        "version": parcel.version,
        "done": parcel.shown if left else parcel.version,
        "in": live.channel if live else parcel.channel,
        "at": live.ts if live else None,
        "number": result.posted,
        "because": (live and live.news) or "",
        "earlier": [_dumped(one) for one in left],
        "tried": parcel.attempts + 1 if left else 0,
        "due": result.again,
        "turn": SHRINKING if left else None,
    }


def _as_put_off(later: Later, instance: InstanceId, real: datetime) -> dict[str, object]:
    parcel = later.parcel
    return {
        "of": parcel.id,
        "instance": instance,
        "tried": parcel.attempts + 1,
        "at": later.at,
        "doubtful": later.doubtful and parcel.unposted,
        "real": real,
        "anew": later.anew,
        "number": parcel.posting + 1,
    }


def remember_channels(tx: Write, opened: Iterable[tuple[PersonId, str]]) -> None:
    rows = [{"of": person, "in": channel} for person, channel in sorted(set(opened))]
    if rows:
        tx.do(_OPENED, *rows)


def _parcel(row: Any) -> Parcel:  # noqa: ANN401  (a MessageRow, or a row with its columns)
    return Parcel(
        row.id or 0,
        RequestId(row.request_id) if row.request_id else None,
        PersonId(row.recipient),
        Card(row.kind),
        row.key,
        row.detail,
        row.wanted,
        row.drawn,
        row.shown,
        row.posting,
        news_of(row.news),
        # The program before counts none.
        max(row.posted, 1) if row.ts else row.posted,
        Posted(row.channel or "", row.ts, news_of(row.posted_news)) if row.ts else None,
        _earlier(row.earlier),
        row.channel,
        row.attempts,
        row.attempted_at,
    )


def news_of(stored: object) -> News | None:
    """Return what it is called; during an upgrade there may be others."""
    return News(stored) if isinstance(stored, str) and stored in _NEWS else None


def _earlier(stored: object) -> tuple[Posted, ...]:
    """Return what can be read of it: nobody is told less because of what cannot be."""
    if not _is_read(stored):
        return ()
    return tuple(Posted(one["channel"], one["ts"], news_of(one["news"])) for one in stored)


def _is_read(stored: object) -> TypeGuard[list[dict[str, str]]]:
    return isinstance(stored, list) and all(
        isinstance(one, dict) and {"channel", "ts", "news"} <= one.keys() for one in stored
    )


def _dumped(one: Posted) -> dict[str, str]:
    return {"channel": one.channel, "ts": one.ts, "news": one.news or ""}
