"""What an operator watches, as it is counted in the database."""

from collections.abc import Mapping
from datetime import datetime

from bot.runtime.services import Services
from storage import counts
from storage.counts import Overdue

__all__ = ["Overdue", "counted"]


def counted(services: Services, now: datetime) -> tuple[Mapping[str, int], Overdue]:
    """Return how many requests there are, by state, and which access should have ended.

    Raises what `storage.database.AWAY` lists.
    """
    with services.database.read() as session:
        return counts.requests_by_state(session), counts.overdue(session, now)
