"""Statements in a driver's own words: written by SQLAlchemy once, and run without it from then on.

To run a statement costs SQLAlchemy several times what most of ours cost the database.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, TypeVar, TypeVarTuple, cast

from sqlalchemy import Connection, Dialect, Float, Insert
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import TypedReturnsRows

from storage.types import read_json

Columns = TypeVarTuple("Columns")
T = TypeVar("T")
Values = Mapping[str, Any]

_STYLES = {"sqlite": "qmark", "postgresql": "format"}


# PostgreSQL ended the session: too long in a transaction, or idle in one. The process had been
# stopped, or suspended.
_CUT_OFF = ("25P03", "25P04")


def is_cut_off(fault: BaseException | None) -> bool:
    return getattr(fault, "sqlstate", None) in _CUT_OFF


def cut_off(text: str, fault: BaseException) -> OperationalError:
    """Return it as what it is: undone, and to be tried again. The driver calls it its own fault."""
    return OperationalError(text, None, fault, hide_parameters=True, connection_invalidated=True)


@cache
def _spoken(dialect: Dialect, style: str) -> Dialect:
    """Return the dialect that writes values in this style. It keeps what it makes of types."""
    make: Callable[..., Dialect] = type(dialect)
    return make(paramstyle=style, json_deserializer=read_json)


class Words:
    """A statement for one driver. What goes in and what comes out is converted as by SQLAlchemy.

    `given` names the columns that an insert is given. Nothing in it expands.
    """

    def __init__(
        self, statement: ClauseElement, dialect: Dialect, style: str, given: Sequence[str] = ()
    ) -> None:
        spoken = _spoken(dialect, style)
        columns = list(given) if isinstance(statement, Insert) else None
        compiled = cast(SQLCompiler, statement.compile(dialect=spoken, column_keys=columns))
        if missing := [column.name for column in compiled.insert_prefetch]:
            raise ValueError(f"not all columns are given: {', '.join(missing)}")
        self.text = str(compiled)
        self._statement, self._spoken = statement, spoken
        names = compiled.positiontup or []
        types = [compiled.binds[name].type.dialect_impl(spoken) for name in names]
        self._in = [
            (
                name,
                compiled.binds[name].required,
                compiled.params[name],
                type_.bind_processor(spoken),
            )
            for name, type_ in zip(names, types, strict=True)
        ]

    def bound(self, values: Values) -> list[Any]:
        """Return the values in the order in which they are asked for, as the driver takes them."""
        found = []
        for name, asked, constant, convert in self._in:
            value = values[name] if asked else constant
            found.append(convert(value) if convert else value)
        return found

    def rows(self, found: list[Any]) -> list[Any]:
        """Return what the driver found as what it means."""
        if not self._out:
            return found
        made = []
        for row in found:
            values = list(row)
            for number, convert in self._out:
                values[number] = convert(values[number])
            made.append(tuple(values))
        return made

    @cached_property
    def _out(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """Return what converts a column, by its number, for those that have to be."""
        columns = cast(TypedReturnsRows[Any], self._statement).exported_columns
        types = [column.type.dialect_impl(self._spoken) for column in columns]
        converts = [  # drivers return what a column of floats holds as floats
            None if isinstance(type_, Float) else type_.result_processor(self._spoken, None)
            for type_ in types
        ]
        return [(number, convert) for number, convert in enumerate(converts) if convert]


# They say nothing of one database: a process that opens several writes each of them once.
_known: dict[tuple[str, ClauseElement, tuple[str, ...]], Words] = {}


class Statements:
    """Runs statements on a transaction's connection. They are kept for good: give it constants.

    Raises what SQLAlchemy raises, without the values. `lost` is called when a connection is gone;
    each of `heard` before a statement, with its words and the values of its first row.
    """

    def __init__(self, dialect: Dialect, lost: Callable[[], None]) -> None:
        self._dialect, self._lost = dialect, lost
        self.heard: list[Callable[[str, Sequence[Any]], object]] = []

    def ask(
        self, on: Connection, query: TypedReturnsRows[*Columns], values: Values
    ) -> list[tuple[*Columns]]:
        """Return what it finds, or what a change returns."""
        words = self._words(query, values)
        found = self._run(on, words.text, [words.bound(values)], _rows)
        return cast(list[tuple[*Columns]], words.rows(found))

    def do(self, on: Connection, statement: ClauseElement, rows: Sequence[Values]) -> int:
        """Run it for each row of values, all of the same names; return how many it touched."""
        words = self._words(statement, rows[0])
        return self._run(on, words.text, [words.bound(row) for row in rows], _touched)

    def say(self, on: Connection, text: str) -> None:
        """Run what is in the driver's words already."""
        self._run(on, text, [[]], _touched)

    def _words(self, statement: ClauseElement, values: Values) -> Words:
        key = self._dialect.name, statement, tuple(values)
        words = _known.get(key)
        if words is None:
            words = _known[key] = Words(statement, self._dialect, _STYLES[key[0]], key[2])
        return words

    def _run(
        self,
        on: Connection,
        text: str,
        bound: Sequence[Sequence[Any]],
        result: Callable[[DBAPICursor], T],
    ) -> T:
        for hear in self.heard:
            hear(text, bound[0])
        driver = on.connection
        try:
            cursor = driver.cursor()
            if len(bound) == 1:
                cursor.execute(text, bound[0])
            else:
                cursor.executemany(text, bound)
            return result(cursor)  # SQLite may fail as late as here
        except self._dialect.loaded_dbapi.Error as fault:
            gone = self._dialect.is_disconnect(fault, driver, None)
            if gone:
                on.invalidate(fault)
                self._lost()
            if is_cut_off(fault):
                raise cut_off(text, fault) from fault
            raise DBAPIError.instance(
                text,
                None,
                fault,
                self._dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=gone,
                dialect=self._dialect,
            ) from fault


def _rows(cursor: DBAPICursor) -> list[Any]:
    return list(cursor.fetchall())


def _touched(cursor: DBAPICursor) -> int:
    touched: int = cursor.rowcount
    return touched
