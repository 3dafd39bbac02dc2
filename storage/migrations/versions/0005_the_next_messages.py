"""What is to be sent next is read in the order in which it is sent."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DUE = sa.text("shown < wanted")


def upgrade() -> None:
    op.drop_index("message_due", "message")  # first, for it takes the stronger lock
    columns = ["priority", "due_at", "id"]
    op.create_index("message_next", "message", columns, sqlite_where=DUE, postgresql_where=DUE)


def downgrade() -> None:
    op.drop_index("message_next", "message")
    op.create_index("message_due", "message", ["due_at"], sqlite_where=DUE, postgresql_where=DUE)
