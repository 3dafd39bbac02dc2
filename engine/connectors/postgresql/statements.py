"""GRANT and REVOKE: what was decided, carried out in one database."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import LiteralString

from psycopg import sql

from engine.connectors.postgresql.acl import AclEntry, Catalog, ObjectKind, Owner, Thing
from engine.connectors.postgresql.sessions import GONE, NO, Connection, acting_as, said

__all__ = ["carry_out"]

_PRIVILEGES: dict[str, sql.Composable] = {
    "CONNECT": sql.SQL("connect"),
    "USAGE": sql.SQL("usage"),
    "SELECT": sql.SQL("select"),
    "INSERT": sql.SQL("insert"),
    "UPDATE": sql.SQL("update"),
    "DELETE": sql.SQL("delete"),
    "TRUNCATE": sql.SQL("truncate"),
    "EXECUTE": sql.SQL("execute"),
}
_KINDS: dict[ObjectKind, sql.Composable] = {
    ObjectKind.DATABASE: sql.SQL("database"),
    ObjectKind.SCHEMA: sql.SQL("schema"),
    ObjectKind.TABLE: sql.SQL("table"),
    ObjectKind.SEQUENCE: sql.SQL("sequence"),
    ObjectKind.ROUTINE: sql.SQL("routine"),
    ObjectKind.NEW_TABLES: sql.SQL("tables"),
    ObjectKind.NEW_SEQUENCES: sql.SQL("sequences"),
}
_GIVE = sql.SQL("grant {privileges} on {kind} {names} to {role}")
_TAKE = sql.SQL(
    "revoke {privileges} on {kind} {names} from {role} cascade"
)  # and what it passed on
_FUTURE = sql.SQL("alter default privileges for role {maker} in schema {schema} {change}")


def carry_out(
    connection: Connection,
    catalog: Catalog,
    role: str,
    *,
    give: AbstractSet[AclEntry] = frozenset(),
    take: AbstractSet[AclEntry] = frozenset(),
    one_by_one: bool = False,
) -> dict[AclEntry, str]:
    """Give or take, inside the caller's transaction.

    What Latchkey has no right to stays as it is, which the caller sees when it reads again. What
    the server refuses besides undoes all, and raises; `one_by_one`, it is returned, with the
    server's words, and the rest is done.
    """
    refused = dict[AclEntry, str]()
    for order, chosen in ((_TAKE, take), (_GIVE, give)):
        for group in _groups(catalog, chosen, one_by_one=one_by_one):
            statement = _statement(catalog, order, role, group)
            owner = catalog.owner(group[0])
            if owner.mine and not one_by_one:
                with acting_as(connection, owner.to_become):
                    connection.execute(statement)
            elif owner.mine or not group[0].maker:  # else only its maker can be asked
                try:  # perhaps by a grant option
                    _alone(connection, catalog, group[0], statement)
                except NO as error:
                    if isinstance(error, GONE):
                        raise
                    refused |= dict.fromkeys(group, said(error))
    return refused


def _alone(
    connection: Connection, catalog: Catalog, entry: AclEntry, statement: sql.Composed
) -> None:
    """Run it in a transaction of its own.

    An owner that is not let into its own thing's schema is let in for that moment.
    """
    owner = catalog.owner(entry)
    with connection.transaction():
        shut = _shut(connection, catalog, entry, owner)
        if shut:
            _let_in(connection, shut, owner, "grant usage on schema {} to {}")
        with acting_as(connection, owner.to_become):
            connection.execute(statement)
        if shut:
            _let_in(connection, shut, owner, "revoke usage on schema {} from {}")


def _shut(connection: Connection, catalog: Catalog, entry: AclEntry, owner: Owner) -> Thing | None:
    """Return the schema that the owner is not let into, and that Latchkey may open."""
    schema = catalog.things.get((ObjectKind.SCHEMA, catalog.thing(entry).schema))
    if schema is None or not (owner.to_become and schema.owner.mine):
        return None
    query = "select not has_schema_privilege(%s, %s::oid, 'USAGE')"
    ((shut,),) = connection.execute(query, [owner.name, schema.oid])
    return schema if shut else None


def _let_in(connection: Connection, schema: Thing, owner: Owner, words: LiteralString) -> None:
    with acting_as(connection, schema.owner.to_become):
        names = sql.Identifier(*schema.names), sql.Identifier(owner.name)
        connection.execute(sql.SQL(words).format(*names))


def _groups(
    catalog: Catalog, chosen: Collection[AclEntry], *, one_by_one: bool
) -> Iterator[list[AclEntry]]:
    """Gather what one statement can say: the same privileges on several objects of one kind."""
    by_object = defaultdict[tuple[ObjectKind, int, int], list[AclEntry]](list)
    for entry in sorted(chosen):
        by_object[entry.kind, entry.oid, entry.maker].append(entry)
    alike = defaultdict[tuple[object, ...], list[AclEntry]](list)
    for (kind, oid, maker), group in by_object.items():
        owner = catalog.owner(group[0])
        alone = (oid, maker) if maker or one_by_one or not owner.mine else ()
        privileges = tuple(entry.privilege for entry in group)
        alike[kind, owner.to_become, alone, privileges] += group
    yield from alike.values()


def _statement(catalog: Catalog, order: sql.SQL, role: str, group: list[AclEntry]) -> sql.Composed:
    first = group[0]
    things = {entry.oid: catalog.thing(entry) for entry in group}
    names = [_name(catalog, thing) for thing in things.values()]
    words = order.format(
        privileges=sql.SQL(", ").join(_PRIVILEGES[p] for p in sorted({e.privilege for e in group})),
        kind=_KINDS[first.kind],
        names=sql.SQL("") if first.maker else sql.SQL(", ").join(names),
        role=sql.Identifier(role),
    )
    if not first.maker:
        return words
    maker = catalog.makers[first.oid][first.maker].name
    return _FUTURE.format(maker=sql.Identifier(maker), schema=names[0], change=words)


def _name(catalog: Catalog, thing: Thing) -> sql.Composable:
    if thing.address:
        return sql.SQL(thing.address)  # quoted by the server
    return sql.Identifier(*(thing.names or (catalog.database.name,)))
