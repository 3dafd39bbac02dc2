"""Since when a system has the password of a login: one that is too old is replaced."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from storage.types import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("secret_since", UtcDateTime(), nullable=True))
    account = sa.table(
        "account", sa.column("made", sa.Boolean()), sa.column("secret_since", UtcDateTime())
    )
    # How old they are is not known: their time runs from now on.
    op.execute(account.update().where(account.c.made).values(secret_since=datetime.now(UTC)))


def downgrade() -> None:
    op.drop_column("account", "secret_since")
