"""The access loop's reads and writes: which account is not what it should be, and what was seen.

What is to be done about it is decided by `engine.account`.
"""

import json
import secrets as random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, not_, or_, select
from sqlmodel import col

from engine import account, alarms
from engine.account import (
    Account,
    Alarm,
    Answer,
    Done,
    Event,
    Fault,
    HandOver,
    Password,
    Priority,
    Reset,
    Saved,
    Show,
    Step,
    Stumble,
    SystemTraits,
    Take,
    Work,
    Worker,
)
from engine.directory import PersonId
from engine.holdings import Wishes
from engine.inventory import EntitlementId, IntegrationId
from engine.outcome import AuditEntry, Card, Tell
from engine.port import Secret
from engine.request import SYSTEM, AccountId, RequestId
from storage import apply, claims, facts, jobs
from storage.claims import InstanceId
from storage.codec import fields_of
from storage.company import Company
from storage.database import Database, Read, Write
from storage.jobs import JobKind
from storage.secrets import KeyRing
from storage.tables import AccountRow, GrantRow
from storage.types import among, as_text
from storage.unit_of_work import UnitOfWork

LOOK_AFTER_END = timedelta(seconds=2)  # what an account holds then, nobody should have given
PASSWORD_BYTES = 24  # 192 bits, 32 characters
ENDS = Priority.ENDS.value


_IS_DUE = (
    col(AccountRow.acted) < col(AccountRow.wanted),
    claims.due(col(AccountRow.due_at)),
    or_(col(AccountRow.lease) == bindparam("instance"), claims.free(col(AccountRow.lease))),
)
_WAITING = select(
    col(AccountRow.id), col(AccountRow.integration_id), col(AccountRow.priority)
).where(*_IS_DUE, not_(among(col(AccountRow.id), "busy")))
_DUE = (
    _WAITING.where(
        not_(among(col(AccountRow.integration_id), "full")),
        or_(
            col(AccountRow.priority) == ENDS,
            not_(among(col(AccountRow.integration_id), "for_ends")),
        ),
    )
    .order_by(col(AccountRow.priority), col(AccountRow.due_at))
    .limit(bindparam("most"))
)
_LONGEST = (
    _WAITING.where(col(AccountRow.integration_id) == bindparam("integration"))
    .order_by(col(AccountRow.due_at))
    .limit(1)
)
_OTHERS = (
    select(func.count())
    .select_from(AccountRow)
    .where(
        col(AccountRow.acted) < col(AccountRow.wanted),
        col(AccountRow.integration_id) == bindparam("integration"),
        col(AccountRow.id) != bindparam("id"),
    )
)
_LOGINS = select(
    col(AccountRow.id),
    col(AccountRow.integration_id),
    col(AccountRow.login),
    col(AccountRow.person_id),
).where(among(col(AccountRow.id), "ids"))
_LOCKED = (
    select(AccountRow, and_(*_IS_DUE))
    .where(among(col(AccountRow.id), "ids"))
    .order_by(col(AccountRow.id))
    .with_for_update(key_share=True, of=AccountRow)  # a new grant may point to it meanwhile
)
_KEPT = select(
    col(AccountRow.id),
    col(AccountRow.integration_id),
    col(AccountRow.person_id),
    col(AccountRow.secret),
    col(AccountRow.proof),
).where(or_(col(AccountRow.secret).is_not(None), col(AccountRow.proof).is_not(None)))
_SECRETS = (
    select(col(AccountRow.login), col(AccountRow.secret), col(AccountRow.proof))
    .where(among(col(AccountRow.person_id), "people"))
    .order_by(col(AccountRow.login))
)
_MADE = select(col(AccountRow.id)).where(
    among(col(AccountRow.person_id), "people"), col(AccountRow.made)
)
_OPEN = select(col(GrantRow.account_id), col(GrantRow.request_id)).where(
    among(col(GrantRow.account_id), "accounts"), col(GrantRow.open)
)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Who works, with what: the same for every claim of one process.

    `begins` False: it begins no new access, and leaves that to others.
    """

    instance: InstanceId
    keys: KeyRing
    kinds: Mapping[IntegrationId, SystemTraits]
    begins: bool = True

    def kind(self, row: AccountRow) -> SystemTraits | None:
        return self.kinds.get(IntegrationId(as_text(row.integration_id)))


@dataclass(frozen=True, slots=True)
class Due:
    """An account whose turn it is; `ends`: something has to end there."""

    account: AccountId
    integration: IntegrationId
    ends: bool


@dataclass(frozen=True, slots=True)
class Owned:
    """An account's login, and whose it is."""

    integration: IntegrationId
    login: str
    owner: PersonId


