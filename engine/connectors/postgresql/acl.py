"""Privileges inside one PostgreSQL database: what a target comes to, what is there, what to change.

An *entry* is one privilege of one login on one object, as the server's own lists (ACLs) have it.
A target *needs* entries: its core, and the path to it (CONNECT, USAGE), which it shares with
others. `change` is the whole policy and touches nothing; the rest reads and carries out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from engine.connectors.port import Target
from engine.connectors.postgresql.names import names_in, path_of, place_of

__all__ = [
    "Catalog",
    "Database",
    "Entry",
    "Needs",
    "Seen",
    "Thing",
    "carry_out",
    "change",
    "effective",
    "entries",
    "read",
]

Connection = psycopg.Connection[tuple[Any, ...]]


class Kind(StrEnum):
    DATABASE = "database"
    SCHEMA = "schema"
    TABLE = "table"  # views and the like too
    SEQUENCE = "sequence"
    NEW_TABLES = "new tables"  # default privileges: what one owner will make in one schema
    NEW_SEQUENCES = "new sequences"


class Entry(NamedTuple):
    kind: Kind
    oid: int  # with NEW_TABLES and NEW_SEQUENCES the schema's
    privilege: str
    maker: int = 0  # with those two: the role whose future objects are meant


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an entry that is there."""

    schema: int  # that the object is in, or 0
    revocable: bool  # given in the owner's name, as Latchkey gives
    others: bool  # given by somebody else, too or only


@dataclass(frozen=True, slots=True)
class Database:
    oid: int
    name: str
    owner: str
    mine: bool  # Latchkey may act as its owner
    superuser: bool  # its owner is one
    reachable: bool  # Latchkey may connect


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that has an ACL."""

    kind: Kind
    oid: int
    names: tuple[str, ...]  # within the database
    owner: str
    mine: bool  # Latchkey may act as its owner
    superuser: bool  # its owner is one
    schema: int = 0
    form: str = ""  # a relation's relkind
    table: int = 0  # that a sequence belongs to


@dataclass(frozen=True, slots=True)
class Needs:
    """What one target comes to. `future` helps it along but is no condition of holding it."""

    core: frozenset[Entry] = frozenset()
    path: frozenset[Entry] = frozenset()
    future: frozenset[Entry] = frozenset()

    @property
    def now(self) -> frozenset[Entry]:
        return self.core | self.path


_TABLE = {"read": ["SELECT"], "read-write": ["SELECT", "INSERT", "UPDATE", "DELETE"]}
_SEQUENCE = {"read": ["SELECT"], "read-write": ["SELECT", "USAGE"]}
_MATERIALIZED = "m"  # nobody writes to a materialised view


@dataclass(frozen=True, slots=True)
class Catalog:
    """The part of a database that some targets are about."""

    database: Database
    things: dict[tuple[Kind, int], Thing]
    makers: dict[int, dict[int, tuple[str, bool]]] = field(default_factory=dict)  # by schema

    def needs(self, target: Target) -> Needs | None:
        """Tell what the target comes to; None if it is gone, or was never there."""
        place = place_of(target.type, target.source_id)
        if place is None or place.database != self.database.oid:
            return None
        connect = frozenset({Entry(Kind.DATABASE, place.database, "CONNECT")})
        if target.type == "database":
            return Needs(connect) if target.permission == "connect" else None
        if target.permission not in _TABLE:
            return None
        if target.type == "schema":
            return self._needs_of_schema(place.schema, target.permission, connect)
        return self._needs_of_table(place.relation, target.permission, connect)

    def remains(self, target: Target) -> Needs:
        """Tell what may be left of a target that is gone: the path to it.

        Its schema is known by name only, from the path.
        """
        path = {Entry(Kind.DATABASE, self.database.oid, "CONNECT")}
        if target.type == "table" and len(names := names_in(target.path)) == 3:
            path |= {
                Entry(Kind.SCHEMA, thing.oid, "USAGE")
                for thing in self.things.values()
                if thing.kind is Kind.SCHEMA and thing.names == (names[1],)
            }
        return Needs(path=frozenset(path))

    def path_of(self, entry: Entry) -> str:
        if entry.kind is Kind.DATABASE:
            return path_of(self.database.name)
        thing = self.thing(entry)
        return path_of(self.database.name, *thing.names)

    def thing(self, entry: Entry) -> Thing:
        kind = Kind.SCHEMA if entry.maker else entry.kind
        return self.things[kind, entry.oid]

    def mine(self, entry: Entry) -> bool:
        if entry.maker:
            return self.makers[entry.oid][entry.maker][1]
        return self.thing(entry).mine

    def owner(self, entry: Entry) -> tuple[str, bool]:
        """Return who may give it, and whether that is a superuser."""
        if entry.maker:
            return self.makers[entry.oid][entry.maker][0], False
        thing = self.thing(entry)
        return thing.owner, thing.superuser

    def _needs_of_schema(
        self, oid: int, permission: str, connect: frozenset[Entry]
    ) -> Needs | None:
        if (Kind.SCHEMA, oid) not in self.things:
            return None
        core = {Entry(Kind.SCHEMA, oid, "USAGE")}
        for thing in self.things.values():
            if thing.schema == oid and thing.kind is Kind.TABLE:
                core |= _of_table(thing, permission)
            elif thing.schema == oid and thing.kind is Kind.SEQUENCE:
                core |= {Entry(Kind.SEQUENCE, thing.oid, p) for p in _SEQUENCE[permission]}
        future = {
            Entry(kind, oid, privilege, maker)
            for maker in self.makers.get(oid, {})
            for kind, privileges in ((Kind.NEW_TABLES, _TABLE), (Kind.NEW_SEQUENCES, _SEQUENCE))
            for privilege in privileges[permission]
        }
        return Needs(frozenset(core), connect, frozenset(future))

    def _needs_of_table(self, oid: int, permission: str, connect: frozenset[Entry]) -> Needs | None:
        table = self.things.get((Kind.TABLE, oid))
        if table is None:
            return None
        core = _of_table(table, permission)
        if permission == "read-write":
            core |= {
                Entry(Kind.SEQUENCE, thing.oid, "USAGE")
                for thing in self.things.values()
                if thing.table == oid
            }
        usage = Entry(Kind.SCHEMA, table.schema, "USAGE")
        return Needs(frozenset(core), connect | {usage})


def _of_table(table: Thing, permission: str) -> set[Entry]:
    level = "read" if table.form == _MATERIALIZED else permission
    return {Entry(Kind.TABLE, table.oid, privilege) for privilege in _TABLE[level]}


# --- Reading --------------------------------------------------------------------------------------

_SCHEMAS = """
select n.oid, n.nspname, pg_get_userbyid(o.oid), pg_has_role(o.oid, 'USAGE'), r.rolsuper, o.oid
from pg_namespace n
    join pg_database d on d.datname = current_database()
    cross join lateral (
        -- the owner of “public”; nobody is a member of it but through the database's owner
        select case when n.nspowner = 'pg_database_owner'::regrole then d.datdba else n.nspowner end
    ) o (oid)
    join pg_roles r on r.oid = o.oid
