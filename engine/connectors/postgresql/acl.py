"""Privileges inside one PostgreSQL database: what a target comes to, what is there, what to change.

An *entry* is one privilege of one login on one object, as the server's own lists (ACLs) have it.
A target *needs* entries: its core, and the path to it (CONNECT, USAGE), which it shares with
others. `change` is the whole policy and touches nothing; the rest reads.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from engine.connectors.postgresql.names import HEIRS, Place, names_in, path_of, place_of
from engine.connectors.postgresql.sessions import Connection
from engine.port import Target

__all__ = [
    "AclEntry",
    "Catalog",
    "Database",
    "Needs",
    "ObjectKind",
    "Owner",
    "Seen",
    "Thing",
    "by_name",
    "change",
    "effective",
    "entries",
    "falls_short",
    "may_set",
    "read",
]


class ObjectKind(StrEnum):
    DATABASE = "database"
    SCHEMA = "schema"
    TABLE = "table"  # views and the like too
    SEQUENCE = "sequence"
    ROUTINE = "routine"
    ROLE = "role"  # in no list of a database: who is its member
    NEW_TABLES = "new tables"  # default privileges: what one owner will make in one schema
    NEW_SEQUENCES = "new sequences"


class AclEntry(NamedTuple):
    kind: ObjectKind
    oid: int  # with NEW_TABLES and NEW_SEQUENCES the schema's
    privilege: str
    maker: int = 0  # with those two: the role whose future objects are meant


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an entry that is there."""

    schema: int  # that the object is in, or 0
    revocable: bool  # given in the owner's name, as Latchkey gives
    others: bool  # given by somebody else, too or only
    by_option: bool = False  # given by Latchkey's own grant option, which it uses no more


class Owner(NamedTuple):
    """Who owns something, and how Latchkey may act in that name."""

    name: str
    inherits: bool  # it has the owner's rights
    sets: bool  # it may take them on, by SET ROLE
    superuser: bool = False

    @property
    def mine(self) -> bool:
        return self.inherits or self.sets

    @property
    def to_become(self) -> str:
        """The role to take on before acting; empty: none has to be."""
        return "" if self.inherits or not self.sets else self.name


