"""The life of a request: a table of state and command, `decide`, and `next_wake`.

`decide` is pure and total. `TABLE` says for each command what each state does with it; the docs
print it and a test walks every pair. `next_wake` tells when the clock must look again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from engine import approval
from engine.approval import Case
from engine.commands import (
    Approve,
    Attempt,
    Cancel,
    Command,
    Extend,
    Observe,
    Reject,
    Return,
    Revoke,
    Standing,
    Tick,
    Verify,
)
from engine.directory import Person, PersonId
from engine.eligibility import still_granted
from engine.facts import Facts
from engine.flow import MAX_DURATION, MAX_REASON, MIN_DURATION, Revision
from engine.holdings import wants
from engine.outcome import Card, Code, Decision, Entry, Refusal, Tell
from engine.port import Outcome, Presence
from engine.request import (
    OPERATOR,
    SYSTEM,
    AccessRequest,
    Approval,
    Grant,
    GrantState,
    Seat,
    Settled,
    State,
)
from engine.words import trimmed

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Do:
    """A row of the table: what is done, and the states that it may lead to."""

    step: Callable[..., Decision | Refusal]
    to: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class No:
    """A row of the table: refused, and why."""

    code: Code


Row = Do | No


def decide(
    request: AccessRequest, command: Command, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Decide what the command does to the request. `now` is aware UTC. It never raises."""
    row = TABLE[type(command)][request.state]
    if isinstance(row, No):
        return _refused(row.code, request, facts)
    if not request.readable and not _ends(request, command):
        return _not_readable(request, command)
    return row.step(request, command, facts, now)


def _ends(request: AccessRequest, command: Command) -> bool:
    """Tell whether the command only ends what is there: no more is done to what is not read."""
    if isinstance(command, Cancel | Return | Revoke | Tick):
        return True
    return isinstance(command, Observe) and request.state is State.REVOKING


def _not_readable(request: AccessRequest, command: Command) -> Decision | Refusal:
    if isinstance(command, Attempt | Standing | Observe):
        return Decision(request)
    sentence = f"What is stored of {request.code} cannot be read. It can only be ended."
    return Refusal(Code.UNREADABLE, sentence)


def next_wake(request: AccessRequest, revision: Revision) -> datetime | None:
    """Return when the clock must look at the request again; None: only a command can change it."""
    match request.state:
        case State.PENDING_MFA:
            return request.lapses_at
        case State.PENDING:
            return _earliest(request.lapses_at, next_tier_at(request, revision))
        case State.GRANTING:
            return _earliest(request.lapses_at, _running_end(request))
        case State.ACTIVE:
            return _earliest(request.ends_at, *_offers(request)[request.offers_made :])
        case _:
            return None


def begin(request: AccessRequest, facts: Facts, now: datetime) -> Decision:
    """Start the life of a request that eligibility has allowed and storage has numbered."""
    submitted = Entry(
        "submitted",
        request.requestor,
        {"grantee": request.grantee, "justification": request.justification},
    )
    if facts.revision.require_mfa:
        request = request.with_(state=State.PENDING_MFA)
        return Decision(request, _to_parties(request, Card.REQUEST), (submitted,))
    return _await_approval(request, facts, now, audit=(submitted,))


# --- asking and deciding -------------------------------------------------------------------------


def _await_approval(
    request: AccessRequest, facts: Facts, now: datetime, audit: tuple[Entry, ...] = ()
) -> Decision:
    if facts.revision.approval is None:
        automatic = Entry("approved", SYSTEM, {"how": "automatic"})
        return _grant(request, now, by=SYSTEM, audit=(*audit, automatic))
    request = request.with_(state=State.PENDING, pending_since=now)
    request, tells = _ask(request, facts)
    return Decision(request, (*_to_parties(request, Card.REQUEST), *tells), audit)


