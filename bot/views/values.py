"""What views are drawn from, where it is more than one core value."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.background import Background
from engine.commands import Cancel, Revoke
from engine.directory import Delegation, Directory, Person, PersonId
from engine.explanation import Explanation
from engine.flow import AccessFlow, FlowId, Quorum, RequestFor, Revision
from engine.inventory import Entitlement, EntitlementId, ResourceId
from engine.port import Secret
from engine.request import AccessRequest, AccountId, RequestId
from engine.targets import ObjectId

Block = dict[str, Any]
View = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """`text` is what notifications and screen readers say; never empty."""

    text: str
    blocks: list[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One request, as one person is to see it."""

    request: AccessRequest
    flow: AccessFlow
    revision: Revision  # the one that the request was made under
    directory: Directory
    entitlements: Mapping[EntitlementId, Entitlement]
    viewer: PersonId
    admins: frozenset[PersonId] = frozenset()
    has_login: bool = False  # some of it is used with a login that Latchkey makes
    in_channel: bool = False  # many read it: who is named is not called
    background: Background | None = None  # for whoever may decide, and nobody else


@dataclass(frozen=True, slots=True)
class Ending:
    """A request that an administrator looks at, and how they can end it; None: it is over.

    `kept_by` are the codes of others by which some of it would stay.
    """

    scene: Scene
    way_out: type[Cancel] | type[Revoke] | None
    kept_by: list[str]


@dataclass(frozen=True, slots=True)
class Lent:
    """What somebody has lent of their right to approve, and received; of others: for an admin."""

    viewer: Person
    directory: Directory
    given: list[Delegation]
    received: list[Delegation]
    others: list[Delegation]


@dataclass(frozen=True, slots=True)
class Endless:
    """Access without end. `why_not`: why it would not be given now; empty: it would."""

    scene: Scene
    why_not: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An approver group, or whose something is, and the names of those who would be asked.

    `manager`: the grantee's own.
    """

    group: str
    people: Sequence[str]
    manager: bool = False
    needs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would happen on submission."""

    flow: str
    longest: timedelta | None  # None: without end
    extensions: int
    each: timedelta | None
    approvers: Sequence[Sequence[Asked]]  # of each group; none: automatic
    join: Quorum
    requires_justification: bool
    requires_mfa: bool
    risk: int
    held: Sequence[tuple[str, datetime | None]] = ()  # codes of requests that hold it, until when
    description: str = ""
    caveat: str = ""  # what of it cannot be used all the same
    grantee: str = ""  # their name, if it is for somebody else
    in_slack: bool = True  # whether they can be told
    stand_ins: Sequence[str] = ()  # administrators who are asked where a group has nobody
    closed: str = ""  # why it cannot be asked for just now
    things: Sequence[str] = ()  # what is in the bundle
    starts: datetime | None = None  # None: at once
    ends: datetime | None = None  # of what starts later


@dataclass(frozen=True, slots=True)
class Start:
    """What the form asks of the start, and what stands there: by the clocks of a zone.

    No `time` is chosen where it is empty.
    """

    zone: str
    day: str
    time: str
    later: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The request modal, as far as it is filled in.

    `others`: somebody else may be chosen as `grantee`, who has a name.
    `later` and `closed` say from when what cannot be asked for now can be: permissions and flows.
    `bundle` is asked for in place of a resource and a permission.
    `prefill` is what the duration field was given; a new one replaces what stands in the field.
    `instead` is the request that is changed by it.
    """

    others: bool = False
    grantee: tuple[PersonId, str] | None = None
    resource: tuple[ResourceId, str] | None = None  # and its label
    bundle: tuple[ObjectId, str] | None = None  # and its name
    permissions: Sequence[tuple[EntitlementId, str]] = ()
    later: Mapping[EntitlementId, str] = field(default_factory=dict[EntitlementId, str])
    permission: EntitlementId | None = None
    flows: Sequence[AccessFlow] = ()  # that offer it, the preferred first
    closed: Mapping[FlowId, str] = field(default_factory=dict[FlowId, str])
    flow: FlowId | None = None  # that applies
    usual: FlowId | None = None  # that applies unless another is picked
    start: Start | None = None  # None: it starts at once
    prefill: str = "1 h"
    justification: str = ""
    preview: Preview | None = None
    notes: Sequence[str] = ()  # what was not understood, or is no longer so
    instead: RequestId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """A page of what a query selects. `first` is the number of its first line, from 1.

    `next` is the last one shown, where there are more; `everything`: of all that there is, not of
    what whoever looks may know of. `whom` says for whom they can request each; of what is not in
    it nothing is said. `hints` say which words of the query nothing has.
    """

    query: str
    entitlements: Sequence[Entitlement]
    total: int
    first: int
    next: EntitlementId | None
    everything: bool
    hints: Sequence[str] = ()
    whom: Mapping[EntitlementId, Collection[RequestFor]] = field(
        default_factory=dict[EntitlementId, Collection[RequestFor]]
    )


Named = tuple[ResourceId, str]  # a resource, and its path


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What somebody can have of what they asked about, and why not.

    `of` is what is explained, with an answer for each permission; a bundle has an answer alone.
    `others` are called so, too: without an answer, one of them is meant. `nearest` is what could be
    meant instead. `instead` is what they can have, and how.
    """

    words: str
    of: Named | None = None
    answers: Sequence[Explanation] = ()
    others: Sequence[Named] = ()
    nearest: Sequence[Named] = ()
    notes: Sequence[str] = ()
    admins: Sequence[str] = ()  # by name: who could change it
    instead: Sequence[tuple[str, str]] = ()

    @property
    def wanting(self) -> bool:
        """Whether there is something that they cannot have, or that was not found."""
        return not all(a.may for a in self.answers) if self.answers else not self.others


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The login to one system. `password` None: it is not kept any more (or not made yet).

    `remarks` say what of the access could not be given, or cannot be used.
    """

    account: AccountId
    system: str
    instructions: Mapping[str, str]  # label → value
    password: Secret | None
    pending: bool = False  # being set right now
    valid_until: datetime | None = None
    remarks: Sequence[str] = ()