@dataclass(frozen=True, slots=True)
class Database:
    oid: int
    name: str
    owner: Owner
    accepts: bool  # it takes connections at all
    reachable: bool  # Latchkey may connect


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that has an ACL."""

    kind: ObjectKind
    oid: int
    names: tuple[str, ...]  # within the database
    owner: Owner
    schema: int = 0
    form: str = ""  # a relation's relkind
    table: int = 0  # that a sequence belongs to
    address: str = ""  # a routine's name and arguments, as the server quotes them


@dataclass(frozen=True, slots=True)
class Needs:
    """What one target comes to. `future` helps it along but is no condition of holding it."""

    core: frozenset[AclEntry] = frozenset()
    path: frozenset[AclEntry] = frozenset()
    future: frozenset[AclEntry] = frozenset()

    @property
    def now(self) -> frozenset[AclEntry]:
        return self.core | self.path

    @property
    def all(self) -> frozenset[AclEntry]:
        return self.core | self.path | self.future


_TABLE = {
    "read": ["SELECT"],
    "read-write": ["SELECT", "INSERT", "UPDATE", "DELETE"],
    "truncate": ["TRUNCATE"],
}
_SEQUENCE = {"read": ["SELECT"], "read-write": ["SELECT", "USAGE"]}
_MATERIALIZED = "m"  # nobody writes to a materialised view
_EMPTIED = "rp"  # tables, partitioned ones too


@dataclass(frozen=True, slots=True)
class Catalog:
    """The part of a database that some targets are about."""

    database: Database
    things: dict[tuple[ObjectKind, int], Thing]
    makers: dict[int, dict[int, Owner]] = field(default_factory=dict)  # by schema

    def needs(self, target: Target) -> Needs | None:
        """Tell what the target comes to; None if it is gone, or was never there."""
        place = place_of(target.type, target.source_id)
        if place is None or place.database != self.database.oid:
            return None
        connect = frozenset({AclEntry(ObjectKind.DATABASE, place.database, "CONNECT")})
        match target.type, target.permission:
            case "database", "connect":
                return Needs(connect)
            case "schema", "read" | "read-write":
                return self._needs_of_schema(place.schema, target.permission, connect)
            case "table", "read" | "read-write" | "truncate":
                return self._needs_of_table(place.relation, target.permission, connect)
            case "function", "execute":
                return self._needs_of_routine(place.routine, connect)
        return None

    def remains(self, target: Target) -> Needs:
        """Tell what may be left of a target that is gone: the path to it.

        Its schema is known by name only, from the path.
        """
        path = {AclEntry(ObjectKind.DATABASE, self.database.oid, "CONNECT")}
        if target.type in {"table", "function"} and len(names := names_in(target.path)) == 3:
            path |= {
                AclEntry(ObjectKind.SCHEMA, thing.oid, "USAGE")
                for thing in self.things.values()
                if thing.kind is ObjectKind.SCHEMA and thing.names == (names[1],)
            }
        return Needs(path=frozenset(path))

    def called(self, target: Target) -> str:
        """Return the path of what the target's numbers stand for now; empty: for nothing."""
        place = place_of(target.type, target.source_id)
        if place is None or place.database != self.database.oid:
            return ""
        kind, oid = place.thing
        if kind == "database":
            return path_of(self.database.name)
        thing = self.things.get((ObjectKind(kind), oid))
        return path_of(self.database.name, *thing.names) if thing else ""

    def path_of(self, entry: AclEntry) -> str:
        if entry.kind is ObjectKind.DATABASE:
            return path_of(self.database.name)
        return path_of(self.database.name, *self.thing(entry).names)

    def has(self, entry: AclEntry) -> bool:
        """Tell whether what the entry is about was read, and is still there."""
        kind = ObjectKind.SCHEMA if entry.maker else entry.kind
        made = not entry.maker or entry.maker in self.makers.get(entry.oid, {})
        return made and (kind, entry.oid) in self.things

    def thing(self, entry: AclEntry) -> Thing:
        kind = ObjectKind.SCHEMA if entry.maker else entry.kind
        return self.things[kind, entry.oid]

    def owner(self, entry: AclEntry) -> Owner:
        """Return who may give it."""
        if entry.maker:
            return self.makers[entry.oid][entry.maker]
        return self.thing(entry).owner

    def mine(self, entry: AclEntry) -> bool:
        return self.owner(entry).mine

    def _needs_of_schema(
        self, oid: int, permission: str, connect: frozenset[AclEntry]
    ) -> Needs | None:
        if (ObjectKind.SCHEMA, oid) not in self.things:
            return None
        usage = AclEntry(ObjectKind.SCHEMA, oid, "USAGE")
        core = {usage}
        for thing in self.things.values():
            if thing.owner.name.startswith(HEIRS):
                continue  # it may hold a former grantee's code, which would run as its reader
            if thing.schema == oid and thing.kind is ObjectKind.TABLE:
                core |= _of_table(thing, permission)
            elif thing.schema == oid and thing.kind is ObjectKind.SEQUENCE:
                core |= {AclEntry(ObjectKind.SEQUENCE, thing.oid, p) for p in _SEQUENCE[permission]}
        future = {
            AclEntry(kind, oid, privilege, maker)
            for maker, owner in self.makers.get(oid, {}).items()
            if not owner.name.startswith(HEIRS)
            for kind, privileges in (
                (ObjectKind.NEW_TABLES, _TABLE),
                (ObjectKind.NEW_SEQUENCES, _SEQUENCE),
            )
            for privilege in privileges[permission]
        }
        return Needs(frozenset(core), connect, frozenset(future))

    def _needs_of_table(
        self, oid: int, permission: str, connect: frozenset[AclEntry]
    ) -> Needs | None:
        table = self.things.get((ObjectKind.TABLE, oid))
        if table is None or (permission == "truncate" and table.form not in _EMPTIED):
            return None
        core = _of_table(table, permission)
        if permission == "read-write":
            core |= {
                AclEntry(ObjectKind.SEQUENCE, thing.oid, "USAGE")
                for thing in self.things.values()
                if thing.table == oid
            }
        usage = AclEntry(ObjectKind.SCHEMA, table.schema, "USAGE")
        return Needs(frozenset(core), connect | {usage})

    def _needs_of_routine(self, oid: int, connect: frozenset[AclEntry]) -> Needs | None:
        routine = self.things.get((ObjectKind.ROUTINE, oid))
        if routine is None:
            return None
        core = frozenset({AclEntry(ObjectKind.ROUTINE, oid, "EXECUTE")})
        return Needs(core, connect | {AclEntry(ObjectKind.SCHEMA, routine.schema, "USAGE")})