def _verify(
    request: AccessRequest, command: Verify, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by != request.grantee:
        return Refusal(Code.NOT_YOURS, "Only the person who is to have the access can verify it.")
    if closed := _no_longer_open(request, facts, now):
        return closed
    return _await_approval(request, facts, now, audit=(Entry("verified", command.by),))


def _no_longer_open(request: AccessRequest, facts: Facts, now: datetime) -> Refusal | None:
    """Ask again, at the click, what the clock might not have got round to."""
    if now >= request.lapses_at:
        return _refused(Code.LAPSED, request, facts)
    if facts.flow.deleted:
        return Refusal(Code.FLOW_CLOSED, "The access flow of this request was deleted.")
    if not facts.revision.readable:
        sentence = "The access flow of this request cannot be read. The administrators are told."
        return Refusal(Code.UNREADABLE, sentence)
    if gone := _inactive_party(request, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{_gone(gone, facts)}.")
    return None


def _ask(request: AccessRequest, facts: Facts) -> tuple[AccessRequest, tuple[Tell, ...]]:
    """Ask everybody who may decide now, and tell whose right has come or gone."""
    case = approval.seat_stand_ins(_case(request, facts))
    before = {(a.person, a.seat): a.open for a in request.asks}
    asked = approval.asks(case, request.asks)
    changed = dict.fromkeys(a.person for a in asked if before.get((a.person, a.seat)) is not a.open)
    tells = tuple(Tell(person, Card.APPROVAL) for person in changed)
    if (changed or case.stand_ins != request.stand_ins) and approval.stuck(case):
        sentence = f"{request.code} waits, and there is nobody left who could approve it."
        tells += _alarm(facts, "stuck", sentence)
    return request.with_(asks=asked, stand_ins=case.stand_ins), tells


def _approve(
    request: AccessRequest, command: Approve, facts: Facts, now: datetime
) -> Decision | Refusal:
    decider = _decider(request, command.by, facts, now)
    if isinstance(decider, Refusal):
        return decider
    person, seats = decider
    if bad := _bad_approval(request, command, facts):
        return bad
    request, void = _void(request, facts)
    mine = next((a for a in request.approvals if a.person == person.id), None)
    if mine and seats <= mine.seats:
        return Refusal(
            Code.ALREADY_APPROVED,
            f"You have approved this already. Still needed: {_missing(request, facts)}.",
            mine.at,
        )
    given = Approval(
        person.id,
        seats | (mine.seats if mine else frozenset()),
        person.approves_at(now),
        trimmed(command.reason),
        command.duration,
        command.keep_extensions,
    )
    others = tuple(a for a in request.approvals if a.person != person.id)
    request = request.with_(approvals=(*others, given))
    entry = Entry("approved", person.id, _said(command.reason, command.duration))
    if not approval.approved(_case(request, facts)):
        request, tells = _ask(request, facts)
        mine_told = Tell(person.id, Card.APPROVAL)
        parties = _to_parties(request, Card.REQUEST)
        return Decision(request, (*dict.fromkeys((mine_told, *tells)), *parties), (*void, entry))
    return _grant(request, now, by=person.id, audit=(*void, entry), reason=given.reason)


def _void(request: AccessRequest, facts: Facts) -> tuple[AccessRequest, tuple[Entry, ...]]:
    """Drop approvals whose giver left, or became a guest, before the decision, for good."""
    valid = _case(request, facts).valid
    if valid == request.approvals:
        return request, ()
    lost = tuple(
        Entry("void", SYSTEM, {"of": a.person}) for a in request.approvals if a not in valid
    )
    return request.with_(approvals=valid), lost


def _reject(
    request: AccessRequest, command: Reject, facts: Facts, now: datetime
) -> Decision | Refusal:
    decider = _decider(request, command.by, facts, now)
    if isinstance(decider, Refusal):
        return decider
    person, _ = decider
    if bad := _bad_reason(command.reason, facts.revision):
        return bad
    request = request.with_(
        state=State.REJECTED, decided=Settled(person.id, now, trimmed(command.reason))
    )
    entry = Entry("rejected", person.id, _said(command.reason))
    return Decision(_closed(request), _everyone(request), (entry,))


def _decider(
    request: AccessRequest, by: PersonId, facts: Facts, now: datetime
) -> tuple[Person, frozenset[Seat]] | Refusal:
    """Ask again, at the click, all that must still hold for this person to decide, and whence."""
    if closed := _no_longer_open(request, facts, now):
        return closed
    person = facts.directory.get(by)
    if person is None or not person.may_ask:
        return Refusal(Code.NOT_APPROVER, "You cannot approve requests.")
    case = _case(request, facts)
    if by in request.parties and not approval.may_sit(case, person):
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
    if bad := _too_long(reason):
        return bad
    if revision.require_reason and not trimmed(reason):
        return Refusal(Code.REASON_NEEDED, "This flow asks for a reason.", about="reason")
    return None


def _too_long(reason: str) -> Refusal | None:
    if (length := len(trimmed(reason))) <= MAX_REASON:
        return None
    sentence = f"A reason has at most {MAX_REASON} characters; this has {length}."
    return Refusal(Code.TEXT_TOO_LONG, sentence, about="reason")


def _cancel(
    request: AccessRequest, command: Cancel, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by not in request.parties and not _is_admin(command.by, facts):
        return Refusal(Code.NOT_YOURS, "Only who asked, who is to have it, or an admin can cancel.")
    if bad := _too_long(command.reason):
        return bad
    return _close(request, State.CANCELLED, command.by, now, command.reason)


def _close(
    request: AccessRequest, state: State, by: PersonId, now: datetime, reason: str = ""
) -> Decision:
    request = _closed(request.with_(state=state, ended=Settled(by, now, trimmed(reason))))
    return Decision(request, _everyone(request), (Entry(state.value, by, _said(reason)),))


def _closed(request: AccessRequest) -> AccessRequest:
    """No grant of a request that was never granted stays open."""
    grants = tuple(g.ended() if g.state is GrantState.WANTED else g for g in request.grants)
    return request.with_(grants=grants)


def _tick_pending(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    gone = _inactive_party(request, facts)
    if gone and _is_readable(gone, facts):
        return _close(request, State.CANCELLED, SYSTEM, now, _gone(gone, facts))
    if facts.flow.deleted:
        return _close(request, State.CANCELLED, SYSTEM, now, "its access flow was deleted")
    if gone or not (request.readable and facts.revision.readable):
        return _wait(request, now)
    request, lost = _drop_gone(request, facts)
    if not any(g.open for g in request.grants):
        closed = _close(request, State.CANCELLED, SYSTEM, now, "what it asked for no longer exists")
        return Decision(closed.request, closed.tell, (*lost, *closed.audit))
    if now >= request.lapses_at:
        return _close(request, State.TIMED_OUT, SYSTEM, now, "nobody decided in time")
    tells = _to_parties(request, Card.REQUEST) if lost else ()
    if request.state is State.PENDING_MFA:
        return Decision(request, tells, lost)
    request, void = _void(request, facts)
    escalated = _escalate(request, facts, now)
    asked, more = _ask(escalated.request, facts)
    return Decision(asked, (*tells, *escalated.tell, *more), (*lost, *void, *escalated.audit))


def _wait(request: AccessRequest, now: datetime) -> Decision:
    """Ask nobody, and drop nothing, while it cannot be read what would have to be known for it."""
    if now < request.lapses_at:
        return Decision(request)
    return _close(request, State.TIMED_OUT, SYSTEM, now, "nobody decided in time")


def _escalate(request: AccessRequest, facts: Facts, now: datetime) -> Decision:
    """Ask the tiers whose time has come; a tier with nobody to ask is skipped at once."""
    tells: list[Tell] = []
    audit: list[Entry] = []
    escalation = facts.revision.escalation
    while escalation and (due := next_tier_at(request, facts.revision)) and due <= now:
        request = request.with_(rungs=request.rungs + 1)
        somebody = False
        while request.tiers_asked < len(escalation.tiers) and not somebody:
            somebody = approval.tier_has_somebody(_case(request, facts), request.tiers_asked)
            request = request.with_(tiers_asked=request.tiers_asked + 1)
            audit.append(Entry("escalated", SYSTEM, {"tier": request.tiers_asked}))
        if not somebody:
            request = request.with_(admins_told=True)
            sentence = f"Nobody has decided {request.code}; every tier was asked."
            tells += _alarm(facts, "undecided", sentence)
            audit.append(Entry("admins_told", SYSTEM))
    return Decision(request, tuple(tells), tuple(audit))


def next_tier_at(request: AccessRequest, revision: Revision) -> datetime | None:
    """Return when the next tier, or after the last the admins, are told; None: no more."""
    escalation = revision.escalation
    if escalation is None or request.pending_since is None or request.admins_told:
        return None
    return request.pending_since + escalation.every * (request.rungs + 1)


def _drop_gone(request: AccessRequest, facts: Facts) -> tuple[AccessRequest, tuple[Entry, ...]]:
    """Let resources that are gone leave a request that waits."""
    grants, lost = [], []
    for grant in request.grants:
        entitlement = facts.entitlements.get(grant.entitlement)
        if grant.state is GrantState.WANTED and not (entitlement and entitlement.available):
            lost.append(Entry("dropped", SYSTEM, {"entitlement": grant.entitlement}))
            grants.append(grant.refused("It no longer exists."))
        else:
            grants.append(grant)
    return request.with_(grants=tuple(grants)), tuple(lost)


# --- granting ------------------------------------------------------------------------------------


def _grant(
    request: AccessRequest,
    now: datetime,
    *,
    by: PersonId,
    audit: tuple[Entry, ...],
    reason: str = "",
) -> Decision:
    """Approved: store what should be, with a provisional end, before anything is called."""
    shortened = [
        (a.duration, a.keep_extensions)
        for a in request.approvals
        if a.duration is not None and a.duration != request.duration
    ]
    if shortened:
        keep = all(keeps for _, keeps in shortened)
        request = request.with_(
            duration=min(duration for duration, _ in shortened),
            extensions_allowed=request.extensions_allowed if keep else 0,
        )
    request = request.with_(
        state=State.GRANTING, decided=Settled(by, now, reason), **_provisional_end(request, now)
    )
    return Decision(request, _everyone(request), audit)


def _provisional_end(request: AccessRequest, now: datetime) -> dict[str, datetime | None]:
    ends = None if request.duration is None else now + request.duration
    return {"ends_at": ends, "end_set_at": now}


def _attempt(
    request: AccessRequest, _command: Attempt, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Ask once more who may have what; from here on the real system may hold it.

    What was never looked at waits: it might be standing, and then it is not ours to end. After
    the end nothing is begun, even where the clock has not got round to ending it.
    """
    if _is_over(request, now):
        return Decision(request)
    grants, refused = list[Grant](), list[Grant]()
    for grant in request.grants:
        if grant.state is not GrantState.WANTED or grant.standing is None:
            grants.append(grant)
            continue
        why_not = still_granted(request, grant, facts)
        if why_not:
            refused.append(grant.refused(why_not))
            grants.append(refused[-1])
        else:
            grants.append(grant.begin())
    request = request.with_(grants=tuple(grants))
    if request.confirmed_at is None:
        request = request.with_(**_provisional_end(request, now))
    told = _refusals(request, facts, refused)
    return _settle(request, facts, now, told)


def _standing(
    request: AccessRequest, command: Standing, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Store the first look. Access that was there before counts as given and is never ended."""
    grants = tuple(
        g.looked(found=command.found[g.id])
        if g.id in command.found and g.standing is None and g.state is GrantState.WANTED
        else g
        for g in request.grants
    )
    found = [
        g for g, old in zip(grants, request.grants, strict=True) if g.standing and not old.standing
    ]
    request = request.with_(grants=grants)
    told = Decision(request)
    if found:
        named = ", ".join(_what(g, facts) for g in found)
        key = f"standing/{found[0].id}"
        sentence = (
            f"{request.code}: {_name(request.grantee, facts)} already held {named}, not through "
            "Latchkey. It stays when the request ends."
        )
        told = Decision(
            request,
            (
                Tell(request.grantee, Card.NOTICE, key, sentence),
                *_alarm(facts, key, sentence),
            ),
            (Entry("standing", SYSTEM, {"entitlements": [g.entitlement for g in found]}),),
        )
    return _settle(request, facts, now, told)


def _observe(
    request: AccessRequest, command: Observe, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Take in what a connector saw."""
    grants = tuple(_seen(request, g, command.outcomes.get(g.id)) for g in request.grants)
    both = list(zip(request.grants, grants, strict=True))
    refused = [
        new
        for old, new in both
        if new.state is GrantState.REFUSED and old.state is not GrantState.REFUSED
    ]
    request = request.with_(grants=grants)
    told = _refusals(request, facts, refused)
    undone = any(
        new.state is GrantState.REFUSED and old.begun and not new.begun for old, new in both
    )
    parts = [new for old, new in both if old.left_out != new.left_out]
    if undone or parts:
        entries = (
            Entry("left_out", SYSTEM, {"entitlement": g.entitlement, "left_out": g.left_out})
            for g in parts
        )
        tells = dict.fromkeys((*told.tell, *_everyone(request)))
        told = Decision(request, tuple(tells), (*told.audit, *entries))
    if request.end_before is not None and request.state is State.ACTIVE and command.newest:
        told = _end_taken(request, command, facts.revision, now, told)
    return _settle(told.request, facts, now, told)


def _seen(request: AccessRequest, grant: Grant, outcome: Outcome | None) -> Grant:
    if outcome is None:
        return grant
    match outcome.presence:
        case Presence.HELD if request.state.wants_access and grant.state is GrantState.WANTED:
            return grant.held(outcome.left_out)
        case Presence.HELD if grant.state is GrantState.HELD and grant.begun:
            return grant.held(outcome.left_out)
        case Presence.ABSENT:
            return grant.absent()
        case Presence.REFUSED if grant.state is GrantState.WANTED:
            return grant.refused(outcome.reason)  # what was begun of it has yet to be seen absent
        case _:
            return grant


def _end_taken(
    request: AccessRequest, command: Observe, revision: Revision, now: datetime, told: Decision
) -> Decision:
    """The extension stands once every system took it; one that refuses brings the old end back."""
    if not command.end_refused:
        heard = {g.account for g in request.grants if g.id in command.outcomes}
        awaits = tuple(a for a in request.end_awaits if heard and a not in heard)
        before = request.end_before if awaits else None
        cards = () if awaits else _to_parties(request, Card.REQUEST)
        request = request.with_(end_before=before, end_awaits=awaits)
        return Decision(request, (*told.tell, *cards), told.audit)
    request = request.with_(
        ends_at=request.end_before,
        end_before=None,
        end_awaits=(),
        end_set_at=now,
        extensions_used=request.extensions_used - _unconfirmed(request, revision),
        offers_made=0,
    )
    sentence = f"{request.code} could not be extended: {command.end_refused}. The old end stands."
    tells = tuple(
        Tell(p, Card.NOTICE, f"not_extended/{now.isoformat()}", sentence) for p in request.parties
    )
    entry = Entry("extension_refused", SYSTEM, {"reason": command.end_refused})
    return Decision(
        request,
        (*told.tell, *tells, *_to_parties(request, Card.REQUEST)),
        (*told.audit, entry),
    )


def _unconfirmed(request: AccessRequest, revision: Revision) -> int:
    """Return how many extensions the systems have not taken yet."""
    if revision.extension is None or request.ends_at is None or request.end_before is None:
        return 0
    return round((request.ends_at - request.end_before) / revision.extension.each)


def _settle(request: AccessRequest, facts: Facts, now: datetime, told: Decision) -> Decision:
    """Let the request's state follow from its grants."""
    if request.state is State.GRANTING:
        return _settle_granting(request, facts, now, told)
    if request.state is State.REVOKING:
        return _settle_revoking(request, facts, told)
    return Decision(request, told.tell, told.audit)


def _settle_granting(
    request: AccessRequest, facts: Facts, now: datetime, told: Decision
) -> Decision:
    states = {g.state for g in request.grants}
    if GrantState.HELD in states:
        request = request.with_(
            state=State.ACTIVE, confirmed_at=now, **_provisional_end(request, now)
        )
        entry = Entry("granted", SYSTEM, {"until": _iso(request.ends_at)})
        tells = (*told.tell, *_to_parties(request, Card.REQUEST))
        return Decision(request, tells, (*told.audit, entry))
    if GrantState.WANTED not in states:
        return _revoke_all(
            request, facts, now, ending=State.FAILED, by=SYSTEM, reason="all was refused", told=told
        )
    return Decision(request, told.tell, told.audit)


def _settle_revoking(request: AccessRequest, facts: Facts, told: Decision) -> Decision:
    """End each grant that is gone, was never ours, or is wanted by another live request."""
    grants = tuple(_ended(g, facts) for g in request.grants)
    request = request.with_(grants=grants)
    if any(g.open for g in grants) or request.ending is None:
        return Decision(request, told.tell, told.audit)
    kept = [g.note for g in grants if g.state is GrantState.ENDED and g.note]
    request = request.with_(state=request.ending, ending=None)
    entry = Entry(request.state.value, SYSTEM, {"kept": kept} if kept else {})
    tells = (*told.tell, *_to_parties(request, Card.REQUEST), *_to_parties(request, Card.ENDED))
    return Decision(request, tells, (*told.audit, entry))


def _ended(grant: Grant, facts: Facts) -> Grant:
    if grant.state is GrantState.ENDED:
        return grant
    if grant.standing:
        return grant.ended("It was there before, and stays.")
    if not grant.begun:
        return grant if grant.state is GrantState.REFUSED else grant.ended()
    if other := facts.held_elsewhere.get(grant.entitlement):
        refused = grant.state is GrantState.REFUSED  # perhaps to the other, too
        return grant.absent() if refused else grant.ended(f"still held under {other}")
    return grant


def _refusals(request: AccessRequest, facts: Facts, refused: list[Grant]) -> Decision:
    if not refused:
        return Decision(request)
    tells: list[Tell] = []
    audit: list[Entry] = []
    for grant in refused:
        sentence = f"{request.code}: {_what(grant, facts)} was not granted. {grant.note}"
        if grant.begun:
            sentence = (
                f"{request.code}: {_what(grant, facts)} was refused. {grant.note} "
                "What was begun of it is being undone."
            )
        key = f"refused/{grant.id}"
        tells.append(Tell(request.grantee, Card.NOTICE, key, sentence))
        tells += _alarm(facts, key, sentence)
        entry = Entry("refused", SYSTEM, {"entitlement": grant.entitlement, "why": grant.note})
        audit.append(entry)
    tells += _everyone(request)
    return Decision(request, tuple(tells), tuple(audit))


def _tick_granting(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    end = partial(_revoke_all, request, facts, now, by=SYSTEM)
    if gone := _inactive_grantee(request, facts):
        return end(ending=State.REVOKED, reason=_gone(gone, facts))
    if _is_over(request, now):
        return end(ending=State.FAILED, reason="it could not be granted in time")
    return Decision(request)


def _is_over(request: AccessRequest, now: datetime) -> bool:
    """Tell whether the end has come. While nothing was begun there is no end, only the lapse."""
    ends = _running_end(request)
    lapsed = request.state is State.GRANTING and now >= request.lapses_at
    return lapsed or (ends is not None and now >= ends)


def _running_end(request: AccessRequest) -> datetime | None:
    """Return the end of what may be there; what was approved and not begun has its time yet."""
    waits = request.state is State.GRANTING and not any(g.begun for g in request.grants)
    return None if waits else request.ends_at


# --- running and ending --------------------------------------------------------------------------


def _tick_active(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    if gone := _inactive_grantee(request, facts):
        reason = _gone(gone, facts)
        return _revoke_all(request, facts, now, ending=State.REVOKED, by=SYSTEM, reason=reason)
    if request.ends_at is not None and now >= request.ends_at:
        return _revoke_all(request, facts, now, ending=State.EXPIRED, by=SYSTEM)
    orphaned = _orphaned(request, facts)
    made = sum(at <= now for at in _offers(request))
    if made <= request.offers_made:
        return Decision(request, orphaned)
    request = request.with_(offers_made=made)
    offers = tuple(Tell(p, Card.OFFER, offer_key(request)) for p in request.parties)
    entry = Entry("offered", SYSTEM, {"ends_at": _iso(request.ends_at)})
    return Decision(request, (*orphaned, *offers), (entry,))


def _orphaned(request: AccessRequest, facts: Facts) -> tuple[Tell, ...]:
    """Who asked for somebody else has left: the access stays, and somebody must know."""
    requestor, grantee = (
        facts.directory.get(request.requestor),
        facts.directory.get(request.grantee),
    )
    here = requestor is not None and (requestor.may_ask or not requestor.readable)
    if request.requestor == request.grantee or here or not request.readable:
        return ()
    sentence = (
        f"{_gone(request.requestor, facts)}, and had asked for {request.code}. "
        f"{_name(request.grantee, facts)} keeps the access until its end."
    )
    manager = facts.directory.get(grantee.manager) if grantee and grantee.manager else None
    if manager and manager.may_ask:
        return (Tell(manager.id, Card.NOTICE, "orphaned", sentence),)
    return _alarm(facts, "orphaned", sentence)


def _offers(request: AccessRequest) -> list[datetime]:
    """Return when the end is announced: before it, and for long access a day and an hour ahead."""
    if request.ends_at is None or request.end_set_at is None:
        return []
    stretch = request.ends_at - request.end_set_at
    lead = max(MINUTE, min(10 * MINUTE, stretch / 5))
    ahead = [DAY, HOUR, lead] if stretch > DAY else [lead]
    return [request.ends_at - before for before in ahead]


def offer_key(request: AccessRequest) -> str:
    """Name the offer that the request stands at: which stretch, which announcement of it."""
    return f"{request.extensions_used}/{request.offers_made}"


def _extend(
    request: AccessRequest, command: Extend, facts: Facts, now: datetime
) -> Decision | Refusal:
    # An operator: for who may have done so before the database was put back to an older state.
    if command.by not in {*request.parties, OPERATOR}:
        return Refusal(Code.NOT_YOURS, "Only who asked, or who has the access, can extend it.")
    if gone := _inactive_grantee(request, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{_gone(gone, facts)}.")
    if not _is_readable(request.grantee, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{_gone(request.grantee, facts)}.")
    if command.by not in {request.grantee, OPERATOR} and _inactive_party(request, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{_gone(command.by, facts)}.")
    if request.ends_at is None:
        return Refusal(Code.NOTHING_TO_DO, "This access has no end. There is nothing to extend.")
    if now >= request.ends_at:
        return _refused(Code.NOT_RUNNING, request, facts)
    if command.number <= request.extensions_used:
        return Refusal(Code.ALREADY_EXTENDED, "This was extended already. It ends", request.ends_at)
    extension = facts.revision.extension
    if (
        extension is None
        or request.extensions_left == 0
        or command.number != request.extensions_used + 1
    ):
        return Refusal(
            Code.NO_EXTENSION_LEFT, "There is no extension left. It ends", request.ends_at
        )
    if not facts.flow.open:
        return Refusal(Code.FLOW_CLOSED, "Its access flow takes no extensions any more.")
    before = _stale_offers(request)
    awaits = tuple(
        dict.fromkeys(g.account for g in request.grants if g.begun and wants(request, g))
    )
    request = request.with_(
        ends_at=request.ends_at + extension.each,
        end_set_at=now,
        end_before=(request.end_before or request.ends_at) if awaits else None,
        end_awaits=awaits,
        extensions_used=request.extensions_used + 1,
        offers_made=0,
    )
    entry = Entry("extended", command.by, {"until": _iso(request.ends_at)})
    return Decision(request, (*_to_parties(request, Card.REQUEST), *before), (entry,))


def _stale_offers(request: AccessRequest) -> tuple[Tell, ...]:
    """Return the offers that stand in Slack and are no longer true."""
    if not request.offers_made:
        return ()
    return tuple(
        Tell(p, Card.OFFER, f"{request.extensions_used}/{made}", post=False)
        for p in request.parties
        for made in range(1, request.offers_made + 1)
    )


def _return(
    request: AccessRequest, command: Return, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by not in request.parties:
        return Refusal(Code.NOT_YOURS, "Only who asked, or who has the access, can return it.")
    return _revoke_all(request, facts, now, ending=State.RETURNED, by=command.by)


def _revoke(
    request: AccessRequest, command: Revoke, facts: Facts, now: datetime
) -> Decision | Refusal:
    by = facts.directory.get(command.by)
    decided_it = bool(by and by.may_ask and by.id in {a.person for a in request.approvals})
    if not decided_it and not _is_admin(command.by, facts):
        return Refusal(Code.NOT_YOURS, "Only an admin, or who approved it, can revoke it.")
    if bad := _too_long(command.reason):
        return bad
    return _revoke_all(
        request, facts, now, ending=State.REVOKED, by=command.by, reason=command.reason
    )


def _revoke_all(
    request: AccessRequest,
    facts: Facts,
    now: datetime,
    *,
    ending: State,
    by: PersonId,
    reason: str = "",
    told: Decision | None = None,
) -> Decision:
    """Want nothing any more; the state becomes final when each grant is seen to be gone."""
    told = told or Decision(request)
    grants = tuple(
        g.refused(reason) if g.state is GrantState.WANTED and ending is State.FAILED else g
        for g in request.grants
    )
    request = request.with_(
        state=State.REVOKING,
        grants=grants,
        ending=ending,
        end_before=None,
        end_awaits=(),
        ended=Settled(by, now, trimmed(reason)),
    )
    entry = Entry("revoking", by, {"ending": ending.value, **_said(reason)})
    tells = (*told.tell, *_to_parties(request, Card.REQUEST), *_stale_offers(request))
    return _settle(request, facts, now, Decision(request, tells, (*told.audit, entry)))


def _nothing(
    request: AccessRequest, _command: Command, _facts: Facts, _now: datetime
) -> Decision | Refusal:
    """Late or doubled, and harmless: nothing changes."""
    return Decision(request)


def _tick_revoking(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    return _settle(request, facts, now, Decision(request))


_P, _G, _A, _R = State.PENDING, State.GRANTING, State.ACTIVE, State.REVOKING
_LEAVES = (State.FAILED, State.EXPIRED, State.RETURNED, State.REVOKED)


def _rows(otherwise: Row, rows: Mapping[State, Row]) -> Mapping[State, Row]:
    return {state: rows.get(state, otherwise) for state in State}


_SAME = Do(_nothing, ())
_DECIDED = No(Code.SETTLED)
_NOT_RUNNING = No(Code.NOT_RUNNING)
_UNVERIFIED = No(Code.NOTHING_TO_DO)

TABLE: Mapping[type[Any], Mapping[State, Row]] = {
    Verify: _rows(
        _DECIDED,
        {State.PENDING_MFA: Do(_verify, (_P, _G)), _P: _SAME, _G: _SAME, _A: _SAME},
    ),
    Approve: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(_approve, (_P, _G))}),
    Reject: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(_reject, (State.REJECTED,))}),
    Cancel: _rows(
        _DECIDED,
        {
            State.PENDING_MFA: Do(_cancel, (State.CANCELLED,)),
            _P: Do(_cancel, (State.CANCELLED,)),
        },
    ),
    Extend: _rows(_NOT_RUNNING, {_A: Do(_extend, (_A,))}),
    Return: _rows(
        _NOT_RUNNING,
        {_G: Do(_return, (_R, State.RETURNED)), _A: Do(_return, (_R, State.RETURNED))},
    ),
    Revoke: _rows(
        _NOT_RUNNING,
        {_G: Do(_revoke, (_R, State.REVOKED)), _A: Do(_revoke, (_R, State.REVOKED))},
    ),
    Tick: _rows(
        _SAME,
        {
            State.PENDING_MFA: Do(
                _tick_pending, (State.PENDING_MFA, State.CANCELLED, State.TIMED_OUT)
            ),
            _P: Do(_tick_pending, (_P, State.CANCELLED, State.TIMED_OUT)),
            _G: Do(_tick_granting, (_G, _R, State.FAILED, State.REVOKED)),
            _A: Do(_tick_active, (_A, _R, State.EXPIRED, State.REVOKED)),
            _R: Do(_tick_revoking, (_R, *_LEAVES)),
        },
    ),
    Attempt: _rows(_SAME, {_G: Do(_attempt, (_G, _R, State.FAILED)), _A: Do(_attempt, (_A,))}),
    Standing: _rows(
        _SAME,
        {_G: Do(_standing, (_G, _A)), _A: Do(_standing, (_A,)), _R: Do(_standing, (_R, *_LEAVES))},
    ),
    Observe: _rows(
        _SAME,
        {
            _G: Do(_observe, (_G, _A, _R, State.FAILED)),
            _A: Do(_observe, (_A,)),
            _R: Do(_observe, (_R, *_LEAVES)),
        },
    ),
}


# --- words and small pieces ----------------------------------------------------------------------


def _case(request: AccessRequest, facts: Facts) -> Case:
    return Case(
        facts.revision,
        request.requestor,
        request.grantee,
        facts.directory,
        facts.admins,
        request.tiers_asked,
        request.stand_ins,
        request.approvals,
    )


def _everyone(request: AccessRequest) -> tuple[Tell, ...]:
    """Return the cards that show a decision: the parties', and every approver's copy."""
    return (
        *_to_parties(request, Card.REQUEST),
        *(Tell(person, Card.APPROVAL, post=False) for person in request.asked),
    )


def _to_parties(request: AccessRequest, card: Card) -> tuple[Tell, ...]:
    return tuple(Tell(person, card) for person in request.parties)


def _alarm(facts: Facts, key: str, sentence: str) -> tuple[Tell, ...]:
    return tuple(Tell(admin, Card.ALARM, key, sentence) for admin in sorted(facts.admins))


def _said(reason: str, duration: timedelta | None = None) -> dict[str, Any]:
    said: dict[str, Any] = {"reason": text} if (text := trimmed(reason)) else {}
    if duration is not None:
        said["duration"] = int(duration.total_seconds())
    return said


def _is_admin(person: PersonId, facts: Facts) -> bool:
    return person == OPERATOR or (
        person in facts.admins and bool((p := facts.directory.get(person)) and p.may_ask)
    )


def _inactive_party(request: AccessRequest, facts: Facts) -> PersonId | None:
    requestor = facts.directory.get(request.requestor)
    if requestor is None or not requestor.may_ask:
        return request.requestor
    return _inactive_grantee(request, facts)


def _inactive_grantee(request: AccessRequest, facts: Facts) -> PersonId | None:
    grantee = facts.directory.get(request.grantee)
    return request.grantee if grantee is None or not grantee.may_receive else None


def _name(person: PersonId, facts: Facts) -> str:
    if person == SYSTEM:
        return "Latchkey"
    if person == OPERATOR:
        return "an operator"
    found = facts.directory.get(person)
    return found.name if found else "Somebody"


def _is_readable(person: PersonId, facts: Facts) -> bool:
    found = facts.directory.get(person)
    return found is None or found.readable


def _gone(person: PersonId, facts: Facts) -> str:
    found = facts.directory.get(person)
    if not _is_readable(person, facts):
        return f"What the directory says of {_name(person, facts)} cannot be read"
    guest = found is not None and found.active
    return f"{_name(person, facts)} is {'a guest now' if guest else 'no longer active'}"


def _what(grant: Grant, facts: Facts) -> str:
    return str(facts.entitlements.get(grant.entitlement, "an access"))


def _missing(request: AccessRequest, facts: Facts) -> str:
    names = [group.name for group in approval.missing(_case(request, facts))]
    return ", ".join(names) or "nobody"


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((m for m in moments if m is not None), default=None)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _refused(code: Code, request: AccessRequest, facts: Facts) -> Refusal:
    """Say what is true of the request, to somebody who came too late or too early."""
    if code is Code.LAPSED:
        return Refusal(code, "This request has lapsed", request.lapses_at)
    match request.state:
        case State.PENDING_MFA:
            return Refusal(code, f"{_name(request.grantee, facts)} has to verify first.")
        case State.PENDING:
            return Refusal(code, "This request still waits for a decision.")
        case State.GRANTING:
            return Refusal(code, _decided_by(request, facts, "approved"), _decided_at(request))
        case State.ACTIVE if code is Code.NOT_RUNNING:
            return Refusal(code, "This access has just ended", request.ends_at)
        case State.ACTIVE:
            return Refusal(code, _decided_by(request, facts, "approved"), _decided_at(request))
        case State.REJECTED:
            return Refusal(code, _decided_by(request, facts, "rejected"), _decided_at(request))
        case _ if code is Code.SETTLED and request.decided:
            return Refusal(code, _decided_by(request, facts, "approved"), _decided_at(request))
        case State.REVOKING:
            return Refusal(code, "This access is being taken away", _ended_at(request))
        case _:
            by = f" by {_name(request.ended.by, facts)}" if request.ended else ""
            word = request.state.value.replace("_", " ")
            return Refusal(code, f"This request was {word}{by}", _ended_at(request))


def _decided_by(request: AccessRequest, facts: Facts, word: str) -> str:
    if request.decided is None or request.decided.by == SYSTEM:
        return f"This request was {word} automatically"
    return f"{_name(request.decided.by, facts)} {word} this request"


def _decided_at(request: AccessRequest) -> datetime | None:
    return request.decided.at if request.decided else None


def _ended_at(request: AccessRequest) -> datetime | None:
    return request.ended.at if request.ended else None
