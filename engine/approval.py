"""Who may decide a request, who is asked, and when it is approved (docs/rules.md, *Who decides*).

One function answers “may this person decide” (`seats`): asking, preview and click all call it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.conditions import Comparator, Condition, ConditionGroup, select
from engine.conditions import matches as fulfils
from engine.directory import Directory, Person, PersonId
from engine.flow import ApproverGroup, Quorum, Revision, TierCounts
from engine.request import AccessRequest, Approval, Ask, Seat
from engine.tally import Need, Tally
from engine.words import in_a_row

_Held = Mapping[PersonId, Collection[Seat]]
_WHOLE = ("whole",)  # a group's one part


@dataclass(frozen=True, slots=True)
class Case:
    """What the approval of one request depends on."""

    revision: Revision
    requestor: PersonId
    grantee: PersonId
    directory: Directory
    admins: frozenset[PersonId]
    tiers_asked: int = 0
    stand_ins: tuple[Seat, ...] = ()
    approvals: tuple[Approval, ...] = ()

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
) -> Case:
    """Return what the approval of a request depends on."""
    return Case(
        revision,
        request.requestor,
        request.grantee,
        directory,
        admins,
        request.tiers_asked,
        request.stand_ins,
        request.approvals,
    )


def open_seats(case: Case) -> tuple[Seat, ...]:
    """Return every seat from which one can approve now, the groups' own first."""
    return tuple(dict.fromkeys((*_flow_seats(case), *_still_wanted(case))))


def seats(case: Case, person: Person) -> frozenset[Seat]:
    """Return the seats from which this person may decide now; none: they may not."""
    if not may_sit(case, person):
        return frozenset()
    return frozenset(s for s in open_seats(case) if _sits(case, s, person))


def may_sit(case: Case, person: Person) -> bool:
    """Tell whether the person is not barred: active, no guest, not deciding their own request."""
    own = person.id in {case.requestor, case.grantee} and not case.revision.self_approval
    return person.may_ask and not own


def approved(case: Case) -> bool:
    """Tell whether the approvals that stand are enough."""
    return not _lacking(case, _given(case), _quotas(case))


def missing(case: Case) -> list[tuple[ApproverGroup, int]]:
    """Return the groups that lack approvals, and how many each of them lacks."""
    lacks = _lacking(case, _given(case), _quotas(case))
    return [(case.groups[group], many) for group, many in lacks.items()]


def missing_in_words(case: Case, name: Callable[[str], str] = str, *, most: int = 5) -> str:
    """Say whose approval is missing: `Security and 2 more of DBAs`. `name` dresses a name."""
    said = [
        f"{many} more of {name(group.name)}" if group.needs > 1 else name(group.name)
        for group, many in missing(case)
    ]
    approval = case.revision.approval
    either = approval is not None and approval.join is Quorum.ANY_OF
    return in_a_row(said, most, last="or" if either else "and")


def seat_stand_ins(case: Case) -> Case:
    """Let somebody stand in for each group that has fewer people left to ask than it needs.

    The first tier with somebody to ask, else the admins, stand in for that group only. As many of
    them are needed as are missing, or all, where they are fewer.
    """
    approval = case.revision.approval
    while stuck := [*_stuck(case)]:
        if approval and approval.join is Quorum.ANY_OF:
            stuck = stuck[:1]
        added = [s for g in stuck if (s := _next_stand_in(case, g)) is not None]
        if not added:
            return case
        case = replace(case, stand_ins=(*case.stand_ins, *added))
    return case


def stuck(case: Case) -> bool:
    """Tell whether even everybody who can be asked could not approve."""
    return bool(_stuck(case))


def asks(case: Case, before: Iterable[Ask]) -> tuple[Ask, ...]:
    """Return who is asked now. Nobody is forgotten: who no longer matches is kept, not open."""
    now = {
        (p.id, s): Ask(p.id, s, _why(case, s)) for s in open_seats(case) for p in askable(case, s)
    }
    done = {a.person: a.seats for a in case.valid}
    kept = {
        (a.person, a.seat): replace(a, open=(a.person, a.seat) in now or a.person in done)
        for a in before
    }
    return (*kept.values(), *(ask for key, ask in now.items() if key not in kept))


def askable(case: Case, seat: Seat) -> list[Person]:
    """Return who is asked from this seat: a Slack account is needed for that."""
    return [p for p in _sitters(case, seat) if p.slack and may_sit(case, p)]


def reachable(case: Case, seat: Seat) -> list[Person]:
    """Return who of those asked hears of it: nobody waits for the others."""
    return [p for p in askable(case, seat) if p.reachable]


def tier_has_somebody(case: Case, tier: int) -> bool:
    return any(reachable(case, seat) for seat in _tier_seats(case, tier))


def preview(case: Case) -> list[tuple[ApproverGroup, list[Person]]]:
    """Return each approver group, and the people of it who would hear of the request.

    Of a group that has fewer than it needs the administrators stand in.
    """
    return [(group, reachable(case, Seat(i))) for i, group in enumerate(case.groups)]


def stand_ins(case: Case) -> list[Person]:
    """Return the administrators who would hear of it where there is nobody else."""
    return reachable(case, Seat(None, admins=True))


def _tier_seats(case: Case, tier: int) -> list[Seat]:
    escalation = case.revision.escalation
    if escalation is None or escalation.counts is TierCounts.WHOLE_REQUEST:
        return [Seat(None, tier)]
    return [Seat(group, tier) for group in range(len(case.groups))]


def _sits(case: Case, seat: Seat, person: Person) -> bool:
    if seat.admins:
        return person.id in case.admins
    return fulfils(_conditions(case, seat), person, case.directory)


