"""An account as a value, what can happen to it, and what comes of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Self

from engine.commands import Command
from engine.directory import PersonId
from engine.inventory import EntitlementId, IntegrationId
from engine.outcome import AuditEntry
from engine.port import Login, Order, Outcome, Report, Secret, Target, Unavailable
from engine.request import AccountId, GrantId, RequestId


class Phase(StrEnum):
    """Where an account stands. In doubt: a call that nobody heard of may still take effect."""

    REST = "at rest"  # it is as it should be
    DUE = "due"  # it is not, and nobody works on it
    WORK = "at work"  # leased
    REST_IN_DOUBT = "at rest, in doubt"
    DUE_IN_DOUBT = "due, in doubt"
    WORK_IN_DOUBT = "at work, in doubt"


class PasswordState(StrEnum):
    NONE = "none"  # nobody has seen one: where a login is to be given, one is made
    TO_MAKE = "to make"  # one is made, and stored, before anything is called
    STORED = "stored"  # the system may not have it yet
    SET = "set"  # the system has it, and its owner may still look at it
    LOST = "lost"  # no key opens it any more
    FORGOTTEN = "forgotten"  # the system has it, and its owner alone


@dataclass(frozen=True, slots=True)
class Password:
    """What is kept of a login's password.

    `sealed` is for the store alone to open; here it only tells one password from another. `secret`
    is what it opens to. `made`: the login was made in the system, with one of ours. `since`: the
    system has had this one since then; None: nobody knows.
    """

    sealed: bytes | None = None
    secret: Secret | None = None
    set: bool = False
    shown_at: datetime | None = None
    made: bool = False
    since: datetime | None = None
    to_make: bool = False

    @property
    def state(self) -> PasswordState:
        if self.to_make:
            return PasswordState.TO_MAKE
        if self.sealed is None:
            seen = self.made and self.shown_at
            return PasswordState.FORGOTTEN if seen else PasswordState.NONE
        if self.secret is None:
            return PasswordState.LOST
        return PasswordState.SET if self.set else PasswordState.STORED


@dataclass(frozen=True, slots=True)
class Logins:
    """How old the logins of a system may get; None: as old as they like.

    A password older than `rotate_after` is replaced at the next request, never during access. A
    login that has held nothing for `clean_up_after` is dropped; one of somebody who left, at once.
    """

    rotate_after: timedelta | None = timedelta(days=90)
    clean_up_after: timedelta | None = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class SystemTraits:
    """What must be known of a system before it is called.

    `generates_login`: a fresh login holds nothing that Latchkey did not give. `deadline`: after
    this long no call that was begun can still change the system.
    """

    name: str
    generates_login: bool
    deadline: timedelta
    logins: Logins = Logins()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something could not be given, which lasts; and how many times in a row it was said."""

    why: str
    times: int


class Priority(IntEnum):
    """Whose turn comes first."""

    ENDS = 0  # something there has to end
    REST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person in one system.

    What it should be has the number `wanted`, what was made so `acted`. `lease` is the process that
    works on it. `kind` None: its system is not connected here. Not `readable`: what is stored of
    the login's name makes no sense. `proof` and `trace` are what the connector told last, for
    `port.Login`.
    """

    id: AccountId
    integration: IntegrationId
    person: PersonId
    login: str
    readable: bool = True
    kind: SystemTraits | None = None
    wanted: int = 0
    acted: int = 0
    due_at: datetime | None = None
    attempts: int = 0
    lease: int | None = None
    unknown_until: datetime | None = None
    password: Password = Password()
    proof: Secret | None = None
    trace: str = ""
    faults: Mapping[EntitlementId, Fault] = field(default_factory=dict[EntitlementId, Fault])

    def with_(self, **changes: Any) -> Self:  # noqa: ANN401  (any field)
        return replace(self, **changes)

    @property
    def phase(self) -> Phase:
        if self.lease is not None:
            return Phase.WORK_IN_DOUBT if self.unknown_until else Phase.WORK
        if self.acted < self.wanted:
            return Phase.DUE_IN_DOUBT if self.unknown_until else Phase.DUE
        return Phase.REST_IN_DOUBT if self.unknown_until else Phase.REST

    @property
    def vouched(self) -> bool:
        """Whether what is sealed of it says that it is this person's, in this system."""
        return self.proof is not None or self.password.secret is not None

    @property
    def generates_login(self) -> bool:
        return self.kind is not None and self.kind.generates_login


# --- work ----------------------------------------------------------------------------------------


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
    sealed: bytes | None  # the password that was kept when the order was made
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


# --- events --------------------------------------------------------------------------------------


class Begins(StrEnum):
    """Whether new access is begun. What has ended is taken away all the same."""

    YES = "yes"
    NOT_NOW = "not now"  # whoever changes that wants the account anew
    NOT_HERE = "not here"  # another process does


@dataclass(frozen=True, slots=True)
class Worker:
    """The process that works on an account."""

    instance: int
    begins: Begins = Begins.YES


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the account should be has changed."""


@dataclass(frozen=True, slots=True)
class Take:
    """A worker takes it up."""

    by: Worker


@dataclass(frozen=True, slots=True)
class Begin:
    """Its requests know that its turn has come."""

    by: Worker


@dataclass(frozen=True, slots=True)
class Call:
    """Its requests have begun what may be begun; a password that was due is stored."""

    by: Worker


@dataclass(frozen=True, slots=True)
class Answer:
    """The system was called. `alone` False: a request that is not among the wishes joined."""

    by: Worker
    done: Done
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """Its requests know what was seen, and nothing is at fault.

    `seen` False: nothing was asked of the system. `ended`: something was to be taken away.
    """

    by: Worker
    version: int
    seen: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Stumble:
    """Its turn could not be taken: a fault of ours."""

    why: str


@dataclass(frozen=True, slots=True)
class Compare:
    """The ledger is to be compared with what the system says."""

    by: Worker


@dataclass(frozen=True, slots=True)
class Compared:
    """It was. `trace` None: what was kept stays. `dropped`: the login is no more."""

    by: Worker
    trace: str | None = None
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """Its owner asks for a new password."""


@dataclass(frozen=True, slots=True)
class Show:
    """Its owner looks at the password."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Its owner has the password, or has had time enough."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The same person has another id."""

    person: PersonId


Event = (
    Wanted
    | Take
    | Begin
    | Call
    | Answer
    | Finish
    | Stumble
    | Compare
    | Compared
    | Reset
    | Show
    | Saved
    | HandOver
)


# --- what comes of them --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alarm:
    """The administrators are to know. `for_all`: of all that wait for the same system."""

    why: str
    for_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an event comes to.

    The account is stored, with the password that it is `to_make`; `decide` is decided, by the
    requests; `then` follows, with what they wish after that. `work` is what the system is called
    for. `shown` is the password, for its owner to see. `forget_at`: `Saved` follows at that moment,
    whatever its owner does. `emptied`: it holds nothing any more, which is worth a look of its own.
    `rotated`: its owner is to know that the password they have is replaced.
    """

    account: Account
    decide: tuple[tuple[RequestId, Command], ...] = ()
    then: Event | None = None
    work: Work | None = None
    audit: tuple[AuditEntry, ...] = ()
    alarm: Alarm | None = None
    shown: Secret | None = None
    forget_at: datetime | None = None
    emptied: bool = False
    rotated: bool = False
