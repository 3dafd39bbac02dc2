"""How long to wait before the next try, and after how many failures somebody is told."""

from datetime import datetime, timedelta

LONGEST_PAUSE = timedelta(minutes=5)  # between two tries at anything
ALARM_AFTER = 3  # failures in a row


def is_asleep(planned: datetime | None, wake: datetime, now: datetime) -> bool:
    """Tell whether what is to be looked at then would be so too late, or never, as it is planned.

    A hand wrote it; or it was put off by a clock that has been set back since.
    """
    return planned is None or planned > max(wake, now) + 2 * LONGEST_PAUSE


def pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures before the last: 1, 2, 4 … seconds."""
    return min(LONGEST_PAUSE, timedelta(seconds=2 ** min(failures, 10)))
