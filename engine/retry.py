"""How long to wait before the next try, and after how many failures somebody is told."""

from datetime import timedelta

LONGEST_PAUSE = timedelta(minutes=5)  # between two tries at anything
ALARM_AFTER = 3  # failures in a row


def pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures before the last: 1, 2, 4 … seconds."""
    return min(LONGEST_PAUSE, timedelta(seconds=2 ** min(failures, 10)))
