"""What is announced, and when: the start, and the end with the offer of an extension."""

from datetime import datetime, timedelta

from engine.request import AccessRequest, State

REMINDED_BEFORE = timedelta(minutes=15)  # the start
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def reminded_at(request: AccessRequest) -> datetime | None:
    """Return when the start is announced; None: it was, or is not to be."""
    if request.reminded or request.starts_at is None:
        return None
    return request.starts_at - REMINDED_BEFORE


def announced_at(request: AccessRequest) -> list[datetime]:
    """Return when the end is announced: before it, and for long access a day and an hour ahead."""
    if request.ends_at is None or request.end_set_at is None:
        return []
    stretch = request.ends_at - request.end_set_at
    lead = max(MINUTE, min(10 * MINUTE, stretch / 5))
    ahead = [DAY, HOUR, lead] if stretch > DAY else [lead]
    return [request.ends_at - before for before in ahead]


def offered(request: AccessRequest) -> bool:
    """Tell whether the end was announced, and is still to come as it was."""
    return request.state is State.ACTIVE and request.offers_made > 0
