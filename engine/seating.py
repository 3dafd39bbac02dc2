"""Who sits where: the places from which one can approve a request, and what each counts for.

A group or tier that asks owners is judged for each thing: its seats say for which they count. A
delegate sits where the delegator does and may decide, but not among the administrators.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine import ownership
from engine.conditions import OWNER, Comparator, Condition, ConditionGroup, select
from engine.conditions import matches as fulfils
from engine.directory import Delegation, Directory, Person, PersonId
from engine.flow import ApproverGroup, Revision, TierCounts
from engine.inventory import Entitlement, EntitlementId
from engine.ownership import Owned, Owners
from engine.request import AccessRequest, Approval, GrantId, Seat, joined


@dataclass(frozen=True, slots=True)
class Case:
    """What the approval of one request depends on.

    `owned` says whose the things are that are still asked for, where an owner is asked.
    """

    revision: Revision
    requestor: PersonId
    grantee: PersonId
    directory: Directory
    admins: frozenset[PersonId]
    tiers_asked: int = 0
    stand_ins: tuple[Seat, ...] = ()
    approvals: tuple[Approval, ...] = ()
    owned: Mapping[GrantId, Owned] = field(default_factory=dict[GrantId, Owned])

    @property
    def groups(self) -> tuple[ApproverGroup, ...]:
        return self.revision.approval.groups if self.revision.approval else ()

    @property
    def tiers(self) -> tuple[ApproverGroup, ...]:
        return self.revision.escalation.tiers if self.revision.escalation else ()

    @property
    def valid(self) -> tuple[Approval, ...]:
        """Approvals whose giver has been an active full member ever since."""
        return tuple(
            a for a in self.approvals if (p := self.directory.get(a.person)) and p.stands_by(a.at)
        )


def case_of(
    request: AccessRequest,
    revision: Revision,
    directory: Directory,
    admins: frozenset[PersonId],
    entitlements: Mapping[EntitlementId, Entitlement],
) -> Case:
    """Return what the approval of a request depends on.

    A revision that cannot be read has neither the tiers nor the groups that the request knows of.
    """
    asked = [g for g in request.grants if g.open] if revision.asks_owners else []
    case = Case(
        revision,
        request.requestor,
        request.grantee,
        directory,
        admins,
        request.tiers_asked,
        request.stand_ins,
        request.approvals,
        ownership.owned({g.id: entitlements.get(g.entitlement) for g in asked}, directory),
    )
    return case if revision.readable else replace(case, tiers_asked=0, stand_ins=())


def may_sit(case: Case, person: Person) -> bool:
    """Tell whether the person is not barred: active, no guest, not deciding their own request."""
    own = person.id in {case.requestor, case.grantee} and not case.revision.self_approval
    return person.may_ask and not own


def flow_seats(case: Case) -> tuple[Seat, ...]:
    """Return the seats of the groups and of the tiers whose time has come."""
    own = [Seat(group) for group in range(len(case.groups))]
    return (*own, *(s for tier in range(case.tiers_asked) for s in tier_seats(case, tier)))


def tier_seats(case: Case, tier: int) -> list[Seat]:
    escalation = case.revision.escalation
    if escalation is None or escalation.counts is TierCounts.WHOLE_REQUEST:
        return [Seat(None, tier)]
    return [Seat(group, tier) for group in range(len(case.groups))]


def askable(case: Case, seat: Seat) -> list[tuple[Person, Seat]]:
    """Return who is asked from this seat, and what for: a Slack account is needed for that."""
    return [(p, at) for p, at in _sitters(case, seat) if p.slack and may_sit(case, p)]


def reachable(case: Case, seat: Seat) -> list[tuple[Person, Seat]]:
    """Return who of those asked hears of it, and what for: nobody waits for the others."""
    return [(p, at) for p, at in askable(case, seat) if p.reachable]


def seat_of(case: Case, seat: Seat, person: Person) -> Seat | None:
    """Return the seat with what it counts for where this person sits there; None: they do not."""
    own = own_seat(case, seat, person)
    held = [at for _, at in seats_through(case, seat, person)]
    return _together(case, [*([own] if own else []), *held]) if held else own


def seats_through(case: Case, seat: Seat, person: Person) -> list[tuple[Delegation, Seat]]:
    """Return by which delegations this person sits there, and what each of them counts for."""
    received = () if seat.admins else case.directory.received_by(person.id)
    givers = ((d, case.directory.get(d.delegator)) for d in received)
    return [
        (d, at)
        for d, giver in givers
        if giver and may_sit(case, giver) and (at := own_seat(case, seat, giver))
    ]


def acts_for(case: Case, seats: Iterable[Seat], person: Person) -> tuple[PersonId, ...]:
    """Return for whom this person sits in these seats, as far as they do not by their own right."""
    found: dict[PersonId, None] = {}
    for seat in seats:
        own = own_seat(case, seat, person)
        for d, at in seats_through(case, seat, person):
            if own is None or _together(case, [own, at]) != own:
                found[d.delegator] = None
    return tuple(found)


def own_seat(case: Case, seat: Seat, person: Person) -> Seat | None:
    """Return as `seat_of`, of their own right alone."""
    if seat.admins:
        return seat if person.id in case.admins else None
    found = [grants for chosen, grants in _chosen(case, seat) if _is_one(case, chosen, person)]
    return counting_for(case, seat, [g for grants in found for g in grants]) if found else None


def _is_one(case: Case, chosen: Iterable[ConditionGroup], person: Person) -> bool:
    return any(fulfils(group, person, case.directory) for group in chosen)


def _together(case: Case, seats: Iterable[Seat]) -> Seat:
    """Return one place with all that it counts for by any of these."""
    (seat,) = joined(seats)
    return counting_for(case, seat, ())


def _sitters(case: Case, seat: Seat) -> Iterable[tuple[Person, Seat]]:
    """Return everybody who sits there, each with what their seat counts for."""
    own = _own_sitters(case, seat)
    if seat.admins or not case.directory.standing:
        return own
    found = {person.id: (person, at) for person, at in own}
    for giver, at in own:
        for d in case.directory.given_by(giver.id) if may_sit(case, giver) else ():
            delegate = case.directory.people[d.delegate]
            _, has = found.get(delegate.id, (delegate, at))
            found[delegate.id] = delegate, _together(case, [has, at])
    return found.values()


def _own_sitters(case: Case, seat: Seat) -> Sequence[tuple[Person, Seat]]:
    if seat.admins:
        return [(p, seat) for admin in sorted(case.admins) if (p := case.directory.get(admin))]
    found: dict[PersonId, tuple[Person, list[GrantId]]] = {}
    for chosen, grants in _chosen(case, seat):
        for person in dict.fromkeys(p.id for g in chosen for p in select(g, case.directory)):
            known = case.directory.people[person]
            found.setdefault(person, (known, []))[1].extend(grants)
    return [(p, counting_for(case, seat, grants)) for p, grants in found.values()]


def _chosen(case: Case, seat: Seat) -> Iterator[tuple[list[ConditionGroup], list[GrantId]]]:
    """Yield conditions of which people fulfil one who sit there, and what for; nothing: all."""
    group = _conditions(case, seat)
    if not group.asks(OWNER):
        yield [group], []
        return
    for by, grants in by_owners(case, seat.of or case.owned).items():
        yield ownership.each_selected(group, by), grants


def by_owners(case: Case, grants: Iterable[GrantId]) -> dict[Owners, list[GrantId]]:
    """Return which of these things are owned alike."""
    found: dict[Owners, list[GrantId]] = {}
    for grant in grants:
        if grant in case.owned:
            found.setdefault(case.owned[grant].by, []).append(grant)
    return found


def counting_for(case: Case, seat: Seat, grants: Iterable[GrantId]) -> Seat:
    """Return the seat with these things, in order; with all of them it counts for the whole."""
    of = sorted({*grants} or seat.of)
    whole = case.owned and {*of} >= case.owned.keys()
    return replace(seat, of=() if whole else tuple(of))


def _rule(case: Case, seat: Seat) -> ApproverGroup:
    return case.groups[seat.group or 0] if seat.tier is None else case.tiers[seat.tier]


def _conditions(case: Case, seat: Seat) -> ConditionGroup:
    conditions = _rule(case, seat).conditions
    return replace(
        conditions, conditions=tuple(_named_manager(case, c) for c in conditions.conditions)
    )


def _named_manager(case: Case, condition: Condition) -> Condition:
    """`manager` without a value: the grantee's, or the requestor's where that is the requestor."""
    if condition.attribute != "manager" or condition.values:
        return condition
    if condition.comparator not in {Comparator.IS, Comparator.IS_NOT}:
        return condition
    grantee, requestor = case.directory.get(case.grantee), case.directory.get(case.requestor)
    manager = grantee.manager if grantee else None
    if manager == case.requestor:
        manager = requestor.manager if requestor else None
    return Condition("user", condition.comparator, (manager,) if manager else ())
