"""Numbers that make no sense, which a hand may put where Latchkey counts.

SQLite takes text for one, and finds it larger than every number: an account whose `acted` is text
is never due, and a grant whose `open` is text is nobody's. In both databases an account may have
been made what it should be more often than that was wanted, and what is as large as the column has
room for cannot be counted on.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlmodel import SQLModel, col

from engine import alarms
from storage.bounds import MOST_ROWS
from storage.database import Database, Read, Write
from storage.tables import AccountRow, GrantRow, MessageRow, RequestRow

LARGEST = 2**30  # that anything is ever counted to: the columns have room for twice as much
_COUNTED = {"wanted", "acted", "drawn", "shown", "posting", "posted", "attempts"}
# What makes the row be looked at again: nothing is believed of it that would end no access.
_ACTED = case((col(AccountRow.acted).between(0, LARGEST), col(AccountRow.acted)), else_=0)
SOUND: Mapping[type[SQLModel], Mapping[str, Any]] = {
    AccountRow: {
        "wanted": _ACTED + 1,
        "acted": 0,
        "priority": 0,
        "attempts": 0,
        "lease": None,
        "made": True,
        "secret_set": False,
    },
    GrantRow: {"open": True, "begun": True},
    RequestRow: {"attempts": 0},
    MessageRow: {
        "wanted": 1,
        "drawn": 0,
        "shown": 0,
        "posting": 1,
        "posted": 0,
        "priority": 5,
        "place": 0,
        "attempts": 0,
        "lease": None,
    },
}


class WrongNumber(NamedTuple):
    """What stands where a number belongs."""

    table: type[SQLModel]
    column: str
    row: int
    value: object


def mend(database: Database) -> None:
    """Put numbers where others stand, some rows at a time, and name them."""
    while found := _wrong(database):
        with database.write() as tx:
            _set_right(tx, found)


def _wrong(database: Database) -> list[WrongNumber]:
    """Return the first of them. It reads the tables whole: nobody is to wait meanwhile."""
    with database.read() as session:
        return list(islice(_find(session), MOST_ROWS))


def _set_right(tx: Write, found: Sequence[WrongNumber]) -> None:
    rows = defaultdict[tuple[type[SQLModel], str], list[int]](list)
    for table, column, row, value in found:
        rows[table, column].append(row)
        of = str(table.__tablename__)
        tx.unread.note(of, f"{row}/{column}", value, alarms.unread_number(of, column))
    for (table, column), some in rows.items():
        these = update(table).where(_is_wrong(tx, table, column), _row(tx, table).in_(some))
        sound = these.values({column: SOUND[table][column]})
        tx.execute(sound, execution_options={"synchronize_session": False})
    tx.wake("access", "clock", "messages")


def _find(session: Read) -> Iterator[WrongNumber]:
    for table, of in SOUND.items():
        for name in of:
            wrong = _is_wrong(session, table, name)
            these = select(_row(session, table), _named(table, name)).where(wrong)
            for row, value in session.execute(these.limit(MOST_ROWS)):
                yield WrongNumber(table, name, row, value)


def _named(table: type[SQLModel], name: str) -> Column[Any]:
    return SQLModel.metadata.tables[str(table.__tablename__)].c[name]


def _row(session: Read, table: type[SQLModel]) -> ColumnElement[int]:
    if session.dialect == "sqlite":
        return literal_column("rowid")
    (first, *_) = SQLModel.metadata.tables[str(table.__tablename__)].primary_key.columns
    return first


def _is_wrong(session: Read, table: type[SQLModel], name: str) -> ColumnElement[bool]:
    column = _named(table, name)
    wrong: list[ColumnElement[bool]] = [false()]
    if session.dialect == "sqlite":
        allowed = ["integer", "null"] if column.nullable else ["integer"]
        wrong.append(func.typeof(column).not_in(allowed))
    if name in _COUNTED:
        wrong.append(~column.between(0, LARGEST))
    if name == "acted":
        wrong.append(column > col(AccountRow.wanted))
    if name in {"drawn", "shown"}:
        wrong.append(column > col(MessageRow.wanted))
    if name == "posted":
        wrong.append(column > col(MessageRow.posting))
    if name == "place":
        wrong.append(~column.between(0, LARGEST**2))
    return or_(*wrong)