def logins(session: Read, ids: Iterable[AccountId]) -> dict[AccountId, Owned]:
    """Return those of the accounts that there are."""
    rows = session.ask(_LOGINS, {"ids": list(ids)})
    return {
        AccountId(id_ or 0): Owned(
            IntegrationId(as_text(system)), as_text(login), PersonId(as_text(owner))
        )
        for id_, system, login, owner in rows
    }


def due(
    database: Database,
    instance: InstanceId,
    now: datetime,
    *,
    busy: Collection[AccountId] = (),
    full: Collection[IntegrationId] = (),
    for_ends: Collection[IntegrationId] = (),
    limit: int = 50,
) -> list[Due]:
    """Return accounts that are due and that nobody works on: ends first, the longest waiting first.

    `busy` are those that this process works on; what else it has leased was left by a write-back
    that failed. Of systems that are `full` there are none, `for_ends` only ends. No transaction.
    """
    given = {"full": list(full), "for_ends": list(for_ends), "most": limit}
    with database.read() as session:
        return _found(session.ask(_DUE, given | _asked(instance, busy, now)))


def longest_due(
    database: Database,
    instance: InstanceId,
    now: datetime,
    integration: IntegrationId,
    *,
    busy: Collection[AccountId] = (),
) -> list[Due]:
    """Return, of one system, the account that has waited longest, whatever for, if any is due.

    Each gets its turn: the one that fails may be the only one that always does.
    """
    given = {"integration": integration}
    with database.read() as session:
        return _found(session.ask(_LONGEST, given | _asked(instance, busy, now)))


def _asked(instance: InstanceId, busy: Collection[AccountId], now: datetime) -> dict[str, Any]:
    return {"instance": instance, "busy": list(busy), **claims.moments(now)}


def _found(rows: Iterable[tuple[int | None, str, int]]) -> list[Due]:
    return [
        Due(AccountId(i or 0), IntegrationId(as_text(of)), p == Priority.ENDS.value)
        for i, of, p in rows
    ]


def turn(
    tx: Write,
    company: Company,
    desk: Workplace,
    now: datetime,
    *,
    done: Sequence[Done] = (),
    ids: Iterable[AccountId] = (),
) -> tuple[list[Work], list[Done]]:
    """Store what was seen, and lease what is to be done next: one transaction for both.

    Return what is to be done, and what is left to be stored, as this transaction is full. Of what
    is due the rest stays so.
    """
    mine = [d.work.account for d in done]
    wanted = [id_ for id_ in ids if id_ not in mine]
    book = UnitOfWork(tx, company, facts.sharing(tx, [*mine, *wanted]), now)
    touched = {g.account for r in book.requests for g in r.grants}
    rows = _lock(tx, desk.instance, mine, wanted, touched=touched, now=now)
    _note_unreadable(tx, rows.values())
    goes_on = bool(wanted) or any(isinstance(d.result, Mapping) for d in done)
    late = _newcomers(tx, list(rows), {r.id for r in book.requests}) if goes_on else set()
    taken = _Turn(tx, book, company, desk, now)
    works, left = list[Work | None](), list[Done]()
    for one in done:
        if book.full:
            left.append(one)
            continue
        id_ = one.work.account
        works.append(taken.take_in(rows[id_], one, alone=id_ not in late))
    for id_ in wanted:
        if book.full:
            tx.wake("access")
            break
        if id_ in rows and id_ not in late:
            works.append(taken.take(rows[id_]))
    for id_ in rows.keys() - late:
        rows[id_].priority = account.priority(book.wishes(id_)).value
    emptied = sorted(map(str, taken.emptied))
    jobs.schedule_each(tx, JobKind.RECONCILE_ACCOUNT, emptied, now + LOOK_AFTER_END)
    book.store()
    apply.tell(tx, taken.tells, now)
    return [work for work in works if work], left


