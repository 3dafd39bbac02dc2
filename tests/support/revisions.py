"""Revisions of the schema taken back, which no program does: its migrations only expand."""

import os

from alembic import command
from alembic.config import Config

from storage import schema
from storage.database import Database


def downgrade(database: Database, to: str) -> None:
    """Take the schema back to a revision, `base` for nothing. What only it knew is lost."""
    config = Config()
    config.set_main_option("script_location", str(schema.FOLDERS[0].parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(map(str, schema.FOLDERS)))
    with database.write() as tx:
        config.attributes["connection"] = tx.connection()
        command.downgrade(config, to)
