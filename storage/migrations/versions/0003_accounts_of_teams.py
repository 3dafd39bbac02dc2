"""A Slack account is the user of a team; a delivery may have made several requests; a change that
could not be handled is tried again later."""

import sqlalchemy as sa
from alembic import op

from storage.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAMED = {"uq": "%(table_name)s_%(column_0_name)s_key"}
# What cannot be read of an account leaves its team unknown: nobody else is tied to its user id.
_PLACED = {
    "sqlite": """
        update person set
          team = coalesce(json_extract(account, '$.team'), ''),
          enterprise = coalesce(json_extract(account, '$.enterprise'), '')
        where slack is not null and json_valid(account)
    """,
    "postgresql": """
        update person set
          team = coalesce(account ->> 'team', ''),
          enterprise = coalesce(account ->> 'enterprise', '')
        where slack is not null and account is not null
    """,
}


def upgrade() -> None:
    with op.batch_alter_table("person", naming_convention=_NAMED) as person:
        for name in ("team", "enterprise"):
            person.add_column(sa.Column(name, sa.String(), nullable=False, server_default=""))
        person.drop_constraint("person_slack_key", type_="unique")
        person.create_unique_constraint("person_slack_team_key", ["slack", "team"])
    op.execute(_PLACED[op.get_context().dialect.name])

    op.add_column(
        "delivery", sa.Column("number", sa.Integer(), nullable=False, server_default="0")
    )
    _key("key", "number")

    op.add_column(
        "change", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("change", sa.Column("due_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("change", "due_at")
    op.drop_column("change", "attempts")

    op.execute("delete from delivery where number > 0")
    _key("key")
    op.drop_column("delivery", "number")

    with op.batch_alter_table("person", naming_convention=_NAMED) as person:
        person.drop_constraint("person_slack_team_key", type_="unique")
        person.create_unique_constraint("person_slack_key", ["slack"])
        for name in ("team", "enterprise"):
            person.drop_column(name)


def _key(*columns: str) -> None:
    """Let these be the primary key of `delivery`, which SQLite can only say of a new table."""
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint("delivery_pkey", "delivery", type_="primary")
        op.create_primary_key("delivery_pkey", "delivery", list(columns))
        return
    op.rename_table("delivery", "delivery_before")
    op.create_table(
        "delivery",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*columns),
    )
    names = "key, number, request_id"
    op.execute(f"insert into delivery ({names}) select {names} from delivery_before")
    op.drop_table("delivery_before")
