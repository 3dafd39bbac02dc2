"""Compares the ledger with a real system, one account after another, while nothing is due there.

What Latchkey gave and has ended, and is there all the same, is removed. Access that vanished, and
whatever else is found, is reported, and left as it is: it may be somebody's by right.

A finding that stands is told once. One that was gone at a look, and is there again, is told again.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select
from sqlmodel import col

from engine.connectors.port import Holding, Login, Order, Outcome, Presence, Target
from engine.holdings import wish
from engine.inventory import EntitlementId, IntegrationId
from engine.outcome import Card, Entry, Tell
from engine.request import SYSTEM, AccessRequest, AccountId, GrantState, RequestId
from storage import apply, audit, claims, facts
from storage.accounts import target_of
from storage.claims import InstanceId
from storage.company import Company
from storage.database import Database, Write
from storage.tables import AccountRow, AuditRow, GrantRow, MessageRow

RESTORED = "restored"  # in the audit: the database was restored from a backup
Seen = Mapping[Target, Outcome]
_WAS_GIVEN = (GrantState.HELD.value, GrantState.ENDED.value)
_REMOVED = "removed"
_TAKEN_AWAY = "it ended with {code} and was there all the same. It was taken away."
_NOT_REMOVED = (
    "it ended with {code}, is there all the same, and cannot be taken away. It is tried again."
)
_FOUND = "it is there, and not through Latchkey. It was left as it is."
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """One leased account: what it may hold by the ledger, and what it must not hold any more."""

    account: AccountId
    login: Login
    targets: Mapping[EntitlementId, Target]
    held: frozenset[EntitlementId]
    ended: frozenset[EntitlementId]
    standing: frozenset[EntitlementId]
    under: Mapping[EntitlementId, str]  # the request that gave it last
    remaining: timedelta | None

    @property
    def given(self) -> list[Target]:
        return [self.targets[e] for e in sorted(self.held)]

    def removal(self, seen: Seen) -> Order | None:
        """Return the order that takes away what has ended, if any of it was seen."""
        left = [e for e in sorted(self.ended) if _held(seen, self.targets[e])]
        if not left:
            return None
        holdings = [Holding(target, wanted=True) for target in self.given]
        holdings += [Holding(self.targets[e], wanted=False) for e in left]
        return Order(self.login, holdings, self.remaining)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look came to: what was seen, what came of the removal, and what was seen after it."""

    seen: Seen
    removed: Seen = field(default_factory=dict[Target, Outcome])
    after: Seen = field(default_factory=dict[Target, Outcome])

    @property
    def settled(self) -> bool:
        """Whether nothing is left to take away."""
        return all(o.presence is Presence.ABSENT for o in self.removed.values())


def strangers(
    tx: Write, company: Company, integration: IntegrationId, names: Iterable[str], now: datetime
) -> None:
    """Report logins that Latchkey made, and that its ledger does not know."""
    query = select(col(AccountRow.login)).where(col(AccountRow.integration_id) == integration)
    unknown = sorted(set(names) - set(tx.execute(query).scalars()))
    keys = {f"stranger/{integration}/{name}": name for name in unknown}
    told = select(col(MessageRow.key)).where(
        col(MessageRow.request_id) == 0, col(MessageRow.key).in_(keys)
    )
    for known in tx.execute(told.distinct()).scalars().all():
        del keys[known]
    said = [
        (
            key,
            f"{integration} has the login {name}: Latchkey made it, its database does not know it.",
            Entry("stranger", SYSTEM, {"integration": integration, "login": name}),
        )
        for key, name in keys.items()
    ]
    _report(tx, company, said, now)


def integration_of(database: Database, account: AccountId) -> IntegrationId:
    query = select(col(AccountRow.integration_id)).where(col(AccountRow.id) == account)
    with database.read() as session:
        return IntegrationId(session.execute(query).scalar_one())


def accounts(database: Database, integration: IntegrationId) -> list[AccountId]:
    """Return the accounts of a system that were ever given something."""
    query = (
        select(col(AccountRow.id))
        .where(
            col(AccountRow.integration_id) == integration,
            col(AccountRow.id).in_(
                select(col(GrantRow.account_id)).where(col(GrantRow.state).in_(_WAS_GIVEN))
            ),
        )
        .order_by(col(AccountRow.id))
    )
    with database.read() as session:
        return [AccountId(id_ or 0) for id_ in session.execute(query).scalars()]


