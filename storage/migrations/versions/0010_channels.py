"""The channels of Slack in which approvers are asked, as they were last seen."""

import sqlalchemy as sa
from alembic import op

from storage.types import Json

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel",
        sa.Column("id", sa.String(), nullable=False, primary_key=True),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("body", Json, nullable=False),
    )
    op.create_index("channel_changed", "channel", ["epoch"])


def downgrade() -> None:
    op.drop_table("channel")