def look_at(tx: Write, people: Collection[PersonId], now: datetime) -> None:
    """Have the logins of people compared soon: of who has left, they are dropped then."""
    if people:
        made = sorted(str(id_) for (id_,) in tx.ask(_MADE, {"people": list(people)}))
        jobs.reschedule_each(tx, JobKind.RECONCILE_ACCOUNT, made, now)


def fail(
    tx: Write, company: Company, desk: Workplace, id_: AccountId, now: datetime, *, why: str
) -> None:
    """Put off an account whose turn cannot be taken."""
    query = select(AccountRow).where(col(AccountRow.id) == id_)
    row = tx.execute(query.with_for_update(key_share=True)).scalar_one()
    failed = _Turn(tx, UnitOfWork(tx, company, (), now), company, desk, now)
    failed.run(row, Stumble(why))
    apply.tell(tx, failed.tells, now)


def reset(tx: Write, desk: Workplace, id_: AccountId, now: datetime) -> Secret | None:
    """Give the login a new password, which the next order sets; None: there is no such login."""
    row = tx.execute(_one(id_)).scalar()
    if row is None or not row.made:
        return None
    tx.wake("access")
    return step(row, Reset(), desk, now).account.password.secret


def show(tx: Write, desk: Workplace, id_: AccountId, now: datetime) -> Step:
    """Say what its owner may see of an account; the first look starts the ten minutes.

    Raises NoResultFound: there is no such account.
    """
    row = tx.execute(_one(id_)).scalar_one()
    shown = step(row, Show(), desk, now)
    if shown.forget_at:
        jobs.reschedule(tx, JobKind.FORGET_SECRET, str(id_), shown.forget_at)
    return shown


def forget_secret(tx: Write, desk: Workplace, id_: AccountId, now: datetime) -> bool:
    """Delete the password: the person has saved it, or has had time enough.

    False: the system has not taken it yet, so that it is only shown no more; try again soon.
    """
    row = tx.execute(_one(id_)).scalar()
    return row is None or step(row, Saved(), desk, now).account.password.sealed is None


def hand_over(tx: Write, row: AccountRow, person: PersonId, keys: KeyRing, now: datetime) -> None:
    """Give an account that is locked to the same person under another id.

    What is kept of the password is bound to the id, and goes along.
    """
    before = load(row, keys)
    after = account.step(before, HandOver(person), Wishes(before.id), now).account
    store(row, before, after, keys)
    if after.wanted != before.wanted:
        tx.wake("access")


def step(row: AccountRow, event: Event, desk: Workplace, now: datetime) -> Step:
    """Let something happen to an account, which is locked, that depends on no request."""
    before = load(row, desk.keys, desk.kind(row))
    taken = account.step(before, event, Wishes(before.id), now)
    return replace(taken, account=store(row, before, taken.account, desk.keys))


def open_secret(row: AccountRow, keys: KeyRing) -> Secret | None:
    """Return the password that is kept for the account's owner to see."""
    return keys.open(row.secret, _about(row)) if row.secret else None


def open_proof(row: AccountRow, keys: KeyRing) -> Secret | None:
    """Return that by which the system can be given the same password again."""
    return keys.open(row.proof, _about_proof(row)) if row.proof else None


def sealed_for(
    row: AccountRow, keys: KeyRing | None, systems: Iterable[IntegrationId]
) -> list[IntegrationId]:
    """Return for which of the systems what is kept of the account was sealed; none: nobody knows.

    What is sealed names its system, whatever stands beside it.
    """
    if keys is None:
        return []

    def opens(system: IntegrationId) -> bool:
        kept = ((row.secret, _about(row, system)), (row.proof, _about_proof(row, system)))
        return any(sealed and keys.open(sealed, about) for sealed, about in kept)

    return [system for system in systems if opens(system)]


def opened(session: Read, keys: KeyRing) -> bool | None:
    """Tell whether these keys open one of the passwords that are kept; None: none is kept."""
    kept = [
        AccountRow(
            id=id_,
            integration_id=integration,
            person_id=person,
            login="",
            secret=secret,
            proof=proof,
        )
        for id_, integration, person, secret, proof in session.ask(_KEPT)
    ]
    if not kept:
        return None
    return any(open_secret(row, keys) or open_proof(row, keys) for row in kept)


