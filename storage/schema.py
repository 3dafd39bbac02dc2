"""The schema's revisions: which one a database has, and how it gets to the newest."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage import sync
from storage.database import Database

_LOCK = 0x4C6174636B  # any number, the same in every process: PostgreSQL's advisory lock


def newest() -> str:
    return ScriptDirectory.from_config(_config(None)).get_current_head() or ""


def current(database: Database) -> str:
    """Return the revision that the database has; empty: none."""
    with database.reader.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def upgrade(database: Database, to: str = "head") -> None:
    """Bring the schema to a revision, in one transaction, one process at a time."""
    with database.write() as tx:
        connection = tx.connection()
        if not database.sqlite:
            connection.exec_driver_sql("set local lock_timeout = 0")
            connection.exec_driver_sql("select pg_advisory_xact_lock(%s)", (_LOCK,))
        command.upgrade(_config(connection), to)
    if to == "head":
        with database.write() as tx:
            sync.ensure_rows(tx)


def downgrade(database: Database, to: str) -> None:
    """Take the schema back to a revision, `base` for nothing. What only it knew is lost."""
    with database.write() as tx:
        command.downgrade(_config(tx.connection()), to)


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
