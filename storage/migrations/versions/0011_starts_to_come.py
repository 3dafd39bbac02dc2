"""What is approved for later is open: it is the same as what asks for the same start."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _same(*states: str) -> None:
    of = sa.text(f"state in ({', '.join(repr(state) for state in states)})")
    op.drop_index("request_same", "request")
    op.create_index(
        "request_same",
        "request",
        ["fingerprint"],
        unique=True,
        sqlite_where=of,
        postgresql_where=of,
    )


def upgrade() -> None:
    _same("pending_mfa", "pending", "scheduled", "granting")


def downgrade() -> None:
    _same("pending_mfa", "pending", "granting")
