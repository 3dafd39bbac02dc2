"""A request that waits: verified, asked about, escalated, cancelled, lapsed; then given or not."""

from datetime import datetime, timedelta

from engine import approval
from engine.commands import Cancel, Change, Tick, Verify
from engine.directory import PersonId
from engine.facts import Facts
from engine.flow import Revision
from engine.life.offers import REMINDED_BEFORE
from engine.life.settling import provisional_end
from engine.life.telling import (
    alarm,
    everyone,
    in_audit,
    inactive_party,
    is_admin,
    is_readable,
    iso,
    name_of,
    name_of_what,
    refusal,
    tell_asked,
    to_parties,
    too_long,
    why_gone,
)
from engine.outcome import AuditEntry, Card, Code, Decision, News, Refusal, Tell
from engine.request import (
    OPERATOR,
    SYSTEM,
    AccessRequest,
    GrantState,
    Settled,
    State,
    code_of,
)
from engine.seating import Case, case_of
from engine.words import in_a_row, line

REASON_OF_AN_ADMIN = "An administrator says why. Whoever sees the request reads it."
LONGEST_ANSWER = timedelta(hours=24)  # that a lapse is put off, once, for an answer


def await_approval(
    request: AccessRequest, facts: Facts, now: datetime, audit: tuple[AuditEntry, ...] = ()
) -> Decision:
    if facts.revision.approval is None:
        automatic = AuditEntry("approved", SYSTEM, {"how": "automatic"})
        return go_on(request, now, decided=Settled(SYSTEM, now), audit=(*audit, automatic))
    request = request.with_(state=State.PENDING, pending_since=now)
    request, tells = ask(request, facts)
    return Decision(request, (*to_parties(request), *tells), audit)


