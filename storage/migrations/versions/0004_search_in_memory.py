"""The search looks through the inventory in memory, while a system's `version` stands."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    version = sa.Column("version", sa.Integer(), nullable=False, server_default="0")
    op.add_column("integration", version)
    op.drop_index("resource_search", "resource")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop index if exists resource_trigram")


def downgrade() -> None:
    op.create_index("resource_search", "resource", ["path_key", "integration_id", "status"])
    op.drop_column("integration", "version")
