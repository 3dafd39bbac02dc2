"""Which cards are to be sent, and whose turn each is: requestors take turns, a card each a round.

A card's `place` is its round. Who has nothing to be sent joins the round after the one that is
being sent; each further card of theirs goes into the round after their last. So another's thousand
cards delay one by two of them, and every card is sent: a round that has begun grows no more.
Each priority has rounds of its own; what belongs to no request is as of one more requestor.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    Integer,
    String,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import col

from engine.outcome import SAID_ONCE, Tell
from engine.request import RequestId
from storage import batch, claims
from storage.database import Write
from storage.tables import MessageRow
from storage.types import UtcDateTime, among

_KEY = ("request_id", "recipient", "kind", "key")
_KEY_COLUMNS = [col(getattr(MessageRow, name)) for name in _KEY]
_TURN = ("requestor", "priority")
_GIVEN = (*_KEY, "detail", "news", *_TURN, "place")
AT_ONCE = timedelta(seconds=1)  # what happens within it is posted once
_NOW = bindparam("now", type_=UtcDateTime)
_NONE, _ONE = literal_column("0", Integer), literal_column("1", Integer)
_NOTHING = literal_column("''", String)
# Of those that Slack does not take for now there may be any number. Who stores cards, which ends of
# access do, too, looks past so many; then the round is taken for an earlier one than it is.
_LOOKED_AT = literal_column("100", Integer)

_Key = tuple[int, str, str, str]


class Wanted(NamedTuple):
    """A card of a request, and who made that; of none: 0, and nobody's."""

    request: RequestId | int
    requestor: str
    tell: Tell


def want(tx: Write, cards: Sequence[Wanted], now: datetime, *, new: bool = False) -> None:
    """Have cards, each of them once, posted or brought up to date.

    `new`: none of them is there yet, or it is said.
    """
    known = [] if new else [c for c in cards if c.tell.card not in SAID_ONCE]
    there = _bring_up(tx, known, now) if known else set()
    fresh = [c for c in cards if c.tell.posts and _key(c) not in there]
    if fresh:
        tx.do(_adding(tx.dialect), _given(tx, fresh, now))
    if cards:
        tx.wake("messages")


def _key(card: Wanted) -> _Key:
    return (card.request, card.tell.to, card.tell.card.value, card.tell.key)


def _bring_up(tx: Write, cards: Sequence[Wanted], now: datetime) -> set[_Key]:
    """Have cards brought up to date; return those that exist."""
    given = _given(tx, cards, now) | {"requests": sorted({c.request for c in cards})}
    return set(tx.ask(_bringing_up(tx.dialect), given))


def _given(tx: Write, cards: Sequence[Wanted], now: datetime) -> dict[str, Any]:
    """Return the cards as a statement takes them; `place` counts those of the same turn."""
    taken = Counter[tuple[str, int]]()
    rows = []
    for card in cards:
        turn = card.requestor, card.tell.urgency
        taken[turn] += 1
        values = (*_key(card), card.tell.detail, card.tell.news or "", *turn, taken[turn])
        rows.append(dict(zip(_GIVEN, values, strict=True)))
    return {
        "rows": rows,
        "instance": tx.instance,
        "lately": now - AT_ONCE,
        **claims.moments(now),
    }


def _cards(dialect: str) -> CTE:
    return select(*batch.listed(dialect, MessageRow, _GIVEN).c).cte("cards")


def _turns(cards: CTE) -> Subquery:
    """Return, for each turn among the cards, the last round that is taken already.

    It is grouped so that each is looked up once, not for each card.
    """
    turn = [cards.c[name] for name in _TURN]
    row = aliased(MessageRow)
    place, priority = col(row.place), col(row.priority)
    unsent = select(place, col(row.due_at)).where(
        col(row.shown) < col(row.wanted), priority == cards.c.priority
    )
    first = unsent.order_by(place).limit(_LOOKED_AT).correlate(cards).subquery("first")
    due = case((claims.due(first.c.due_at), first.c.place))
    sent = select(func.coalesce(func.min(due), func.max(first.c.place))).scalar_subquery()
    mine = unsent.where(col(row.requestor) == cards.c.requestor)
    last = mine.with_only_columns(place).order_by(place.desc()).limit(_ONE)
    own = last.correlate(cards).scalar_subquery()
    of = [func.coalesce(sent, 0).label("sent"), func.coalesce(own, 0).label("own")]
    return select(*turn, *of).group_by(*turn).subquery("turns")


