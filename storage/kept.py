"""A connection that is kept for what is asked every second."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Dialect, Engine, PoolProxiedConnection, Select

from storage.words import Columns, Words

Query = Select[*tuple[Any, ...]]


class KeptConnection:
    """Asks one question at a time, for the price of a round trip.

    A session, the pool and its ping cost several times what such a question does.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None
        self._prepared: dict[object, _Prepared] = {}

    def ask(self, query: Select[*Columns], values: Mapping[str, Any]) -> list[tuple[*Columns]]:
        """Return what the driver gives. Raises its errors; the next question begins anew."""
        with self._lock:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
                self._prepared = {}
            try:
                if query not in self._prepared:
                    kind = _KINDS[self._engine.dialect.name]
                    self._prepared[query] = kind(query, self._engine.dialect, self._connection)
                return cast(list[tuple[*Columns]], self._prepared[query].ask(values))
            except Exception:
                self._connection.invalidate()
                self._connection = None
                raise

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None


class _Prepared(Protocol):
    def __init__(
        self, query: Query, dialect: Dialect, connection: PoolProxiedConnection
    ) -> None: ...
    def ask(self, values: Mapping[str, Any]) -> Sequence[Any]: ...


class _OnSQLite:
    def __init__(self, query: Query, dialect: Dialect, connection: PoolProxiedConnection) -> None:
        self._words = Words(query, dialect, "qmark")
        self._cursor = connection.cursor()

    def ask(self, values: Mapping[str, Any]) -> Sequence[Any]:
        self._cursor.execute(self._words.text, self._words.bound(values))
        return self._cursor.fetchall()


class _OnPostgreSQL:
    """By libpq's own calls: a cursor costs as much as the way to the server and back."""

    def __init__(self, query: Query, dialect: Dialect, connection: PoolProxiedConnection) -> None:
        self._words = Words(query, dialect, "numeric_dollar")
        driver: psycopg.Connection[Any] = connection.driver_connection  # type: ignore[assignment]
        self._name = f"kept_{id(self)}".encode()
        self._server, self._adapt = driver.pgconn, Transformer(driver)
        # Else it is planned anew each time, if that is cheap for the values of that time.
        driver.execute("set plan_cache_mode = force_generic_plan")
        self._checked(self._server.prepare(self._name, self._words.text.encode()))

    def ask(self, values: Mapping[str, Any]) -> Sequence[Any]:
        bound = self._words.bound(values)
        given: Any = self._adapt.dump_sequence(bound, [PyFormat.TEXT] * len(bound))
        found = self._checked(self._server.exec_prepared(self._name, given))
        if not found.ntuples:
            return []
        self._adapt.set_pgresult(found)
        return self._adapt.load_rows(0, found.ntuples, tuple)

    def _checked(self, result: PGresult) -> PGresult:
        if result.status not in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
            raise psycopg.errors.error_from_result(result)
        return result


_KINDS: Mapping[str, type[_Prepared]] = {"sqlite": _OnSQLite, "postgresql": _OnPostgreSQL}
