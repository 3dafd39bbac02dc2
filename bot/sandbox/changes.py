"""Counters of changes: they wake whoever waits for something new on one person's screen, or
anywhere.
"""

import asyncio
from collections import Counter

__all__ = ["ANYWHERE", "Changes"]

ANYWHERE = ""


class Changes:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def count(self, place: str) -> int:
        return self._counts[place]

    def touch(self, place: str = ANYWHERE) -> None:
        """Say that something changed at a place: a person's id, or just anywhere."""
        for where in {place, ANYWHERE}:
            self._counts[where] += 1
            for event in self._waiting.get(where, ()):
                event.set()

    async def wait(self, place: str, since: int, seconds: float) -> None:
        """Return as soon as the place's counter is past `since`, or when the time is up."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(place, set())
        waiting.add(event)
        try:
            if self._counts[place] <= since:
                async with asyncio.timeout(seconds):
                    await event.wait()
        except TimeoutError:
            pass
        finally:
            waiting.discard(event)
