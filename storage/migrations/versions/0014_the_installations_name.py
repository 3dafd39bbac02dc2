"""The name under which an installation makes its logins."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("installation", sa.String(), nullable=False, server_default="")
    op.add_column("company", column)


def downgrade() -> None:
    op.drop_column("company", "installation")
