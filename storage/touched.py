"""What has changed, and which live requests that touches.

Who changes facts notes it in the same transaction. The clock loop wakes what it touches, some at a
time; a decision that is made meanwhile tests the truth.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
    union,
    update,
)
from sqlmodel import col

from engine import alarms
from engine.directory import PersonId
from engine.flow import FlowId
from engine.request import BEFORE_ALL, WAITING, AccountId, GrantState, RequestId
from engine.retry import ALARM_AFTER, LONGEST_PAUSE, pause
from engine.touch import Key, asks_managers, depends_on, keys_between
from storage import apply, batch
from storage.company import Company
from storage.database import Database, Read, Write
from storage.tables import (
    LIVE,
    AccountRow,
    AskRow,
    ChangeRow,
    DecisionRow,
    EntitlementRow,
    GrantRow,
    RequestRow,
    ResourceRow,
)
from storage.types import among

WOKEN = 200  # requests in one transaction, which others wait for
RELEASED = 200  # changes

# Nothing waits for longer: where the clock has been set back, or a hand wrote it, it is due.
IS_DUE = and_(
    ~col(ChangeRow.held),
    or_(
        col(ChangeRow.due_at).is_(None),
        col(ChangeRow.due_at) <= bindparam("now"),
        col(ChangeRow.due_at) > bindparam("latest"),
    ),
)
_NEWEST = select(func.max(col(RequestRow.id)))
_FIRST = (
    select(
        col(ChangeRow.id),
        col(ChangeRow.what),
        col(ChangeRow.after),
        col(ChangeRow.until),
        col(ChangeRow.locked),
    )
    .where(IS_DUE, col(ChangeRow.id) > bindparam("but"))
    .order_by(col(ChangeRow.id))
    .limit(1)
)
_OPEN_ACCOUNTS = (
    select(col(GrantRow.request_id), col(GrantRow.account_id), col(AccountRow.integration_id))
    .join(AccountRow, col(AccountRow.id) == col(GrantRow.account_id))
    .where(among(col(GrantRow.request_id), "ids"), col(GrantRow.open))
)
_FREE_ACCOUNTS = (
    select(col(AccountRow.id))
    .where(among(col(AccountRow.id), "ids"))
    .order_by(col(AccountRow.id))
    .with_for_update(skip_locked=True, key_share=True)
)


@dataclass(slots=True)
class Touched:
    """What a change touches. `keys`: what people fulfil conditions by. `admins`: who they are.

    `standing`: those of the people who may decide, or can be asked, and could not; or the reverse.

    `waiting` and `held_in` touch no request, but accounts: those on which something waits to begin,
    and those that hold something in these systems. They are a change of their own.
    """

    people: set[str] = field(default_factory=set[str])
    standing: set[str] = field(default_factory=set[str])
    keys: set[Key] = field(default_factory=set[Key])
    flows: set[int] = field(default_factory=set[int])
    resources: set[int] = field(default_factory=set[int])
    systems: set[str] = field(default_factory=set[str])  # that offer nothing more, or are another's
    admins: bool = False
    everything: bool = False
    waiting: bool = False
    held_in: set[str] = field(default_factory=set[str])

    @property
    def of_accounts(self) -> bool:
        return self.waiting or bool(self.held_in)

    def __bool__(self) -> bool:
        return any(getattr(self, part.name) for part in fields(self))

    def dumped(self) -> dict[str, Any]:
        return {
            "people": sorted(self.people),
            "standing": sorted(self.standing),
            "keys": sorted(self.keys, key=str),
            "flows": sorted(self.flows),
            "resources": sorted(self.resources),
            "systems": sorted(self.systems),
            "admins": self.admins,
            "everything": self.everything,
            "waiting": self.waiting,
            "held_in": sorted(self.held_in),
        }


_TOUCHED, _LOCKED = TypeAdapter(Touched), TypeAdapter(list[int])


def _read(session: Read, id_: int, what: object, locked: object) -> tuple[Touched, list[int]]:
    """Return what is touched, and who is locked; where that cannot be read, it may be anything."""
    try:
        return _TOUCHED.validate_python(what), _LOCKED.validate_python(locked)
    except ValueError:
        session.unread.note("change", id_, [what, locked], alarms.unread_change())
        return Touched(everything=True), []


@dataclass(frozen=True, slots=True)
class Change:
    """One that is not through: requests with ids up to `after` are woken, but for those `locked`,
    or with an account that is.

    Those up to `until` were there before it.
    """

    id: int
    touched: Touched
    after: int
    until: int
    locked: tuple[int, ...]


def note(tx: Write, touched: Touched, *, held: bool = False) -> None:
    """Store what this transaction's change touches. `held`: until `release`."""
    ((until,),) = tx.ask(_NEWEST) if touched else ((None,),)
    if until is not None:  # who asks later knows it already
        row = {
            "what": touched.dumped(),
            "after": BEFORE_ALL,
            "until": until,
            "locked": [],
            "held": held,
        }
        batch.add(tx, ChangeRow, [row | {"attempts": 0, "due_at": None}])
        tx.wake("clock")