where n.oid = any(%(schemas)s) or n.nspname = any(%(names)s)
    or n.oid in (select relnamespace from pg_class where oid = any(%(relations)s))
"""
_RELATIONS = """
select
    c.oid, c.relname, n.nspname, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'),
    r.rolsuper, c.relowner, c.relnamespace, c.relkind::text, coalesce(d.refobjid, 0)
from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_roles r on r.oid = c.relowner
    left join pg_depend d on c.relkind = 'S' and d.deptype = 'a'
        and d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
        and d.refclassid = 'pg_class'::regclass
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and (c.relnamespace = any(%(schemas)s) or c.oid = any(%(relations)s)
        or c.relkind = 'S' and d.refobjid = any(%(relations)s))
"""
# The server keeps note of which objects' ACLs name a role: no list has to be read to its end.
_ENTRIES = """
with named (classid, objid) as (
    select distinct s.classid, s.objid
    from pg_shdepend s join pg_database d on d.oid = s.dbid
    where d.datname = current_database() and s.deptype = 'a'
        and s.refclassid = 'pg_authid'::regclass and s.refobjid = %(role)s
),
found (kind, oid, schema, owner, acl, maker) as (
    select 'database', oid, 0::oid, datdba, datacl, 0::oid
    from pg_database where datname = current_database()
    union all
    select 'schema', n.oid, n.oid, nspowner, nspacl, 0
    from named join pg_namespace n on classid = 'pg_namespace'::regclass and n.oid = objid
    union all
    select case relkind when 'S' then 'sequence' else 'table' end, c.oid, relnamespace, relowner,
        relacl, 0
    from named join pg_class c on classid = 'pg_class'::regclass and c.oid = objid
    union all
    select case defaclobjtype when 'S' then 'new sequences' else 'new tables' end, defaclnamespace,
        defaclnamespace, defaclrole, defaclacl, defaclrole
    from named join pg_default_acl f on classid = 'pg_default_acl'::regclass and f.oid = objid
    where defaclobjtype in ('r', 'S') and defaclnamespace <> 0
)
select kind, oid, privilege_type, maker, schema, bool_or(revocable), bool_or(not revocable),
    pg_get_userbyid(maker), coalesce(pg_has_role(maker, 'USAGE'), false)
