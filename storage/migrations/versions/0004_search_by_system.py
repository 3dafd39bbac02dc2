"""Search within one system: in the order of paths, without a look at the rows; and by name."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("resource_search", "resource")
    op.create_index(
        "resource_search", "resource", ["integration_id", "status", "path_key", "id", "type"]
    )
    op.create_index("resource_name", "resource", ["integration_id", "name_key"])


def downgrade() -> None:
    op.drop_index("resource_name", "resource")
    op.drop_index("resource_search", "resource")
    op.create_index("resource_search", "resource", ["path_key", "integration_id", "status"])
