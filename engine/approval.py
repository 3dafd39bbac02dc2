"""Who may decide a request, who is asked, and when it is approved (docs/rules.md, *Who decides*).

One function answers “may this person decide” (`seats`): asking, preview and click all call it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from engine.conditions import Comparator, Condition, ConditionGroup, select
from engine.conditions import matches as fulfils
from engine.directory import Directory, Person, PersonId
from engine.flow import ApproverGroup, Quorum, Revision, TierCounts
from engine.request import Approval, Ask, Seat


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


def open_seats(case: Case) -> tuple[Seat, ...]:
    """Return every seat from which one can approve now, the groups' own first."""
    own = [Seat(group) for group in range(len(case.groups))]
    asked = [seat for tier in range(case.tiers_asked) for seat in _tier_seats(case, tier)]
    return tuple(dict.fromkeys((*own, *asked, *case.stand_ins)))


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
    return not _open_groups(case, {a.person: a.seats for a in case.valid})


def missing(case: Case) -> list[ApproverGroup]:
    """Return the groups that nobody has approved for yet."""
    return [case.groups[i] for i in _open_groups(case, {a.person: a.seats for a in case.valid})]


def seat_stand_ins(case: Case) -> Case:
    """Let somebody stand in for each group that has nobody left to ask.

    The first tier with somebody to ask, else the admins, stand in for that group only.
    """
    approval = case.revision.approval
    while stuck := _stuck_groups(case):
        if approval and approval.join is Quorum.ANY_OF:
            stuck = stuck[:1]
        added = [s for g in stuck if (s := _next_stand_in(case, g)) is not None]
        if not added:
            return case
        case = replace(case, stand_ins=(*case.stand_ins, *added))
    return case


def stuck(case: Case) -> bool:
    """Tell whether even everybody who can be asked could not approve."""
    return bool(_stuck_groups(case))


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


def preview(case: Case) -> list[tuple[str, list[Person]]]:
    """Return each approver group's name and the people of it who would hear of the request.

    Of a group without any the administrators stand in.
    """
    return [(g.name, reachable(case, Seat(i))) for i, g in enumerate(case.groups)]


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
    return f"{by}, since nobody of {case.groups[seat.group].name} can be asked"


def _open_groups(case: Case, taken: Mapping[PersonId, Collection[Seat]]) -> list[int]:
    """Return the groups that these people, sitting so, leave open; none means approved."""
    everything = range(len(case.groups))
    if any(seat.group is None for held in taken.values() for seat in held):
        return []
    held = {p: {s.group for s in held if s.group is not None} for p, held in taken.items()}
    approval = case.revision.approval
    if approval is None:
        return []
    covered = {g for groups in held.values() for g in groups}
    if approval.join is Quorum.ANY_OF:
        return [] if covered else list(everything)
    if not approval.distinct:
        return [g for g in everything if g not in covered]
    assigned = _assign(held)
    return [g for g in everything if g not in assigned]


def _assign(held: Mapping[PersonId, set[int]]) -> dict[int, PersonId]:
    """Give each group to at most one person, as many groups as can be (augmenting paths)."""
    given: dict[int, PersonId] = {}

    def place(person: PersonId, tried: set[int]) -> bool:
        for group in sorted(held[person] - tried):
            tried.add(group)
            if group not in given or place(given[group], tried):
                given[group] = person
                return True
        return False

    for person in held:
        place(person, set())
    return given


def _stuck_groups(case: Case) -> list[int]:
    """Return the groups that even everybody who approved or can be asked would leave open."""
    potential: dict[PersonId, set[Seat]] = {a.person: set(a.seats) for a in case.valid}
    for seat in open_seats(case):
        for person in reachable(case, seat):
            potential.setdefault(person.id, set()).add(seat)
    return _open_groups(case, potential)


def _next_stand_in(case: Case, group: int) -> Seat | None:
    candidates = [Seat(group, tier) for tier in range(len(case.tiers))]
    for seat in (*candidates, Seat(group, admins=True)):
        if seat not in case.stand_ins and (reachable(case, seat) or seat.admins):
            return seat
    return None
