"""What was approved and begun: the first look, the attempt, and what connectors saw."""

from datetime import datetime
from functools import partial

from engine.commands import Attempt, FirstLook, Observe, Tick
from engine.eligibility import not_granted
from engine.facts import Facts
from engine.flow import Revision
from engine.life.settling import provisional_end, revoke_all, settle
from engine.life.telling import (
    alarm,
    everyone,
    inactive_grantee,
    name_of,
    name_of_what,
    to_parties,
    why_gone,
)
from engine.outcome import AuditEntry, Card, Decision, News, Refusal, Tell
from engine.port import Outcome, Presence
from engine.request import RETURNED, SYSTEM, AccessRequest, Grant, GrantState, State


def attempt(
    request: AccessRequest, _command: Attempt, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Ask once more who may have what; from here on the real system may hold it.

    What was never looked at waits: it might be standing, and then it is not ours to end. After
    the end nothing is begun, even where the clock has not got round to ending it.
    """
    if _is_over(request, now):
        return Decision(request)
    due = {g for g in request.grants if g.state is GrantState.WANTED and g.standing is not None}
    why_not = not_granted(request, [g for g in request.grants if g in due], facts, now)
    grants = tuple(
        (g.refused(why_not[g.id]) if g.id in why_not else g.begin()) if g in due else g
        for g in request.grants
    )
    refused = [g for g in grants if g.id in why_not]
    request = request.with_(grants=grants)
    if request.confirmed_at is None:
        request = request.with_(**provisional_end(request, now))
    told = refusals(request, facts, refused)
    return settle(request, facts, now, told)


def look_first(
    request: AccessRequest, command: FirstLook, facts: Facts, now: datetime
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
        named = ", ".join(name_of_what(g, facts) for g in found)
        key = f"standing/{found[0].id}"
        sentence = (
            f"{request.code}: {name_of(request.grantee, facts)} already held {named}, not through "
            "Latchkey. It stays when the request ends."
        )
        told = Decision(
            request,
            (
                Tell(request.grantee, Card.NOTICE, key, sentence),
                *alarm(facts, key, sentence),
            ),
            (AuditEntry("standing", SYSTEM, {"entitlements": [g.entitlement for g in found]}),),
        )
    return settle(request, facts, now, told)


def observe(
    request: AccessRequest, command: Observe, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Take in what a connector saw."""
    grants = tuple(
        _handed_on(_seen(request, g, command.outcomes.get(g.id)), facts) for g in request.grants
    )
    both = list(zip(request.grants, grants, strict=True))
    refused = [
        new
        for old, new in both
        if new.state is GrantState.REFUSED and old.state is not GrantState.REFUSED
    ]
    request = request.with_(grants=grants)
    told = refusals(request, facts, refused)
    over = {GrantState.REFUSED, GrantState.ENDED}  # before the request is
    undone = any(new.state in over and old.begun and not new.begun for old, new in both)
    parts = [new for old, new in both if old.left_out != new.left_out]
    if undone or parts:
        entries = (
            AuditEntry("left_out", SYSTEM, {"entitlement": g.entitlement, "left_out": g.left_out})
            for g in parts
        )
        tells = dict.fromkeys((*told.tell, *everyone(request)))
        told = Decision(request, tuple(tells), (*told.audit, *entries))
    if request.end_before is not None and request.state is State.ACTIVE and command.newest:
        told = _end_taken(request, command, facts.revision, now, told)
    return settle(told.request, facts, now, told)


def _handed_on(grant: Grant, facts: Facts) -> Grant:
    """End what was returned, and another request wants since: it is not to be seen absent."""
    other = facts.held_elsewhere.get(grant.id)
    return grant.handed_on(other) if other and grant.begun and grant.note == RETURNED else grant


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
        cards = () if awaits else to_parties(request, News.EXTENDED)
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
    entry = AuditEntry("extension_refused", SYSTEM, {"reason": command.end_refused})
    return Decision(
        request,
        (*told.tell, *tells, *to_parties(request)),
        (*told.audit, entry),
    )


def _unconfirmed(request: AccessRequest, revision: Revision) -> int:
    """Return how many extensions the systems have not taken yet."""
    if revision.extension is None or request.ends_at is None or request.end_before is None:
        return 0
    return round((request.ends_at - request.end_before) / revision.extension.each)


def refusals(request: AccessRequest, facts: Facts, refused: list[Grant]) -> Decision:
    if not refused:
        return Decision(request)
    tells: list[Tell] = []
    audit: list[AuditEntry] = []
    for grant in refused:
        sentence = f"{request.code}: {name_of_what(grant, facts)} was not granted. {grant.note}"
        if grant.begun:
            sentence = (
                f"{request.code}: {name_of_what(grant, facts)} was refused. {grant.note} "
                "What was begun of it is being undone."
            )
        key = f"refused/{grant.id}"
        tells.append(Tell(request.grantee, Card.NOTICE, key, sentence))
        tells += alarm(facts, key, sentence)
        entry = AuditEntry("refused", SYSTEM, {"entitlement": grant.entitlement, "why": grant.note})
        audit.append(entry)
    tells += everyone(request)
    return Decision(request, tuple(tells), tuple(audit))


def tick_granting(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    end = partial(revoke_all, request, facts, now, by=SYSTEM)
    if gone := inactive_grantee(request, facts):
        return end(ending=State.REVOKED, reason=why_gone(gone, facts))
    if _is_over(request, now):
        return end(ending=State.FAILED, reason="it could not be granted in time")
    return Decision(request)


def _is_over(request: AccessRequest, now: datetime) -> bool:
    """Tell whether the end has come. While nothing was begun there is no end, only the lapse."""
    ends = running_end(request)
    lapsed = request.state is State.GRANTING and now >= request.lapses_at
    return lapsed or (ends is not None and now >= ends)


def running_end(request: AccessRequest) -> datetime | None:
    """Return the end of what may be there; what was approved and not begun has its time yet."""
    waits = request.state is State.GRANTING and not any(g.begun for g in request.grants)
    return None if waits else request.ends_at
