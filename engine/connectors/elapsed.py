"""The time that passes, which nobody sets, and which a suspended machine does not miss."""

import time

# Elsewhere than on Linux, CLOCK_MONOTONIC is the nearest: on some it counts a suspended machine's.
_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Return the seconds since the machine was started, those while it was suspended included."""
    return time.clock_gettime(_BOOTTIME)
