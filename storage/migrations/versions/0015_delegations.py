"""The delegations: who has lent the right to approve to whom, and until when."""

import sqlalchemy as sa
from alembic import op

from storage.types import Json, UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delegation",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("body", Json, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=True),
    )
    op.create_index("delegation_changed", "delegation", ["epoch"])


def downgrade() -> None:
    op.drop_table("delegation")
