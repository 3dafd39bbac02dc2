"""The product's clock: aware UTC. Leases, signatures and rate limits stay on real time."""

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from storage.database import Database


class Clock(Protocol):
    def now(self) -> datetime: ...


class DatabaseClock:
    """The database's clock: the same for every replica, whatever its machine's own clock says.

    It asks the database when that was never heard: `now` may raise what
    `storage.database.AWAY` lists.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        return self._database.now()


class MovedClock:
    """The sandbox's clock: another, moved on by the seconds that a file says. It never goes back.

    The file may be missing: nothing has been moved yet.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._offset = 0.0

    def now(self) -> datetime:
        with suppress(FileNotFoundError):
            self._offset = max(self._offset, float(self._file.read_text() or 0))
        return self._clock.now() + timedelta(seconds=self._offset)


def clock_of(database: Database, file: Path | None) -> Clock:
    """Return the clock that goes by the database's; `file` moves it, in the sandbox."""
    clock = DatabaseClock(database)
    return MovedClock(file, clock) if file else clock
