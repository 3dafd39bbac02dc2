"""What reconciliation found on an account at its last look: what stands is told once."""

import sqlalchemy as sa
from alembic import op

from storage.types import Json

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("found", Json))


def downgrade() -> None:
    op.drop_column("account", "found")
