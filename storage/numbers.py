"""Numbers that are none, which SQLite lets a hand put where numbers belong.

Text is larger there than every number: an account whose `acted` is text is never due, and a grant
whose `open` is text is nobody's. PostgreSQL takes no such value.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlmodel import SQLModel, col

from engine import alarms
from storage.database import Read, Write
from storage.tables import AccountRow, GrantRow, MessageRow, RequestRow

# What makes the row be looked at again: nothing is believed of it that would end no access.
_ACTED = case((func.typeof(col(AccountRow.acted)) == "integer", col(AccountRow.acted)), else_=0)
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
    MessageRow: {"shown": 0, "wanted": 1, "priority": 5, "place": 0, "attempts": 0, "lease": None},
}


def are_wrong(session: Read) -> bool:
    """Tell whether there are any. It reads the tables whole, and is asked while nobody waits."""
    if session.dialect != "sqlite":
        return False
    anywhere = (
        select(literal(1)).select_from(table).where(or_(*(_wrong(table, name) for name in of)))
        for table, of in SOUND.items()
    )
    return any(session.execute(query.limit(1)).first() for query in anywhere)


def set_right(tx: Write) -> bool:
    """Put numbers where text stands, name the rows, and return whether there were any.

    It reads the tables whole while others wait: only where there are some (`are_wrong`).
    """
    if tx.dialect != "sqlite":
        return False
    found = [_column(tx, table, *what) for table, of in SOUND.items() for what in of.items()]
    if any(found):
        tx.wake("access", "clock", "messages")
    return any(found)


def _column(tx: Write, table: type[SQLModel], name: str, sound: object) -> bool:
    column, wrong = _named(table, name), _wrong(table, name)
    row: ColumnElement[int] = literal_column("rowid")
    for id_, value in tx.execute(select(row, column).select_from(table).where(wrong)).all():
        of = str(table.__tablename__)
        tx.unread.note(of, f"{id_}/{name}", value, alarms.unread_number(of, name))
    changed = update(table).where(wrong).values({name: sound}).returning(row)
    return bool(tx.execute(changed).all())


def _named(table: type[SQLModel], name: str) -> Column[Any]:
    return SQLModel.metadata.tables[str(table.__tablename__)].c[name]


def _wrong(table: type[SQLModel], name: str) -> ColumnElement[bool]:
    column = _named(table, name)
    allowed = ["integer", "null"] if column.nullable else ["integer"]
    return func.typeof(column).not_in(allowed)
