"""The schema's revisions: which one a database has, and how it gets to the newest.

Revisions are numbers: a migration only expands, so a program also runs on a schema that is one
newer than its own, while the replicas are replaced one after another.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from storage import sync
from storage.database import Database

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

_LOCK = 0x4C6174636B  # any number, the same in every process: PostgreSQL's advisory lock
_MIGRATIONS = Path(__file__).parent / "migrations"


@cache
def history() -> tuple[str, ...]:
    """Return all revisions, the oldest first."""
    files = (_MIGRATIONS / "versions").glob("[0-9]*.py")
    return tuple(sorted(file.name.partition("_")[0] for file in files))


def newest() -> str:
    """Return the revision that this program was made for."""
    return history()[-1]


def current(database: Database) -> str:
    """Return the revision that the database has; empty: none."""
    with database.reader.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return connection.execute(text("select version_num from alembic_version")).scalar() or ""


def fits(revision: str) -> bool:
    """Tell whether this program runs on a schema: its own, or one that is one newer."""
    return revision.isdecimal() and int(revision) - int(newest()) in {0, 1}


def upgrade(database: Database, to: str = "head") -> None:
    """Bring the schema to a revision, in one transaction, one process at a time.

    A schema that is newer than this program's stays as it is.
    """
    from alembic import command

    if to == "head" and current(database) > newest():
        return
    with database.write() as tx:
        tx.wait_for_others()
        connection = tx.connection()
        if not database.sqlite:
            connection.exec_driver_sql("select pg_advisory_xact_lock(%s)", (_LOCK,))
        command.upgrade(_config(connection), to)
    if to == "head":
        with database.write() as tx:
            sync.ensure_rows(tx)


def downgrade(database: Database, to: str) -> None:
    """Take the schema back to a revision, `base` for nothing. What only it knew is lost."""
    from alembic import command

    with database.write() as tx:
        command.downgrade(_config(tx.connection()), to)


def _config(connection: "Connection") -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
