"""Rows that somebody else holds locked: left aside for a while, so that the others go on.

It is kept in memory: the row itself cannot be written to.
"""

import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from bot.runtime.faults import Faults

Id = TypeVar("Id")

PAUSE = 3.0  # seconds until it is tried again
FORGOTTEN = 60.0  # seconds since it was last found locked; another process may have been let in


class Aside(Generic[Id]):
    """`name` says what a row is about. `faults` says which is locked, in the log once."""

    def __init__(self, name: Callable[[Id], str], faults: Faults) -> None:
        self._name, self._faults = name, faults
        self._tried: dict[Id, float] = {}  # when it was last found locked

    def put(self, id_: Id) -> None:
        self._tried[id_] = time.monotonic()
        self._faults.set(
            self._name(id_),
            "somebody holds its row in the database locked; it is tried again until that ends",
        )

    def take_back(self, ids: Iterable[Id]) -> None:
        """Note that these could be worked on."""
        for id_ in self._tried.keys() & set(ids):
            self._forget(id_)

    def now(self) -> set[Id]:
        """Return what is not to be tried yet."""
        at = time.monotonic()
        for id_ in [i for i, tried in self._tried.items() if at - tried > FORGOTTEN]:
            self._forget(id_)
        return {i for i, tried in self._tried.items() if at - tried < PAUSE}

    def _forget(self, id_: Id) -> None:
        del self._tried[id_]
        self._faults.clear(self._name(id_))
