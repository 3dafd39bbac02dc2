"""Rate limits: sliding windows per method, and per channel where Slack counts per channel."""

import math
import time
from collections import deque
from collections.abc import Callable

from bot.sandbox import limits

__all__ = ["Rates"]


class Rates:
    """`factor` scales all windows: 1 is Slack, 0.1 forgets ten times sooner, 0 limits nothing.

    `clock` gives the seconds that they are measured in.
    """

    def __init__(self, factor: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.factor = factor
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}

    def wait(self, key: str, tier: str) -> int:
        """Count a call and return 0, or return the Retry-After that refuses it."""
        if self.factor == 0:
            return 0
        calls, seconds = limits.RATES[tier]
        window = seconds * self.factor
        now = self._clock()
        seen = self._seen.setdefault(key, deque())
        while seen and seen[0] <= now - window:
            seen.popleft()
        if len(seen) >= calls:
            return max(1, math.ceil(seen[0] + window - now))
        seen.append(now)
        return 0
