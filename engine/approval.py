"""Who may decide a request, who is asked, and when it is approved (docs/rules.md, *Who decides*).

One function answers “may this person decide” (`seats`): asking, preview and click all call it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from engine import ownership, units
from engine.conditions import OWNER
from engine.directory import Person, PersonId
from engine.flow import ApproverGroup, Quorum, TierCounts
from engine.request import Approval, Ask, GrantId, Seat, joined
from engine.seating import (
    Case,
    acts_for,
    askable,
    by_owners,
    counting_for,
    flow_seats,
    may_sit,
    own_seat,
    reachable,
    seat_of,
    seats_through,
    tier_seats,
)
from engine.tally import Lacks, Need, Tally
from engine.window import end_in_words
from engine.words import in_a_row

_Held = Mapping[PersonId, Collection[Seat]]
_Part = GrantId | None  # None: a group's one part, where whose the things are does not matter
_Lacks = dict[tuple[int, _Part], int]


def open_seats(case: Case) -> tuple[Seat, ...]:
    """Return every seat from which one can approve now, the groups' own first."""
    return (*flow_seats(case), *_still_wanted(case))


def seats(case: Case, person: Person) -> frozenset[Seat]:
    """Return the seats from which this person may decide now, each with what it counts for.

    None: they may not.
    """
    if not may_sit(case, person):
        return frozenset()
    return frozenset(at for seat in open_seats(case) if (at := seat_of(case, seat, person)))


def approved(case: Case) -> bool:
    """Tell whether the approvals that stand are enough."""
    held, quotas, rule = _given(case), _quotas(case), case.revision.approval
    if rule and rule.distinct and rule.join is Quorum.ALL_OF and not _whole_by_a_tier(case, held):
        # What is lacking takes several times as long to count as that something is.
        return any(tally.fulfilled() for tally in _tallies(case, held, quotas))
    return not _lacking(case, held, quotas)


def in_place_of(case: Case, person: Person) -> tuple[Approval, ...]:
    """Return the approvals beside which one of this person's counts for nothing more.

    They are their own, and those of who counts as one person with them, unless two could count for
    two if that one did not.
    """
    involved = {p for d in case.directory.standing for p in (d.delegator, d.delegate)}
    roles = _roles(case, {*involved, *_given(case), person.id})
    mine = {*roles[person.id], *_delegators(case, person.id)}
    same = units.in_place_of({**roles, person.id: mine}, person.id)
    return tuple(a for a in case.valid if a.person in same)


def missing(case: Case) -> list[tuple[ApproverGroup, int]]:
    """Return the groups that lack approvals, and how many each of them lacks for anything."""
    most: dict[int, int] = {}
    for (group, _), many in _lacking(case, _given(case), _quotas(case)).items():
        most[group] = max(many, most.get(group, 0))
    return [(case.groups[group], many) for group, many in most.items()]


def missing_in_words(case: Case, name: Callable[[str], str] = str, *, most: int = 5) -> str:
    """Say whose approval is missing: `Security and 2 more of DBAs`; and whose alone is enough.

    `name` dresses a name.
    """
    by_group: dict[int, dict[int, list[_Part]]] = {}
    for (group, part), many in _lacking(case, _given(case), _quotas(case)).items():
        by_group.setdefault(group, {}).setdefault(many, []).append(part)
    said = [
        _missing(case, case.groups[group], many, parts, name)
        for group, lacks in by_group.items()
        for many, parts in lacks.items()
    ]
    approval = case.revision.approval
    either = approval is not None and approval.join is Quorum.ANY_OF
    lacking = in_a_row(said, most, last="or" if either else "and")
    tiers = [name(tier.name) for tier in _enough_alone(case)]
    return f"{lacking}, or else anybody of {in_a_row(tiers, last='or')}" if tiers else lacking


def _enough_alone(case: Case) -> list[ApproverGroup]:
    """Return the tiers that are asked of whom anybody may approve the whole request."""
    escalation = case.revision.escalation
    if escalation is None or escalation.counts is not TierCounts.WHOLE_REQUEST:
        return []
    return [case.tiers[at] for at in range(case.tiers_asked) if tier_has_somebody(case, at)]


def _missing(
    case: Case, group: ApproverGroup, many: int, parts: Iterable[_Part], name: Callable[[str], str]
) -> str:
    things = [part for part in parts if part is not None]
    several = group.needs > 1
    if things and ownership.is_owners_alone(group.conditions):
        owners = f"{many} more owners of" if several else f"the {_owner(case, things)} of"
        return f"{owners} {_named(case, things, name)}"
    said = f"{many} more of {name(group.name)}" if several else name(group.name)
    return f"{said} for {_named(case, things, name)}" if things else said