def _sitters(case: Case, seat: Seat) -> list[Person]:
    if seat.admins:
        return [p for admin in sorted(case.admins) if (p := case.directory.get(admin))]
    return select(_conditions(case, seat), case.directory)


def _conditions(case: Case, seat: Seat) -> ConditionGroup:
    tier, group = seat.tier, seat.group or 0
    conditions = (case.tiers[tier] if tier is not None else case.groups[group]).conditions
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


def _why(case: Case, seat: Seat) -> str:
    if seat.tier is None and not seat.admins:
        return case.groups[seat.group or 0].name
    by = "the administrators" if seat.admins else case.tiers[seat.tier or 0].name
    if seat.group is None or seat not in case.stand_ins:
        return f"{by} (escalation)"
    group = case.groups[seat.group]
    few = "nobody" if group.needs == 1 else "too few"
    return f"{by}, since {few} of {group.name} can be asked"


def _flow_seats(case: Case) -> tuple[Seat, ...]:
    """Return the seats of the groups and of the tiers whose time has come."""
    own = [Seat(group) for group in range(len(case.groups))]
    return (*own, *(s for tier in range(case.tiers_asked) for s in _tier_seats(case, tier)))


def _given(case: Case) -> _Held:
    return {a.person: a.seats for a in case.valid}


def _possible(case: Case, seats: Iterable[Seat]) -> _Held:
    """Return who has approved, or can be asked from one of these seats."""
    possible: dict[PersonId, set[Seat]] = {a.person: set(a.seats) for a in case.valid}
    for seat in seats:
        for person in reachable(case, seat):
            possible.setdefault(person.id, set()).add(seat)
    return possible


@dataclass(frozen=True, slots=True)
class _Quota:
    """How many a group needs of its own people, and how many of those or of who stands in."""

    own: int
    stand_in: int = 0


def _lacking(case: Case, held: _Held, quotas: Sequence[_Quota]) -> dict[int, int]:
    """Return the groups that these people, sitting so, leave open, and how many each lacks.

    None: that is enough for the request.
    """
    approval = case.revision.approval
    if approval is None or any(seat.group is None for seats in held.values() for seat in seats):
        return {}
    own = _flow_seats(case)
    people = [_covers(seats, own) for seats in held.values()]
    needs = [Need(_WHOLE, many) for quota in quotas for many in (quota.own, quota.stand_in)]
    lacks = Counter[int]()
    for places in [range(len(needs))] if _distinct(case) else map(_places, range(len(quotas))):
        here = [{p - places[0]: _WHOLE for p in places if p in covers} for covers in people]
        tally = Tally([needs[p] for p in places], here, distinct=True)
        for (place, _), many in tally.lacking().items():
            lacks[(places[0] + place) // 2] += many
    return {} if approval.join is Quorum.ANY_OF and len(lacks) < len(quotas) else dict(lacks)


def _places(group: int) -> range:
    """Return where a group's own people are placed, and where who stands in for them."""
    return range(2 * group, 2 * group + 2)


def _covers(seats: Iterable[Seat], own: Collection[Seat]) -> set[int]:
    return {
        place
        for seat in seats
        if seat.group is not None
        for place in (_places(seat.group) if seat in own else _places(seat.group)[1:])
    }


def _distinct(case: Case) -> bool:
    approval = case.revision.approval
    return approval is not None and approval.distinct and approval.join is Quorum.ALL_OF


def _stuck(case: Case) -> dict[int, int]:
    """Return the groups that even everybody who approved or can be asked would leave open."""
    return _lacking(case, _possible(case, open_seats(case)), _quotas(case))


def _quotas(case: Case) -> list[_Quota]:
    """Return how many people each group needs now.

    As many have to stand in as are missing, or as there are to stand in, but one at the least. Who
    has stood in, or one who was asked to, counts also once the group's own could be asked again.
    """
    quotas = [_Quota(group.needs) for group in case.groups]
    own = _flow_seats(case)
    others = {seat for seat in case.stand_ins if seat not in own}
    if not others:
        return quotas
    alone = replace(case, approvals=tuple(_without(a, others) for a in case.approvals))
    possible = _possible(alone, own)
    missing = _lacking(case, possible, quotas)
    for group in {s.group for s in others if s.group is not None}:
        needs, lacks = case.groups[group].needs, missing.get(group, 1)
        seats = {s for s in others if s.group == group}
        counted = {p for p, held in possible.items() if any(s.group == group for s in held)}
        given = {a.person for a in case.valid if a.seats & seats} - counted
        there = given | {p.id for s in seats for p in reachable(case, s)} - counted
        enough = max(len(given), min(lacks, len(there)), 1)
        quotas[group] = _Quota(max(0, needs - max(lacks, len(given))), min(enough, needs))
    return quotas


def _still_wanted(case: Case) -> Iterator[Seat]:
    """Yield the seats of those who stand in from which one more approval would be of use."""
    given, quotas = _given(case), _quotas(case)
    lacks = sum(_lacking(case, given, quotas).values())
    for seat in case.stand_ins:
        fresh = {**given, PersonId(""): {seat}}
        if sum(_lacking(case, fresh, quotas).values()) < lacks:
            yield seat


def _without(approval: Approval, seats: Collection[Seat]) -> Approval:
    return replace(approval, seats=approval.seats.difference(seats))


def _next_stand_in(case: Case, group: int) -> Seat | None:
    candidates = [Seat(group, tier) for tier in range(len(case.tiers))]
    for seat in (*candidates, Seat(group, admins=True)):
        if seat not in case.stand_ins and (reachable(case, seat) or seat.admins):
            return seat
    return None
