"""What every loop is: a thread that brings a part of the world in line with what is stored.

Each is woken by commits, by its own finished work, and once a second by itself. Being late, or
down, changes nothing but lateness.
"""

import threading
import time
from collections.abc import Callable

import structlog

from bot.runtime.metrics import Vitals
from bot.runtime.priority import Turns
from storage.database import AWAY

EVERY = 1.0  # seconds, by CLOCK_MONOTONIC, after which a loop looks by itself
PAUSE_AFTER_FAULT = 1.0  # seconds

log = structlog.get_logger()


class Loop:
    """A thread that drains what is due, whenever it is woken. A fault is logged, and it goes on.

    `look`: what it does first, once a second.
    """

    def __init__(
        self,
        name: str,
        drain: Callable[[], None],
        vitals: Vitals,
        turns: Turns | None = None,
        look: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.drain = drain
        self._look = look
        self._turns = turns or Turns()
        self._vitals = vitals
        self._begun = time.monotonic()  # the last turn
        self._behind_since: float | None = None  # woken then, and not through since
        vitals.loop_lag.labels(name).set_function(lambda: self.lag)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loop-{name}", daemon=True)

    @property
    def lag(self) -> float:
        """For how many seconds it has been woken and not come to its end, or nobody woke it."""
        since = self._behind_since
        woken = 0.0 if since is None else time.monotonic() - since
        return max(woken, self.silent - EVERY)

    @property
    def silent(self) -> float:
        """For how many seconds it has begun nothing."""
        return time.monotonic() - self._begun

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        self._woken.set()

    def start(self) -> None:
        self._begun = time.monotonic()
        self._thread.start()
        self.wake()

    def begin(self) -> None:
        """Say that a turn begins, or a part of one that may take long."""
        self._begun = time.monotonic()

    def end(self) -> None:
        """Begin nothing new."""
        self._stopping.set()
        self.wake()

    def join(self, within: float) -> bool:
        """Return whether what was under way came to its end."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        looks = time.monotonic() + EVERY
        while True:
            self._woken.wait(max(0.0, looks - time.monotonic()))
            if self._stopping.is_set():
                return
            if time.monotonic() >= looks:
                if self._look:
                    self._look()
                looks = time.monotonic() + EVERY
            self._woken.clear()
            self.begin()
            self._turns.give_way()
            try:
                self.drain()
            except AWAY as fault:
                self._vitals.database.bad(type(fault).__name__)
                self._again()
            except Exception:
                log.exception("loop failed", loop=self.name)
                self._again()
            else:
                self._behind_since = time.monotonic() if self._woken.is_set() else None

    def _again(self) -> None:
        self._stopping.wait(PAUSE_AFTER_FAULT)
        self.wake()