def held(session: Read) -> int:
    """Return how many changes are held until `release`."""
    query = select(func.count()).select_from(ChangeRow).where(col(ChangeRow.held))
    many: int = session.execute(query).scalar_one()
    return many


def release(tx: Write) -> bool:
    """Let what the oldest of the changes so far touch be woken; return whether more are held."""
    oldest = select(col(ChangeRow.id)).where(col(ChangeRow.held)).order_by(col(ChangeRow.id))
    some = col(ChangeRow.id).in_(oldest.limit(RELEASED))
    tx.execute(update(ChangeRow).where(some).values(held=False))
    tx.wake("clock")
    return held(tx) > 0


def moments(now: datetime) -> dict[str, datetime]:
    """Return what `IS_DUE` is asked with."""
    return {"now": now, "latest": now + LONGEST_PAUSE}


def first(database: Database, now: datetime, but: int = 0) -> Change | None:
    """Return the oldest change that is not through and is due, of those after `but`."""
    with database.read() as session:
        for id_, what, after, until, locked in session.ask(_FIRST, {"but": but, **moments(now)}):
            it, still = _read(session, id_ or 0, what, locked)
            return Change(id_ or 0, it, after, until, tuple(still))
    return None


def requests(session: Read, company: Company, change: Change) -> list[RequestId]:
    """Return the next live requests that it touches, or whose accounts it does, by their ids."""
    touched = _with_delegators(company, change.touched)
    people = _known_as(company, touched.people)
    under = [of for of, r in company.revisions.items() if depends_on(r, touched.keys)]
    parts = [*_of_people(people), *_under(under), *_managed(company, touched.people)]
    if touched.everything:
        parts = [_live()]
    if touched.flows:
        parts.append(_live().where(col(RequestRow.flow_id).in_(touched.flows)))
    if touched.resources:
        parts.append(_granting(col(ResourceRow.id).in_(touched.resources)))
    if touched.systems:
        parts.append(_granting(col(ResourceRow.integration_id).in_(touched.systems)))
    if touched.waiting:
        parts.append(_with_grants(col(GrantRow.state) == GrantState.WANTED.value))
    if touched.held_in:
        there = col(AccountRow.integration_id).in_(touched.held_in)
        parts.append(_with_grants(and_(col(GrantRow.open), there)))
    if touched.admins or touched.standing & company.admins:
        parts.append(_live().where(col(RequestRow.state).in_([s.value for s in WAITING])))
    if not parts:
        return []
    between = (col(RequestRow.id) > change.after, col(RequestRow.id) <= change.until)
    later = [part.where(*between).order_by(col(RequestRow.id)).limit(WOKEN) for part in parts]
    either = union(*(select(part.subquery()) for part in later)).subquery()
    query = select(either.c.id).order_by(either.c.id).limit(WOKEN)
    return [RequestId(id_) for id_ in session.execute(query).scalars()]


def _with_delegators(company: Company, touched: Touched) -> Touched:
    """Take in those for whom somebody of them acts, who may be asked in their place, or was."""
    here = company.directory
    acting = [
        d for d in here.delegations if here.formerly.get(d.delegate, d.delegate) in touched.standing
    ]
    if not acting:
        return touched
    givers = [p for d in acting if (p := here.get(d.delegator))]
    keys = {key for giver in givers for key in keys_between(None, giver)}
    return replace(
        touched, people=touched.people | {p.id for p in givers}, keys=touched.keys | keys
    )


def wake(tx: Write, change: Change, ids: Sequence[RequestId], now: datetime) -> int:
    """Have these looked at now, and note how far the change has come; return how many are woken.

    Those that somebody holds locked are left for the next time. Where none are, it is through.
    """
    if change.touched.of_accounts:
        return _look_at_accounts(tx, change, ids, now)
    wanted, rest = _turn(change, ids)
    mine = select(col(RequestRow.id)).where(col(RequestRow.id).in_(wanted))
    in_order = mine.order_by(col(RequestRow.id)).with_for_update(skip_locked=True)
    free = [*tx.execute(in_order).scalars()]
    later = or_(col(RequestRow.wake_at).is_(None), col(RequestRow.wake_at) > now)
    tx.execute(update(RequestRow).where(col(RequestRow.id).in_(free), later).values(wake_at=now))
    _come(tx, change, ids, [*rest, *sorted(set(wanted) - set(free))])
    return len(free)


