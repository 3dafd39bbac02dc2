"""The access flow: who may request what, how long, approved by whom (docs/rules.md, *Flows*)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import NewType

from engine.aql.predicate import Predicate, predicate
from engine.aql.query import Query, all_of
from engine.channel import DIRECTLY, Notify
from engine.conditions import OWNER, ConditionGroup
from engine.directory import PersonId
from engine.targets import (
    NO_OBJECTS,
    ByBundle,
    Objects,
    Target,
    key_of,
    query_of,
    refers,
    slice_of,
)
from engine.window import Window

FlowId = NewType("FlowId", int)

UNKNOWN = "an unknown access flow"  # the name of one that cannot be read
MIN_DURATION = timedelta(minutes=5)
MAX_DURATION = timedelta(days=365)
MAX_REASON = 124
FURTHEST_AHEAD = timedelta(days=30)  # that any flow lets a start be
MAX_JUSTIFICATION = 1000


class RequestFor(StrEnum):
    SELF = "self"
    DIRECT_REPORTS = "direct reports"
    OTHERS = "others"


class Quorum(StrEnum):
    ANY_OF = "any of"
    ALL_OF = "all of"


class TierCounts(StrEnum):
    WHOLE_REQUEST = "the whole request"
    OPEN_GROUPS = "the open groups"


@dataclass(frozen=True, slots=True)
class ApproverGroup:
    """People of whom as many must approve as it needs."""

    name: str
    conditions: ConditionGroup
    needs: int = 1

    @property
    def called(self) -> str:
        """What people read of whom it takes: `2 of DBA on call`."""
        return f"{self.needs} of {self.name}" if self.needs > 1 else self.name


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    groups: tuple[ApproverGroup, ...]
    join: Quorum = Quorum.ANY_OF
    distinct: bool = True

    @property
    def people_needed(self) -> int:
        """How many have to approve at the least: whom one of the groups needs, or all together."""
        needs = [group.needs for group in self.groups]
        return min(needs) if self.join is Quorum.ANY_OF else sum(needs)


@dataclass(frozen=True, slots=True)
class Escalation:
    every: timedelta
    tiers: tuple[ApproverGroup, ...]
    counts: TierCounts = TierCounts.WHOLE_REQUEST


@dataclass(frozen=True, slots=True)
class Extension:
    times: int
    each: timedelta


@dataclass(frozen=True)
class Revision:
    """One immutable state of a flow.

    `when` None: always; `grant_for` None: indefinite; `approval` None: automatic; `start_later`
    None: all that it gives starts at once, else how far ahead a start may be. `space` empty: none.
    `objects` are those of the moment, which the targets name: they are no part of it.

    Not `readable`: it is there, and nobody knows what it says (`unreadable`).
    """

    name: str
    requestors: ConditionGroup
    targets: tuple[Target, ...]
    request_for: frozenset[RequestFor] = frozenset({RequestFor.SELF})
    grantees: ConditionGroup | None = None  # for RequestFor.OTHERS
    when: Window | None = None
    grant_for: timedelta | None = timedelta(hours=1)
    extension: Extension | None = None
    approval: ApprovalRule | None = None
    escalation: Escalation | None = None
    start_later: timedelta | None = timedelta(days=7)
    lapses_after: timedelta = timedelta(hours=24)
    require_mfa: bool = False
    require_justification: bool = True
    require_reason: bool = False
    self_approval: bool = False  # whether requestor and grantee may approve their own request
    listed: bool = True  # whether others than its requestors may learn that it exists
    notify: Notify = DIRECTLY
    labels: tuple[str, ...] = ()
    description: str = ""
    readable: bool = True
    space: str = ""
    objects: Objects = field(default=NO_OBJECTS, compare=False, repr=False)

    @property
    def refers(self) -> bool:
        """Whether what it offers depends on its objects."""
        return bool(self.space) or any(map(refers, self.targets))

    @property
    def deciders(self) -> tuple[ApproverGroup, ...]:
        """The groups of approvers, and the tiers."""
        groups = self.approval.groups if self.approval else ()
        return (*groups, *(self.escalation.tiers if self.escalation else ()))

    @property
    def asks_on_call(self) -> bool:
        """Whether who decides depends on who is on call."""
        return any(group.conditions.asks("on_call") for group in self.deciders)

    @cached_property
    def asks_owners(self) -> bool:
        """Whether who decides depends on whose the things are."""
        return any(group.conditions.asks(OWNER) for group in self.deciders)

    def has(self, bundle: str) -> bool:
        """Tell whether a bundle is one of the targets, to be asked for as one thing."""
        return any(isinstance(t, ByBundle) and key_of(t.bundle) == bundle for t in self.targets)

    def bundled(self, bundle: str) -> Query | None:
        """Return what it offers of a bundle, by its key; None: nothing."""
        found = query_of([ByBundle(bundle)], self.objects) if self.has(bundle) else None
        return all_of(found, self.offers) if found and self.offers else None

    @cached_property
    def offers(self) -> Query | None:
        """What it offers, as one query; None: nothing."""
        found = query_of(self.targets, self.objects)
        if not self.space or found is None:
            return found
        slice_ = slice_of(self.space, self.objects)
        return None if slice_ is None else all_of(slice_, found)

    @cached_property
    def selects(self) -> Predicate:
        """Tells whether it offers an entitlement."""
        return predicate(self.offers) if self.offers else lambda _: False

    @property
    def _conditions(self) -> Iterator[ConditionGroup]:
        yield from filter(None, (self.requestors, self.grantees))
        yield from (group.conditions for group in self.deciders)

    def renamed(self, ids: Mapping[PersonId, PersonId]) -> "Revision":
        """Return the revision with people named by other ids; itself, if it names none of them."""
        approval, escalation = self.approval, self.escalation
        if not any(group.names(ids) for group in self._conditions):
            return self
        return replace(
            self,
            requestors=self.requestors.renamed(ids),
            grantees=self.grantees.renamed(ids) if self.grantees else None,
            approval=replace(approval, groups=_renamed(approval.groups, ids)) if approval else None,
            escalation=(
                replace(escalation, tiers=_renamed(escalation.tiers, ids)) if escalation else None
            ),
        )


@dataclass(frozen=True, slots=True)
class KnownFlow:
    """A flow as it is known. `revision` None: it cannot be read."""

    revision: Revision | None
    active: bool
    deleted: bool


def compare(
    known: Mapping[str, KnownFlow],
    listed: Iterable[tuple[Revision, bool]],
    formerly: Mapping[PersonId, PersonId],
) -> tuple[list[tuple[Revision, bool]], list[str]]:
    """Compare all flows that are listed, each with whether it is active, with those known by name.

    Return those of which something is new, and the names of those that are listed no more.
    `formerly` names who has a new id, by the old one.
    """
    every = {revision.name.casefold(): (revision, active) for revision, active in listed}
    other = [
        (revision, active)
        for name, (revision, active) in every.items()
        if (flow := known.get(name)) is None
        or (flow.active, flow.deleted) != (active, False)
        or is_other(flow.revision, revision, formerly)
    ]
    gone = sorted(name for name in known.keys() - every.keys() if not known[name].deleted)
    return other, gone


def is_other(
    known: Revision | None, listed: Revision, formerly: Mapping[PersonId, PersonId]
) -> bool:
    """Tell whether a flow says something else than is known.

    As values: a set has another order in each process. Either may name people by ids that they had.
    """
    return known is None or known.renamed(formerly) != listed.renamed(formerly)


def unreadable(name: str) -> Revision:
    """Return what stands in for a revision that cannot be read: open to nobody, for nothing."""
    nobody = ConditionGroup(())
    return Revision(
        name=name,
        requestors=nobody,
        targets=(),
        request_for=frozenset(),
        grant_for=MIN_DURATION,
        approval=ApprovalRule((ApproverGroup("nobody that is known", nobody),)),
        readable=False,
    )


def _renamed(
    groups: Iterable[ApproverGroup], ids: Mapping[PersonId, PersonId]
) -> tuple[ApproverGroup, ...]:
    return tuple(replace(g, conditions=g.conditions.renamed(ids)) for g in groups)


@dataclass(frozen=True, slots=True)
class AccessFlow:
    """A flow and its newest revision. A disabled flow takes no requests and no extensions.

    Nor does one whose newest revision cannot be read.
    """

    id: FlowId
    number: int  # of the revision, from 1
    revision: Revision
    active: bool = True
    deleted: bool = False

    @property
    def name(self) -> str:
        return self.revision.name

    @property
    def open(self) -> bool:
        return self.active and not self.deleted and self.revision.readable
