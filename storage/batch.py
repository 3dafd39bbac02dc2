"""Many rows written by one statement.

PostgreSQL's driver sends a batch row by row, which costs several times what the change does; as
one JSON value they are one statement. SQLite's takes a batch as it is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    TableValuedAlias,
    Update,
    bindparam,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import dml as postgresql_dml
from sqlalchemy.dialects.sqlite import dml as sqlite_dml
from sqlmodel import SQLModel

from storage.database import Write
from storage.tables import Fact
from storage.types import Json

Row = Mapping[str, Any]
Table = type[SQLModel]
Names = tuple[str, ...]

_NUMBERED: Mapping[str, str] = {"facts": "numbered"}


def change(
    tx: Write, table: Table, rows: Sequence[Row], *, where: Mapping[str, str], to: Sequence[str]
) -> int:
    """Give rows other values, and return how many there were.

    `where` names, for each column that a row is found by, the key in `rows` that holds its value;
    `to` names the columns that change, which are their own keys. Have the rows locked, in order,
    where others may change them.
    """
    if not rows:
        return 0
    rows, to = _numbered(tx, table, rows, to)
    by, values = tuple(where.items()), tuple(to)
    if len(rows) == 1 or tx.dialect == "sqlite":
        return tx.do(_change_one(table, by, values), *rows)
    return tx.do(_change_all(table, by, values), {"rows": _plain(rows)})


def add(
    tx: Write,
    table: Table,
    rows: Sequence[Row],
    *,
    key: Sequence[str] = (),
    change: Sequence[str] = (),
) -> None:
    """Insert rows, all with the same columns.

    With a `key`: where it exists, take over the columns `change`, or do nothing.
    """
    if not rows:
        return
    rows, change = _numbered(tx, table, rows, change)
    of = table, tuple(key), tuple(change)
    if len(rows) == 1 or tx.dialect == "sqlite":
        tx.do(_add_one(tx.dialect, *of), *rows)
    else:
        tx.do(_add_all(tuple(rows[0]), *of), {"rows": _plain(rows)})


def _numbered(
    tx: Write, table: Table, rows: Sequence[Row], to: Sequence[str]
) -> tuple[Sequence[Row], Sequence[str]]:
    """Give facts the number of the change, and those that are there already, if they change."""
    if not issubclass(table, Fact):
        return rows, to
    return [{**row, "epoch": tx.epoch} for row in rows], [*to, "epoch"] if to else to


@cache
def _change_one(table: Table, where: tuple[tuple[str, str], ...], to: Names) -> Update:
    found = [_columns(table)[name] == bindparam(key) for name, key in where]
    values: dict[str, Any] = {name: bindparam(name) for name in to}
    return update(table).where(*found).values(values).execution_options(**_NUMBERED)


@cache
def _change_all(table: Table, where: tuple[tuple[str, str], ...], to: Names) -> Update:
    columns = _columns(table)
    given = _given(table, {**{key: name for name, key in where}, **{name: name for name in to}})
    found = [columns[name] == given.c[key] for name, key in where]
    values: dict[str, Any] = {name: given.c[name] for name in to}
    return update(table).where(*found).values(values).execution_options(**_NUMBERED)


def inserting(dialect: str, table: Table) -> sqlite_dml.Insert | postgresql_dml.Insert:
    """Return an insert that may say what to do where a key exists."""
    made = sqlite_dml.insert(table) if dialect == "sqlite" else postgresql_dml.insert(table)
    return made.execution_options(**_NUMBERED)


@cache
def _add_one(dialect: str, table: Table, key: Names, change: Names) -> Insert:
    statement = inserting(dialect, table)
    if not key:
        return statement
    if not change:
        return statement.on_conflict_do_nothing(index_elements=key)
    values = {name: statement.excluded[name] for name in change}
    return statement.on_conflict_do_update(index_elements=key, set_=values)


@cache
def _add_all(names: Names, table: Table, key: Names, change: Names) -> Insert:
    given = _given(table, {name: name for name in names})
    statement = _add_one("postgresql", table, key, change)
    return statement.from_select(names, select(*(given.c[name] for name in names)))


def listed(dialect: str, table: Table, columns: Sequence[str]) -> FromClause:
    """Return values of these columns, given as `rows`, a list of objects, as a table."""
    if dialect == "postgresql":
        return _given(table, {name: name for name in columns})
    row = func.json_each(bindparam("rows", type_=Json)).table_valued("value")
    values = [func.json_extract(row.c.value, f"$.{name}").label(name) for name in columns]
    return select(*values).subquery("given")


def _given(table: Table, keys: Mapping[str, str]) -> TableValuedAlias:
    """Return the rows that are given as JSON, as a table; `keys` tells of which column each is."""
    typed = [column(key, _columns(table)[name].type) for key, name in keys.items()]
    rows = func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    return rows.table_valued(*typed).render_derived(name="given", with_types=True)


def _columns(table: Table) -> Mapping[str, ColumnElement[Any]]:
    columns: Mapping[str, ColumnElement[Any]] = table.__table__.c  # type: ignore[attr-defined]
    return columns


def _plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{name: _in_json(value) for name, value in row.items()} for row in rows]


def _in_json(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"naive time {value.isoformat()}: give it a time zone")
    return value.isoformat()
