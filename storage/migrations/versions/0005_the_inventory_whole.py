"""The inventory as queries ask for it: what permissions are called, tags, names without case; what
administrators say of risks."""

import hashlib

import sqlalchemy as sa
from alembic import op

from storage.types import Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEYS = {"integration": ("name_key",), "resource": ("type_key", "tagged")}
_AT_ONCE = 5000
_SHORT = 160  # characters; what is longer is left to the next discovery

_RESOURCE = sa.table(
    "resource", sa.column("id"), sa.column("type"), sa.column("type_key"), sa.column("tagged"),
    sa.column("body", Json), sa.column("integration_id"),
)
_INTEGRATION = sa.table("integration", sa.column("id"), sa.column("name"), sa.column("name_key"))
_ENTITLEMENT = sa.table("entitlement", sa.column("resource_id"), sa.column("permission"))


def upgrade() -> None:
    for table, columns in _KEYS.items():
        for name in columns:
            op.add_column(table, sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column("company", sa.Column("risks", Json, nullable=True))
    permission = op.create_table(
        "permission",
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.ForeignKeyConstraint(["integration_id"], ["integration.id"]),
        sa.PrimaryKeyConstraint("integration_id", "id"),
    )
    resource_tag = op.create_table(
        "resource_tag",
        sa.Column("context", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value_key", sa.String(), nullable=False),
        sa.Column("resource_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["resource_id"], ["resource.id"]),
        sa.PrimaryKeyConstraint("context", "key", "value_key", "resource_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "permission_tag",
        sa.Column("context", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value_key", sa.String(), nullable=False),
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id", "permission"], ["permission.integration_id", "permission.id"]
        ),
        sa.PrimaryKeyConstraint("context", "key", "value_key", "integration_id", "permission"),
        sqlite_with_rowid=False,
    )
    on = op.get_bind()
    for id_, name in on.execute(sa.select(_INTEGRATION.c.id, _INTEGRATION.c.name)).all():
        this = sa.update(_INTEGRATION).where(_INTEGRATION.c.id == id_)
        on.execute(this.values(name_key=name.casefold()))
    for (type_,) in on.execute(sa.select(_RESOURCE.c.type).distinct()).all():
        these = sa.update(_RESOURCE).where(_RESOURCE.c.type == type_)
        on.execute(these.values(type_key=type_.casefold()))
    had = (
        sa.select(_RESOURCE.c.integration_id, _ENTITLEMENT.c.permission)
        .join(_ENTITLEMENT, _ENTITLEMENT.c.resource_id == _RESOURCE.c.id)
        .distinct()
    )
    called = [
        {"integration_id": system, "id": id_, "name": id_, "name_key": id_.casefold(),
         "body": {"tags": {}}, "epoch": 0}
        for system, id_ in on.execute(had).all()
    ]
    if called:
        on.execute(permission.insert(), called)
    _take_in_tags(on, resource_tag)
    op.create_index("ix_resource_tag_resource_id", "resource_tag", ["resource_id"])


def _take_in_tags(on: sa.Connection, resource_tag: sa.Table) -> None:
    after = 0
    some = sa.select(_RESOURCE.c.id, _RESOURCE.c.body).order_by(_RESOURCE.c.id).limit(_AT_ONCE)
    this = sa.update(_RESOURCE).where(_RESOURCE.c.id == sa.bindparam("of"))
    while found := on.execute(some.where(_RESOURCE.c.id > after)).all():
        after = found[-1][0]
        tagged = {id_: tags for id_, body in found if (tags := _tags_of(body))}
        if not tagged:
            continue
        marks = [{"of": id_, "tagged": _mark_of(tags)} for id_, tags in tagged.items()]
        on.execute(this.values(tagged=sa.bindparam("tagged")), marks)
        rows = [
            {"context": False, "key": key, "value_key": value, "resource_id": id_}
            for id_, tags in tagged.items()
            for key, values in tags.items()
            for value in sorted({value.casefold() for value in values})
        ]
        on.execute(resource_tag.insert(), rows)


def _tags_of(body: object) -> dict[str, tuple[str, ...]]:
    said = body.get("tags") if isinstance(body, dict) else None
    tags = said if isinstance(said, dict) else {}
    words = [*tags, *(value for values in tags.values() for value in values or ())]
    if not all(isinstance(word, str) and len(word) <= _SHORT for word in words):
        return {}
    return {key: tuple(sorted({*tags[key]})) for key in sorted(tags) if tags[key]}


def _mark_of(tags: dict[str, tuple[str, ...]]) -> str:
    empty: dict[str, tuple[str, ...]] = {}
    return hashlib.blake2b(repr((tags, empty)).encode(), digest_size=16).hexdigest()


def downgrade() -> None:
    for table in ("permission_tag", "resource_tag", "permission"):
        op.drop_table(table)
    op.drop_column("company", "risks")
    for table, columns in _KEYS.items():
        for name in columns:
            op.drop_column(table, name)
