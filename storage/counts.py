"""What an operator watches: how many requests there are, and which access should have ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlmodel import Session, col

from engine.inventory import IntegrationId
from engine.request import GrantState, State
from storage import audit, facts
from storage.database import Read
from storage.tables import AccountRow, AuditRow, GrantRow, RequestRow


@dataclass(frozen=True, slots=True)
class Overdue:
    """Accounts that hold, or may hold, what has ended, and since when the oldest of them does."""

    accounts: int
    since: datetime | None


def requests_by_state(session: Session) -> Mapping[str, int]:
    """Count requests by state; what stands there instead of one that is known is counted, too."""
    query = select(col(RequestRow.state), func.count()).group_by(col(RequestRow.state))
    found = {str(state): number for state, number in session.execute(query)}
    known = {state.value: found.pop(state, 0) for state in State}
    return known | ({"unreadable": sum(found.values())} if found else {})


def overdue(session: Read, now: datetime) -> Overdue:
    """Count what is being revoked or undone, and what runs although its end has passed."""
    revoking = select(col(RequestRow.id)).where(col(RequestRow.state) == State.REVOKING.value)
    began = select(func.min(col(AuditRow.at))).where(
        col(AuditRow.request_id).in_(revoking),
        col(AuditRow.action) == "revoking",
        audit.HAS_MOMENT,
    )
    over = [GrantState.REFUSED.value, GrantState.ENDED.value]  # before the request is
    undone = and_(col(GrantRow.state).in_(over), col(GrantRow.begun))
    refused = select(func.min(col(AuditRow.at))).where(
        col(AuditRow.request_id).in_(select(col(GrantRow.request_id)).where(undone)),
        col(AuditRow.action).in_(["refused", "gone"]),
        audit.HAS_MOMENT,
    )
    since = [session.execute(began).scalar(), session.execute(refused).scalar()]
    begun = select(*facts.PARTS).where(
        col(RequestRow.state).in_([s.value for s in State if s.wants_access]),
        col(RequestRow.wake_at) <= now,
    )
    running = facts.loaded(session, [tuple(row) for row in session.execute(begun)])
    ended = {r.id: r.ends_at for r in running if r.ends_at is not None and r.ends_at <= now}
    holding = select(func.count(col(GrantRow.account_id).distinct())).where(
        col(GrantRow.open),
        col(GrantRow.begun),
        or_(col(GrantRow.request_id).in_(revoking), col(GrantRow.request_id).in_(ended), undone),
    )
    since += ended.values()
    return Overdue(
        accounts=session.execute(holding).scalar_one(),
        since=min((moment for moment in since if moment is not None), default=None),
    )


def ending(session: Session, system: IntegrationId) -> int:
    """Count the accounts of one system that hold, or may hold, what has to end there."""
    revoking = select(col(RequestRow.id)).where(col(RequestRow.state) == State.REVOKING.value)
    held = (
        select(func.count(col(GrantRow.account_id).distinct()))
        .join(AccountRow, col(AccountRow.id) == col(GrantRow.account_id))
        .where(
            col(AccountRow.integration_id) == system,
            col(GrantRow.open),
            col(GrantRow.begun),
            col(GrantRow.request_id).in_(revoking),
        )
    )
    found: int = session.execute(held).scalar_one()
    return found
