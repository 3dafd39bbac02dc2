"""The port of every connector: what Latchkey asks of a real system, and what it must answer.

A connector never remembers. It is told what one account should hold, makes it so, looks, and
reports what it saw. “Already so” is success. It raises only `Unavailable`, a fault that may pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from engine.inventory import Tags


class Unavailable(Exception):  # noqa: N818  (it names the state of the world, not a mistake)
    """The system did not answer, or not for now. Trying again later may help."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Text that neither `repr` nor `str` shows; only `reveal()` gives it out."""

    _value: str

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def reveal(self) -> str:
        return self._value


@dataclass(frozen=True, slots=True)
class Target:
    """One entitlement as the system knows it."""

    type: str  # resource type, as discovered
    source_id: str
    path: str
    permission: str

    def __str__(self) -> str:
        return f"{self.permission} on {self.path}"


@dataclass(frozen=True, slots=True)
class Holding:
    """One target that the ledger names for an account, and whether to hold it now."""

    target: Target
    wanted: bool


@dataclass(frozen=True, slots=True)
class Login:
    """The login of one person in one system.

    `name` is generated from the person's id and does not change. `password` is given only while it
    is to be set: at creation, after a reset, and again until the connector has confirmed it.
    """

    name: str
    owner: str  # whose login it is, for the comment in the system: the person's id
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What one account should be from now on.

    `remaining` is the time until the last wanted holding ends; None is without end. The system's
    own clock turns it into a moment, so that a wrong clock here does no harm.
    """

    login: Login
    holdings: Sequence[Holding]
    remaining: timedelta | None = None

    @property
    def wanted(self) -> list[Target]:
        return [h.target for h in self.holdings if h.wanted]

    @property
    def unwanted(self) -> list[Target]:
        return [h.target for h in self.holdings if not h.wanted]


class Presence(StrEnum):
    HELD = "held"  # seen in the system
    ABSENT = "absent"  # seen not to be there; a target that is gone is absent
    REFUSED = "refused"  # never given: the target is gone, or Latchkey lacks the right
    UNKNOWN = "unknown"  # a fault that may pass; nothing is known


@dataclass(frozen=True, slots=True)
class Outcome:
    presence: Presence
    reason: str = ""  # a sentence for people; required with REFUSED and UNKNOWN


@dataclass(frozen=True, slots=True)
class Report:
    """What `apply` saw when it was done, one outcome for each holding of the order.

    `login_missing`: the login does not exist and no password was given to create it with.
    `deadline_refused`: the system kept the old end (a sentence); the outcomes hold all the same.
    `notes`: what an operator should know, e.g. objects handed to the database's owner.
    """

    outcomes: dict[Target, Outcome]
    login_missing: bool = False
    deadline_refused: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discovered:
    """One resource and the permissions that can be had on it, each with a risk of 1 to 10."""

    type: str
    name: str
    path: str
    source_id: str
    permissions: dict[str, int]
    risk: int = 5
    tags: Tags = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `latchkey doctor`."""

    name: str
    ok: bool
    detail: str


class Connector(Protocol):
    """One integration. Calls may come from several threads, but for one login one at a time."""

    generates_login: bool  # a fresh account cannot hold anything that Latchkey did not give
    deadline: timedelta  # after this long, no call that was begun can still change the system

    def discover(self) -> Iterable[Discovered]:
        """Yield all resources. Raise `Unavailable` rather than leave some out."""
        ...

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now, changing nothing.

        `given` is what Latchkey gave it: what is there only because of that counts as absent.
        """
        ...

    def apply(self, order: Order) -> Report:
        """Make the account hold what is wanted and not what is unwanted; look; report."""
        ...

    def cleanup(self, login: Login) -> tuple[str, ...]:
        """Remove the login and all that it was given; return notes for the operator."""
        ...

    def logins(self) -> list[str]:
        """Names of all logins in the system that this installation of Latchkey made."""
        ...

    def instructions(self, login: Login, targets: Sequence[Target]) -> dict[str, str]:
        """Tell the grantee how to use the access: label → value (host, port, user …). No I/O."""
        ...

    def check(self) -> list[Check]:
        """Look whether Latchkey's own login can do its work, for `latchkey doctor`."""
        ...

    def close(self) -> None: ...