def _place(cards: CTE, turns: Subquery) -> ColumnElement[int]:
    last = case((turns.c.own > turns.c.sent, turns.c.own), else_=turns.c.sent)
    return (last + cards.c.place).label("place")


def _same(cards: CTE, turns: Subquery) -> ColumnElement[bool]:
    return and_(*(cards.c[name] == turns.c[name] for name in _TURN))


def _lately() -> ColumnElement[bool]:
    """Tell whether something happened within the last second, by a clock that may be set back."""
    return col(MessageRow.news_at).between(bindparam("lately", type_=UtcDateTime), _NOW)


@cache
def _adding(dialect: str) -> Insert:
    cards = _cards(dialect)
    turns = _turns(cards)
    values = {
        **{name: cards.c[name] for name in (*_KEY, "detail", "news", *_TURN)},
        "news_at": _NOW,
        "place": _place(cards, turns),
        "wanted": _ONE,
        "drawn": _NONE,
        "shown": _NONE,
        "posting": _ONE,
        "posted": _NONE,
        "posted_news": _NOTHING,
        "due_at": _NOW,
        "attempts": _NONE,
        "lease": bindparam("instance", type_=Integer),
    }
    rows = select(*values.values()).where(_same(cards, turns))
    there = batch.inserting(dialect, MessageRow).on_conflict_do_nothing(index_elements=_KEY)
    return there.from_select(list(values), rows)


@cache
def _bringing_up(dialect: str) -> ReturningUpdate[int, str, str, str]:
    cards = _cards(dialect)
    turns = _turns(cards)
    row = aliased(MessageRow)
    found = (
        select(
            col(row.id),
            cards.c.news,
            cards.c.detail,
            *(cards.c[name] for name in _TURN),
            _place(cards, turns),
        )
        .where(
            # The requests alone lead both databases to the index.
            among(col(row.request_id), "requests"),
            *(col(getattr(row, name)) == cards.c[name] for name in _KEY),
            _same(cards, turns),
        )
        .order_by(col(row.id))
        .with_for_update(of=row)
        .subquery("found")
    )
    # One that waits already keeps its turn: who changes it often would put it off for ever.
    waits = and_(
        col(MessageRow.shown) < col(MessageRow.wanted),
        col(MessageRow.priority) <= found.c.priority,
    )
    noticed = found.c.news != ""
    # Slack has just said that there is something new: what it is, is changed in place.
    calls = found.c.detail != ""  # somebody, who is to hear of it
    anew = and_(noticed, or_(col(MessageRow.news_at).is_(None), ~_lately(), calls))
    unposted = col(MessageRow.posting) > col(MessageRow.posted)
    calling = case(
        (and_(calls, unposted), col(MessageRow.detail) + " " + found.c.detail),
        (noticed, found.c.detail),
        else_=col(MessageRow.detail),
    )
    return (
        update(MessageRow)
        .where(col(MessageRow.id) == found.c.id)
        .values(
            wanted=col(MessageRow.wanted) + 1,
            due_at=_NOW,
            lease=func.coalesce(col(MessageRow.lease), bindparam("instance", type_=Integer)),
            requestor=found.c.requestor,
            priority=case((waits, col(MessageRow.priority)), else_=found.c.priority),
            place=case((waits, col(MessageRow.place)), else_=found.c.place),
            posting=col(MessageRow.posting) + case((anew, _ONE), else_=_NONE),
            news=case((noticed, found.c.news), else_=col(MessageRow.news)),
            news_at=case((anew, _NOW), else_=col(MessageRow.news_at)),
            detail=calling,
        )
        .returning(*_KEY_COLUMNS)
    )
