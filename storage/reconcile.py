"""Compares the ledger with a real system, one account after another, while nothing is due there.

What Latchkey ever began to give, has ended or refused since, and is there all the same, is removed.
Access that vanished, and whatever else the ledger does not explain, is reported, and left as it is:
it may be somebody's by right.

A finding that stands is told once. One that was gone at a look, and is there again, is told again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select
from sqlmodel import col

from engine.commands import Observe
from engine.holdings import wish
from engine.inventory import EntitlementId, IntegrationId
from engine.outcome import Entry
from engine.port import Holding, Login, Order, Outcome, Presence, Target
from engine.request import SYSTEM, AccessRequest, AccountId, GrantState, RequestId
from storage import apply, audit, claims, facts
from storage.accounts import Desk, login_of, target_of
from storage.book import Book
from storage.claims import InstanceId
from storage.codec import fields_of
from storage.company import Company
from storage.database import Database, Write
from storage.tables import AccountRow, AuditRow, GrantRow, MessageRow

RESTORED = "restored"  # in the audit: the database was restored from a backup
Seen = Mapping[Target, Outcome]
_REMOVED = "removed"
_WORDS = {
    "vanished": "by {code} it should be there, and it is gone. Somebody else took it away.",
    _REMOVED: "it ended with {code} and was there all the same. It was taken away.",
    "not_removed": (
        "it ended with {code}, is there all the same, and cannot be taken away. It is tried again."
    ),
}
_FOUND = "found/"
_NAMED = 20  # findings in one sentence
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """One leased account: what it may hold by the ledger, and what it must not hold any more."""

    account: AccountId
    login: Login
    targets: Mapping[EntitlementId, Target]
    held: Mapping[EntitlementId, str]  # and what was left out of it
    ended: frozenset[EntitlementId]
    standing: frozenset[EntitlementId]
    under: Mapping[EntitlementId, str]  # the request that gave it last
    remaining: timedelta | None

    @property
    def given(self) -> list[Target]:
        return [self.targets[e] for e in sorted(self.held)]

    def explained(self, sight: "Sight") -> list[Target]:
        """What the ledger knows to be there: given, standing before, or ended and not gone yet."""
        left = [t for t, o in sight.removed.items() if o.presence is not Presence.ABSENT]
        return [*(self.targets[e] for e in sorted(self.held.keys() | self.standing)), *left]

    @property
    def compared(self) -> list[Target]:
        return [self.targets[e] for e in sorted(self.held.keys() | self.ended)]

    def removal(self, seen: Seen) -> Order | None:
        """Return the order that takes away what has ended, if any of it was seen."""
        left = [e for e in sorted(self.ended) if _held(seen, self.targets[e])]
        if not left:
            return None
        holdings = [Holding(target, wanted=True) for target in self.given]
        holdings += [Holding(self.targets[e], wanted=False) for e in left]
        standing = [self.targets[e] for e in sorted(self.standing)]
        return Order(self.login, holdings, self.remaining, standing)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look came to: what was seen, what came of the removal, and what was seen after it.

    `trace` None: what was kept stays. `unexplained` None: nobody knows.
    """

    seen: Seen
    removed: Seen = field(default_factory=dict[Target, Outcome])
    after: Seen = field(default_factory=dict[Target, Outcome])
    alone: bool = True
    trace: str | None = None
    unexplained: tuple[str, ...] | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is left to take away."""
        gone = all(o.presence is Presence.ABSENT for o in self.removed.values())
        return self.alone and gone


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
    """Return the accounts of a system that were ever to be worked on."""
    query = (
        select(col(AccountRow.id))
        .where(col(AccountRow.integration_id) == integration, col(AccountRow.wanted) > 0)
        .order_by(col(AccountRow.id))
    )
    with database.read() as session:
        return [AccountId(id_ or 0) for id_ in session.execute(query).scalars()]


def begin(
    tx: Write, company: Company, desk: Desk, account: AccountId, now: datetime
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
            or_(col(AccountRow.lease) == desk.instance, claims.free(col(AccountRow.lease))),
        )
        .with_for_update(key_share=True)
    ).scalar()
    if row is None:
        return None
    row.lease = desk.instance
    every = sorted((*_past(tx, account), *live), key=lambda r: r.id)
    mine = [(r, g) for r in every for g in r.grants if g.account == account]
    ours = wish(account, live)
    standing = {g.entitlement for _, g in mine if g.standing}
    restored = tx.execute(
        select(func.max(col(AuditRow.at))).where(col(AuditRow.action) == RESTORED)
    ).scalar()
    to_go = {
        g.entitlement
        for r, g in mine
        if g.ever_begun
        and not g.open
        and (r.ended.at if r.ended else r.submitted_at) > (restored or _LONG_AGO)
    } | ours.unwanted
    left_out = {g.entitlement: g.left_out for _, g in mine if g.state is GrantState.HELD}
    known = facts.entitlements(tx, company, ours.wanted | to_go | standing)
    return Look(
        account,
        login_of(row, desk.keys),
        {id_: target_of(entitlement) for id_, entitlement in known.items()},
        {e: left_out.get(e, "") for e in ours.wanted},
        frozenset(to_go - ours.wanted - standing),
        frozenset(standing),
        {g.entitlement: r.code for r, g in mine if g.ever_begun},
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
    parts = _parts(look, sight) if sight else {}
    book = Book(tx, company, facts.sharing(tx, [look.account]) if parts else (), now)
    row = tx.execute(
        select(AccountRow).where(col(AccountRow.id) == look.account).with_for_update(key_share=True)
    ).scalar_one()
    if row.lease != instance:
        return  # who has it now may have changed what was looked at
    row.lease = None
    if sight is None:
        return
    if sight.trace is not None:
        row.trace = sight.trace or None
    for request in book.on(look.account):
        mine = [g for g in request.grants if g.account == look.account and g.entitlement in parts]
        seen = {g.id: parts[g.entitlement] for g in mine if g.state is GrantState.HELD}
        book.decide(request.id, Observe(seen, newest=False))
    book.store()
    person = company.directory.get(row.person_id)
    who = person.name if person else row.person_id
    before = {key: str(code) for key, code in fields_of(row.found).items()}
    row.found = _found(look, sight, before)
    said = [*_changes(look, sight, before, who, now), *_news(look, before, row.found, who, now)]
    _report(tx, company, said, now)


def _parts(look: Look, sight: Sight) -> dict[EntitlementId, Outcome]:
    """Return what is held and of which something else is left out by now."""
    seen = {e: sight.seen[look.targets[e]] for e in look.held if look.targets[e] in sight.seen}
    return {
        e: outcome
        for e, outcome in seen.items()
        if outcome.presence is Presence.HELD and outcome.left_out != look.held[e]
    }


def _found(look: Look, sight: Sight, before: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be remembered until the next look."""
    found = {
        str(e): f"{finding}/{look.under.get(e, '')}"
        for e in look.targets
        if (finding := _finding(look, e, sight))
    }
    if sight.unexplained is None:
        return found | {key: code for key, code in before.items() if key.startswith(_FOUND)}
    return found | {f"{_FOUND}{words}": "" for words in sight.unexplained}