def verify(
    request: AccessRequest, command: Verify, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by != request.grantee:
        return Refusal(Code.NOT_YOURS, "Only the person who is to have the access can verify it.")
    if closed := no_longer_open(request, facts, now):
        return closed
    return await_approval(request, facts, now, audit=(AuditEntry("verified", command.by),))


def no_longer_open(request: AccessRequest, facts: Facts, now: datetime) -> Refusal | None:
    """Ask again, at the click, what the clock might not have got round to."""
    if request.state is not State.SCHEDULED and now >= request.lapses_at:
        return refusal(Code.LAPSED, request, facts)
    if facts.flow.deleted:
        return Refusal(Code.FLOW_CLOSED, "The access flow of this request was deleted.")
    if not facts.revision.readable:
        sentence = "The access flow of this request cannot be read. The administrators are told."
        return Refusal(Code.UNREADABLE, sentence)
    if gone := inactive_party(request, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{why_gone(gone, facts)}.")
    return None


def ask(request: AccessRequest, facts: Facts) -> tuple[AccessRequest, tuple[Tell, ...]]:
    """Ask everybody who may decide now, and tell whose right has come or gone."""
    case = approval.seat_stand_ins(case_now(request, facts))
    before = {(a.person, a.seat): a.open for a in request.asks}
    asked = approval.asks(case, request.asks)
    changed = dict.fromkeys(a.person for a in asked if before.get((a.person, a.seat)) is not a.open)
    result = request.with_(asks=asked, stand_ins=case.stand_ins)
    result, tells = tell_asked(request, result, changed, facts)
    if (changed or case.stand_ins != request.stand_ins) and approval.stuck(case):
        sentence = (
            f"{request.code} waits, and there is nobody left who could approve it: "
            f"{_wish(request, facts)}. It lapses at {request.lapses_at:%Y-%m-%d %H:%M} UTC."
        )
        tells += alarm(facts, "stuck", sentence)
    return result, tells


def drop_void(request: AccessRequest, facts: Facts) -> tuple[AccessRequest, tuple[AuditEntry, ...]]:
    """Drop approvals whose giver left, or became a guest, before the decision, for good."""
    valid = case_now(request, facts).valid
    if valid == request.approvals:
        return request, ()
    lost = tuple(
        AuditEntry("void", SYSTEM, {"of": a.person}) for a in request.approvals if a not in valid
    )
    return request.with_(approvals=valid), lost


def cancel(
    request: AccessRequest, command: Cancel, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by not in request.parties and not is_admin(command.by, facts):
        return Refusal(Code.NOT_YOURS, "Only who asked, who is to have it, or an admin can cancel.")
    if command.by not in {*request.parties, OPERATOR} and not line(command.reason):
        return Refusal(Code.REASON_NEEDED, REASON_OF_AN_ADMIN, about="reason")
    if bad := too_long(command.reason):
        return bad
    return close(request, State.CANCELLED, command.by, now, command.reason)


def change(
    request: AccessRequest, command: Change, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by != request.requestor:
        return Refusal(Code.NOT_YOURS, "Only who made the request can change it.")
    if closed := no_longer_open(request, facts, now):
        return closed
    done = close(request, State.CANCELLED, command.by, now)
    entry = AuditEntry(State.CANCELLED.value, command.by, {"changed_to": code_of(command.to)})
    return Decision(done.request.with_(changed_to=command.to), done.tell, (entry,))


def close(
    request: AccessRequest, state: State, by: PersonId, now: datetime, reason: str = ""
) -> Decision:
    request = closed(request.with_(state=state, ended=Settled(by, now, line(reason))))
    entry = AuditEntry(state.value, by, in_audit(reason))
    return Decision(request, everyone(request, News.ENDED, by=by), (entry,))


def closed(request: AccessRequest) -> AccessRequest:
    """No grant of a request that was never granted stays open."""
    grants = tuple(g.ended() if g.state is GrantState.WANTED else g for g in request.grants)
    return request.with_(grants=grants)


def tick_pending(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    if called_off := call_off(request, facts, now):
        return called_off
    if cannot_be_read(request, facts):
        return _wait(request, now)
    request, lost = drop_gone(request, facts)
    if not any(g.open for g in request.grants):
        return nothing_left(request, now, lost)
    if now >= request.lapses_at:
        return close(request, State.TIMED_OUT, SYSTEM, now, "nobody decided in time")
    if request.state is State.PENDING_MFA:
        return Decision(request, to_parties(request) if lost else (), lost)
    request, void = drop_void(request, facts)
    escalated = _escalate(request, facts, now)
    asked, more = ask(escalated.request, facts)
    others = asked.asks != request.asks or escalated.audit
    tells = everyone(asked) if void else to_parties(asked) if lost or others else ()
    if asked.admins_told and not request.admins_told:
        more = (*alarm(facts, "undecided", _undecided(asked, facts)), *more)
    return Decision(asked, (*tells, *more), (*lost, *void, *escalated.audit))


def call_off(request: AccessRequest, facts: Facts, now: datetime) -> Decision | None:
    """Cancel what waits, where somebody it is of has left, or its flow is gone; None: neither."""
    gone = inactive_party(request, facts)
    if gone and is_readable(gone, facts):
        return close(request, State.CANCELLED, SYSTEM, now, why_gone(gone, facts))
    if facts.flow.deleted:
        return close(request, State.CANCELLED, SYSTEM, now, "its access flow was deleted")
    return None


def cannot_be_read(request: AccessRequest, facts: Facts) -> str:
    """Say what cannot be read that would have to be known to go on; empty: all can be."""
    if not request.readable:
        return "what is stored of it cannot be read"
    if not facts.revision.readable:
        return "its access flow cannot be read"
    gone = inactive_party(request, facts)
    return why_gone(gone, facts) if gone else ""


def nothing_left(request: AccessRequest, now: datetime, lost: tuple[AuditEntry, ...]) -> Decision:
    closed = close(request, State.CANCELLED, SYSTEM, now, "what it asked for no longer exists")
    return Decision(closed.request, closed.tell, (*lost, *closed.audit))


def _wait(request: AccessRequest, now: datetime) -> Decision:
    """Ask nobody, and drop nothing, while it cannot be read what would have to be known for it."""
    if now < request.lapses_at:
        return Decision(request)
    return close(request, State.TIMED_OUT, SYSTEM, now, "nobody decided in time")


def _escalate(request: AccessRequest, facts: Facts, now: datetime) -> Decision:
    """Ask the tiers whose time has come; a tier with nobody to ask is skipped at once."""
    audit: list[AuditEntry] = []
    escalation = facts.revision.escalation
    while escalation and (due := next_tier_at(request, facts.revision)) and due <= now:
        request = request.with_(rungs=request.rungs + 1)
        somebody = False
        while request.tiers_asked < len(escalation.tiers) and not somebody:
            somebody = approval.tier_has_somebody(case_now(request, facts), request.tiers_asked)
            request = request.with_(tiers_asked=request.tiers_asked + 1)
            audit.append(AuditEntry("escalated", SYSTEM, {"tier": request.tiers_asked}))
        if not somebody:
            request = request.with_(admins_told=True)
            audit.append(AuditEntry("admins_told", SYSTEM))
    return Decision(request, audit=tuple(audit))


def _undecided(request: AccessRequest, facts: Facts) -> str:
    """Say who waits for what since when, and who was asked in vain."""
    asked = [name_of(ask.person, facts) for ask in request.asks if ask.open]
    whom = f"{in_a_row(asked)} could decide" if asked else "Nobody can be asked"
    return (
        f"Nobody has decided {request.code}: {_wish(request, facts)}. {whom}; it lapses at "
        f"{request.lapses_at:%Y-%m-%d %H:%M} UTC."
    )


def _wish(request: AccessRequest, facts: Facts) -> str:
    """Say who asked for what, for whom and when, to go on with in a sentence."""
    named = [name_of_what(grant, facts) for grant in request.grants]
    theirs = f" for {name_of(request.grantee, facts)}" if len(request.parties) > 1 else ""
    return (
        f"{name_of(request.requestor, facts)} asked for {in_a_row(named)}{theirs} at "
        f"{request.submitted_at:%Y-%m-%d %H:%M} UTC"
    )


def waits_no_longer(request: AccessRequest, now: datetime) -> AccessRequest:
    """Return it with the lapse that it has once nobody waits for an answer any more.

    While somebody does it was as late as it could become.
    """
    since = request.waits_since
    if since is None:
        return request
    waited = min(max(now - since, timedelta()), LONGEST_ANSWER)
    return request.with_(lapses_at=request.lapses_at - (LONGEST_ANSWER - waited))


def next_tier_at(request: AccessRequest, revision: Revision) -> datetime | None:
    """Return when the next tier, or after the last the admins, are told; None: no more."""
    escalation = revision.escalation
    if escalation is None or request.pending_since is None or request.admins_told:
        return None
    return request.pending_since + escalation.every * (request.rungs + 1)


def drop_gone(request: AccessRequest, facts: Facts) -> tuple[AccessRequest, tuple[AuditEntry, ...]]:
    """Let resources that are gone leave a request that waits."""
    grants, lost = [], []
    for grant in request.grants:
        entitlement = facts.entitlements.get(grant.entitlement)
        if grant.state is GrantState.WANTED and not (entitlement and entitlement.available):
            lost.append(AuditEntry("dropped", SYSTEM, {"entitlement": grant.entitlement}))
            grants.append(grant.refused("It no longer exists."))
        else:
            grants.append(grant)
    return request.with_(grants=tuple(grants)), tuple(lost)


def go_on(
    request: AccessRequest,
    now: datetime,
    *,
    decided: Settled,
    audit: tuple[AuditEntry, ...],
) -> Decision:
    """Approved: for later, or to be given at once."""
    request = waits_no_longer(request.with_(decided=decided), now)
    if request.starts_at and now < request.starts_at:
        near = request.starts_at - now <= REMINDED_BEFORE
        request = request.with_(state=State.SCHEDULED, reminded=near)
        entry = AuditEntry("scheduled", SYSTEM, {"starts_at": iso(request.starts_at)})
        return Decision(request, everyone(request, News.DECIDED), (*audit, entry))
    request = give(request, now)
    return Decision(request, (*everyone(request, News.DECIDED), *_late(request, decided.by)), audit)


def give(request: AccessRequest, now: datetime) -> AccessRequest:
    """Store what should be, with a provisional end, before anything is called."""
    request = request.as_approved()
    return request.with_(state=State.GRANTING, **provisional_end(request, now))


def _late(request: AccessRequest, by: PersonId) -> tuple[Tell, ...]:
    """Tell who approved it after its start that it begins at once."""
    if request.starts_at is None or by == SYSTEM:
        return ()
    sentence = (
        f"{request.code} was to start at {request.starts_at:%Y-%m-%d %H:%M} UTC. You approved it "
        "after that, so that it begins at once."
    )
    return (Tell(by, Card.NOTICE, "late_start", sentence),)


def case_now(request: AccessRequest, facts: Facts) -> Case:
    return case_of(request, facts.revision, facts.directory, facts.admins, facts.entitlements)