def _turn(change: Change, ids: Sequence[RequestId]) -> tuple[list[int], Sequence[int]]:
    """Return whose turn it is, and who of those that were locked waits for the next."""
    again = WOKEN // 2 or 1
    return [*change.locked[:again], *ids], change.locked[again:]


def _look_at_accounts(tx: Write, change: Change, ids: Sequence[RequestId], now: datetime) -> int:
    """Have the accounts of these requests brought in line, but for those that are locked."""
    theirs: dict[AccountId, set[int]] = {}
    wanted, rest = _turn(change, ids)
    for request, account, system in tx.ask(_OPEN_ACCOUNTS, {"ids": wanted}):
        if change.touched.waiting or system in change.touched.held_in:
            theirs.setdefault(AccountId(account), set()).add(request)
    free = {AccountId(id_ or 0) for (id_,) in tx.ask(_FREE_ACCOUNTS, {"ids": sorted(theirs)})}
    if free:
        apply.bump(tx, free, now)
    left = {request for id_ in theirs.keys() - free for request in theirs[id_]}
    _come(tx, change, ids, [*rest, *sorted(left)])
    return len({*wanted} - left)


def _come(tx: Write, change: Change, ids: Sequence[RequestId], left: Sequence[int]) -> None:
    """Note how far a change has come."""
    this = col(ChangeRow.id) == change.id
    if ids or left:
        after = ids[-1] if ids else change.after
        come = {"after": after, "locked": list(left), "attempts": 0, "due_at": None}
        tx.execute(update(ChangeRow).where(this).values(come))
    else:
        tx.execute(delete(ChangeRow).where(this))
    tx.wake("clock")


def fail(tx: Write, company: Company, change: Change, why: str, now: datetime) -> None:
    """Put off a change of which it cannot be told whom it touches; at three failures tell so."""
    this = update(ChangeRow).where(col(ChangeRow.id) == change.id)
    counted = this.values(attempts=col(ChangeRow.attempts) + 1).returning(col(ChangeRow.attempts))
    for attempts in tx.execute(counted).scalars().all():
        tx.execute(this.values(due_at=now + pause(attempts)))
        if attempts == ALARM_AFTER:
            apply.tell(tx, apply.alarm(company.admins, alarms.unwoken(change.id, why)), now)


def _live() -> Select[Any]:
    return select(col(RequestRow.id)).where(text(LIVE))


def _known_as(company: Company, people: Iterable[str]) -> set[str]:
    """Return the people by all ids that they have or had: a request may name any of them."""
    return {id_ for person in people for id_ in company.directory.known_as(PersonId(person))}


def _of_people(people: Collection[str]) -> Iterable[Select[Any]]:
    """Select those that somebody of them made, receives, is asked about, or has decided."""
    if not people:
        return
    yield _live().where(col(RequestRow.requestor_id).in_(people))
    yield _live().where(col(RequestRow.grantee_id).in_(people))
    for other in (AskRow, DecisionRow):
        of = col(other.request_id) == col(RequestRow.id)
        yield _live().join(other, of).where(col(other.person_id).in_(people))


def _under(revisions: Collection[tuple[FlowId, int]]) -> Iterable[Select[Any]]:
    if revisions:
        of = tuple_(col(RequestRow.flow_id), col(RequestRow.revision))
        yield _live().where(of.in_(revisions))


def _managed(company: Company, people: Collection[str]) -> Iterable[Select[Any]]:
    """Select those that the manager, who is one of the people, decides."""
    under = [of for of, r in company.revisions.items() if asks_managers(r)] if people else []
    if not under:
        return
    managed = (id_ for p in people for id_ in company.directory.reports(PersonId(p)))
    if reports := _known_as(company, managed):
        theirs = or_(
            col(RequestRow.grantee_id).in_(reports), col(RequestRow.requestor_id).in_(reports)
        )
        yield from (part.where(theirs) for part in _under(under))


def _granting(there: ColumnElement[bool]) -> Select[Any]:
    """Select those with an open grant of something that is there."""
    grants = (
        select(col(GrantRow.request_id))
        .join(EntitlementRow, col(EntitlementRow.id) == col(GrantRow.entitlement_id))
        .join(ResourceRow, col(ResourceRow.id) == col(EntitlementRow.resource_id))
        .where(col(GrantRow.open), there)
    )
    return _live().where(col(RequestRow.id).in_(grants))


def _with_grants(that: ColumnElement[bool]) -> Select[Any]:
    """Select those with such a grant, which may be most of them."""
    grants = (
        select(col(GrantRow.request_id))
        .join(AccountRow, col(AccountRow.id) == col(GrantRow.account_id))
        .where(col(GrantRow.request_id) == col(RequestRow.id), that)
    )
    return _live().where(grants.exists())