def _finding(look: Look, entitlement: EntitlementId, sight: Sight) -> str:
    """Return what to call it; empty: it is as the ledger says, or not of the ledger."""
    target = look.targets[entitlement]
    if entitlement in look.held:
        gone = target in sight.seen and sight.seen[target].presence is Presence.ABSENT
        return "vanished" if gone else ""
    came = sight.removed.get(target)
    if came is None:
        return ""
    if came.presence is not Presence.ABSENT:
        return "not_removed"
    return "" if _held(sight.after, target) else _REMOVED  # else somebody gave it, too


Said = tuple[str, str, Entry]  # the key of what is told, the sentence, the audit's line


def _changes(
    look: Look, sight: Sight, before: Mapping[str, str], who: str, now: datetime
) -> Iterable[Said]:
    """Say of each target what became of it, and what was done."""
    for entitlement, target in look.targets.items():
        code = look.under.get(entitlement, "")
        finding = _finding(look, entitlement, sight)
        stands = finding != _REMOVED and before.get(str(entitlement)) == f"{finding}/{code}"
        if not finding or stands:
            continue
        key = f"{finding}/{look.account}/{entitlement}/{code}/{now.isoformat()}"
        detail = {"login": look.login.name, "target": str(target), "under": code}
        sentence = f"{who}, {target}: {_WORDS[finding].format(code=code)}"
        yield key, sentence, Entry(finding, SYSTEM, detail)


def _news(
    look: Look, before: Mapping[str, str], found: Mapping[str, str], who: str, now: datetime
) -> Iterable[Said]:
    """Name, all at once, what the ledger does not explain and was not there at the last look."""
    new = [key.removeprefix(_FOUND) for key in found if key.startswith(_FOUND)]
    new = [words for words in new if f"{_FOUND}{words}" not in before]
    if not new:
        return
    listed = "; ".join(new[:_NAMED])
    if more := len(new) - len(new[:_NAMED]):
        listed += f"; and {more} more"
    key = f"{_FOUND}{look.account}/{now.isoformat()}"
    sentence = (
        f"{who} has, as {look.login.name}, access that is not through Latchkey: {listed}. "
        "It was left as it is."
    )
    yield key, sentence, Entry("found", SYSTEM, {"login": look.login.name, "access": new})


def _held(seen: Seen, target: Target) -> bool:
    return target in seen and seen[target].presence is Presence.HELD


def _past(tx: Write, account: AccountId) -> list[AccessRequest]:
    """Return the requests that are over, the oldest first."""
    query = select(col(GrantRow.request_id)).where(col(GrantRow.account_id) == account)
    ids = {RequestId(id_) for id_ in tx.execute(query.distinct()).scalars()}
    return [r for r in facts.requests(tx, ids) if r.state.final]


def _report(tx: Write, company: Company, said: Sequence[Said], now: datetime) -> None:
    tells = [t for key, sentence, _ in said for t in apply.alarm(company.admins, key, sentence)]
    apply.tell(tx, tells, now)
    audit.append(tx, [(None, entry) for _, _, entry in said], now)
