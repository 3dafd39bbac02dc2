"""The access loop's reads and writes: which account is not what it should be, and what was seen."""

import secrets as random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlmodel import col

from engine import lifecycle
from engine.commands import Attempt, Command, Observe, Standing, Tick
from engine.connectors.port import Holding, Login, Order, Outcome, Presence, Report, Secret, Target
from engine.holdings import Wish, unlooked, wants, wish
from engine.inventory import Entitlement, EntitlementId, IntegrationId
from engine.outcome import Card, Decision, Tell
from engine.request import AccessRequest, AccountId, GrantId, RequestId, State
from storage import apply, claims, facts
from storage.claims import InstanceId
from storage.company import Company
from storage.database import Database, Write
from storage.secrets import KeyRing
from storage.tables import AccountRow, GrantRow

ALARM_AFTER = 3  # failures in a row
LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the loop must know of an integration's connector before it calls it."""

    generates_login: bool
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class Work:
    """One leased account: first `look` (if there is something to look at), then `order`."""

    account: AccountId
    integration: IntegrationId
    version: int
    order: Order
    look: tuple[Target, ...]
    targets: Mapping[EntitlementId, Target]
    grants: tuple[tuple[RequestId, GrantId, EntitlementId], ...]
    doubtful: bool  # a dead instance may still change the system


def due(database: Database, now: datetime, limit: int) -> list[AccountId]:
    """Return accounts that are due and not leased, the longest waiting first. No transaction."""
    query = (
        select(col(AccountRow.id))
        .where(
            col(AccountRow.acted) < col(AccountRow.wanted),
            col(AccountRow.due_at) <= now,
            claims.free(col(AccountRow.lease)),
        )
        .order_by(col(AccountRow.due_at))
        .limit(limit)
    )
    with database.read() as session:
        return [AccountId(id_ or 0) for id_ in session.execute(query).scalars()]


@dataclass(frozen=True, slots=True)
class Desk:
    """Who works, with what: the same for every claim of one process."""

    instance: InstanceId
    keys: KeyRing
    kinds: Mapping[IntegrationId, Kind]


def claim(
    tx: Write, company: Company, desk: Desk, ids: Iterable[AccountId], now: datetime
) -> list[Work]:
    """Lease those of the accounts that are still due, and store that access is about to begin."""
    wanted = list(ids)
    requests = facts.sharing(tx, wanted)
    rows = _lock(tx, wanted, now)
    seen = {r.id for r in requests}
    late = _newcomers(tx, [row.id or 0 for row in rows], seen)
    works = []
    for row in rows:
        if row.id in late or row.integration_id not in desk.kinds:
            continue
        works.append(_take(tx, company, desk, row, requests, now))
        touched = {r.id: r for r in facts.sharing(tx, [AccountId(row.id or 0)])} if len(rows) > 1 else {}
        requests = [touched.get(r.id, r) for r in requests]
    return works


def _lock(tx: Write, ids: list[AccountId], now: datetime) -> list[AccountRow]:
    query = (
        select(AccountRow)
        .where(
            col(AccountRow.id).in_(ids),
            col(AccountRow.acted) < col(AccountRow.wanted),
            col(AccountRow.due_at) <= now,
            claims.free(col(AccountRow.lease)),
        )
        .order_by(col(AccountRow.id))
        .with_for_update(skip_locked=True)
    )
    return list(tx.execute(query).scalars())


def _newcomers(tx: Write, accounts: list[int], seen: set[RequestId]) -> set[int]:
    """Return accounts that a request joined after the requests were locked: their turn comes."""
    query = select(col(GrantRow.account_id), col(GrantRow.request_id)).where(
        col(GrantRow.account_id).in_(accounts), col(GrantRow.open)
    )
    return {account for account, request in tx.execute(query) if request not in seen}
