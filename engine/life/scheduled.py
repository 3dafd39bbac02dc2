"""What is approved for later: reminded of, given at its start, or not allowed any more by then."""

from datetime import datetime

from engine import approval
from engine.commands import Tick, Withdraw
from engine.directory import PersonId
from engine.eligibility import not_granted
from engine.facts import Facts
from engine.flow import Revision
from engine.life.deciding import without_approval
from engine.life.granting import refusals
from engine.life.offers import reminded_at
from engine.life.pending import (
    ask,
    call_off,
    cannot_be_read,
    case_now,
    close,
    drop_gone,
    drop_void,
    give,
    no_longer_open,
    nothing_left,
)
from engine.life.telling import ask_again, everyone, iso, to_parties
from engine.outcome import AuditEntry, Code, Decision, News, Refusal
from engine.request import SYSTEM, AccessRequest, Grant, GrantId, GrantState, Settled, State
from engine.window import is_open
from engine.words import in_a_row


def begins_at(request: AccessRequest) -> datetime:
    """Return when it begins; of what cannot be read, when it is over: no start is known of it."""
    return request.starts_at or request.lapses_at


def take_back(
    request: AccessRequest, command: Withdraw, facts: Facts, now: datetime
) -> Decision | Refusal:
    if closed := no_longer_open(request, facts, now):
        return closed
    if now >= begins_at(request):
        stands = "Its start has come, so that what was approved stands. It was to begin"
        return Refusal(Code.SETTLED, stands, request.starts_at)
    request, void = drop_void(request, facts)
    left = without_approval(request, command)
    if isinstance(left, Refusal):
        return left
    entry = AuditEntry("withdrawn", command.by)
    return _with_fewer(left, facts, now, by=command.by, audit=(*void, entry))


def _with_fewer(
    request: AccessRequest,
    facts: Facts,
    now: datetime,
    *,
    by: PersonId = SYSTEM,
    audit: tuple[AuditEntry, ...],
) -> Decision:
    """Go on without an approval of what waits for its start.

    Where the others are not enough, it is pending anew: whoever can decide is asked but the one
    `by` whom it was taken back, escalation begins again, and so does the time until it lapses.
    """
    if approval.approved(case_now(request, facts)):
        last = request.approvals[-1]
        request = request.with_(decided=Settled(last.person, last.at, last.reason))
        return Decision(request, everyone(request), audit)
    request = request.with_(
        state=State.PENDING,
        decided=None,
        reminded=False,
        pending_since=now,
        rungs=0,
        lapses_at=_lapses_anew(request, facts.revision, now),
    )
    request, tells = ask(request, facts)
    anew = ask_again(request, sorted(request.deciders - {by}))
    told = (*everyone(request, News.REOPENED, by=by), *tells, *anew)
    return Decision(request, told, (*audit, AuditEntry("reopened", SYSTEM)))


def _lapses_anew(request: AccessRequest, revision: Revision, now: datetime) -> datetime:
    """Return when it lapses, if its time for that begins again, and is never cut short."""
    return max(request.lapses_at, now + revision.lapses_after)


def tick_scheduled(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    if called_off := call_off(request, facts, now):
        return called_off
    begins = now >= begins_at(request)
    if unread := cannot_be_read(request, facts):
        waits = Decision(request)
        return close(request, State.FAILED, SYSTEM, now, unread) if begins else waits
    request, lost = drop_gone(request, facts)
    if not any(g.open for g in request.grants):
        return nothing_left(request, now, lost)
    told = Decision(request, to_parties(request) if lost else (), lost)
    request, void = drop_void(request, facts)
    if void:
        told = _with_fewer(request, facts, now, audit=(*lost, *void))
    if told.request.state is not State.SCHEDULED:
        return told
    return _start(told, facts, now) if begins else _remind(told, now)


def _remind(told: Decision, now: datetime) -> Decision:
    request = told.request
    at = reminded_at(request)
    if at is None or now < at:
        return told
    entry = AuditEntry("reminded", SYSTEM, {"starts_at": iso(request.starts_at)})
    tells = (*told.tell, *to_parties(request, News.REMINDED))
    return Decision(request.with_(reminded=True), tells, (*told.audit, entry))


def _start(told: Decision, facts: Facts, now: datetime) -> Decision:
    """Ask once more who may have what, and give what may be given; nothing of it: it has failed.

    Whether it is approved is asked no more. Its time until it lapses begins again: it was over
    before what starts in a week could begin.
    """
    request = told.request
    wanted = [g for g in request.grants if g.state is GrantState.WANTED]
    why_not = _not_then(request, wanted, facts) or not_granted(request, wanted, facts, now)
    grants = tuple(g.refused(why_not[g.id]) if g.id in why_not else g for g in request.grants)
    request = request.with_(grants=grants)
    if len(why_not) == len(wanted):
        reasons = [why.rstrip(".") for why in dict.fromkeys(why_not.values())]
        closed = close(request, State.FAILED, SYSTEM, now, in_a_row(reasons))
        return Decision(closed.request, closed.tell, (*told.audit, *closed.audit))
    request = give(request.with_(lapses_at=_lapses_anew(request, facts.revision, now)), now)
    left_out = refusals(request, facts, [g for g in grants if g.id in why_not])
    entry = AuditEntry("started", SYSTEM)
    return Decision(
        request, (*left_out.tell, *everyone(request)), (*told.audit, entry, *left_out.audit)
    )


def _not_then(request: AccessRequest, wanted: list[Grant], facts: Facts) -> dict[GrantId, str]:
    """Return why nothing may begin at the start that was named: it is outside the flow's window."""
    name, window = facts.revision.name, facts.revision.when
    if window is None or is_open(window, begins_at(request)):
        return {}
    why = f"“{name}” is not open at the start ({window})."
    return dict.fromkeys((grant.id for grant in wanted), why)
