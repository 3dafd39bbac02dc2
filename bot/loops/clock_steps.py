"""Clocks that are set while Latchkey runs: each step is logged, and told to the admins once."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from socket import gethostname

import structlog

from bot.runtime.services import Services
from bot.usecases.alarms import tell_admins
from bot.usecases.anchors import newest
from engine import alarms
from storage.readings import ClockReader, Reading, take

STEP = 5.0  # seconds; less is put right all the time
ALIKE = 300  # seconds; all replicas see a step of the database's clock within a few

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ClockStep:
    """`key` is the same for all who see it."""

    key: str
    sentence: str


class Steps:
    """What the database's clock, and this machine's, say from one second to the next.

    On SQLite they are one.
    """

    def __init__(self, services: Services, wall: Callable[[], float] = time.time) -> None:
        self._services = services
        self._wall = wall
        self._machine = gethostname()
        self._own = ClockReader()
        self._begun = False
        self._untold = deque[ClockStep]()

    def hear(self, reading: Reading) -> None:
        """Take in what the database's clock said."""
        database = self._services.database
        by = database.clock.hear(reading)
        whose = f"{self._machine}, which is the database's," if database.sqlite else "the database"
        self._note(
            by,
            "database",
            alarms.database_clock(whose, by),
        )

    def look(self) -> None:
        """Look at this machine's clock, and tell what is still to be told."""
        if not self._begun:
            self._look_back()
            self._begun = True
        if not self._services.database.sqlite:
            by = self._own.hear(take(self._wall))
            self._note(
                by,
                self._machine,
                alarms.machine_clock(self._machine, by),
            )
        while self._untold:
            step = self._untold[0]
            tell_admins(self._services, step.key, step.sentence)
            self._untold.popleft()

    def _look_back(self) -> None:
        """Find that the database's clock was set back while no process ran."""
        last = newest(self._services)
        ahead = (last[1] - self._services.clock.now()).total_seconds() if last else 0.0
        if last and ahead > STEP:
            sentence = alarms.clock_before(ahead)
            log.error("a clock was set", clock="database", seconds=-round(ahead, 1), so=sentence)
            self._untold.append(ClockStep(f"clock/before/{last[0]}", sentence))

    def _note(self, by: float, whose: str, sentence: str) -> None:
        if abs(by) <= STEP:
            return
        log.error("a clock was set", clock=whose, seconds=round(by, 1), so=sentence)
        when = int(self._services.database.now().timestamp()) // ALIKE
        key = f"clock/{whose}/{'back' if by < 0 else 'ahead'}/{when}"
        self._untold.append(ClockStep(key, sentence))
