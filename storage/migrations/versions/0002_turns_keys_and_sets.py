"""Turns of accounts and cards, keys of the audit, sets of manifests, numbers of changes."""

import sqlalchemy as sa
from alembic import op

from storage.types import Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DUE = sa.text("acted < wanted")
_UNSENT = sa.text("shown < wanted")
_LIVE = sa.text(
    "state not in "
    "('cancelled', 'timed_out', 'rejected', 'failed', 'expired', 'returned', 'revoked')"
)
_FACTS = (
    "person",
    "people_group",
    "integration",
    "resource",
    "entitlement",
    "flow",
)
_INDEXES = {
    "person_changed": ("person", ["epoch", "id"]),
    "group_changed": ("people_group", ["epoch"]),
    "flow_changed": ("flow", ["epoch"]),
    "resource_changed": ("resource", ["integration_id", "epoch", "id"]),
    "resource_named": ("resource", ["integration_id", "name_key"]),
    "resource_at": ("resource", ["integration_id", "path_key"]),
    "ix_access_grant_entitlement_id": ("access_grant", ["entitlement_id"]),
    "ix_decision_person_id": ("decision", ["person_id"]),
}


def upgrade() -> None:
    op.add_column(
        "account", sa.Column("priority", sa.Integer(), nullable=False, server_default="1")
    )
    op.create_index(
        "account_next",
        "account",
        ["priority", "due_at"],
        sqlite_where=_DUE,
        postgresql_where=_DUE,
    )
    op.drop_index("account_due", "account")

    op.add_column("message", sa.Column("requestor", sa.String(), nullable=False, server_default=""))
    op.add_column("message", sa.Column("place", sa.BigInteger(), nullable=False, server_default="0"))
    op.drop_index("message_next", "message")
    for name, columns in (
        ("message_next", ["priority", "place", "id"]),
        ("message_turn", ["requestor", "priority", "place"]),
    ):
        op.create_index(
            name, "message", columns, sqlite_where=_UNSENT, postgresql_where=_UNSENT
        )

    for table, column in (("audit", "key"), ("audit", "mac"), ("audit_head", "mac")):
        op.add_column(table, sa.Column(column, sa.String(), nullable=False, server_default=""))
    op.add_column(
        "company", sa.Column("syncing", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "company", sa.Column("requests_from", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column(
        "integration", sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    # Two links: what the program before, which knows no such column, opens.
    for column in (
        sa.Column("hands", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("links", sa.Integer(), nullable=False, server_default="2"),
        sa.Column("counted", sa.Float(), nullable=True),
        sa.Column("strangers", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("passed", sa.Integer(), nullable=False, server_default="-1"),
    ):
        op.add_column("instance", column)
    op.create_table(
        "manifest_set",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("applied_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )

    op.create_table(
        "change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("what", Json, nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=False),
        sa.Column("locked", Json, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    for table in _FACTS:
        op.add_column(table, sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "company", sa.Column("forgotten", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "people_group", sa.Column("gone", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)
    op.create_index(
        "request_under",
        "request",
        ["flow_id", "revision", "id"],
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )


def downgrade() -> None:
    op.drop_table("change")
    op.drop_index("request_under", "request")
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
    op.drop_column("people_group", "gone")
    op.drop_column("company", "forgotten")
    for table in _FACTS:
        op.drop_column(table, "epoch")
    op.drop_table("manifest_set")
    op.drop_column("integration", "listed")
    for column in ("passed", "strangers", "counted", "links", "hands"):
        op.drop_column("instance", column)
    op.drop_column("company", "requests_from")
    op.drop_column("company", "syncing")
    for table, column in (("audit_head", "mac"), ("audit", "mac"), ("audit", "key")):
        op.drop_column(table, column)
    op.drop_index("message_turn", "message")
    op.drop_index("message_next", "message")
    op.drop_column("message", "place")
    op.drop_column("message", "requestor")
    op.create_index(
        "message_next",
        "message",
        ["priority", "due_at", "id"],
        sqlite_where=_UNSENT,
        postgresql_where=_UNSENT,
    )
    op.drop_index("account_next", "account")
    op.drop_column("account", "priority")
    op.create_index(
        "account_due", "account", ["due_at"], sqlite_where=_DUE, postgresql_where=_DUE
    )