def seat_stand_ins(case: Case) -> Case:
    """Let somebody stand in for each group that has fewer people left to ask than it needs.

    The first tier with somebody to ask, else the admins, stand in for that group only, and where
    owners are asked only for that of which there are too few. As many of them are needed as are
    missing, or all, where they are fewer.
    """
    approval = case.revision.approval
    while lacks := _stuck(case):
        by_group: dict[int, list[_Part]] = {}
        for group, part in lacks:
            by_group.setdefault(group, []).append(part)
        stuck = [*by_group.items()]
        if approval and approval.join is Quorum.ANY_OF:
            stuck = stuck[:1]
        added = [s for group, parts in stuck for s in _next_stand_ins(case, group, parts)]
        if not added:
            return case
        seated = joined((*case.stand_ins, *added))
        case = replace(case, stand_ins=tuple(counting_for(case, s, s.of) for s in seated))
    return case


def stuck(case: Case) -> bool:
    """Tell whether even everybody who can be asked could not approve."""
    return bool(_stuck(case))


def asks(case: Case, before: Iterable[Ask]) -> tuple[Ask, ...]:
    """Return who is asked now. Nobody is forgotten: who no longer matches is kept, not open."""
    now = {
        (p.id, at.place): _asked(case, p, at)
        for seat in open_seats(case)
        for p, at in askable(case, seat)
    }
    done = {a.person for a in case.valid}
    kept = {
        (a.person, a.seat.place): now.get((a.person, a.seat.place))
        or replace(a, open=a.person in done)
        for a in before
    }
    return (*kept.values(), *(ask for key, ask in now.items() if key not in kept))


def tier_has_somebody(case: Case, tier: int) -> bool:
    return any(reachable(case, seat) for seat in tier_seats(case, tier))


def preview(case: Case) -> list[tuple[ApproverGroup, list[tuple[str, list[Person]]]]]:
    """Return each approver group, and the people of it who would hear of the request.

    Of a group of owners, they stand beside whose they are: “the owner of orders”; of any other,
    beside its name. Of a group that has fewer than it needs the administrators stand in.
    """
    return [(group, [*_previewed(case, i, group)]) for i, group in enumerate(case.groups)]


def _previewed(case: Case, group: int, rule: ApproverGroup) -> Iterator[tuple[str, list[Person]]]:
    there = reachable(case, Seat(group))
    if not (case.owned and ownership.is_owners_alone(rule.conditions)):
        yield rule.name, [p for p, _ in there]
        return
    for grants in by_owners(case, case.owned).values():
        people = [p for p, at in there if any(map(at.counts_for, grants))]
        yield f"the {'owners' if rule.needs > 1 else 'owner'} of {_named(case, grants)}", people


def stand_ins(case: Case) -> list[Person]:
    """Return the administrators who would hear of it where there is nobody else."""
    return [p for p, _ in reachable(case, Seat(None, admins=True))]


def _asked(case: Case, person: Person, seat: Seat) -> Ask:
    """Return what somebody is asked who sits there, and why them."""
    own = own_seat(case, seat, person) if case.directory.received_by(person.id) else seat
    through = acts_for(case, [seat], person) if own != seat else ()
    said = [_why(case, own)] if own else []
    for d, at in seats_through(case, seat, person) if through else ():
        if d.delegator in through:
            name = case.directory.people[d.delegator].name
            said.append(f"{_why(case, at)}, for {name} until {end_in_words(d.until, person.zone)}")
    return Ask(person.id, seat, "; ".join(said), through=() if own else through)


def _why(case: Case, seat: Seat) -> str:
    """Say why somebody is asked who sits there: as what, for what, and in whose place."""
    things = _named(case, seat.of or case.owned)
    if seat.tier is None and not seat.admins:
        group = case.groups[seat.group or 0]
        if case.owned and ownership.is_owners_alone(group.conditions):
            return f"the owner of {things}"
        return f"{group.name} for {things}" if seat.of else group.name
    by = "the administrators" if seat.admins else case.tiers[seat.tier or 0].name
    place = next((s for s in case.stand_ins if s.place == seat.place), None)
    if seat.group is None or place is None:
        return f"{by} for {things} (escalation)" if seat.of else f"{by} (escalation)"
    group = case.groups[seat.group]
    few = "nobody" if group.needs == 1 else "too few"
    if case.owned and ownership.is_owners_alone(group.conditions):
        return f"{by}, since {few} who owns {things} can be asked"
    return f"{by}, since {few} of {group.name} can be asked"


