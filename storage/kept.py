"""A connection that is kept for what is asked every second."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVarTuple, cast

from sqlalchemy import Dialect, Engine, PoolProxiedConnection, Select

Columns = TypeVarTuple("Columns")


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
            if query not in self._prepared:
                self._prepared[query] = _Prepared.of(query, self._engine.dialect)
            prepared = self._prepared[query]
            if self._connection is None:
                self._connection = self._open()
            try:
                cursor = self._connection.cursor()
                cursor.execute(prepared.statement, prepared.bound(values))
                return cast(list[tuple[*Columns]], cursor.fetchall())
            except Exception:
                self._connection.invalidate()
                self._connection = None
                raise

    def _open(self) -> PoolProxiedConnection:
        connection = self._engine.raw_connection()
        if self._engine.dialect.name == "postgresql":
            # Else a question is planned anew each time, if it is cheap for the values of that time.
            connection.cursor().execute("set plan_cache_mode = force_generic_plan")
        return connection

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A query in a driver's own words."""

    statement: str
    constants: Mapping[str, Any]
    conversions: Mapping[str, Callable[[Any], Any]]

    @classmethod
    def of(cls, query: Select[*tuple[Any, ...]], dialect: Dialect) -> Self:
        make: Callable[..., Dialect] = type(dialect)
        named = make(paramstyle="named" if dialect.name == "sqlite" else "pyformat")
        compiled = query.compile(dialect=named)
        types = {name: bound.type.dialect_impl(named) for name, bound in compiled.binds.items()}
        conversions = {name: type_.bind_processor(named) for name, type_ in types.items()}
        return cls(
            str(compiled),
            compiled.params,
            {name: convert for name, convert in conversions.items() if convert},
        )

    def bound(self, values: Mapping[str, Any]) -> dict[str, Any]:
        given = {**self.constants, **values}
        return given | {name: convert(given[name]) for name, convert in self.conversions.items()}
