"""Compares the ledger with a real system, one account after another, while nothing is due there.

What is looked for, and what is made of it, is decided by `engine.reconcile`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlmodel import col

from engine import reconcile
from engine.account import Compare, Compared, Worker
from engine.directory import PersonId
from engine.holdings import Wishes
from engine.inventory import IntegrationId
from engine.reconcile import Finding, Look, Sight
from engine.request import AccessRequest, AccountId, RequestId
from storage import apply, audit, claims, facts
from storage.accounts import Workplace, step
from storage.codec import fields_of
from storage.company import Company
from storage.database import Database, Read, Write
from storage.tables import AccountRow, AuditRow, GrantRow, MessageRow
from storage.types import among
from storage.unit_of_work import UnitOfWork

RESTORED = "restored"  # in the audit: the database was restored from a backup
_TOLD = (
    select(col(MessageRow.key))
    .where(col(MessageRow.request_id) == 0, among(col(MessageRow.key), "keys"))
    .distinct()
)


@dataclass(frozen=True, slots=True)
class Past:
    """What is over on an account, however much it is: it is read before others have to wait.

    `restored`: when the database was last put back from a backup; None: never.
    """

    account: AccountId
    requests: Sequence[AccessRequest]
    restored: datetime | None


def strangers(session: Read, integration: IntegrationId, names: Iterable[str]) -> list[Finding]:
    """Return what is to be reported of logins that Latchkey made, and its ledger does not know."""
    query = select(col(AccountRow.login)).where(col(AccountRow.integration_id) == integration)
    found = reconcile.strangers(integration, names, session.execute(query).scalars())
    told = {key for (key,) in session.ask(_TOLD, {"keys": [f.said.key for f in found if f.said]})}
    return [finding for finding in found if finding.said and finding.said.key not in told]


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


def restored_at(session: Read) -> datetime | None:
    """Return when the database was last put back from a backup; None: never."""
    query = select(func.max(col(AuditRow.at))).where(
        col(AuditRow.action) == RESTORED, audit.HAS_MOMENT
    )
    return session.execute(query).scalar()


def past(session: Read, account: AccountId, restored: datetime | None) -> Past:
    """Return what is over on an account by now."""
    return Past(account, _over(session, account), restored)


def begin(tx: Write, company: Company, desk: Workplace, past: Past, now: datetime) -> Look | None:
    """Lease the account, and say what to look for; None: it is being worked on, or will be.

    The caller sees to it that nobody else in this process is at it.
    """
    account = past.account
    live = Wishes(account, facts.sharing(tx, [account]))
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
    leased = step(row, Compare(Worker(desk.instance)), desk, now).account
    if leased.lease is None:
        tx.wake("access")
        return None
    since = _over(tx, account, but={r.id for r in (*past.requests, *live.requests)})
    known = reconcile.ledger(live, [*past.requests, *since], past.restored)
    inventory = facts.entitlements(tx, company, known.entitlements)
    return reconcile.look(leased, known, inventory, now, left=_has_left(company, leased.person))


def _has_left(company: Company, person: PersonId) -> bool:
    owner = company.directory.get(person)
    return owner is None or not owner.may_receive


def settle(
    tx: Write,
    company: Company,
    desk: Workplace,
    look: Look,
    *,
    sight: Sight | None,
    now: datetime,
) -> None:
    """Give the account back, and report what was found. None: nothing could be seen."""
    changed = bool(sight and reconcile.changed_parts(look, sight))
    book = UnitOfWork(tx, company, facts.sharing(tx, [look.account]) if changed else (), now)
    row = tx.execute(
        select(AccountRow).where(col(AccountRow.id) == look.account).with_for_update(key_share=True)
    ).scalar_one()
    if row.lease != desk.instance:
        return  # who has it now may have changed what was looked at
    trace, dropped = (sight.trace, sight.dropped is not None) if sight else (None, False)
    step(row, Compared(Worker(desk.instance), trace, dropped), desk, now)
    if sight is None:
        return
    for request, seen in reconcile.observations(look, sight, book.wishes(look.account)):
        book.decide(request, seen)
    book.store()
    person = company.directory.get(row.person_id)
    who = person.name if person else row.person_id
    before = {key: str(code) for key, code in fields_of(row.found).items()}
    found = reconcile.remembered(look, sight, before)
    row.found = found
    news = reconcile.findings(look, sight, before=before, found=found, who=who, now=now)
    report(tx, company, news, now)


def _over(
    session: Read, account: AccountId, but: Collection[RequestId] = ()
) -> list[AccessRequest]:
    """Return the requests that are over, the oldest first."""
    query = select(col(GrantRow.request_id)).where(col(GrantRow.account_id) == account)
    ids = {RequestId(id_) for id_ in session.execute(query.distinct()).scalars()}
    return [r for r in facts.requests(session, ids.difference(but)) if r.state.final]


def report(tx: Write, company: Company, found: Sequence[Finding], now: datetime) -> None:
    """Tell the admins what was found, and write it to the audit."""
    tells = [tell for f in found if f.said for tell in apply.alarm(company.admins, f.said)]
    apply.tell(tx, tells, now)
    audit.append(tx, [(None, f.entry) for f in found], now)
