"""What a PostgreSQL server has to offer: databases, schemas, tables, functions, roles."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from engine.connectors.postgresql.acl import Database
from engine.connectors.postgresql.caveats import caveats, of_schema
from engine.connectors.postgresql.names import (
    HEIRS,
    Place,
    path_of,
    permission_risk,
    resource_risk,
)
from engine.connectors.postgresql.roles import Listed
from engine.connectors.postgresql.sessions import Connection
from engine.inventory import Tags
from engine.port import Discovered

__all__ = ["OPTIONAL", "inside", "role", "rounded"]

# Permissions that are offered only where the integration's settings list them.
OPTIONAL = frozenset({"truncate", "execute"})

_SCHEMAS = """
select oid, nspname from pg_namespace
where nspname !~ '^pg_' and nspname <> 'information_schema'
order by nspname
"""
_RELATIONS = """
select c.oid, nspname, relname,
    case
        when relispartition then 'partition'
        when relkind = 'r' then 'table'
        when relkind = 'p' then 'partitioned table'
        when relkind = 'v' then 'view'
        when relkind = 'm' then 'materialised view'
        else 'foreign table'
    end,
    case -- a view may be read-only: 4, 8 and 16 stand for UPDATE, INSERT and DELETE
        when relkind = 'f' and exists (
            select from pg_foreign_table t join pg_foreign_server s on s.oid = t.ftserver
                join pg_foreign_data_wrapper w on w.oid = s.srvfdw
            where t.ftrelid = c.oid and w.fdwhandler = 0::oid
        ) then false
        when relkind in ('v', 'f') then pg_relation_is_updatable(c.oid, true) & 28 = 28
        else relkind <> 'm'
    end,
    relkind in ('r', 'p'),
    case when relkind in ('r', 'm') then reltuples::float8 else -1 end
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'p', 'v', 'm', 'f')
    and nspname !~ '^pg_' and nspname <> 'information_schema'
    and not starts_with(pg_get_userbyid(relowner), %s)
order by nspname, relname
"""
_ROUTINES = """
select p.oid, nspname, proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    case prokind when 'p' then 'procedure' else 'function' end, prosecdef, rolname
from pg_proc p join pg_namespace n on n.oid = pronamespace join pg_roles r on r.oid = proowner
where prokind in ('f', 'p') and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    and nspname !~ '^pg_' and nspname <> 'information_schema' and not starts_with(rolname, %s)
    and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
        and d.objid = p.oid and d.deptype = 'e')
order by nspname, 3
"""
_READ = ("read",)
_READ_WRITE = ("read", "read-write")


def inside(
    connection: Connection, database: Database, optional: Collection[str]
) -> Iterator[Discovered]:
    """Yield the database and all that is in it; `optional`: of `OPTIONAL`, what is offered."""
    schemas = connection.execute(_SCHEMAS).fetchall()
    relations = connection.execute(_RELATIONS, [HEIRS]).fetchall()
    found = caveats(connection)
    caveat = {each.oid: each.sentence for each in found}
    names = defaultdict[str, list[str]](list)
    rows = defaultdict[str, list[float]](list)
    for _, schema, name, *_, estimate in relations:
        names[schema].append(name)
        rows[schema].append(estimate)
    here = database.name
    all_of = _context(
        [*chain.from_iterable(rows.values())], tables=len(relations), schemas=len(schemas)
    )
    yield _resource("database", Place(database.oid), (here,), ("connect",), context=all_of)
    for oid, schema in schemas:
        place = Place(database.oid, schema=oid)
        path, unusable = (here, schema), of_schema(schema, found)
        reaches = _context(rows[schema], tables=len(names[schema]))
        yield _resource(
            "schema",
            place,
            path,
            _READ_WRITE,
            inside=names[schema],
            caveat=unusable,
            context=reaches,
        )
    for oid, schema, name, kind, writable, emptied, estimate in relations:
        place = Place(database.oid, relation=oid)
        permissions = _READ_WRITE if writable else _READ
        if emptied and "truncate" in optional:
            permissions = (*permissions, "truncate")
        inner = (here, schema, name)
        yield _resource(
            "table",
            place,
            inner,
            permissions,
            kind=kind,
            caveat=caveat.get(oid, ""),
            context=_context([estimate]),
        )
    if "execute" in optional:
        for oid, schema, name, kind, definer, owner in connection.execute(_ROUTINES, [HEIRS]):
            place = Place(database.oid, routine=oid)
            inner = (here, schema, name)
            runs = f"It runs with the rights of {path_of(owner)}, its owner." if definer else ""
            yield _resource("function", place, inner, ("execute",), kind=kind, caveat=runs)


def role(listed: Listed) -> Discovered:
    """Return a role as something that can be had: membership in it."""
    return _resource("role", Place(0, role=listed.oid), (listed.name,), ("member",))


def _resource(
    type_: str,
    place: Place,
    names: tuple[str, ...],
    permissions: Sequence[str],
    *,
    inside: Sequence[str] = (),
    kind: str = "",
    caveat: str = "",
    context: Tags | None = None,
) -> Discovered:
    """A schema is as risky as the riskiest of what is `inside`."""
    each = [(*names, name) for name in inside] or [names]
    return Discovered(
        type=type_,
        name=names[-1],
        path=path_of(*names),
        source_id=str(place),
        permissions={
            permission: max(permission_risk(type_, permission, *deep) for deep in each)
            for permission in permissions
        },
        risk=max(resource_risk(*deep) for deep in each),
        tags={"kind": (kind,)} if kind else {},
        caveat=caveat,
        context=context or {},
    )


def _context(rows: Iterable[float], **counts: int) -> Tags:
    """Say how much there is: what is inside, and how many rows, as the server's own statistics
    estimate them; it estimates none of what it never looked at.

    Estimates move with each look of the server's. Rounded down to 1, 2 or 5 and zeros, they are a
    change for the inventory only where they are another order.
    """
    known = [estimate for estimate in rows if estimate >= 0]
    said = counts | ({"rows": rounded(sum(known))} if known else {})
    return {key: (str(value),) for key, value in said.items()}


def rounded(estimate: float) -> int:
    """Return the largest of 0, 1, 2, 5, 10, 20, 50, … that is not above the estimate."""
    if estimate < 1:
        return 0
    tens = int("1" + "0" * (len(str(int(estimate))) - 1))
    return max(step * tens for step in (1, 2, 5) if step * tens <= estimate)