def sealed_apart(session: Read, keys: KeyRing) -> tuple[int, int]:
    """Return of how many logins what is kept is sealed with a key that is not the first, and of how
    many with none of these keys.
    """
    kept = [
        [sealed for sealed in secrets if sealed is not None]
        for *_, secret, proof in session.ask(_KEPT)
        for secrets in [(secret, proof)]
    ]
    older = sum(any(map(keys.is_older, sealed)) for sealed in kept)
    lost = sum(not all(map(keys.names, sealed)) for sealed in kept)
    return older, lost


def sealed_by_others(session: Read, keys: KeyRing, people: Collection[PersonId]) -> list[str]:
    """Return these people's logins whose password is said to be sealed with none of these keys."""
    kept = session.ask(_SECRETS, {"people": list(people)})
    return [
        login
        for login, *sealed in kept
        if any(secret is not None and not keys.names(secret) for secret in sealed)
    ]


def load(row: AccountRow, keys: KeyRing, kind: SystemTraits | None = None) -> Account:
    """Return what a row means. `kind` None: its system is not connected, or does not matter."""
    return Account(
        id=AccountId(row.id or 0),
        integration=IntegrationId(as_text(row.integration_id)),
        person=PersonId(as_text(row.person_id)),
        login=as_text(row.login),
        readable=account.is_login_name(as_text(row.login)),
        kind=kind,
        wanted=row.wanted,
        acted=row.acted,
        due_at=row.due_at,
        attempts=row.attempts,
        lease=row.lease,
        unknown_until=row.unknown_until,
        password=Password(
            sealed=row.secret,
            secret=open_secret(row, keys),
            set=row.secret_set,
            shown_at=row.shown_at,
            made=row.made,
            since=row.secret_since,
        ),
        proof=open_proof(row, keys),
        trace=row.trace or "",
        faults=_faults(row),
    )


def store(row: AccountRow, before: Account, after: Account, keys: KeyRing) -> Account:
    """Write what became of an account. A password that is to be made is, and is in the answer."""
    row.wanted, row.acted, row.due_at = after.wanted, after.acted, after.due_at
    row.attempts, row.lease, row.unknown_until = after.attempts, after.lease, after.unknown_until
    row.trace, row.made = after.trace or None, after.password.made
    if after.faults != before.faults:  # else what cannot be read of them stays, to be said
        row.faults = {str(e): [fault.why, fault.times] for e, fault in after.faults.items()}
    password, moved = after.password, after.person != before.person
    if moved:  # else what cannot be read of it stays, to be mended
        row.person_id = after.person
    if password.to_make:
        secret = _new_secret(row, keys)
        return after.with_(password=Password(row.secret, secret, made=password.made))
    if moved and password.secret:
        password = replace(password, sealed=keys.seal(password.secret, _about(row)))
    row.secret, row.secret_set, row.shown_at = password.sealed, password.set, password.shown_at
    row.secret_since = password.since
    if before.proof and not after.proof:
        row.proof = None
    if after.proof and (moved or after.proof != before.proof):
        row.proof = keys.seal(after.proof, _about_proof(row))
    return after.with_(password=password)


def _lock(
    tx: Write,
    instance: InstanceId,
    mine: Collection[AccountId],
    wanted: Collection[AccountId],
    *,
    touched: Collection[AccountId],
    now: datetime,
) -> dict[AccountId, AccountRow]:
    """Return, locked, the accounts `mine`, and those `wanted` that are still due.

    Locked with them, in one order, is each that a decision on the requests may touch.
    """
    ids = sorted({*mine, *wanted, *touched})
    given = {"instance": instance, "ids": ids, **claims.moments(now)}
    found = [(AccountId(row.id or 0), row, is_due) for row, is_due in tx.execute(_LOCKED, given)]
    return {id_: row for id_, row, is_due in found if id_ in mine or (id_ in wanted and is_due)}


def _newcomers(tx: Write, accounts: list[AccountId], known: set[RequestId]) -> set[AccountId]:
    """Return accounts that a request joined after the requests were locked: their turn comes."""
    if not accounts:
        return set()
    found = tx.ask(_OPEN, {"accounts": accounts})
    return {AccountId(account) for account, request in found if request not in known}


