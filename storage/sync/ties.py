"""Slack accounts tied to people: made, suspended, confirmed; guests, who decide nothing."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlmodel import col

from engine import alarms
from engine.directory import PersonId, PersonStatus, SlackAccount
from engine.outcome import AuditEntry
from engine.request import SYSTEM, AccountId, GrantState
from engine.touch import keys_between
from storage import apply, batch
from storage.codec import dump_account, fields_of, load_account
from storage.database import Write
from storage.sync.administration import tell_admins
from storage.sync.touching import THESE, Touching, changed, look_at_delegations, person_of
from storage.tables import AccountRow, GrantRow, PersonRow
from storage.touched import Touched
from storage.types import among

Lost = dict[str, str]  # by the id of who it was: what the admins are to know
_FREE = (
    select(col(PersonRow.id))
    .where(
        among(col(PersonRow.id), "ids"),
        col(PersonRow.slack).is_(None),
        col(PersonRow.suspended).is_(None),
        col(PersonRow.successor).is_(None),
    )
    .order_by(col(PersonRow.id))
)
_TAKEN = select(
    func.coalesce(col(PersonRow.slack), col(PersonRow.suspended)),
    col(PersonRow.team),
    col(PersonRow.enterprise),
).where(or_(among(col(PersonRow.slack), "users"), among(col(PersonRow.suspended), "users")))


def tie(tx: Write, ties: Mapping[PersonId, SlackAccount], now: datetime) -> int:
    """Tie Slack accounts to people who have none, and return how many were tied.

    A tie that was suspended waits for an admin, on both sides. An account has one person.
    """
    tx.alone()
    given = {"ids": list(ties), "users": [account.user for account in ties.values()]}
    taken: dict[str, list[SlackAccount]] = {}
    for user, team, enterprise in tx.ask(_TAKEN, given):
        taken.setdefault(user, []).append(SlackAccount(team, user, enterprise=enterprise))
    free = {id_: ties[PersonId(id_)] for (id_,) in tx.ask(_FREE, given)}
    rows = [
        {"of": id_, "slack": account.user, **_said(account)}
        for id_, account in free.items()
        if not any(one.is_(account) or not one.homes for one in taken.get(account.user, ()))
    ]
    to = ("slack", "team", "enterprise", "account")
    batch.change(tx, PersonRow, rows, where={"id": "of"}, to=to)
    log = [AuditEntry("tied", SYSTEM, {"person": r["of"], "slack": r["slack"]}) for r in rows]
    those = tx.execute(THESE, {"ids": list(free)}).scalars()
    what = Touched(people=set(free), standing=set(free))
    for person in filter(None, map(person_of, those)):
        what.keys |= keys_between(None, person)
    changed(tx, log, now, what)
    if guests := [id_ for id_, account in ties.items() if account.guest and id_ in free]:
        void(tx, guests, now)  # they may have been a member until the tie before was suspended
    return len(rows)


def _said(account: SlackAccount) -> dict[str, Any]:
    """Return what a row says of the account that is tied."""
    return {
        "team": account.team,
        "enterprise": account.enterprise,
        "account": dump_account(account),
    }


def suspend(tx: Write, broken: Mapping[PersonId, tuple[SlackAccount, str]], now: datetime) -> None:
    """Suspend ties: until an admin has looked, the Slack account is no one.

    `broken` says for each person the account, and why. The admins are told, where it is somebody
    who has not left.
    """
    tx.alone()
    log: list[AuditEntry] = []
    lost: Lost = {}
    rows = tx.execute(THESE, {"ids": list(broken)}).scalars().all()
    touching = Touching(rows)
    for row in rows:
        account, why = broken[PersonId(row.id)]
        tied = load_account(row.account)
        if row.suspended is None and (
            tied.is_(account) if tied else row.slack in {None, account.user}
        ):
            row.team, row.enterprise = account.team, account.enterprise
            suspend_tie(row, account.user, lost, alarms.untied(name_of(row), row.email, why))
            log.append(AuditEntry("untied", SYSTEM, {"person": row.id, "why": why}))
    tell_of(tx, lost, now)
    changed(tx, log, now, touching.done())


def place(tx: Write, accounts: Mapping[PersonId, SlackAccount]) -> None:
    """Take in the zone of an account that is tied, and where that was not known its team.

    Of the rest of what Slack says nothing is taken in.
    """
    tx.alone()
    for row in tx.execute(THESE, {"ids": list(accounts)}).scalars():
        account, tied = accounts[PersonId(row.id)], load_account(row.account)
        if tied and tied.is_(account):
            placed = tied.placed(account)
            row.team, row.enterprise, row.account = (
                placed.team,
                placed.enterprise,
                dump_account(placed),
            )
    tx.flush()


def regrade(tx: Write, guests: Mapping[PersonId, bool], now: datetime) -> None:
    """Take in who has become a guest in Slack (True), or a full member again.

    A guest decides nothing; what they had approved, and is not decided yet, is void for good.
    """
    tx.alone()
    log: list[AuditEntry] = []
    rows = tx.execute(THESE, {"ids": list(guests)}).scalars().all()
    touching = Touching(rows)
    for row in rows:
        guest = guests[PersonId(row.id)]
        tied = load_account(row.account)
        if tied and tied.guest is not guest:
            row.account = dump_account(replace(tied, guest=guest))
            row.void_until = now if guest else row.void_until
            grade = "became_guest" if guest else "became_member"
            log.append(AuditEntry(grade, SYSTEM, {"person": row.id}))
    changed(tx, log, now, touching.done())


def reach(tx: Write, people: Mapping[PersonId, tuple[SlackAccount, str]], now: datetime) -> None:
    """Take in for whose account Slack takes no message, by its word for it, or (empty) does again.

    Who can be told nothing counts as nobody to ask: what waits for them asks others as well.
    """
    tx.alone()
    log: list[AuditEntry] = []
    rows = tx.execute(THESE, {"ids": list(people)}).scalars().all()
    touching = Touching(rows)
    for row in rows:
        account, why = people[PersonId(row.id)]
        tied = load_account(row.account)
        if tied is None or not tied.is_(account) or tied.unreachable == why:
            continue
        row.account = dump_account(replace(tied, unreachable=why))
        if why:
            row.channel = None  # which may be what is wrong
        said = {"person": row.id, **({"why": why} if why else {})}
        log.append(AuditEntry("unreachable" if why else "reachable", SYSTEM, said))
    changed(tx, log, now, touching.done())


def void(tx: Write, people: Collection[PersonId], now: datetime) -> None:
    """Let what they approved, and is not decided yet, count no more: they were no full member."""
    tx.alone()
    log: list[AuditEntry] = []
    for row in tx.execute(THESE, {"ids": list(people)}).scalars():
        row.void_until = now
        log.append(AuditEntry("approvals_void", SYSTEM, {"person": row.id}))
    look_at_delegations(tx, now)
    changed(tx, log, now, Touched(people=set(people)))


def confirm(tx: Write, person: PersonId, by: PersonId, now: datetime) -> None:
    """Let a suspended tie be made anew: an admin has looked who it is."""
    tx.alone()
    cleared: dict[str, object] = {"suspended": None, "former": None}
    for row in tx.execute(THESE, {"ids": [person]}).scalars():
        if row.account is not None and load_account(row.account) is None:
            cleared |= {"slack": None, "account": None}  # what Slack said cannot be read
    tx.execute(update(PersonRow).where(col(PersonRow.id) == person).values(cleared))
    theirs = (
        select(col(AccountRow.id))
        .join(GrantRow, col(GrantRow.account_id) == col(AccountRow.id))
        .where(col(AccountRow.person_id) == person, col(GrantRow.state) == GrantState.WANTED.value)
        .distinct()
    )
    if accounts := [AccountId(id_ or 0) for id_ in tx.execute(theirs).scalars()]:
        apply.bump(tx, accounts, now)
    log = [AuditEntry("tie_confirmed", by, {"person": person})]
    changed(tx, log, now, Touched(people={person}))


def suspend_tie(row: PersonRow, user: str, lost: Lost, said: str) -> None:
    row.suspended, row.slack, row.account, row.channel = user, None, None, None
    if row.status != PersonStatus.INACTIVE:
        lost[row.id] = said


def tell_of(tx: Write, lost: Lost, now: datetime) -> None:
    """Tell the admins of whom it is not sure any more who they are, all in one message."""
    if lost:
        said = alarms.suspended(lost.values(), min(lost), now)
        tell_admins(tx, said.key, said.sentence, now)


def name_of(row: PersonRow) -> str:
    return str(fields_of(row.body).get("name") or row.email)