def begin(
    tx: Write, company: Company, instance: InstanceId, account: AccountId, now: datetime
) -> Look | None:
    """Lease the account, and say what is known of it; None: it is being worked on, or will be.

    The caller sees to it that nobody else in this process is at it.
    """
    live = facts.sharing(tx, [account])
    row = tx.execute(
        select(AccountRow)
        .where(
            col(AccountRow.id) == account,
            col(AccountRow.acted) == col(AccountRow.wanted),
            or_(col(AccountRow.lease) == instance, claims.free(col(AccountRow.lease))),
        )
        .with_for_update(key_share=True)
    ).scalar()
    if row is None:
        return None
    row.lease = instance
    past = _past(tx, account)
    ours = wish(account, live)
    standing = {
        g.entitlement
        for r in (*past, *live)
        for g in r.grants
        if g.account == account and g.standing
    }
    restored = tx.execute(
        select(func.max(col(AuditRow.at))).where(col(AuditRow.action) == RESTORED)
    ).scalar()
    ended = {
        g.entitlement: r
        for r in past
        for g in r.grants
        if g.account == account and g.state is GrantState.ENDED and r.confirmed_at
    }
    since = restored or _LONG_AGO
    to_go = {e for e, r in ended.items() if r.ended and r.ended.at > since}
    known = facts.entitlements(tx, company, {*_ever_given(tx, row.integration_id), *ours.wanted})
    codes = {e: r.code for e, r in ended.items()}
    codes |= {g.entitlement: r.code for r in live for g in r.grants if g.account == account}
    return Look(
        account,
        Login(row.login, row.person_id),
        {id_: target_of(entitlement) for id_, entitlement in known.items()},
        ours.wanted,
        frozenset(to_go - ours.wanted - standing),
        frozenset(standing),
        codes,
        max(ours.until - now, timedelta()) if ours.until else None,
    )


def settle(
    tx: Write,
    company: Company,
    instance: InstanceId,
    look: Look,
    *,
    sight: Sight | None,
    now: datetime,
) -> None:
    """Give the account back, and report what was found. None: nothing could be seen."""
    row = tx.execute(
        select(AccountRow).where(col(AccountRow.id) == look.account).with_for_update(key_share=True)
    ).scalar_one()
    if row.lease == instance:
        row.lease = None
    if sight is None:
        return
    person = company.directory.get(row.person_id)
    who = person.name if person else row.person_id
    before, row.found = row.found or {}, {}
    said = []
    for entitlement, target in look.targets.items():
        code = look.under.get(entitlement, "")
        if finding := _finding(look, entitlement, sight):
            action, words = finding
            row.found = {**row.found, str(entitlement): f"{action}/{code}"}
            if action != _REMOVED and before.get(str(entitlement)) == row.found[str(entitlement)]:
                continue
            key = f"{action}/{look.account}/{entitlement}/{code}/{now.isoformat()}"
            detail = {"login": look.login.name, "target": str(target), "under": code}
            sentence = f"{who}, {target}: {words.format(code=code)}"
            said.append((key, sentence, Entry(action, SYSTEM, detail)))
    _report(tx, company, said, now)


def _finding(look: Look, entitlement: EntitlementId, sight: Sight) -> tuple[str, str] | None:
    """Return what to call it, and what to say; None: it is as the ledger says."""
    target = look.targets[entitlement]
    there = _held(sight.seen, target)
    if entitlement in look.held:
        gone = target in sight.seen and sight.seen[target].presence is Presence.ABSENT
        vanished = "by {code} it should be there, and it is gone. Somebody else took it away."
        return ("vanished", vanished) if gone else None
    if not there or entitlement in look.standing:
        return None
    came = sight.removed.get(target)
    if came is None:
        return None if entitlement in look.ended else ("found", _FOUND)
    if came.presence is not Presence.ABSENT:
        return "not_removed", _NOT_REMOVED
    return ("found", _FOUND) if _held(sight.after, target) else (_REMOVED, _TAKEN_AWAY)


def _held(seen: Seen, target: Target) -> bool:
    return target in seen and seen[target].presence is Presence.HELD


def _past(tx: Write, account: AccountId) -> list[AccessRequest]:
    """Return the requests that are over, the oldest first."""
    query = select(col(GrantRow.request_id)).where(col(GrantRow.account_id) == account)
    ids = {RequestId(id_) for id_ in tx.execute(query.distinct()).scalars()}
    return [r for r in facts.requests(tx, ids) if r.state.final]


def _ever_given(tx: Write, integration: str) -> AbstractSet[EntitlementId]:
    """Return what Latchkey ever gave to anybody in this system."""
    query = (
        select(col(GrantRow.entitlement_id))
        .join(AccountRow, col(AccountRow.id) == col(GrantRow.account_id))
        .where(col(AccountRow.integration_id) == integration, col(GrantRow.state).in_(_WAS_GIVEN))
    )
    return {EntitlementId(id_) for id_ in tx.execute(query.distinct()).scalars()}


def _report(
    tx: Write, company: Company, said: Sequence[tuple[str, str, Entry]], now: datetime
) -> None:
    tells = [
        Tell(admin, Card.ALARM, key, sentence)
        for key, sentence, _ in said
        for admin in sorted(company.admins)
    ]
    apply.tell(tx, tells, now)
    audit.append(tx, [(None, entry) for _, _, entry in said], now)
