"""Who is on call; which sources cannot be read; what conditions compare of people."""

import json

import sqlalchemy as sa
from alembic import op

from storage.codec import called, compared
from storage.types import Json, read_json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PEOPLE = sa.text("select id, cast(body as text) from person where id > :after order by id limit 500")
_COMPARED = {
    "sqlite": sa.text("update person set compared = :compared, called = :called where id = :id"),
    "postgresql": sa.text(
        "update person set compared = cast(:compared as jsonb), called = :called where id = :id"
    ),
}


def upgrade() -> None:
    op.add_column("company", sa.Column("failing", Json, nullable=False, server_default="{}"))
    op.add_column("company", sa.Column("schedules", Json, nullable=False, server_default="[]"))
    op.add_column("person", sa.Column("compared", Json, nullable=True))
    op.add_column("person", sa.Column("called", sa.String(), nullable=True))
    bind, after = op.get_bind(), ""
    while rows := bind.execute(_PEOPLE, {"after": after}).all():
        after = rows[-1][0]
        found = {id_: compared(read_json(body)) for id_, body in rows}
        given = [
            {"id": id_, "compared": json.dumps(it), "called": called(it)}
            for id_, it in found.items()
        ]
        bind.execute(_COMPARED[bind.dialect.name], given)


def downgrade() -> None:
    op.drop_column("person", "called")
    op.drop_column("person", "compared")
    op.drop_column("company", "schedules")
    op.drop_column("company", "failing")
