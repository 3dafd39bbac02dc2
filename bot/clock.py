"""The product's clock: aware UTC. Leases, signatures and rate limits stay on real time."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class MovedClock:
    """The sandbox's clock: real time, moved on by the seconds that a file says. It never goes back.

    The file may be missing: nothing has been moved yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0.0

    def now(self) -> datetime:
        with suppress(FileNotFoundError):
            self._offset = max(self._offset, float(self._file.read_text() or 0))
        return datetime.now(UTC) + timedelta(seconds=self._offset)
