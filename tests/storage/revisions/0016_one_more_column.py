"""A step that a later program might take: for the tests of what happens between two versions."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("remark", sa.String()))
    op.create_index("account_remark", "account", ["remark"])


def downgrade() -> None:
    op.drop_index("account_remark", "account")
    op.drop_column("account", "remark")
