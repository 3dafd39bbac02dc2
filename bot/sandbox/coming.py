"""What the clock brings next to a request: when, as the product says, and what that is called."""

from datetime import datetime
from typing import Any

from engine.flow import Revision
from engine.lifecycle import next_wake
from engine.request import AccessRequest, State

__all__ = ["coming"]


def coming(request: AccessRequest, revision: Revision) -> dict[str, Any] | None:
    """Return `what` comes, to the request of which `code`, and when: `at`, in seconds since 1970.

    None: it changes only by what people do.
    """
    at = next_wake(request, revision)
    if at is None:
        return None
    return {"what": _event(request, revision, at), "code": request.code, "at": at.timestamp()}


def _event(request: AccessRequest, revision: Revision, at: datetime) -> str:
    if request.state is State.SCHEDULED:
        return "start" if at == request.starts_at else "reminder"
    if at == request.ends_at:
        return "end"
    if request.state is State.ACTIVE:
        return "offer" if request.extensions_left else "reminder"
    if at == request.lapses_at:
        return "lapse"
    tiers = revision.escalation.tiers if revision.escalation else ()
    return "escalation" if request.tiers_asked < len(tiers) else "alarm"