from found cross join lateral aclexplode(acl) cross join lateral (
    -- REVOKE acts in the owner's name if it can, else in that of a role with a grant option
    select grantor = owner or not pg_has_role(owner, 'USAGE') and pg_has_role(grantor, 'USAGE')
) as by (revocable)
where grantee = %(role)s
group by kind, oid, privilege_type, maker, schema
"""
_EFFECTIVE = """
select kind, oid, privilege
from unnest(%(kinds)s::text[], %(oids)s::oid[], %(privileges)s::text[]) as e (kind, oid, privilege)
where case kind
    when 'database' then has_database_privilege(%(role)s, oid, privilege)
    when 'schema' then has_schema_privilege(%(role)s, oid, privilege)
    when 'table' then has_table_privilege(%(role)s, oid, privilege)
    when 'sequence' then has_sequence_privilege(%(role)s, oid, privilege)
end
"""


def read(connection: Connection, database: Database, targets: Iterable[Target]) -> Catalog:
    """Read what the database has of the targets."""
    listed = list(targets)
    places = [p for t in listed if (p := place_of(t.type, t.source_id))]
    scope = {
        "schemas": [p.schema for p in places if p.schema],
        "relations": [p.relation for p in places if p.relation],
        "names": [names[1] for t in listed if len(names := names_in(t.path)) == 3],
    }
    catalog = Catalog(database, {})
    here = (database.owner, database.mine, database.superuser)
    catalog.things[Kind.DATABASE, database.oid] = Thing(Kind.DATABASE, database.oid, (), *here)
    for oid, name, owner, mine, superuser, role in connection.execute(_SCHEMAS, scope):
        catalog.things[Kind.SCHEMA, oid] = Thing(Kind.SCHEMA, oid, (name,), owner, mine, superuser)
        catalog.makers[oid] = {role: (owner, mine)}
    for row in connection.execute(_RELATIONS, scope):
        oid, name, schema_name, owner, mine, superuser, role, schema, form, table = row
        kind = Kind.SEQUENCE if form == "S" else Kind.TABLE
        inside = (schema_name, name)
        catalog.things[kind, oid] = Thing(
            kind, oid, inside, owner, mine, superuser, schema, form, table
        )
        catalog.makers.setdefault(schema, {})[role] = owner, mine
    return catalog


def entries(connection: Connection, catalog: Catalog, role: int) -> dict[Entry, Seen]:
    """Read which entries name the role in this database."""
    found = {}
    for row in connection.execute(_ENTRIES, {"role": role}):
        kind, oid, privilege, maker, schema, revocable, others, maker_name, mine = row
        found[Entry(Kind(kind), oid, privilege, maker)] = Seen(schema, revocable, others)
        if maker:
            catalog.makers.setdefault(oid, {}).setdefault(maker, (maker_name, mine))
    return found


def effective(connection: Connection, role: int, wanted: Iterable[Entry]) -> set[Entry]:
    """Tell which of the entries the role has in effect, by whatever way: PUBLIC, membership …"""
    listed = [entry for entry in wanted if not entry.maker]
    if not listed:
        return set()
    values = {
        "role": role,
        "kinds": [entry.kind.value for entry in listed],
        "oids": [entry.oid for entry in listed],
        "privileges": [entry.privilege for entry in listed],
    }
    rows = connection.execute(_EFFECTIVE, values)
    return {Entry(Kind(kind), oid, privilege) for kind, oid, privilege in rows}


# --- Deciding -------------------------------------------------------------------------------------


def change(
    have: Mapping[Entry, Seen], wanted: Iterable[Needs], unwanted: Iterable[Needs]
) -> tuple[set[Entry], set[Entry]]:
    """Tell which entries to give and which to take.

    What only unwanted targets need goes. The path goes if nothing is left that it leads to, be it
    what somebody else gave. What no target of the order needs is not touched.
    """
    listed = list(unwanted)
    keep = {entry for needs in wanted for entry in (*needs.now, *needs.future)}
    ours = {entry for entry, seen in have.items() if seen.revocable}
    give = keep - ours
    take = {e for needs in listed for e in (*needs.core, *needs.future)} & ours - keep
    left = {entry: seen for entry, seen in have.items() if entry not in take or seen.others}
    path = {entry for needs in listed for entry in needs.path} & left.keys() & ours - keep
    for entry in sorted(path, key=lambda e: e.kind is Kind.DATABASE):  # the deepest first
        if not any(_leads_to(entry, other, seen) for other, seen in left.items()):
            take.add(entry)
            if not left[entry].others:
                del left[entry]
    return give, take


def _leads_to(path: Entry, entry: Entry, seen: Seen) -> bool:
    if path.kind is Kind.DATABASE:
        return entry.kind is not Kind.DATABASE
    return seen.schema == path.oid and entry.kind is not Kind.SCHEMA


# --- Doing ----------------------------------------------------------------------------------------

_PRIVILEGES: dict[str, sql.Composable] = {
    "CONNECT": sql.SQL("connect"),
    "USAGE": sql.SQL("usage"),
    "SELECT": sql.SQL("select"),
    "INSERT": sql.SQL("insert"),
    "UPDATE": sql.SQL("update"),
    "DELETE": sql.SQL("delete"),
}
_KINDS: dict[Kind, sql.Composable] = {
    Kind.DATABASE: sql.SQL("database"),
    Kind.SCHEMA: sql.SQL("schema"),
    Kind.TABLE: sql.SQL("table"),
    Kind.SEQUENCE: sql.SQL("sequence"),
    Kind.NEW_TABLES: sql.SQL("tables"),
    Kind.NEW_SEQUENCES: sql.SQL("sequences"),
}
_GIVE = sql.SQL("grant {privileges} on {kind} {names} to {role}")
_TAKE = sql.SQL(
    "revoke {privileges} on {kind} {names} from {role} cascade"
)  # and what it passed on
_FUTURE = sql.SQL("alter default privileges for role {maker} in schema {schema} {change}")


def carry_out(
    connection: Connection, catalog: Catalog, role: str, give: set[Entry], take: set[Entry]
) -> None:
    """Give and take, inside the caller's transaction.

    What Latchkey has no right to stays as it is, which the caller sees when it reads again.
    """
    for order, chosen in ((_TAKE, take), (_GIVE, give)):
        for group in _groups(catalog, chosen):
            statement = _statement(catalog, order, role, group)
            if catalog.mine(group[0]):
                connection.execute(statement)
                continue
            if group[0].maker:
                continue  # only its maker can be asked
            try:  # perhaps by a grant option
                with connection.transaction():
                    connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                pass


def _groups(catalog: Catalog, chosen: Collection[Entry]) -> Iterator[list[Entry]]:
    """Gather what one statement can say: the same privileges on several objects of one kind."""
    by_object = defaultdict[tuple[Kind, int, int], list[Entry]](list)
    for entry in sorted(chosen):
        by_object[entry.kind, entry.oid, entry.maker].append(entry)
    alike = defaultdict[tuple[object, ...], list[Entry]](list)
    for (kind, oid, maker), group in by_object.items():
        alone = (oid, maker) if maker or not catalog.mine(group[0]) else ()
        alike[kind, alone, tuple(entry.privilege for entry in group)] += group
    yield from alike.values()


def _statement(catalog: Catalog, order: sql.SQL, role: str, group: list[Entry]) -> sql.Composed:
    first = group[0]
    things = {entry.oid: catalog.thing(entry) for entry in group}
    names = [
        sql.Identifier(*(thing.names or (catalog.database.name,))) for thing in things.values()
    ]
    words = order.format(
        privileges=sql.SQL(", ").join(_PRIVILEGES[p] for p in sorted({e.privilege for e in group})),
        kind=_KINDS[first.kind],
        names=sql.SQL("") if first.maker else sql.SQL(", ").join(names),
        role=sql.Identifier(role),
    )
    if not first.maker:
        return words
    maker, _ = catalog.makers[first.oid][first.maker]
    return _FUTURE.format(maker=sql.Identifier(maker), schema=names[0], change=words)
