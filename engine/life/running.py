"""Access that runs: offered an extension, extended, returned, revoked, ended by the clock."""

from collections.abc import Sequence
from datetime import datetime

from engine.commands import Extend, Return, Revoke, Tick
from engine.directory import PersonId
from engine.facts import Facts
from engine.holdings import wants
from engine.life.offers import announced_at
from engine.life.settling import revoke_all
from engine.life.telling import (
    alarm,
    everyone,
    inactive_grantee,
    inactive_party,
    is_admin,
    is_gone,
    is_readable,
    iso,
    name_of,
    name_of_what,
    refusal,
    to_parties,
    too_long,
    why_gone,
)
from engine.outcome import AuditEntry, Card, Code, Decision, News, Refusal, Tell
from engine.request import (
    GONE,
    OPERATOR,
    RETURNED,
    SYSTEM,
    AccessRequest,
    Grant,
    GrantState,
    State,
)


def tick_active(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    if gone := inactive_grantee(request, facts):
        reason = why_gone(gone, facts)
        return revoke_all(request, facts, now, ending=State.REVOKED, by=SYSTEM, reason=reason)
    if request.ends_at is not None and now >= request.ends_at:
        return revoke_all(request, facts, now, ending=State.EXPIRED, by=SYSTEM)
    lost = _lost(request, facts)
    request = lost.request
    if lost.audit and not any(g.state is GrantState.HELD for g in request.grants):
        reason = "what it gave is gone"
        return revoke_all(
            request, facts, now, ending=State.REVOKED, by=SYSTEM, reason=reason, told=lost
        )
    orphaned = (*lost.tell, *_orphaned(request, facts))
    made = sum(at <= now for at in announced_at(request))
    if made <= request.offers_made:
        return Decision(request, orphaned, lost.audit)
    request = request.with_(offers_made=made)
    entry = AuditEntry("offered", SYSTEM, {"ends_at": iso(request.ends_at)})
    return Decision(request, (*orphaned, *to_parties(request, News.OFFER)), (*lost.audit, entry))


def _lost(request: AccessRequest, facts: Facts) -> Decision:
    """End what was given of things that are gone: one of the same name is another thing.

    It was given by the system's own id: it is looked for, and taken away, all the same.
    """
    lost = [g for g in request.grants if g.state is GrantState.HELD and is_gone(g, facts)]
    if not lost:
        return Decision(request)
    ended = {g.id: g.ended(GONE) if g.standing else g.withdrawn(GONE) for g in lost}
    named = {g.id: name_of_what(g, facts) for g in lost}
    tells = tuple(
        Tell(
            p, Card.NOTICE, f"gone/{id_}", f"{request.code}: {what} is gone, and so is the access."
        )
        for id_, what in named.items()
        for p in request.parties
    )
    entries = (AuditEntry("gone", SYSTEM, {"entitlement": g.entitlement}) for g in lost)
    return Decision(
        request.with_(grants=tuple(ended.get(g.id, g) for g in request.grants)),
        (*tells, *to_parties(request)),
        tuple(entries),
    )


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
        f"{why_gone(request.requestor, facts)}, and had asked for {request.code}. "
        f"{name_of(request.grantee, facts)} keeps the access until its end."
    )
    manager = facts.directory.get(grantee.manager) if grantee and grantee.manager else None
    if manager and manager.may_ask:
        return (Tell(manager.id, Card.NOTICE, "orphaned", sentence),)
    return alarm(facts, "orphaned", sentence)


def extend(
    request: AccessRequest, command: Extend, facts: Facts, now: datetime
) -> Decision | Refusal:
    # An operator: for who may have done so before the database was put back to an older state.
    if command.by not in {*request.parties, OPERATOR}:
        return Refusal(Code.NOT_YOURS, "Only who asked, or who has the access, can extend it.")
    if gone := inactive_grantee(request, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{why_gone(gone, facts)}.")
    if not is_readable(request.grantee, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{why_gone(request.grantee, facts)}.")
    if command.by not in {request.grantee, OPERATOR} and inactive_party(request, facts):
        return Refusal(Code.PERSON_INACTIVE, f"{why_gone(command.by, facts)}.")
    if request.ends_at is None:
        return Refusal(Code.NOTHING_TO_DO, "This access has no end. There is nothing to extend.")
    if now >= request.ends_at:
        return refusal(Code.NOT_RUNNING, request, facts)
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
    entry = AuditEntry("extended", command.by, {"until": iso(request.ends_at)})
    news = None if awaits else News.EXTENDED  # else once every system took it
    return Decision(request, to_parties(request, news), (entry,))


def give_back(
    request: AccessRequest, command: Return, facts: Facts, now: datetime
) -> Decision | Refusal:
    if command.by not in request.parties:
        return Refusal(Code.NOT_YOURS, "Only who asked, or who has the access, can return it.")
    has = [g for g in request.grants if wants(request, g)]
    kept = [g for g in has if g.id in command.without]
    if not kept:
        return revoke_all(request, facts, now, ending=State.RETURNED, by=command.by)
    if len(kept) == len(has):
        return Refusal(Code.NOTHING_SELECTED, "Choose what you return.", about="things")
    if request.state is State.ACTIVE and not any(g.state is GrantState.HELD for g in kept):
        sentence = "What you keep is not there yet. Return all of it, or wait until it is there."
        return Refusal(Code.NOTHING_TO_DO, sentence, about="things")
    return _returned(request, [g for g in has if g not in kept], facts, command.by)


def _returned(
    request: AccessRequest, given: Sequence[Grant], facts: Facts, by: PersonId
) -> Decision:
    """End a part. The rest runs on to the same end, which waits for no system without any of it."""
    over = {g.id: _over(g, facts) for g in given}
    request = request.with_(grants=tuple(over.get(g.id, g) for g in request.grants))
    awaits = tuple(
        account
        for account in request.end_awaits
        if any(g.account == account and g.begun and wants(request, g) for g in request.grants)
    )
    before = request.end_before if awaits or not request.end_awaits else None
    request = request.with_(end_awaits=awaits, end_before=before)
    entry = AuditEntry("returned_part", by, {"entitlements": [g.entitlement for g in given]})
    return Decision(request, everyone(request), (entry,))


def _over(grant: Grant, facts: Facts) -> Grant:
    if not grant.begun:
        return grant.ended(RETURNED)
    other = facts.held_elsewhere.get(grant.id)
    return grant.handed_on(other) if other else grant.withdrawn(RETURNED)


def revoke(
    request: AccessRequest, command: Revoke, facts: Facts, now: datetime
) -> Decision | Refusal:
    by = facts.directory.get(command.by)
    own = {a.person for a in request.approvals if not a.through}
    decided_it = bool(by and by.may_ask and by.id in own)
    if not decided_it and not is_admin(command.by, facts):
        return Refusal(Code.NOT_YOURS, "Only an admin, or who approved it, can revoke it.")
    if bad := too_long(command.reason):
        return bad
    return revoke_all(
        request, facts, now, ending=State.REVOKED, by=command.by, reason=command.reason
    )
