"""The access loop's reads and writes: which account is not what it should be, and what was seen."""

import json
import secrets as random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, func, not_, or_, select
from sqlmodel import col

from engine.commands import Attempt, Observe, Standing, Tick
from engine.directory import PersonId
from engine.holdings import Wish, unlooked, wants, wish
from engine.inventory import Entitlement, EntitlementId, IntegrationId
from engine.outcome import Entry, Tell
from engine.port import (
    Holding,
    Login,
    Order,
    Outcome,
    Presence,
    Report,
    Secret,
    Target,
    Unavailable,
)
from engine.request import SYSTEM, AccountId, GrantId, GrantState, RequestId, State
from storage import apply, claims, facts, jobs
from storage.book import Book
from storage.claims import LONGEST_PAUSE, InstanceId
from storage.codec import fields_of
from storage.company import Company
from storage.database import UNREAD, Database, Write
from storage.jobs import JobKind
from storage.secrets import KeyRing
from storage.tables import AccountRow, GrantRow
from storage.types import among

ALARM_AFTER = 3  # failures in a row
AGAIN = timedelta(seconds=2)  # until what cannot be done for the moment is tried again
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
LOOK_AFTER_END = timedelta(seconds=2)  # what an account holds then, nobody should have given
PASSWORD_BYTES = 24  # 192 bits, 32 characters


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
            col(AccountRow.priority) == apply.ENDS,
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
_LOCKED = (
    select(AccountRow, and_(*_IS_DUE))
    .where(among(col(AccountRow.id), "ids"))
    .order_by(col(AccountRow.id))
    .with_for_update(key_share=True, of=AccountRow)  # a new grant may point to it meanwhile
)
_OPEN = select(col(GrantRow.account_id), col(GrantRow.request_id)).where(
    among(col(GrantRow.account_id), "accounts"), col(GrantRow.open)
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the loop must know of an integration's connector before it calls it."""

    name: str
    generates_login: bool
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class Desk:
    """Who works, with what: the same for every claim of one process.

    `begins` False: it begins no new access, and leaves that to others.
    """

    instance: InstanceId
    keys: KeyRing
    kinds: Mapping[IntegrationId, Kind]
    begins: bool = True


Item = tuple[RequestId, GrantId, EntitlementId]


@dataclass(frozen=True, slots=True)
class Work:
    """One leased account. There is something to `look` at first, or an `order` to carry out."""

    account: AccountId
    integration: IntegrationId
    version: int
    login: Login
    look: Mapping[EntitlementId, Target]
    order: Order | None
    targets: Mapping[EntitlementId, Target]
    items: tuple[Item, ...]  # the grants that the order speaks of
    secret: bytes | None  # as sealed when the order was made
    given: tuple[Target, ...] = ()  # what the account holds by Latchkey's doing, when looking


Seen = Mapping[Target, Outcome]
Result = Seen | Report | Unavailable


@dataclass(frozen=True, slots=True)
class Silence:
    """A system answers nobody: how many times in a row, and until it may be asked again."""

    times: int
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a piece of work: what the look saw, or the connector's report, or a fault.

    `silence`: the fault is the system's, not this account's.
    """

    work: Work
    result: Result
    silence: Silence | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """An account whose turn it is; `ends`: something has to end there."""

    account: AccountId
    integration: IntegrationId
    ends: bool


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
    return [Due(AccountId(i or 0), IntegrationId(of), p == apply.ENDS) for i, of, p in rows]


def turn(
    tx: Write,
    company: Company,
    desk: Desk,
    now: datetime,
    *,
    done: Sequence[Done] = (),
    ids: Iterable[AccountId] = (),
) -> list[Work]:
    """Store what was seen, and lease what is to be done next: one transaction for both."""
    mine = [d.work.account for d in done]
    wanted = [id_ for id_ in ids if id_ not in mine]
    book = Book(tx, company, facts.sharing(tx, [*mine, *wanted]), now)
    touched = {g.account for r in book.requests for g in r.grants}
    rows = _lock(tx, desk.instance, mine, wanted, touched=touched, now=now)
    _note_unreadable(tx, rows.values())
    goes_on = bool(wanted) or any(isinstance(d.result, Mapping) for d in done)
    late = _newcomers(tx, list(rows), {r.id for r in book.requests}) if goes_on else set()
    step = _Turn(tx, book, company, desk, now)
    works = [step.take_in(rows[d.work.account], d, late) for d in done]
    works += [step.take(rows[id_]) for id_ in wanted if id_ in rows and id_ not in late]
    for id_ in rows.keys() - late:
        rows[id_].priority = step.priority(id_)
    over = sorted(map(str, step.over))
    jobs.schedule_each(tx, JobKind.RECONCILE_ACCOUNT, over, now + LOOK_AFTER_END)
    book.store()
    apply.tell(tx, step.tells, now)
    return [work for work in works if work]


def fail(
    tx: Write, company: Company, desk: Desk, account: AccountId, now: datetime, *, why: str
) -> None:
    """Put off an account whose turn cannot be taken. A lease stays: it is in doubt."""
    query = select(AccountRow).where(col(AccountRow.id) == account)
    row = tx.execute(query.with_for_update(key_share=True)).scalar_one()
    apply.tell(tx, _put_off(row, company, desk, why, now), now)


def reset(tx: Write, desk: Desk, account: AccountId, now: datetime) -> Secret | None:
    """Give the login a new password, which the next order sets; None: there is no such login."""
    row = tx.execute(
        select(AccountRow).where(col(AccountRow.id) == account).with_for_update()
    ).scalar()
    if row is None or not row.made:
        return None
    secret = _new_secret(row, desk.keys)
    apply.bump(tx, [account], now)
    return secret


def forget_secret(tx: Write, account: AccountId) -> bool:
    """Delete the password: the person has saved it, or has had time enough.

    False: the system has not taken it yet, so that it is only shown no more; try again soon.
    """
    row = tx.execute(
        select(AccountRow).where(col(AccountRow.id) == account).with_for_update()
    ).scalar()
    if row is None or row.secret is None:
        return True
    if not row.secret_set:
        row.shown_at = LONG_AGO
        return False
    row.secret = None
    return True


def open_secret(row: AccountRow, keys: KeyRing) -> Secret | None:
    """Return the password that is kept for the account's owner to see."""
    return keys.open(row.secret, _about(row)) if row.secret else None


def login_of(row: AccountRow, keys: KeyRing, password: Secret | None = None) -> Login:
    """Return the account's login as a connector is told of it."""
    proof = open_proof(row, keys)
    return Login(row.login, row.person_id, password, proof, row.trace or "")


def open_proof(row: AccountRow, keys: KeyRing) -> Secret | None:
    """Return that by which the system can be given the same password again."""
    return keys.open(row.proof, _about_proof(row)) if row.proof else None


def hand_over(row: AccountRow, person: PersonId, keys: KeyRing) -> bool:
    """Give the account to the same person under another id.

    What is kept of the password is bound to the id, and goes along. True: an order that is under
    way no longer speaks of it.
    """
    secret, proof = open_secret(row, keys), open_proof(row, keys)
    row.person_id = person
    row.secret = keys.seal(secret, _about(row)) if secret else row.secret
    row.proof = keys.seal(proof, _about_proof(row)) if proof else row.proof
    return secret is not None


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
    tx: Write
    book: Book
    company: Company
    desk: Desk
    now: datetime
    tells: list[Tell] = field(default_factory=list[Tell])
    over: set[AccountId] = field(default_factory=set[AccountId])  # that hold nothing any more

    def take_in(self, row: AccountRow, done: Done, late: Collection[AccountId]) -> Work | None:
        """Store what a piece of work saw; after a look, go on with the order."""
        if row.lease != self.desk.instance:
            # This process was thought dead. What it did may cross what its successor does.
            row.wanted += 1
            self._doubt(row)
            return None
        over = self._give_up(row, done)
        if done.work.order is not None:
            if isinstance(done.result, Report):
                self._settle(row, done.work, done.work.order, done.result, over)
            else:
                self._unanswered(row, done, done.work.order, over)
            return None
        if why := self._looked(row, done.work, done.result, over):
            self._fail(row, why, done.silence)
            return None
        row.lease = None
        return None if AccountId(row.id or 0) in late else self.take(row)

    def take(self, row: AccountRow) -> Work | None:
        """Lease the account and say what is to be done: a look first, or the order at once."""
        kind = self._kind(row)
        if kind is None:
            row.due_at = self.now + AGAIN  # it has just gone out of order here
            return None
        if row.lease is not None:
            self._doubt(row)
        account = AccountId(row.id or 0)
        for request in self.book.on(account):
            if request.state is State.REVOKING:
                self.book.decide(request.id, Tick())
        ours, new = unlooked(account, self.book.on(account))
        self._stand(account, dict.fromkeys(ours, False))
        if kind.generates_login and not row.made:
            self._stand(account, dict.fromkeys(new, False))
        elif new and not self._stopped(row):
            return self._work(row, look=new)
        return self._begin(row, kind)

    def priority(self, account: AccountId) -> int:
        """Return whose turn it is, by what the requests come to now."""
        return apply.ENDS if wish(account, self.book.on(account)).unwanted else apply.REST

    def _give_up(self, row: AccountRow, done: Done) -> Collection[EntitlementId]:
        """Refuse what could not be given several times in a row, for one reason that lasts.

        What is held is not refused: there it is tried for ever, as an end is. Return the rest.
        """
        before, account = _faults(row), AccountId(row.id or 0)
        faults: dict[str, list[Any]] = {}
        over: dict[EntitlementId, Outcome] = {}
        for entitlement, why in _lasting(done).items():
            said, times = before.get(str(entitlement), ("", 0))
            if said == why and times + 1 >= ALARM_AFTER:
                over[entitlement] = Outcome(Presence.REFUSED, why)
            else:
                faults[str(entitlement)] = [why, times + 1 if said == why else 1]
        if faults != (row.faults or {}):
            row.faults = faults
        held: set[EntitlementId] = set()
        for request in self.book.on(account) if over else ():
            mine = [g for g in request.grants if g.account == account and g.entitlement in over]
            held |= {g.entitlement for g in mine if g.state is GrantState.HELD}
            self.book.decide(request.id, Observe({g.id: over[g.entitlement] for g in mine}))
        return over.keys() - held

    def _stopped(self, row: AccountRow) -> bool:
        """Tell whether nothing new is begun: at all, or for somebody who may be another now."""
        person = self.company.directory.get(PersonId(row.person_id))
        return (
            self.company.paused
            or not self.desk.begins
            or (person is not None and person.suspended is not None)
        )

    def _looked(
        self, row: AccountRow, work: Work, result: Result, over: Collection[EntitlementId]
    ) -> str:
        """Store what the first look found; return why it found nothing."""
        looked = {e: t for e, t in work.look.items() if e not in over}
        if isinstance(result, Unavailable):
            return str(result) if looked else ""
        seen = result.outcomes if isinstance(result, Report) else result
        if unclear := [t for t in looked.values() if seen[t].presence is Presence.UNKNOWN]:
            return seen[unclear[0]].reason
        found = {e: seen[t].presence is Presence.HELD for e, t in looked.items()}
        self._stand(AccountId(row.id or 0), found)
        return ""

    def _stand(self, account: AccountId, found: Mapping[EntitlementId, bool]) -> None:
        for request in self.book.on(account):
            mine = {
                g.id: found[g.entitlement]
                for g in request.grants
                if g.account == account
                and g.entitlement in found
                and g.standing is None
                and wants(request, g)
            }
            if mine:
                self.book.decide(request.id, Standing(mine))

    def _begin(self, row: AccountRow, kind: Kind) -> Work | None:
        """Store, before the connector is called, that access is about to begin."""
        account = AccountId(row.id or 0)
        if UNREAD in row.login:  # which no system would know: it would seem to be gone
            self._fail(row, "the login that is stored cannot be read: correct it in the database")
            return None
        for request in self.book.on(account) if not self._stopped(row) else ():
            if any(g.account == account and g.state is GrantState.WANTED for g in request.grants):
                self.book.decide(request.id, Attempt())
        wished = wish(account, self.book.on(account))
        password_due = row.made and row.secret is not None and not row.secret_set
        if not (wished.wanted or wished.unwanted or password_due):
            self._finish(row, row.wanted)
            return None
        if kind.generates_login and wished.wanted:
            never_seen = row.secret is None and (not row.made or row.shown_at is None)
            if never_seen or (row.secret and open_secret(row, self.desk.keys) is None):
                _new_secret(row, self.desk.keys)
        return self._work(row, wished=wished)

    def _work(
        self, row: AccountRow, *, look: Iterable[EntitlementId] = (), wished: Wish | None = None
    ) -> Work:
        account = AccountId(row.id or 0)
        named = [*wished.wanted, *wished.unwanted] if wished else list(look)
        targets = {e: target_of(self.book.entitlements[e]) for e in sorted(named)}
        password = None if row.secret_set else open_secret(row, self.desk.keys)
        login = login_of(row, self.desk.keys, password)
        order = None
        if wished:
            remaining = max(wished.until - self.now, timedelta()) if wished.until else None
            holdings = [Holding(target, e in wished.wanted) for e, target in targets.items()]
            order = Order(login, holdings, remaining, self._standing(account))
        items = tuple(
            (r.id, g.id, g.entitlement)
            for r in self.book.on(account)
            for g in r.grants
            if g.account == account and g.entitlement in targets and g.begun and not g.standing
        )
        row.lease = self.desk.instance
        integration = IntegrationId(row.integration_id)
        ours = None if wished else wish(account, self.book.on(account))
        begun = sorted(ours.wanted | ours.unwanted) if ours else []
        return Work(
            account,
            integration,
            row.wanted,
            login,
            {} if wished else targets,
            order,
            targets,
            items,
            row.secret,
            tuple(target_of(self.book.entitlements[e]) for e in begun),
        )

    def _standing(self, account: AccountId) -> tuple[Target, ...]:
        grants = [g for r in self.book.on(account) for g in r.grants]
        mine = {g.entitlement for g in grants if g.account == account and g.standing}
        return tuple(target_of(self.book.entitlements[e]) for e in sorted(mine))

    def _unanswered(
        self, row: AccountRow, done: Done, order: Order, over: Collection[EntitlementId]
    ) -> None:
        if row.unknown_until and order.wanted:
            self._doubt(row)  # what it may have begun takes effect until later
        if over == done.work.targets.keys():
            self._finish(row, done.work.version)
        else:
            self._fail(row, str(done.result), done.silence)

    def _settle(
        self,
        row: AccountRow,
        work: Work,
        order: Order,
        result: Report,
        over: Collection[EntitlementId],
    ) -> None:
        if result.login_missing:
            # It may be there: `made` stays, so that what is new is looked at before it is given.
            if row.secret in {work.secret, None}:  # else it was reset meanwhile, and is shown
                _new_secret(row, self.desk.keys)
            self._fail(row, f"the login {row.login} is missing, or no password is known for it")
            return
        doubted = self._doubted(row)
        if order.unwanted and not result.alone and row.unknown_until is None:
            # A call of ours may still take effect: what it would do is seen to once it cannot.
            self._doubt(row)
            doubted = True
        fault = self._observe(row, work, result, doubted=doubted, over=over)
        self._keep_password(row, work, order, result)
        for note in result.notes:
            self.book.note(Entry("noted", SYSTEM, {"account": row.login, "note": note}))
        if fault:
            self._fail(row, fault)
            return
        self._finish(row, work.version)
        kind = self._kind(row)
        if order.unwanted and kind and kind.generates_login and not self._holds(row):
            self.over.add(AccountId(row.id or 0))
        if not doubted:
            row.unknown_until = None
        elif row.wanted == work.version:
            # What was begun, by whomever, may still take effect: see to it once more, after that.
            row.wanted += 1
            row.due_at = row.unknown_until

    def _observe(
        self,
        row: AccountRow,
        work: Work,
        report: Report,
        *,
        doubted: bool,
        over: Collection[EntitlementId],
    ) -> str:
        """Tell the requests what was seen; return what is not yet as it should be."""
        wanted = frozenset(work.order.wanted if work.order else ())
        faults: list[str] = []
        account = AccountId(row.id or 0)
        for request in self.book.on(account):
            seen: dict[GrantId, Outcome] = {}
            for of, grant, entitlement in work.items:
                target = work.targets[entitlement]
                if of == request.id and entitlement not in over:
                    outcome, fault = _judge(
                        target, report.outcomes[target], wanted=target in wanted, doubted=doubted
                    )
                    seen[grant] = outcome
                    faults += [fault] if fault else []
            extended = any(g.account == account and g.begun for g in request.grants)
            if seen or (extended and request.end_before):
                newest = work.version == row.wanted
                self.book.decide(request.id, Observe(seen, report.deadline_refused, newest))
        return "; ".join(dict.fromkeys(faults))

    def _keep_password(self, row: AccountRow, work: Work, order: Order, result: Report) -> None:
        """Store what the system has of it, but for a password that was replaced meanwhile."""
        if result.trace is not None:
            row.trace = result.trace or None
        if result.proof and row.secret in {work.secret, None}:
            row.proof = self.desk.keys.seal(result.proof, _about_proof(row))
        if work.login.password and row.secret == work.secret:
            row.secret_set = True
            row.made = row.made or bool(order.wanted)

    def _finish(self, row: AccountRow, version: int) -> None:
        row.acted, row.attempts, row.lease, row.due_at = version, 0, None, self.now
        if not self._holds(row):
            row.secret, row.secret_set = None, False
        if not self.desk.begins and self._waits(row) and row.wanted == version:
            row.wanted, row.due_at = version + 1, self.now + AGAIN

    def _waits(self, row: AccountRow) -> bool:
        """Tell whether there is something new that could be begun."""
        account = AccountId(row.id or 0)
        return any(
            g.account == account and g.state is GrantState.WANTED and wants(r, g)
            for r in self.book.on(account)
            for g in r.grants
        )

    def _holds(self, row: AccountRow) -> bool:
        account = AccountId(row.id or 0)
        requests = self.book.on(account)
        return any(g.account == account and g.open for r in requests for g in r.grants)

    def _fail(self, row: AccountRow, why: str, silence: Silence | None = None) -> None:
        row.lease = None
        if silence is None or silence.times <= ALARM_AFTER:
            detail = {
                "account": row.login,
                "integration": row.integration_id,
                "why": why,
                "silent": silence is not None,
            }
            self.book.note(Entry("delayed", SYSTEM, detail))
        if silence is None:
            self.tells.extend(_put_off(row, self.company, self.desk, why, self.now))
            return
        # It is no worse than the others that wait there: one of them is the next that is tried.
        row.due_at = self.now + silence.pause
        if silence.times == ALARM_AFTER:
            given = {"integration": row.integration_id, "id": row.id}
            ((others,),) = self.tx.ask(_OTHERS, given)
            self.tells.extend(_alarm(row, self.company, self.desk, why, others))

    def _doubt(self, row: AccountRow) -> None:
        row.unknown_until = self.now + self._deadline(row)

    def _doubted(self, row: AccountRow) -> bool:
        if row.unknown_until is None:
            return False
        # It is never further ahead, but where the clock has been set back.
        row.unknown_until = min(row.unknown_until, self.now + self._deadline(row))
        return self.now < row.unknown_until

    def _deadline(self, row: AccountRow) -> timedelta:
        kind = self._kind(row)
        return kind.deadline if kind else LONGEST_PAUSE

    def _kind(self, row: AccountRow) -> Kind | None:
        return self.desk.kinds.get(IntegrationId(row.integration_id))


def _note_unreadable(tx: Write, rows: Iterable[AccountRow]) -> None:
    for row in rows:
        for column, said in (("faults", row.faults), ("found", row.found)):
            if said is not None and fields_of(said) is not said:
                tx.unread.note(
                    "account",
                    f"{row.id}/{column}",
                    said,
                    f"What was noted of the login {row.login} ({column}) cannot be read, and is "
                    "forgotten: it is seen again if it lasts.",
                )


def _faults(row: AccountRow) -> dict[str, tuple[str, int]]:
    """Return what failed, and how often; what cannot be read of it is counted anew."""
    found = {}
    for entitlement, fault in fields_of(row.faults).items():
        match fault:
            case [str(why), int(times)]:
                found[entitlement] = why, times
    return found


def _put_off(row: AccountRow, company: Company, desk: Desk, why: str, now: datetime) -> list[Tell]:
    """Try again later, with growing pauses, for ever; at three failures the admins are told."""
    row.attempts += 1
    pause = timedelta(seconds=2 ** min(row.attempts - 1, 10))
    row.due_at = now + min(LONGEST_PAUSE, pause)
    return _alarm(row, company, desk, why) if row.attempts == ALARM_AFTER else []


def _alarm(row: AccountRow, company: Company, desk: Desk, why: str, others: int = 0) -> list[Tell]:
    """Tell the admins of an account, and of how many `others` that wait for the same system."""
    person = company.directory.get(PersonId(row.person_id))
    kind = desk.kinds.get(IntegrationId(row.integration_id))
    who = person.name if person else row.person_id
    sentence = (
        f"{kind.name if kind else row.integration_id}: the access of {who}"
        f"{f', and of {others} more,' if others else ''} could not be brought in line "
        f"{ALARM_AFTER} times in a row: {why}. It is being tried again, without end."
    )
    key = f"account/{row.id}/{row.wanted}"
    return apply.alarm(company.admins, key, sentence)


def _judge(target: Target, seen: Outcome, *, wanted: bool, doubted: bool) -> tuple[Outcome, str]:
    """Return what may be believed of an outcome, and what is at fault with it.

    While a dead instance may still change the system, nothing is called gone.
    """
    match seen.presence:
        case Presence.ABSENT if wanted:
            why = seen.reason or f"{target} is not there yet"
        case Presence.ABSENT if doubted:
            return Outcome(Presence.UNKNOWN), ""
        case Presence.HELD if not wanted:
            why = seen.reason or f"{target} is still there"
        case Presence.UNKNOWN:
            why = seen.reason
        case _:
            return seen, ""
    return Outcome(Presence.UNKNOWN, why), why


def _lasting(done: Done) -> dict[EntitlementId, str]:
    """Return what was to be given, and will not be until somebody does what the sentence says."""
    order, result = done.work.order, done.result
    asked = done.work.targets
    if order is not None:
        wanted = set(order.wanted)
        asked = {e: t for e, t in asked.items() if t in wanted}
    if isinstance(result, Unavailable):
        return dict.fromkeys(asked, str(result)) if result.lasting else {}
    seen = result.outcomes if isinstance(result, Report) else result
    lasting = {e: seen[t] for e, t in asked.items() if seen[t].lasting}
    return {e: o.reason for e, o in lasting.items() if o.presence is Presence.UNKNOWN}


def target_of(entitlement: Entitlement) -> Target:
    resource, server = entitlement.resource, entitlement.integration.server
    permission = entitlement.permission.name
    return Target(resource.type, resource.source_id, resource.path, permission, server)


def _new_secret(row: AccountRow, keys: KeyRing) -> Secret:
    secret = Secret(random.token_urlsafe(PASSWORD_BYTES))
    row.secret = keys.seal(secret, _about(row))
    row.secret_set, row.shown_at, row.proof = False, None, None
    return secret


def _about(row: AccountRow) -> str:
    return _identity(row, "secret")


def _about_proof(row: AccountRow) -> str:
    return _identity(row, "proof")


def _identity(row: AccountRow, what: str) -> str:
    # JSON keeps the parts apart, whatever stands in them.
    return json.dumps(["account", row.id, row.integration_id, row.person_id, what])
