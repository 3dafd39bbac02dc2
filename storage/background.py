"""Reads what helps to decide on requests: a few statements for all of them, each with a bound.

What somebody asked for before, and holds, is found by their accounts; who has what is asked for,
by an index of what runs.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, bindparam, case, func, literal_column, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from engine.background import Background, background
from engine.directory import Person, PersonId
from engine.inventory import Entitlement, EntitlementId
from engine.request import AccessRequest, GrantState, RequestId, State
from storage import facts
from storage.company import Company
from storage.database import Read
from storage.tables import GrantRow, RequestRow
from storage.types import among

THINGS = 50  # of a request, that are looked at: a bundle may have more
PAST = 5  # requests of each, and groups, that are shown
RUNNING = 500  # requests, of all grantees
HOLDERS = 10_000  # of what is asked for; of more nobody is counted

_HAD = (State.ACTIVE, State.REVOKING, State.EXPIRED, State.RETURNED, State.REVOKED)
_MINE, _OTHER = aliased(GrantRow), aliased(GrantRow)
_THINGS = literal_column(str(THINGS), Integer)
# The newest that led to access, and the newest others.
_WHETHER = case((among(col(RequestRow.state), values=[s.value for s in _HAD]), 1), else_=0)
_RANKED = (
    select(
        col(_MINE.request_id).label("asking"),
        col(_OTHER.request_id).label("before"),
        func.row_number()
        .over(
            partition_by=(col(_MINE.request_id), _WHETHER),
            order_by=col(_OTHER.request_id).desc(),
        )
        .label("place"),
    )
    .join(
        _OTHER,
        (col(_OTHER.account_id) == col(_MINE.account_id))
        & (col(_OTHER.entitlement_id) == col(_MINE.entitlement_id)),
    )
    .join(RequestRow, col(RequestRow.id) == col(_OTHER.request_id))
    .where(
        among(col(_MINE.request_id), "ids"),
        col(_MINE.number) < _THINGS,
        col(_OTHER.request_id) != col(_MINE.request_id),
    )
    .group_by(col(_MINE.request_id), col(_OTHER.request_id), col(RequestRow.state))
    .subquery("ranked")
)
_PAST = (
    select(_RANKED.c.asking, *facts.PARTS)
    .join(RequestRow, col(RequestRow.id) == _RANKED.c.before)
    .where(_RANKED.c.place <= bindparam("most", type_=Integer))
)
_RUNNING = (
    select(*facts.PARTS)
    .where(
        col(RequestRow.id).in_(
            select(col(GrantRow.request_id)).where(
                among(col(GrantRow.account_id), "accounts"), col(GrantRow.open)
            )
        ),
        col(RequestRow.state) == State.ACTIVE.value,
    )
    .order_by(col(RequestRow.id).desc())
    .limit(bindparam("most", type_=Integer))
)
_HOLDERS = (
    select(col(GrantRow.entitlement_id), col(RequestRow.grantee_id))
    .join(RequestRow, col(RequestRow.id) == col(GrantRow.request_id))
    .where(
        among(col(GrantRow.entitlement_id), "entitlements"),
        col(GrantRow.open),
        col(GrantRow.state) == GrantState.HELD.value,
    )
    .distinct()
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class _Found:
    past: Mapping[RequestId, Sequence[AccessRequest]]
    running: Sequence[AccessRequest]
    inventory: Mapping[EntitlementId, Entitlement]
    holders: Mapping[EntitlementId, Sequence[Person]] | None  # None: too many to be counted


def of(
    session: Read, company: Company, requests: Collection[AccessRequest], *, most: int = 1
) -> dict[RequestId, Background]:
    """Return the background of each of the requests: at most so many past ones, and groups."""
    if not requests:
        return {}
    past = _past(session, requests, most)
    accounts = sorted({g.account for r in requests for g in r.grants[:THINGS]})
    running = facts.loaded(session, session.ask(_RUNNING, {"accounts": accounts, "most": RUNNING}))
    now = company.directory.formerly
    found = _Found(
        {id_: [r.renamed(now) for r in some] for id_, some in past.items()},
        [r.renamed(now) for r in running],
        facts.entitlements(session, company, {e for r in running for e in r.entitlements}),
        _holders(session, company, requests),
    )
    return {r.id: _background(company, r, found, most) for r in requests}


def _past(
    session: Read, requests: Collection[AccessRequest], most: int
) -> Mapping[RequestId, Sequence[AccessRequest]]:
    rows: Sequence[Any] = session.ask(_PAST, {"ids": sorted(r.id for r in requests), "most": most})
    loaded = {r.id: r for r in facts.loaded(session, [row[1:] for row in rows])}
    past = defaultdict[RequestId, list[AccessRequest]](list)
    for asking, before, *_ in rows:
        past[RequestId(asking)].append(loaded[RequestId(before)])
    return past


def _holders(
    session: Read, company: Company, requests: Collection[AccessRequest]
) -> Mapping[EntitlementId, Sequence[Person]] | None:
    """Map what is asked for to who has it; None: they are too many to be counted."""
    wanted = sorted({g.entitlement for r in requests for g in r.grants[:THINGS]})
    rows = session.ask(_HOLDERS, {"entitlements": wanted, "most": HOLDERS})
    holders = defaultdict[EntitlementId, list[Person]](list)
    if len(rows) >= HOLDERS:
        return None
    for entitlement, person in rows:
        if found := company.directory.get(PersonId(person)):
            holders[EntitlementId(entitlement)].append(found)
    return holders


def _background(company: Company, request: AccessRequest, found: _Found, most: int) -> Background:
    asked = [g.entitlement for g in request.grants[:THINGS]]
    all_ = found.holders
    holders = None if all_ is None else {p.id: p for e in asked for p in all_.get(e, ())}.values()
    return background(
        request,
        past=found.past.get(request.id, ()),
        running=found.running,
        inventory=found.inventory,
        holders=holders,
        directory=company.directory,
        most=most,
    )
