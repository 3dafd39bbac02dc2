"""Who is on call; which sources cannot be read; people's texts without case."""

import json

import sqlalchemy as sa
from alembic import op

from storage.codec import folded
from storage.types import Json, read_json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PEOPLE = sa.text("select id, cast(body as text) from person where id > :after order by id limit 500")
_FOLDED = {
    "sqlite": sa.text("update person set folded = :folded where id = :id"),
    "postgresql": sa.text("update person set folded = cast(:folded as jsonb) where id = :id"),
}


def upgrade() -> None:
    op.add_column("company", sa.Column("failing", Json, nullable=False, server_default="{}"))
    op.add_column("company", sa.Column("schedules", Json, nullable=False, server_default="[]"))
    op.add_column("person", sa.Column("folded", Json, nullable=True))
    bind, after = op.get_bind(), ""
    while rows := bind.execute(_PEOPLE, {"after": after}).all():
        after = rows[-1][0]
        given = [
            {"id": id_, "folded": json.dumps(folded(read_json(body)))} for id_, body in rows
        ]
        bind.execute(_FOLDED[bind.dialect.name], given)


def downgrade() -> None:
    op.drop_column("person", "folded")
    op.drop_column("company", "schedules")
    op.drop_column("company", "failing")
