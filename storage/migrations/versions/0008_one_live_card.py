"""One live card for each person and request: posted anew for what its reader has to notice."""

import sqlalchemy as sa
from alembic import op

from storage.types import Json, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("drawn", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("posting", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("posted", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("news", sa.String(), nullable=False, server_default=""),
        sa.Column("news_at", UtcDateTime(), nullable=True),
        sa.Column("posted_news", sa.String(), nullable=False, server_default=""),
        sa.Column("earlier", Json, nullable=False, server_default="[]"),
    ):
        op.add_column("message", column)
    op.execute("update message set drawn = shown, posted = 1 where ts is not null")
    # What they said stands on the live card by now.
    op.execute("update message set shown = wanted where kind in ('offer', 'ended')")


def downgrade() -> None:
    for column in ("earlier", "posted_news", "news_at", "news", "posted", "posting", "drawn"):
        op.drop_column("message", column)
