"""The schema's revisions: which one a database has, and how it gets to the newest.

Revisions are numbers: a migration only expands, so a program also runs on a schema that is one
newer than its own, while the replicas are replaced one after another.
"""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from engine.errors import LatchkeyError
from storage import batch, roles
from storage.database import Database, Write, address
from storage.sessions import Sessions, UnfitStoreError
from storage.tables import AuditHead, CompanyRow

if TYPE_CHECKING:
    import psycopg
    from alembic.config import Config
    from sqlalchemy import Connection

_MIGRATIONS = Path(__file__).parent / "migrations"
FOLDERS = (_MIGRATIONS / "versions",)

MOST_DIGITS = 10  # of a revision
_NO_REVISION = (
    "its tables are there, and alembic_version does not say which schema they are of. Restore a "
    "back-up, or name another database in LATCHKEY_DATABASE_URL."
)
_REVISION = text("select version_num from alembic_version")


class NeedsUpgradeError(LatchkeyError):
    """The database's schema is older than this program's, or more than one step newer."""

    def __init__(self, found: str) -> None:
        cure = "Run `latchkey db upgrade`"
        if found > newest():
            cure = "Run a newer Latchkey"
        super().__init__(f"The database's schema is {found}, not {newest()}. {cure}.")


def history() -> tuple[str, ...]:
    """Return all revisions, the oldest first."""
    return _revisions(FOLDERS)


@cache
def _revisions(folders: tuple[Path, ...]) -> tuple[str, ...]:
    files = (file for folder in folders for file in folder.glob("[0-9]*.py"))
    return tuple(sorted(file.name.partition("_")[0] for file in files))


def newest() -> str:
    """Return the revision that this program was made for."""
    return history()[-1]


def current(database: Database) -> str:
    """Return the revision that the database has; empty: none. Raises UnfitStoreError."""
    try:
        with database.reader.connect() as connection:
            if database.sessions and not database.sessions.standing(_driver(connection)):
                return ""
            if not inspect(connection).has_table("alembic_version"):
                return ""
            found = connection.execute(_REVISION).scalar() or ""
            if not found and inspect(connection).has_table(CompanyRow.__tablename__):
                raise UnfitStoreError(_NO_REVISION)
            return found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    except ProgrammingError as fault:
        if database.sessions and isinstance(fault.orig, InsufficientPrivilege):
            raise UnfitStoreError(database.sessions.not_granted) from None
        raise


def fits(revision: str) -> bool:
    """Tell whether this program runs on a schema: its own, or one that is one newer."""
    known = revision.isdecimal() and len(revision) < MOST_DIGITS
    return known and int(revision) - int(newest()) in {0, 1}


def upgrade(database: Database, to: str = "head", *, runner: str = "") -> str:
    """Bring the schema to a revision, in one transaction, one process at a time.

    Return the revision before it; empty: none.

    A schema that is newer than this program's stays as it is. `runner`: the role that works in it,
    if that is not its owner, and gets what it needs. Raises UnfitStoreError, with what its owner
    has to do, where Latchkey may not make its schema.
    """
    before = current(database)
    if to == "head" and before > newest():
        return before
    try:
        _migrate(database, to, runner)
    except OperationalError as fault:
        if not _was_cut_off(fault):
            raise
        _migrate(database, to, runner)
    if database.sessions:
        database.let_go()  # sessions from before the schema was there do not look into it
    return before


def _migrate(database: Database, to: str, runner: str) -> None:
    from alembic import command

    with database.write() as tx:
        tx.wait_for_others()
        connection = tx.connection()
        if database.sessions:
            database.sessions.make_schema(_driver(connection))
        command.upgrade(_config(connection), to)
        if to == "head":  # with the schema: who finds that there finds them
            _ensure_rows(tx)
        if database.sessions and runner:
            roles.grant(_driver(connection), database.sessions.schema, runner)


def _was_cut_off(fault: OperationalError) -> bool:
    """Tell whether the server ended the session: as where a machine stood still, and nothing was
    said between two statements for as long as a session may say nothing.
    """
    import psycopg

    idle = isinstance(fault.orig, psycopg.errors.IdleInTransactionSessionTimeout)
    return idle or fault.connection_invalidated


def upgrade_for(runner: Database, owner: Database) -> str:
    """As `upgrade`, by the schema's owner, for another role that runs. Both are on PostgreSQL.

    Raises UnfitStoreError if they are not the roles, or do not come to the same schema.
    """
    if runner.sessions is None or owner.sessions is None:
        raise UnfitStoreError("Only PostgreSQL has roles: leave LATCHKEY_OWNER_URL out.")
    runs = _role(runner.sessions, runner.url, "LATCHKEY_DATABASE_URL")
    named = _role(owner.sessions, owner.url, "LATCHKEY_OWNER_URL")
    if runner.sessions.owner != named:
        raise UnfitStoreError(
            f"LATCHKEY_OWNER_URL is the address of {named}. Say in LATCHKEY_DATABASE_URL that the "
            f"schema belongs to that role: ?owner={named}"
        )
    before = upgrade(owner, runner=runs)
    if current(runner) != current(owner):
        raise UnfitStoreError(
            "LATCHKEY_OWNER_URL leads to another database or schema than LATCHKEY_DATABASE_URL."
        )
    return before


def _role(sessions: Sessions, url: str, setting: str) -> str:
    """Return whom the server takes us for. Raises UnfitStoreError if it does not let us in."""
    import psycopg

    try:
        with sessions.connect() as connection:
            return connection.info.user
    except psycopg.Error as fault:
        why = str(fault).partition("\n")[0].removeprefix("connection failed: ").rstrip(".")
        raise UnfitStoreError(
            f"{setting} does not lead into the database {address(url)}: {why}. See that it runs "
            "and lets Latchkey in, or correct the setting."
        ) from None


def _ensure_rows(tx: Write) -> None:
    """Make the rows that are there exactly once."""
    company = {
        "id": 1,
        "epoch": 0,
        "forgotten": 0,
        "paused": False,
        "syncing": False,
        "requests_from": 1,
        "admins": [],
        "failing": {},
        "schedules": [],
        "risks": None,
        "installation": "",
    }
    batch.add(tx, CompanyRow, [company], key=("id",))
    batch.add(tx, AuditHead, [{"id": 1, "seq": 0, "hash": "", "mac": ""}], key=("id",))


def _driver(connection: "Connection") -> "psycopg.Connection[Any]":
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _config(connection: "Connection") -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(map(str, FOLDERS)))
    config.attributes["connection"] = connection
    return config
