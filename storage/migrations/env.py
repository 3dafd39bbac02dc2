"""Alembic's entrance. The connection is given by `storage.schema`."""

from alembic import context
from sqlmodel import SQLModel

import storage.tables  # noqa: F401  (the tables are known once it is imported)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
