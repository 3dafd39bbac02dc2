"""The port of every connector: what Latchkey asks of a real system, and what it must answer.

A connector never remembers. It is told what one account should hold, makes it so, looks, and
reports what it saw. “Already so” is success. It raises only `Unavailable`, a fault that may pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from engine.errors import LatchkeyError
from engine.inventory import PermissionId, Policies, Tags


class Unavailable(LatchkeyError):  # noqa: N818  (it names the state of the world, not a mistake)
    """The system did not answer, or not for now. Trying again later may help.

    `lasting`: it will say the same until somebody does what the sentence names as the cure. A grant
    is not tried for ever against that; an end is.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


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
    """One entitlement as the system knows it.

    `server` is which one gave the numbers in `source_id`, as `Connector.server` names it. Another
    may use the same numbers for other things: there only the path counts, and nothing is given.
    """

    type: str  # resource type, as discovered
    source_id: str
    path: str
    permission: str  # its id in the system
    server: str = ""

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
    `proof` is what `Report.proof` told last: with it the same password can be set again, unseen.
    `trace` is what `Report.trace` told last: it leads back to what the targets no longer lead to.
    What it names, and no holding and nothing standing explains, is taken away by `apply`.
    """

    name: str
    owner: str  # whose login it is, for the comment in the system: the person's id
    password: Secret | None = None
    proof: Secret | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What one account should be from now on.

    `remaining` is the time until the last wanted holding ends; None is without end. The system's
    own clock turns it into a moment, so that a wrong clock here does no harm. `standing` was there
    before Latchkey and stays, whatever else goes.
    """

    login: Login
    holdings: Sequence[Holding]
    remaining: timedelta | None = None
    standing: Sequence[Target] = ()

    @property
    def wanted(self) -> list[Target]:
        return [h.target for h in self.holdings if h.wanted]

    @property
    def unwanted(self) -> list[Target]:
        return [h.target for h in self.holdings if not h.wanted]


class Presence(StrEnum):
    HELD = "held"  # seen in the system
    ABSENT = "absent"  # seen not to be there; a target that is gone is absent
    REFUSED = "refused"  # not given, what was begun of it is undone; only with what is wanted
    UNKNOWN = "unknown"  # a fault that may pass; nothing is known


@dataclass(frozen=True, slots=True)
class Outcome:
    """`lasting`, with UNKNOWN: as in `Unavailable`.

    `left_out`, with HELD: what of the target could not be given, in words that go after “all but”.
    """

    presence: Presence
    reason: str = ""  # a sentence for people; required with REFUSED and UNKNOWN
    lasting: bool = False
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What `apply` saw when it was done, one outcome for each holding of the order.

    `login_missing`: the login does not exist, or nothing is known that its password could be set
    to, and no password was given.
    `deadline_refused`: the system kept the old end (a sentence); the outcomes hold all the same.
    `alone`: False, somebody kept Latchkey from making sure that none of its own calls is under way:
    one that was paused may still take effect, until `Connector.deadline` has passed.
    `proof`, sealed, and `trace`: keep them for `Login`; None: what was kept stays.
    `notes`: what an operator should know, e.g. objects that changed their owner.
    """

    outcomes: dict[Target, Outcome]
    login_missing: bool = False
    deadline_refused: str = ""
    alone: bool = True
    proof: Secret | None = None
    trace: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discovered:
    """One resource and the permissions that can be had on it, by id, each with a risk of 1 to 10.

    Risk 0: the system does not say, and a rule does (`engine.risk`).
    `tags` and `context`: what the system, or people there, say of it; a key may have several
    values. `owner`: whose it is, as the system says it (an address, an id, a group's name); if it
    does not, the tag `owner` does. `caveat`: what those who get it cannot use of it all the same, a
    sentence for approver and grantee. `closed`: why it could not be looked into; what is known of
    it, and of all below its path, stays as it is. `policies`: those that give it, in AWS. `named`:
    its id says no more than what it is called, so that what comes back under it is another thing;
    for systems in which Latchkey gives nothing, and so has nothing to find again.
    """

    type: str
    name: str
    path: str
    source_id: str
    permissions: Mapping[str, int]
    risk: int = 0
    tags: Tags = field(default_factory=dict[str, tuple[str, ...]])
    caveat: str = ""
    closed: str = ""
    context: Tags = field(default_factory=dict[str, tuple[str, ...]])
    owner: str = ""
    policies: Policies | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class DiscoveredPermission:
    """A permission of which there is more to say than its id, whatever it can be had on."""

    id: PermissionId
    name: str
    tags: Tags = field(default_factory=dict[str, tuple[str, ...]])
    context: Tags = field(default_factory=dict[str, tuple[str, ...]])


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

    def server(self) -> str:
        """Name the server that answers now; empty: what is there has names, not numbers."""
        ...

    def discover(self) -> Iterable[Discovered]:
        """Yield all resources. Raise `Unavailable`, or say `closed`, rather than leave some out."""
        ...

    def permissions(self) -> Iterable[DiscoveredPermission]:
        """Yield what there is to say of permissions. One that is left out is called by its id."""
        ...

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now, changing nothing.

        `given` is what Latchkey gave it: what is there only because of that counts as absent.
        """
        ...

    def apply(self, order: Order) -> Report:
        """Make the account hold what is wanted and not what is unwanted; look; report.

        What is unwanted and no thing or permission of the system's was never there: it ends with
        all that the login has there and that what is wanted does not explain. A thing that was
        dropped is absent, and takes nothing along.

        Where another server answers than the one that gave the numbers, nothing is given and what
        is wanted is UNKNOWN; what is unwanted ends all the same, by the login's name, and with it
        all that the login has there and that the paths of what is wanted do not explain.
        """
        ...

    def unexplained(self, login: Login, given: Sequence[Target]) -> tuple[str, ...]:
        """Name all that the login holds, anywhere in the system, beyond what `given` comes to.

        Each in words of its own that stay the same from call to call. It changes nothing.
        """
        ...

    def cleanup(self, login: Login) -> tuple[str, ...]:
        """Remove the login and all that it was given; return notes for the operator.

        Raise `Unavailable` where it stays, as one that Latchkey did not make does.
        """
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
