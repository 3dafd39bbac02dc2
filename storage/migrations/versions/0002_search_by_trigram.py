"""Search by trigram, where PostgreSQL has the extension: substrings of paths without a scan."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    there = "select 1 from pg_available_extensions where name = 'pg_trgm'"
    if connection.exec_driver_sql(there).scalar():
        op.execute("create extension if not exists pg_trgm")
        op.execute(
            "create index resource_trigram on resource using gin (path_key gin_trgm_ops)"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop index if exists resource_trigram")
