"""What can be done to a request: by a person, by the clock, by what a connector saw."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from engine.directory import PersonId
from engine.port import Outcome
from engine.request import GrantId, RequestId

_NONE = RequestId(0)  # the id of no request


@dataclass(frozen=True, slots=True)
class Verify:
    """The grantee proved who they are."""

    by: PersonId


@dataclass(frozen=True, slots=True)
class Approve:
    """`key` is the click's own: delivered again it counts for no more than it did at first.

    `without` are grants that are declined: of all that is asked for, the rest is approved.
    """

    by: PersonId
    reason: str = ""
    duration: timedelta | None = None  # shorter than asked for
    keep_extensions: bool = False
    key: str = ""
    without: frozenset[GrantId] = frozenset()


@dataclass(frozen=True, slots=True)
class Reject:
    by: PersonId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take an approval back, while that changes something. `key` is as in `Approve`."""

    by: PersonId
    key: str = ""


@dataclass(frozen=True, slots=True)
class Nudge:
    """Remind those who are asked. `key` is the click's own, as in `Approve`."""

    by: PersonId
    key: str = ""


@dataclass(frozen=True, slots=True)
class PutQuestion:
    """Ask whoever made the request about it. `key` is the click's own, as in `Approve`.

    `first`: the request waits for the answer (*Ask first*).
    """

    by: PersonId
    text: str = ""
    key: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the question of this number, from 1. `key` is the click's own, as in `Approve`."""

    by: PersonId
    number: int
    text: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    by: PersonId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Let another request, `to`, stand in its place: whoever made it asks for something else."""

    by: PersonId
    to: RequestId = _NONE


@dataclass(frozen=True, slots=True)
class Extend:
    """`number` is the extension that the button offered, from 1: pressed twice, it extends once."""

    by: PersonId
    number: int


@dataclass(frozen=True, slots=True)
class Return:
    """`without` are grants that are kept: of all that is had, the rest is returned."""

    by: PersonId
    without: frozenset[GrantId] = frozenset()


@dataclass(frozen=True, slots=True)
class Revoke:
    by: PersonId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed, or a fact has changed: make the request agree with what is true now."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connector is about to be called for the request's grants."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What the first look found: the grants' access was there before (True), or was not."""

    found: Mapping[GrantId, bool]


@dataclass(frozen=True, slots=True)
class Observe:
    """What a connector saw. `end_refused` says why the system kept the old end.

    `newest` False: the order was overtaken, so that it tells nothing about the end.
    """

    outcomes: Mapping[GrantId, Outcome] = field(default_factory=dict[GrantId, Outcome])
    end_refused: str = ""
    newest: bool = True


OfAClick = Approve | Withdraw | Nudge | PutQuestion | Answer  # counts once, by its key
Command = (
    Verify
    | Approve
    | Reject
    | Withdraw
    | Nudge
    | PutQuestion
    | Answer
    | Cancel
    | Change
    | Extend
    | Return
    | Revoke
    | Tick
    | Attempt
    | FirstLook
    | Observe
)
