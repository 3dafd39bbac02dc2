"""Who has an entitlement now, and what has no end, is found without all that has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "grant_open",
        "access_grant",
        ["entitlement_id"],
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open"),
    )
    endless = sa.text("state = 'active' and wake_at is null")
    op.create_index(
        "request_endless", "request", ["id"], sqlite_where=endless, postgresql_where=endless
    )


def downgrade() -> None:
    op.drop_index("request_endless", "request")
    op.drop_index("grant_open", "access_grant")
