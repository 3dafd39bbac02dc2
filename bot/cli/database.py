"""Look after the database."""

import typer

from bot import settings
from bot.cli.terminal import fail, of_systems, on_desk, out, read, say_fault
from bot.runtime.connectors import connect_all
from storage import schema, servers
from storage.database import Database
from storage.schema import NeedsUpgradeError

group = typer.Typer(no_args_is_help=True, help="Look after the database.")


@group.command("upgrade")
def upgrade() -> None:
    """Bring the database's schema to this program's."""
    given = read(settings.load_owner)
    database = Database(given.database_url)
    if given.owner_database:
        owner = Database(given.owner_database)
        before = schema.upgrade_for(database, owner)
        owner.close()
    else:
        before = schema.upgrade(database)
    now = schema.current(database)
    database.close()
    if not schema.fits(now):
        fail(str(NeedsUpgradeError(now)))
    out.print(f"schema {before or 'none'} → {now}")


@group.command("restored")
def say_restored() -> None:
    """Say, before `run`, that the database is a backup's: what it does not know is reported."""
    from bot.usecases.restored import restored

    with on_desk(records=True) as desk:
        given = desk.in_force(of_systems())
        with desk.database.read() as session:
            systems, faults = connect_all(servers.connections(session), given.installation)
        longer = restored(desk, systems)
    for fault in faults.values():
        say_fault(fault)
    out.print("Noted. What the systems have and the database does not know is told to the admins.")
    for request in longer:
        out.print(
            f"{request.code} may have been extended since. It keeps its access for that long."
        )
