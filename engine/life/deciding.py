"""A request that waits is decided: approved, rejected, an approval taken back; and by whom."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from engine import approval
from engine.commands import Approve, Reject, Withdraw
from engine.directory import Person, PersonId
from engine.facts import Facts
from engine.flow import MAX_DURATION, MIN_DURATION, Revision
from engine.inventory import EntitlementId
from engine.life.pending import ask, case_now, closed, drop_void, go_on, no_longer_open
from engine.life.telling import (
    everyone,
    in_audit,
    name_of,
    too_long,
)
from engine.outcome import AuditEntry, Code, Decision, News, Refusal
from engine.request import (
    AccessRequest,
    Approval,
    Seat,
    Settled,
    State,
    joined,
)
from engine.seating import Case, acts_for, may_sit
from engine.words import in_a_row, line


def approve(
    request: AccessRequest, command: Approve, facts: Facts, now: datetime
) -> Decision | Refusal:
    deciding = decider(request, command.by, facts, now)
    if isinstance(deciding, Refusal):
        return deciding
    person, seats = deciding
    if bad := _bad_approval(request, command, facts):
        return bad
    request, void = drop_void(request, facts)
    request, declined = _without(request, command, facts)
    if not any(g.open for g in request.grants):
        sentence = "Nothing would be left of it. Reject the request instead."
        return Refusal(Code.NOTHING_LEFT, sentence, about="things")
    case = case_now(request, facts)
    if already := _already_approved(request, case, person, seats, facts):
        return already
    mine = next((a for a in request.approvals if a.person == person.id), None)
    through = acts_for(case, seats, person)
    given = Approval(
        person.id,
        frozenset(joined((*seats, *(mine.seats if mine else ())))),
        person.approves_at(now),
        line(command.reason),
        command.duration,
        command.keep_extensions,
        _both(through, mine.through if mine else ()),
        _both(
            (d.delegator for d in facts.directory.received_by(person.id)),
            mine.one_with if mine else (),
        ),
    )
    others = tuple(a for a in request.approvals if a.person != person.id)
    request = request.with_(approvals=(*others, given)).clicked(command.key)
    said = in_audit(command.reason, command.duration) | _for_whom(through) | declined
    entry = AuditEntry("approved", person.id, said)
    if not approval.approved(case_now(request, facts)):
        request, tells = ask(request, facts)
        return Decision(request, (*everyone(request), *tells), (*void, entry))
    return go_on(
        request,
        now,
        decided=Settled(person.id, now, given.reason, given.through),
        audit=(*void, entry),
    )


def _already_approved(
    request: AccessRequest, case: Case, person: Person, seats: Collection[Seat], facts: Facts
) -> Refusal | None:
    """Refuse what would add nothing to what somebody has approved who counts as this person."""
    same = approval.in_place_of(case, person)
    given = joined(seat for a in same for seat in a.seats)
    if not all(request.is_within(seat, given) for seat in seats):
        return None
    lacks = approval.missing_in_words(case)
    if mine := next((a for a in same if a.person == person.id), None):
        sentence = f"You have approved this already. Still needed: {lacks}."
        return Refusal(Code.ALREADY_APPROVED, sentence, mine.at)
    who = in_a_row([name_of(a.person, facts) for a in same])
    sentence = (
        f"{who} approved this already. By delegation you count as one person: yours would add "
        f"nothing. Still needed: {lacks}."
    )
    return Refusal(Code.ALREADY_APPROVED, sentence, same[-1].at)


def _both(some: Iterable[PersonId], more: Iterable[PersonId]) -> tuple[PersonId, ...]:
    return tuple(dict.fromkeys((*more, *some)))


def _for_whom(through: Sequence[PersonId]) -> dict[str, object]:
    """Say, for the audit, for whom somebody decides who would have no right of their own."""
    return {"for": [*through]} if through else {}


def _without(
    request: AccessRequest, command: Approve, facts: Facts
) -> tuple[AccessRequest, dict[str, list[EntitlementId]]]:
    """Leave out what is declined, for good; return what that is, for the audit."""
    out = {g.id for g in request.grants if g.open} & command.without
    why = f"{name_of(command.by, facts)} left it out."
    grants = tuple(g.refused(why) if g.id in out else g for g in request.grants)
    left_out = [g.entitlement for g in request.grants if g.id in out]
    return request.with_(grants=grants), {"left_out": left_out} if left_out else {}


def reject(
    request: AccessRequest, command: Reject, facts: Facts, now: datetime
) -> Decision | Refusal:
    deciding = decider(request, command.by, facts, now)
    if isinstance(deciding, Refusal):
        return deciding
    person, seats = deciding
    if bad := _bad_reason(command.reason, facts.revision):
        return bad
    through = acts_for(case_now(request, facts), seats, person)
    request = request.with_(
        state=State.REJECTED, decided=Settled(person.id, now, line(command.reason), through)
    )
    entry = AuditEntry("rejected", person.id, in_audit(command.reason) | _for_whom(through))
    return Decision(closed(request), everyone(request, News.DECIDED), (entry,))


def withdraw(
    request: AccessRequest, command: Withdraw, facts: Facts, now: datetime
) -> Decision | Refusal:
    if closed := no_longer_open(request, facts, now):
        return closed
    request, void = drop_void(request, facts)
    left = without_approval(request, command)
    if isinstance(left, Refusal):
        return left
    request, tells = ask(left, facts)
    entry = AuditEntry("withdrawn", command.by)
    return Decision(request, (*everyone(request), *tells), (*void, entry))


def without_approval(request: AccessRequest, command: Withdraw) -> AccessRequest | Refusal:
    left = tuple(a for a in request.approvals if a.person != command.by)
    if left == request.approvals:
        return Refusal(Code.NOTHING_TO_DO, "You have no approval of this request to withdraw.")
    return request.with_(approvals=left).clicked(command.key)


def decider(
    request: AccessRequest, by: PersonId, facts: Facts, now: datetime
) -> tuple[Person, frozenset[Seat]] | Refusal:
    """Ask again, at the click, all that must still hold for this person to decide, and whence."""
    if closed := no_longer_open(request, facts, now):
        return closed
    person = facts.directory.get(by)
    if person is None or not person.may_ask:
        return Refusal(Code.NOT_APPROVER, "You cannot approve requests.")
    case = case_now(request, facts)
    if by in request.parties and not may_sit(case, person):
        return Refusal(Code.OWN_REQUEST, "Nobody decides their own request. Somebody else has to.")
    seats = approval.seats(case, person)
    if not seats:
        return Refusal(Code.NOT_APPROVER, "You are not an approver of this request (any more).")
    return person, seats


def _bad_approval(request: AccessRequest, command: Approve, facts: Facts) -> Refusal | None:
    if bad := _bad_reason(command.reason, facts.revision):
        return bad
    if command.duration is None:
        return None
    if command.duration < MIN_DURATION:
        return Refusal(Code.BAD_DURATION, "The shortest time is 5 minutes.", about="duration")
    if command.duration > (request.duration or MAX_DURATION):
        return Refusal(
            Code.BAD_DURATION, "You can shorten the time, not lengthen it.", about="duration"
        )
    return None


def _bad_reason(reason: str, revision: Revision) -> Refusal | None:
    if bad := too_long(reason):
        return bad
    if revision.require_reason and not line(reason):
        return Refusal(Code.REASON_NEEDED, "This flow asks for a reason.", about="reason")
    return None