def _of_table(table: Thing, permission: str) -> set[AclEntry]:
    level = "read" if table.form == _MATERIALIZED else permission
    return {AclEntry(ObjectKind.TABLE, table.oid, privilege) for privilege in _TABLE[level]}


# --- Reading --------------------------------------------------------------------------------------

_SCHEMAS = """
select n.oid, n.nspname, o.oid, r.rolname, pg_has_role(o.oid, 'USAGE'),
    pg_has_role(o.oid, %(set)s), r.rolsuper
from pg_namespace n
    join pg_database d on d.datname = current_database()
    cross join lateral (
        -- the owner of “public”; nobody is a member of it but through the database's owner
        select case when n.nspowner = 'pg_database_owner'::regrole then d.datdba else n.nspowner end
    ) o (oid)
    join pg_roles r on r.oid = o.oid
where n.oid = any(%(schemas)s) or n.oid = any(%(places)s) or n.nspname = any(%(names)s)
    or n.oid in (select relnamespace from pg_class where oid = any(%(relations)s))
    or n.oid in (select pronamespace from pg_proc where oid = any(%(routines)s))
"""
_RELATIONS = """
select
    c.oid, c.relname, n.nspname, c.relowner, r.rolname, pg_has_role(c.relowner, 'USAGE'),
    pg_has_role(c.relowner, %(set)s), r.rolsuper, c.relnamespace, c.relkind::text,
    coalesce(d.refobjid, 0)
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
_ROUTINES = """
select p.oid, n.nspname, p.oid::regprocedure::text,
    p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.pronamespace,
    r.rolname, pg_has_role(proowner, 'USAGE'), pg_has_role(proowner, %(set)s), r.rolsuper
from pg_proc p join pg_namespace n on n.oid = pronamespace join pg_roles r on r.oid = proowner
where p.oid = any(%(routines)s)
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
    select 'routine', p.oid, pronamespace, proowner, proacl, 0
    from named join pg_proc p on classid = 'pg_proc'::regclass and p.oid = objid
    union all
    select case defaclobjtype when 'S' then 'new sequences' else 'new tables' end, defaclnamespace,
        defaclnamespace, defaclrole, defaclacl, defaclrole
    from named join pg_default_acl f on classid = 'pg_default_acl'::regclass and f.oid = objid
    where defaclobjtype in ('r', 'S') and defaclnamespace <> 0
)
select kind, oid, privilege_type, maker, schema, bool_or(revocable), bool_or(not revocable),
    pg_get_userbyid(maker), coalesce(pg_has_role(maker, 'USAGE'), false),
    coalesce(pg_has_role(maker, %(set)s), false),
    bool_or(not revocable and grantor = (select oid from pg_roles where rolname = current_user))
