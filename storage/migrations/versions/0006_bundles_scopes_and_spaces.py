"""Bundles, access scopes and spaces, with their revisions."""

import sqlalchemy as sa
from alembic import op

from storage.types import Json, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_object",
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "name"),
    )
    op.create_index("object_changed", "policy_object", ["epoch"])
    op.create_table(
        "policy_object_revision",
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("saved_at", UtcDateTime(), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["policy_object.id"]),
        sa.PrimaryKeyConstraint("object_id", "number"),
    )


def downgrade() -> None:
    op.drop_table("policy_object_revision")
    op.drop_table("policy_object")
