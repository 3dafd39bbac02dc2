"""Tells other replicas on PostgreSQL what was committed here, so that it wakes their loops."""

import threading
from collections.abc import Callable, Collection
from typing import Any

import psycopg
from psycopg import generators
from psycopg.pq import Escaping

from storage.sessions import Sessions, UnfitStoreError

PAUSE_AFTER_FAULT = 1.0  # seconds; until then the loops' own second wakes them


def notify(connection: psycopg.Connection[Any], topics: Collection[str]) -> None:
    """Tell what was woken, between two transactions. What the server refuses is not told.

    Raises psycopg's error when the connection is gone, or gives no answer. In libpq's words: the
    driver would begin a transaction for it.
    """
    payload = Escaping(connection.pgconn).escape_literal(",".join(sorted(topics)).encode())
    connection.pgconn.send_query(b"notify latchkey, " + payload)
    connection.wait(generators.execute(connection.pgconn))
    if connection.closed:
        raise psycopg.OperationalError("the connection is gone")


class Listener:
    """Calls `wake` with the topics of each commit, of this process and of others."""

    def __init__(self, sessions: Sessions, wake: Callable[[set[str]], None]) -> None:
        self._sessions = sessions
        self._wake = wake
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within: float = 5.0) -> None:
        self.stopping.set()
        self._thread.join(within)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                with self._sessions.connect(autocommit=True) as connection:
                    connection.execute("listen latchkey")
                    self.listen(connection)
            except (psycopg.Error, UnfitStoreError):
                self.stopping.wait(PAUSE_AFTER_FAULT)

    def listen(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self.stopping.is_set():
            for notice in connection.notifies(timeout=0.5):
                self._wake(set(notice.payload.split(",")))