from found cross join lateral aclexplode(acl)
    cross join lateral (
        select pg_has_role(owner, 'USAGE') or pg_has_role(owner, %(set)s)
    ) as acts (as_owner)
    cross join lateral (
        -- REVOKE acts in the owner's name if it can, else in that of a role with a grant option
        select grantor = owner or not as_owner and pg_has_role(grantor, 'USAGE')
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
    when 'routine' then has_function_privilege(%(role)s, oid, privilege)
end
"""
_BY_NAME = """
select 'database', oid, ''::name, ''::text from pg_database where datname = current_database()
union all
select 'schema', oid, nspname, '' from pg_namespace where nspname = any(%(schemas)s)
union all
select 'table', c.oid, nspname, relname::text
from pg_class c join pg_namespace n on n.oid = relnamespace
where nspname = any(%(schemas)s) and relname = any(%(inside)s) and relkind in ('r','p','v','m','f')
union all
select 'function', p.oid, nspname,
    proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
from pg_proc p join pg_namespace n on n.oid = pronamespace
where nspname = any(%(schemas)s)
    and proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' = any(%(inside)s)
"""


def may_set(connection: Connection) -> str:
    """Return the server's word for “may SET ROLE to”: until PostgreSQL 16 every member may."""
    return "SET" if connection.info.server_version >= 160000 else "MEMBER"


def read(
    connection: Connection,
    database: Database,
    targets: Iterable[Target],
    also: Iterable[AclEntry] = (),
) -> Catalog:
    """Read what the database has of the targets, and of the objects of these entries."""
    listed, more = list(targets), list(also)
    places = [p for t in listed if (p := place_of(t.type, t.source_id))]
    scope = {
        "schemas": [p.schema for p in places if p.schema],
        "relations": [
            *(p.relation for p in places if p.relation),
            *(e.oid for e in more if e.kind in {ObjectKind.TABLE, ObjectKind.SEQUENCE}),
        ],
        "routines": [
            *(p.routine for p in places if p.routine),
            *(e.oid for e in more if e.kind is ObjectKind.ROUTINE),
        ],
        "places": [e.oid for e in more if e.kind is ObjectKind.SCHEMA or e.maker],
        "names": [names[1] for t in listed if len(names := names_in(t.path)) == 3],
        "set": may_set(connection),
    }
    catalog = Catalog(database, {})
    whole = Thing(ObjectKind.DATABASE, database.oid, (), database.owner)
    catalog.things[ObjectKind.DATABASE, database.oid] = whole
    for oid, name, role, *owned in connection.execute(_SCHEMAS, scope):
        owner = Owner(*owned)
        catalog.things[ObjectKind.SCHEMA, oid] = Thing(ObjectKind.SCHEMA, oid, (name,), owner)
        catalog.makers[oid] = {role: owner}
    for row in connection.execute(_RELATIONS, scope):
        oid, name, schema_name, role, *owned, schema, form, table = row
        owner = Owner(*owned)
        kind = ObjectKind.SEQUENCE if form == "S" else ObjectKind.TABLE
        inside = (schema_name, name)
        catalog.things[kind, oid] = Thing(kind, oid, inside, owner, schema, form, table)
        catalog.makers.setdefault(schema, {})[role] = owner
    if scope["routines"]:
        for oid, schema_name, address, name, schema, *owned in connection.execute(_ROUTINES, scope):
            inside, owner = (schema_name, name), Owner(*owned)
            routine = Thing(ObjectKind.ROUTINE, oid, inside, owner, schema, address=address)
            catalog.things[ObjectKind.ROUTINE, oid] = routine
    return catalog


def entries(connection: Connection, catalog: Catalog, role: int) -> dict[AclEntry, Seen]:
    """Read which entries name the role in this database."""
    found = {}
    for row in connection.execute(_ENTRIES, {"role": role, "set": may_set(connection)}):
        kind, oid, privilege, maker, schema, revocable, others, *owner, by_option = row
        seen = Seen(schema, revocable, others, by_option)
        found[AclEntry(ObjectKind(kind), oid, privilege, maker)] = seen
        if maker:
            catalog.makers.setdefault(oid, {}).setdefault(maker, Owner(*owner))
    return found


def effective(connection: Connection, role: int | str, wanted: Iterable[AclEntry]) -> set[AclEntry]:
    """Tell which of the entries the role has in effect, by whatever way: PUBLIC, membership …

    “public” is what everybody has.
    """
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
    return {AclEntry(ObjectKind(kind), oid, privilege) for kind, oid, privilege in rows}


def by_name(connection: Connection, database: Database, targets: Iterable[Target]) -> list[Target]:
    """Return the targets of this database with the numbers that their paths have here."""
    named = [(t, names) for t in targets if (names := names_in(t.path))[:1] == [database.name]]
    scope = {
        "schemas": [names[1] for _, names in named if len(names) > 1],
        "inside": [names[2] for _, names in named if len(names) > 2],
    }
    numbers = {
        (kind, schema, name): oid for kind, oid, schema, name in connection.execute(_BY_NAME, scope)
    }
    found = []
    for target, names in named:
        key = target.type, *(*names[1:], "", "")[:2]
        if key in numbers:
            place = Place.of(target.type, database.oid, numbers[key])
            found.append(replace(target, source_id=str(place), server=connection.server))
    return found


# --- Deciding -------------------------------------------------------------------------------------


def change(
    have: Mapping[AclEntry, Seen], wanted: Iterable[Needs], unwanted: Iterable[Needs]
) -> tuple[set[AclEntry], set[AclEntry]]:
    """Tell which entries to give and which to take.

    What only unwanted targets need goes. The path goes if nothing is left that it leads to, be it
    what somebody else gave. What no target of the order needs is not touched.
    """
    listed = list(unwanted)
    keep = {entry for needs in wanted for entry in needs.all}
    ours = {entry for entry, seen in have.items() if seen.revocable}
    give = keep - ours
    take = {e for needs in listed for e in (*needs.core, *needs.future)} & ours - keep
    left = {entry: seen for entry, seen in have.items() if entry not in take or seen.others}
    path = {entry for needs in listed for entry in needs.path} & left.keys() & ours - keep
    for entry in sorted(path, key=lambda e: e.kind is ObjectKind.DATABASE):  # the deepest first
        if not any(_leads_to(entry, other, seen) for other, seen in left.items()):
            take.add(entry)
            if not left[entry].others:
                del left[entry]
    return give, take


def _leads_to(path: AclEntry, entry: AclEntry, seen: Seen) -> bool:
    if path.kind is ObjectKind.DATABASE:
        return entry.kind is not ObjectKind.DATABASE
    return seen.schema == path.oid and entry.kind is not ObjectKind.SCHEMA


def falls_short(
    catalog: Catalog, target: Target, needs: Needs, missing: AbstractSet[AclEntry]
) -> tuple[AclEntry | None, str]:
    """Tell what a target lacks: the entry that it cannot be had without, or what was left out.

    A schema is given as far as it can be: it can be had if anything in it can, or if it is empty.
    """
    lacking = needs.now & missing
    if not lacking:
        return None, _left_out(catalog, target, set(), needs.core)
    first = min(lacking)
    if target.type != "schema":
        return first, ""
    inside = {e for e in needs.core if e.kind is not ObjectKind.SCHEMA}
    if lacking - inside or not inside - lacking:
        return min(lacking - inside, default=first), ""
    return None, _left_out(catalog, target, lacking, inside - lacking)


NAMED = 5  # things that are named one by one; of more their number is told


def _left_out(
    catalog: Catalog, target: Target, lacking: AbstractSet[AclEntry], given: AbstractSet[AclEntry]
) -> str:
    """Name what could not be given of a schema, and whose it is."""
    by_owner = defaultdict[str, set[str]](set)
    place = place_of(target.type, target.source_id)
    for thing in catalog.things.values():
        of_heir = thing.owner.name.startswith(HEIRS) and thing.kind is ObjectKind.TABLE
        if target.type == "schema" and place and thing.schema == place.schema and of_heir:
            by_owner[thing.owner.name].add(path_of(thing.names[-1]))
    tables = {entry.oid for entry in lacking if entry.kind is ObjectKind.TABLE}
    partly = {entry.oid for entry in given}
    for entry in lacking:
        thing = catalog.thing(entry)
        if thing.table in tables:
            continue  # a table's own sequence goes with it
        what = path_of(thing.names[-1])
        if entry.oid in partly:
            what = f"{entry.privilege} on {what}"
        by_owner[thing.owner.name].add(what)
    parts = []
    for owner, names in sorted(by_owner.items()):
        listed = sorted(names)
        more = len(listed) - NAMED
        shown = [*listed[:NAMED], f"{more} more"] if more > 0 else listed
        words = ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else shown[0]
        verb = "belongs" if len(listed) == 1 else "belong"
        parts.append(f"{words}, which {verb} to {owner}")
    return "; ".join(parts)