@dataclass(frozen=True, slots=True)
class _Turn:
    """Does what the core says, for one account after another."""

    tx: Write
    book: UnitOfWork
    company: Company
    desk: Workplace
    now: datetime
    tells: list[Tell] = field(default_factory=list[Tell])
    emptied: set[AccountId] = field(default_factory=set[AccountId])

    def take(self, row: AccountRow) -> Work | None:
        """Lease the account, and return what its system is to be called for."""
        return self.run(row, Take(self._worker(row)))

    def take_in(self, row: AccountRow, done: Done, *, alone: bool) -> Work | None:
        """Store what a piece of work saw; after a look, go on with the order."""
        return self.run(row, Answer(self._worker(row), done, alone))

    def run(self, row: AccountRow, event: Event) -> Work | None:
        """Let something happen to an account, and all that follows from it."""
        now, work = load(row, self.desk.keys, self.desk.kind(row)), None
        follows: Event | None = event
        while follows:
            taken = account.step(now, follows, self.book.wishes(now.id), self.now)
            now = store(row, now, taken.account, self.desk.keys)
            self.book.rows += 1
            for request, command in taken.decide:
                self.book.decide(request, command)
            for entry in taken.audit:
                self.book.note(entry)
            if taken.alarm:
                self._alarm(now, taken.alarm)
            if taken.emptied:
                self.emptied.add(now.id)
            if taken.rotated:
                self._tell_of_rotation(now)
            follows, work = taken.then, taken.work
        return work

    def _worker(self, row: AccountRow) -> Worker:
        owner = self.company.directory.get(PersonId(as_text(row.person_id)))
        here, paused = self.desk.begins, self.company.paused
        return Worker(self.desk.instance, account.may_begin(owner, here=here, paused=paused))

    def _tell_of_rotation(self, of: Account) -> None:
        """Let the owner know: the password that they have will not work with this access."""
        said = alarms.rotated(of, self.now)
        self.tells.append(Tell(of.person, Card.NOTICE, said.key, said.sentence))
        self.book.note(AuditEntry("password_rotated", SYSTEM, {"account": of.id}))
        self.book.rows += 1

    def _alarm(self, of: Account, alarm: Alarm) -> None:
        others = 0
        if alarm.for_all:
            ((others,),) = self.tx.ask(_OTHERS, {"integration": of.integration, "id": of.id})
        owner = self.company.directory.get(of.person)
        said = alarms.not_in_line(of, alarm, owner, others)
        tells = apply.alarm(self.company.admins, said)
        self.tells.extend(tells)
        self.book.rows += len(tells)


def _one(id_: AccountId) -> Select[AccountRow]:
    return select(AccountRow).where(col(AccountRow.id) == id_).with_for_update()


def _note_unreadable(tx: Write, rows: Iterable[AccountRow]) -> None:
    for row in rows:
        for column, said in (("faults", row.faults), ("found", row.found)):
            if said is not None and fields_of(said) is not said:
                tx.unread.note(
                    "account",
                    f"{row.id}/{column}",
                    said,
                    alarms.unread_login(as_text(row.login), column),
                )


_LONG = 20  # digits: no id has as many


def _faults(row: AccountRow) -> dict[EntitlementId, Fault]:
    """Return what failed, and how often; what cannot be read of it is counted anew."""
    found = {}
    for entitlement, fault in fields_of(row.faults).items():
        match fault:
            case [str(why), int(times)] if entitlement.isdecimal() and len(entitlement) < _LONG:
                found[EntitlementId(int(entitlement))] = Fault(why, times)
    return found


def _new_secret(row: AccountRow, keys: KeyRing) -> Secret:
    secret = Secret(random.token_urlsafe(PASSWORD_BYTES))
    row.secret = keys.seal(secret, _about(row))
    row.secret_set, row.shown_at, row.proof, row.secret_since = False, None, None, None
    return secret


def _about(row: AccountRow, system: str = "") -> str:
    return _identity(row, "secret", system)


def _about_proof(row: AccountRow, system: str = "") -> str:
    return _identity(row, "proof", system)


def _identity(row: AccountRow, what: str, system: str) -> str:
    # JSON keeps the parts apart, whatever stands in them.
    parts = system or row.integration_id, row.person_id
    return json.dumps(["account", row.id, *map(as_text, parts), what])
