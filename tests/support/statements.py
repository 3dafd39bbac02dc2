"""Listens to what a database is asked, whichever way it is run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from storage.database import Database

Hear = Callable[[str, Any], object]  # a statement, and the values of its first row


@contextmanager
def heard(database: Database, hear: Hear) -> Iterator[None]:
    def by_sqlalchemy(_connection, _cursor, words, values, _context, _many):
        hear(words, values[0] if isinstance(values, list) else values)

    engines = (database.writer, database.reader)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", by_sqlalchemy)
    database.statements.heard.append(hear)
    try:
        yield
    finally:
        database.statements.heard.remove(hear)
        for engine in engines:
            event.remove(engine, "before_cursor_execute", by_sqlalchemy)