def _named(
    case: Case, grants: Iterable[GrantId], name: Callable[[str], str] = str, most: int = 3
) -> str:
    """Name things, each once."""
    names = dict.fromkeys(case.owned[g].name for g in grants if g in case.owned)
    return in_a_row([*map(name, names)], most)


def _owner(case: Case, grants: Iterable[GrantId]) -> str:
    return "owner" if len(by_owners(case, grants)) == 1 else "owners"


def _given(case: Case) -> _Held:
    return {a.person: a.seats for a in case.valid}


def _possible(case: Case, seats: Iterable[Seat]) -> _Held:
    """Return who has approved, or can be asked from one of these seats."""
    possible: dict[PersonId, set[Seat]] = {a.person: set(a.seats) for a in case.valid}
    for seat in seats:
        for person, at in reachable(case, seat):
            possible.setdefault(person.id, set()).add(at)
    return possible


# --- enough --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Quota:
    """How many a part needs of its group's own people, and how many who stand in beside them."""

    own: int
    stand_in: int = 0

    def of(self, part: _Part) -> dict[tuple[_Part, bool], int]:
        """Return what it needs, of its own people alone (True), and of both."""
        both = self.own + self.stand_in
        needs = {(part, True): self.own, (part, False): both if self.stand_in else 0}
        return {kind: many for kind, many in needs.items() if many}


_Quotas = Sequence[Mapping[_Part, _Quota]]  # of each group


def _parts(case: Case, group: int) -> Collection[_Part]:
    """Return what is judged by itself for a group: what is owned, where an owner may approve it."""
    rules = (case.groups[group], *case.tiers)
    asks_owners = case.owned and any(rule.conditions.asks(OWNER) for rule in rules)
    return case.owned if asks_owners else (None,)


def _lacking(case: Case, held: _Held, quotas: _Quotas) -> _Lacks:
    """Return what of which groups these people, sitting so, leave open, and how many it lacks.

    Nothing: that is enough for the request.
    """
    approval = case.revision.approval
    if approval is None or _whole_by_a_tier(case, held):
        return {}
    lacks: _Lacks = {}
    for (group, kind), many in _unfulfilled(_tallies(case, held, quotas)).items():
        at = group, cast("tuple[_Part, bool]", kind)[0]
        lacks[at] = max(many, lacks.get(at, 0))
    some = len({group for group, _ in lacks}) < len(quotas)
    return {} if approval.join is Quorum.ANY_OF and some else lacks


def _unfulfilled(tallies: Sequence[Tally]) -> Lacks:
    """Return what lacks by the tally of that division of people by which the least does."""
    if any(tally.fulfilled() for tally in tallies):  # which is told sooner than what is lacking
        return {}
    lacks = [tally.lacking() for tally in tallies]
    if any(tally.distinct for tally in tallies):
        return min(lacks, key=lambda one: sum(one.values()))
    # One who counts for several groups may do so as another unit for each.
    everywhere = (at for at in lacks[0] if all(at in one for one in lacks))
    return {at: min(one[at] for one in lacks) for at in everywhere}


def _tallies(case: Case, held: _Held, quotas: _Quotas) -> list[Tally]:
    own, rule = {*flow_seats(case)}, case.revision.approval
    needs = [
        Need({kind: n for part, quota in parts.items() for kind, n in quota.of(part).items()})
        for parts in quotas
    ]
    distinct = rule is not None and rule.distinct and rule.join is Quorum.ALL_OF
    return [
        Tally(
            needs,
            [_covers(case, (seat for p in unit for seat in held[p]), own) for unit in division],
            distinct,
        )
        for division in units.divided(_roles(case, held))
    ]


def _roles(case: Case, people: Iterable[PersonId]) -> units.Roles:
    """Return for whom each of these stands: who has approved, as it was then."""
    given = {a.person: a.one_with for a in case.valid}
    return {p: {p, *(given[p] if p in given else _delegators(case, p))} for p in people}


def _delegators(case: Case, person: PersonId) -> list[PersonId]:
    return [d.delegator for d in case.directory.received_by(person)]


def _many(case: Case, people: Iterable[PersonId]) -> int:
    """Return how many these people count for."""
    return max(map(len, units.divided(_roles(case, people))))


