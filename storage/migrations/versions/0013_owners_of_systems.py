"""Whose the things of a system are, and which tag says so."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, default in (("owner", ""), ("owner_tag", "owner")):
        column = sa.Column(name, sa.String(), nullable=False, server_default=default)
        op.add_column("integration", column)


def downgrade() -> None:
    for name in ("owner_tag", "owner"):
        op.drop_column("integration", name)
