"""Column types: aware UTC times, JSON; lists of values, and the database's own clock."""

import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    ClauseElement,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    Integer,
    Text,
    bindparam,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

Json = JSON().with_variant(JSONB(), "postgresql")


UNREAD = "\N{REPLACEMENT CHARACTER}"  # stands where no UTF-8 was


def read_json(text: Any) -> Any:  # noqa: ANN401  (whatever the driver gives, and any JSON)
    """Return what is written there; what is no JSON is taken for a text, and hides no other row.

    Whoever reads a column of this type tests what it is given: another version, or a hand, may have
    written it.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text.decode(errors="replace") if isinstance(text, bytes) else text


def as_text(value: str | bytes) -> str:
    """Return a text; of the bytes that SQLite may keep in its place, what no text has."""
    return value.decode(errors="replace") + UNREAD if isinstance(value, bytes) else str(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment. A naive value is refused: it would mean something else elsewhere.

    On SQLite, which takes any text for one, what is no moment is read as none.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], datetime | None] | None:
        convert = super().result_processor(dialect, coltype)
        if convert is None or dialect.name != "sqlite":
            return convert

        def read(value: Any) -> datetime | None:  # noqa: ANN401
            try:
                return convert(value)
            except (ValueError, TypeError):
                return None

        return read

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value.isoformat()}: give it a time zone")
        value = value.astimezone(UTC)
        # SQLite stores text: without an offset, one format, so that it compares as time does.
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class _List(TypeDecorator[Collection[Any]]):
    """Any number of values as one, so that the statement is the same for all of them."""

    impl = Text
    cache_ok = True

    def __init__(self, of: type[TypeEngine[Any]]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> Any:  # noqa: ANN401
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.of))

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> object:
        values = list(value or ())
        # Bytes, which SQLite may keep in the place of anything, are no value that is looked for.
        return json.dumps(values, default=as_text) if dialect.name == "sqlite" else values


class among(ColumnElement[bool]):  # noqa: N801  (it reads as an operator in SQL)
    """Hold for a column whose value is one of those that are given under this name, or here."""

    type = Boolean()
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012  (SQLAlchemy's way)
        ("column", InternalTraversal.dp_clauseelement),
        ("values", InternalTraversal.dp_clauseelement),
    ]

    def __init__(
        self,
        column: Any,  # noqa: ANN401  (SQLModel's `col`)
        name: str = "",
        values: Collection[Any] = (),
    ) -> None:
        self.column: ClauseElement = column
        of = _List(Integer if isinstance(column.type, Integer) else Text)
        given = bindparam(name, type_=of) if name else bindparam(None, list(values), type_=of)
        self.values: ClauseElement = given

    def self_group(self, against: object = None) -> Self:
        """It is a condition already: `… = 1`, for want of a boolean type, would hide the index."""
        del against
        return self


@compiles(among, "postgresql")
def _postgresql_among(element: among, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    column, values = (compiler.process(part, **given) for part in (element.column, element.values))
    return f"({column} = any ({values}))"


@compiles(among, "sqlite")
def _sqlite_among(element: among, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    column, values = (compiler.process(part, **given) for part in (element.column, element.values))
    return f"({column} in (select value from json_each({values})))"  # noqa: S608  (the compiler's words)


class as_kept(GenericFunction[Any]):  # noqa: N801  (it reads as a function in SQL)
    """A column as the database keeps it: a text or, on SQLite, which keeps anything, that."""

    type = NullType()
    inherit_cache = True


@compiles(as_kept, "postgresql")
def _postgresql_kept(element: as_kept, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    return f"cast({compiler.process(element.clauses, **given)} as text)"


@compiles(as_kept, "sqlite")
def _sqlite_kept(element: as_kept, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    return compiler.process(element.clauses, **given)


class db_now(GenericFunction[float]):  # noqa: N801  (it reads as a function in SQL)
    """The database's own clock, in seconds since 1970. Leases are measured by it."""

    type = Float()
    inherit_cache = True


@compiles(db_now, "postgresql")
def _postgresql_now(_element: Any, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401
    return "extract(epoch from clock_timestamp())"


@compiles(db_now, "sqlite")
def _sqlite_now(_element: Any, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401
    return "((julianday('now') - 2440587.5) * 86400.0)"


class together(GenericFunction[str]):  # noqa: N801  (it reads as a function in SQL)
    """Texts of several rows as one, with a text between them; in no order."""

    type = Text()
    inherit_cache = True


@compiles(together, "postgresql")
def _postgresql_together(element: together, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    return f"string_agg{compiler.process(element.clause_expr, **given)}"


@compiles(together, "sqlite")
def _sqlite_together(element: together, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    return f"group_concat{compiler.process(element.clause_expr, **given)}"


class position(GenericFunction[int]):  # noqa: N801  (it reads as a function in SQL)
    """Where in a text another one begins, from 1; 0: nowhere. Case counts."""

    type = Integer()
    inherit_cache = True


@compiles(position, "postgresql")
def _postgresql_position(element: position, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    return f"strpos{compiler.process(element.clause_expr, **given)}"


@compiles(position, "sqlite")
def _sqlite_position(element: position, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    return f"instr{compiler.process(element.clause_expr, **given)}"
