"""Hears on PostgreSQL what other replicas commit, so that their work wakes the loops here."""

import threading
from collections.abc import Callable

import psycopg
from sqlalchemy import make_url

PAUSE_AFTER_FAULT = 1.0  # seconds; until then the loops' own second wakes them


class Listener:
    """Calls `wake` with the topics of each commit, of this process and of others."""

    def __init__(self, url: str, wake: Callable[[set[str]], None]) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._wake = wake
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True) as connection:
                    connection.execute("listen latchkey")
                    self._listen(connection)
            except psycopg.Error:
                self._stopping.wait(PAUSE_AFTER_FAULT)

    def _listen(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self._stopping.is_set():
            for notice in connection.notifies(timeout=0.5):
                self._wake(set(notice.payload.split(",")))
