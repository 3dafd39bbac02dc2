"""Counts the rows that each transaction writes, as the database itself counts them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from storage.database import Database

_OF_THIS_SESSION = """
select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)
from pg_catalog.pg_stat_xact_user_tables
"""


@contextmanager
def written(database: Database) -> Iterator[list[int]]:
    """Collect, of each transaction that is committed meanwhile, how many rows it has written."""
    rows: list[int] = []

    def so_far(connection: Connection) -> int:
        driver: Any = connection.connection.driver_connection
        if database.sqlite:
            return int(driver.total_changes)
        ((many,),) = driver.execute(_OF_THIS_SESSION).fetchall()
        return int(many)

    def begin(connection: Connection) -> None:
        connection.info["rows"] = so_far(connection)  # those of the session's former transactions

    def commit(connection: Connection) -> None:
        rows.append(so_far(connection) - connection.info["rows"])

    event.listen(database.writer, "begin", begin)
    event.listen(database.writer, "commit", commit)
    try:
        yield rows
    finally:
        event.remove(database.writer, "begin", begin)
        event.remove(database.writer, "commit", commit)