def _whole_by_a_tier(case: Case, held: _Held) -> bool:
    """Tell whether those of one tier have approved the whole request, each thing one of them."""
    by_tier: dict[Seat, set[GrantId]] = {}
    for seat in (seat for seats in held.values() for seat in seats if seat.group is None):
        if not seat.of:
            return True
        by_tier.setdefault(seat.place, set()).update(seat.of)
    return bool(case.owned) and any(of >= case.owned.keys() for of in by_tier.values())


def _covers(
    case: Case, seats: Iterable[Seat], own: Collection[Seat]
) -> dict[int, set[tuple[_Part, bool]]]:
    """Return what somebody counts for, of which groups: as one of their own (True), or at all."""
    found: dict[int, set[tuple[_Part, bool]]] = {}
    for seat in seats:
        if seat.group is not None and seat.group < len(case.groups):
            parts = seat.of or _parts(case, seat.group)
            kinds = (True, False) if seat.place in own else (False,)
            found.setdefault(seat.group, set()).update((p, k) for p in parts for k in kinds)
    return found


def _stuck(case: Case) -> _Lacks:
    """Return what even everybody who approved or can be asked would leave open."""
    return _lacking(case, _possible(case, open_seats(case)), _quotas(case))


def _quotas(case: Case) -> _Quotas:
    """Return how many people each part of each group needs now.

    As many have to stand in as are missing, or as there are to stand in, but one at the least. Who
    has stood in, or one who was asked to, counts also once the group's own could be asked again.
    """
    quotas: list[dict[_Part, _Quota]] = [
        dict.fromkeys(_parts(case, n), _Quota(group.needs)) for n, group in enumerate(case.groups)
    ]
    own = flow_seats(case)
    others = {seat.place: seat for seat in case.stand_ins if seat.place not in own}
    if not others:
        return quotas
    alone = replace(case, approvals=tuple(_without(a, others) for a in case.approvals))
    possible = _possible(alone, own)
    missing = _lacking(case, possible, quotas)
    able = {place: [(p.id, at) for p, at in reachable(case, s)] for place, s in others.items()}
    here = {(s.group or 0, part) for s in others.values() for part in _parts(case, s.group or 0)}
    for group, part in here:
        seats = [s for s in others.values() if s.group == group and _counts(s, part)]
        if not seats:
            continue
        needs, lacks = case.groups[group].needs, missing.get((group, part), 1)
        counted = {
            person
            for person, held in possible.items()
            if any(s.group == group and _counts(s, part) for s in held)
        }
        given = {
            a.person
            for a in case.valid
            if any(s.group == group and s.place in others and _counts(s, part) for s in a.seats)
        } - counted
        there = given | {p for s in seats for p, at in able[s.place] if _counts(at, part)} - counted
        stood_in = _many(case, given)
        enough = max(stood_in, min(lacks, _many(case, there)), 1)
        quotas[group][part] = _Quota(max(0, needs - max(lacks, stood_in)), min(enough, needs))
    return quotas


def _counts(seat: Seat, part: _Part) -> bool:
    return part is None or seat.counts_for(part)


def _still_wanted(case: Case) -> Iterator[Seat]:
    """Yield the seats of those who stand in from which one more approval would be of use."""
    if not case.stand_ins:
        return
    given, quotas, own = _given(case), _quotas(case), flow_seats(case)
    lacks = sum(_lacking(case, given, quotas).values())
    for seat in case.stand_ins:
        fresh = {**given, PersonId(""): {seat}}
        if seat.place not in own and sum(_lacking(case, fresh, quotas).values()) < lacks:
            yield seat


def _without(approval: Approval, places: Collection[Seat]) -> Approval:
    return replace(approval, seats=frozenset(s for s in approval.seats if s.place not in places))


def _next_stand_ins(case: Case, group: int, parts: Iterable[_Part]) -> list[Seat]:
    """Return who stands in next for these parts of a group: of each the first with somebody."""
    seated = {seat.place: seat for seat in case.stand_ins}
    places = [*(Seat(group, tier) for tier in range(len(case.tiers))), Seat(group, admins=True)]
    able = {p: [at for _, at in reachable(case, p)] for p in places if not p.admins}
    found: dict[Seat, list[GrantId]] = {}
    for part in parts:
        for place in places:
            there = place.admins or any(_counts(at, part) for at in able[place])
            if there and not (place in seated and _counts(seated[place], part)):
                found.setdefault(place, []).extend(() if part is None else (part,))
                break
    return [counting_for(case, place, grants) for place, grants in found.items()]
