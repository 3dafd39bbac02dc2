"""What a request's state comes to once its grants are known; and wanting nothing any more."""

from datetime import datetime

from engine.commands import Tick
from engine.directory import PersonId
from engine.facts import Facts
from engine.life.telling import in_audit, iso, to_parties
from engine.outcome import AuditEntry, Decision, News, Refusal
from engine.request import (
    GONE,
    RETURNED,
    SYSTEM,
    AccessRequest,
    Grant,
    GrantState,
    Settled,
    State,
)
from engine.words import line


def provisional_end(request: AccessRequest, now: datetime) -> dict[str, datetime | None]:
    ends = None if request.duration is None else now + request.duration
    return {"ends_at": ends, "end_set_at": now}


def settle(request: AccessRequest, facts: Facts, now: datetime, told: Decision) -> Decision:
    """Let the request's state follow from its grants."""
    if request.state is State.GRANTING:
        return _settle_granting(request, facts, now, told)
    if request.state is State.REVOKING:
        return _settle_revoking(request, facts, now, told)
    return Decision(request, told.tell, told.audit)


def _settle_granting(
    request: AccessRequest, facts: Facts, now: datetime, told: Decision
) -> Decision:
    states = {g.state for g in request.grants}
    if GrantState.HELD in states:
        request = request.with_(
            state=State.ACTIVE, confirmed_at=now, **provisional_end(request, now)
        )
        entry = AuditEntry("granted", SYSTEM, {"until": iso(request.ends_at)})
        tells = (*told.tell, *to_parties(request, News.ACTIVE))
        return Decision(request, tells, (*told.audit, entry))
    if GrantState.WANTED not in states:
        return revoke_all(
            request, facts, now, ending=State.FAILED, by=SYSTEM, reason="all was refused", told=told
        )
    return Decision(request, told.tell, told.audit)


def _settle_revoking(
    request: AccessRequest, facts: Facts, now: datetime, told: Decision
) -> Decision:
    """End each grant that is gone, was never ours, or is wanted by another live request."""
    grants = tuple(_ended(g, facts) for g in request.grants)
    request = request.with_(grants=grants)
    if any(g.open for g in grants) or request.ending is None:
        return Decision(request, told.tell, told.audit)
    kept = [
        g.note for g in grants if g.state is GrantState.ENDED and g.note not in {"", GONE, RETURNED}
    ]
    request = request.with_(state=request.ending, ending=None, gone_at=now)
    entry = AuditEntry(request.state.value, SYSTEM, {"kept": kept} if kept else {})
    tells = (*told.tell, *to_parties(request, News.ENDED))
    return Decision(request, tells, (*told.audit, entry))


def _ended(grant: Grant, facts: Facts) -> Grant:
    over = grant.state in {GrantState.REFUSED, GrantState.ENDED}  # perhaps to another, too
    if grant.standing and grant.state is not GrantState.ENDED:
        return grant.ended("It was there before, and stays.")
    if not grant.begun:
        return grant if over else grant.ended()
    if other := facts.held_elsewhere.get(grant.id):
        return grant.absent() if over else grant.ended(f"still held under {other}")
    return grant


def revoke_all(
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
        ended=Settled(by, now, line(reason)),
    )
    entry = AuditEntry("revoking", by, {"ending": ending.value, **in_audit(reason)})
    tells = (*told.tell, *to_parties(request))
    return settle(request, facts, now, Decision(request, tells, (*told.audit, entry)))


def tick_revoking(
    request: AccessRequest, _command: Tick, facts: Facts, now: datetime
) -> Decision | Refusal:
    return settle(request, facts, now, Decision(request))
