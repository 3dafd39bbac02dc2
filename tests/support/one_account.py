"""One account, the requests that touch it, and its system, in memory: what the store keeps, and
what the access loop does with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from engine import lifecycle
from engine.account import (
    Account,
    Alarm,
    Answer,
    Begins,
    Done,
    Event,
    Password,
    Step,
    SystemTraits,
    Take,
    Wanted,
    Work,
    Worker,
    step,
)
from engine.commands import Command, Tick
from engine.holdings import Wishes, calls, held_elsewhere
from engine.outcome import AuditEntry, Decision
from engine.port import Secret, Unavailable
from engine.request import AccessRequest, AccountId, Grant, RequestId
from tests.support.builders import ANN, NOW, ORDERS, entitlement, facts, flow, request
from tests.support.system import DEADLINE, System

MINE = AccountId(1)
ME, OTHER = 1, 2  # processes
MAKES_LOGINS = SystemTraits("Orders", generates_login=True, deadline=DEADLINE)
HAS_LOGINS = SystemTraits("Wiki", generates_login=False, deadline=DEADLINE)
INVENTORY = {e.id: e for e in map(entitlement, (1, 2, 3))}
AUTOMATIC = flow(approval=None)


def account(**values: object) -> Account:
    """Build ANN's account in a system that makes logins; nothing was ever done there."""
    made = Account(id=MINE, integration=ORDERS, person=ANN, login="lk_ann", kind=MAKES_LOGINS)
    return made.with_(**values)


def password(word: str = "first", **values: object) -> Password:
    """Build a password that is kept; by itself, one that the system lacks."""
    return replace(Password(sealed=word.encode(), secret=Secret(word)), **values)


@dataclass
class One:
    """What happens goes on until nothing follows from it; `steps` are all that it came to."""

    account: Account = field(default_factory=account)
    now: datetime = NOW
    system: System = field(default_factory=System)
    requests: dict[RequestId, AccessRequest] = field(default_factory=dict)
    begins: Begins = Begins.YES
    steps: list[Step] = field(default_factory=list)
    passwords: int = 0
    changed: bool = False  # a decision wants the account otherwise

    @property
    def alarms(self) -> list[Alarm]:
        return [s.alarm for s in self.steps if s.alarm]

    @property
    def audit(self) -> list[AuditEntry]:
        return [entry for s in self.steps for entry in s.audit]

    @property
    def wishes(self) -> Wishes:
        mine = [r for r in self.requests.values() if not r.state.final]
        return Wishes(MINE, mine, INVENTORY)

    @property
    def held(self) -> set[str]:
        return {t.path for t in self.system.held.get(self.account.login, set())}

    def ask(self, *entitlements: int, **values: object) -> RequestId:
        """Submit a request that is granted without approval."""
        id_ = RequestId(len(self.requests) + 1)
        made = request(AUTOMATIC, *entitlements, id=id_, submitted_at=self.now, **values)
        made = made.with_(lapses_at=self.now + AUTOMATIC.revision.lapses_after)
        self._decided(made, lifecycle.begin(made, facts(AUTOMATIC), self.now))
        self._settle()
        return id_

    def do(self, id_: RequestId, command: Command) -> None:
        """Decide what somebody does to a request."""
        self._decide(id_, command)
        self._settle()

    def tick(self, after: timedelta = timedelta()) -> None:
        self.now += after
        for id_ in self.requests:
            self._decide(id_, Tick())
        self._settle()

    def grant(self, id_: RequestId, number: int = 0) -> Grant:
        return self.requests[id_].grants[number]

    def happen(self, event: Event) -> Work | None:
        """Let something happen to the account, as one transaction does; return the work."""
        follows, work = event, None
        while follows:
            made = step(self.account, follows, self.wishes, self.now)
            self.steps.append(made)
            self.account = self._kept(made.account)
            for id_, command in made.decide:
                self._decide(id_, command)
            follows, work = made.then, made.work
        self._settle()
        return work

    def take(self, by: int = ME) -> Work | None:
        """Take it up, if it is due."""
        due = self.account.acted < self.account.wanted
        if not due or (self.account.due_at and self.account.due_at > self.now):
            return None
        return self.happen(Take(Worker(by, self.begins)))

    def call(self, work: Work) -> Done:
        """Call the system."""
        try:
            if work.order is None:
                return Done(work, self.system.inspect(work.login, list(work.look.values())))
            creates = self.account.generates_login
            return Done(work, self.system.apply(work.order, creates=creates))
        except Unavailable as fault:
            return Done(work, fault)

    def answer(self, done: Done, by: int = ME) -> Work | None:
        return self.happen(Answer(Worker(by, self.begins), done))

    def converge(self, by: int = ME) -> None:
        """Do what the access loop does until nothing is due."""
        for _ in range(50):
            work = self.take(by)
            if work is None and not self._is_due:
                return
            while work:
                work = self.answer(self.call(work), by)
        raise AssertionError("the account does not come to rest")

    @property
    def _is_due(self) -> bool:
        of = self.account
        return of.acted < of.wanted and (of.due_at is None or of.due_at <= self.now)

    def _decide(self, id_: RequestId, command: Command) -> None:
        before = self.requests[id_]
        others: Sequence[AccessRequest] = list(self.requests.values())
        known = facts(AUTOMATIC, held_elsewhere=held_elsewhere(before, others))
        result = lifecycle.decide(before, command, known, self.now)
        if isinstance(result, Decision):
            self._decided(before, result)

    def _decided(self, before: AccessRequest, decision: Decision) -> None:
        self.requests[before.id] = decision.request
        self.changed |= bool(calls(before, decision.request))

    def _settle(self) -> None:
        """Store what the decisions want: in one transaction with them."""
        if self.changed:
            self.changed = False
            self.happen(Wanted())

    def _kept(self, after: Account) -> Account:
        if not after.password.to_make:
            return after
        self.passwords += 1
        made = password(f"password {self.passwords}", made=after.password.made)
        return after.with_(password=made)
