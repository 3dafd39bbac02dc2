"""All that a login has, in one database or of the server as a whole, whoever gave it.

`acl` knows what Latchkey gives. This knows every list that the server keeps: what is left on a
login after its last end, and what has to go where object numbers mean nothing any more.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, sql

from engine.connectors.postgresql import acl
from engine.connectors.postgresql.acl import Owner, may_set
from engine.connectors.postgresql.names import names_in, path_of, place_of
from engine.connectors.postgresql.server import Role, Server, databases
from engine.connectors.postgresql.sessions import NO, Connection, acting_as
from engine.port import Target

__all__ = [
    "Known",
    "Membership",
    "Remain",
    "explained",
    "is_in",
    "lies_in",
    "memberships",
    "read",
    "take",
    "take_membership",
    "unexplained",
]


Known = tuple[str, int, str, int]  # an entry, as `acl.Entry` has it


@dataclass(frozen=True, slots=True)
class Remain:
    """One privilege of a login on one object, as one role has given it.

    `what` is the object as SQL names it, quoted by the server; `maker`: of future objects, whose.
    """

    kind: str  # SQL's word for the kind of object
    oid: int
    what: str
    column: str
    privilege: str
    maker: str
    maker_oid: int
    grantor: Owner

    @property
    def entry(self) -> Known:
        """The same as the `acl.Entry`, where that knows the kind."""
        privilege = f"{self.privilege} {self.column}".rstrip()
        return (self.kind, self.oid, privilege, self.maker_oid)

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        of = f" of {self.maker}" if self.maker else ""
        return f"{self.privilege}{column} on {self.kind} {self.what}{of}".rstrip()


@dataclass(frozen=True, slots=True)
class Membership:
    """The login is a member of a role, by the grant of one grantor."""

    role: str
    oid: int
    grantor: Owner

    def __str__(self) -> str:
        return f"membership in {self.role}"


# Shared by all databases: what is kept once for the server.
_SHARED = """
select 'database' as kind, o.oid, 0::int2 as column, quote_ident(datname) as what, datacl as acl,
    0::oid as maker, '' as future
from named join pg_database o on classid = 'pg_database'::regclass and o.oid = objid
union all
select 'tablespace', o.oid, 0, quote_ident(spcname), spcacl, 0, ''
from named join pg_tablespace o on classid = 'pg_tablespace'::regclass and o.oid = objid
union all
select 'parameter', o.oid, 0, parname, paracl, 0, ''
from named join pg_parameter_acl o on classid = 'pg_parameter_acl'::regclass and o.oid = objid
"""
_LOCAL = """
select 'schema' as kind, o.oid, 0::int2 as column, quote_ident(nspname) as what, nspacl as acl,
    0::oid as maker, '' as future
from named join pg_namespace o on classid = 'pg_namespace'::regclass and o.oid = objid
union all
select case relkind when 'S' then 'sequence' else 'table' end, o.oid, 0, o.oid::regclass::text,
    relacl, 0, ''
from named join pg_class o on classid = 'pg_class'::regclass and o.oid = objid
union all
select 'table', o.oid, attnum, o.oid::regclass::text, attacl, 0, ''
from named join pg_class o on classid = 'pg_class'::regclass and o.oid = objid
    join pg_attribute on attrelid = o.oid and attacl is not null
union all
select 'routine', o.oid, 0, o.oid::regprocedure::text, proacl, 0, ''
from named join pg_proc o on classid = 'pg_proc'::regclass and o.oid = objid
union all
select 'type', o.oid, 0, o.oid::regtype::text, typacl, 0, ''
from named join pg_type o on classid = 'pg_type'::regclass and o.oid = objid
union all
select 'language', o.oid, 0, quote_ident(lanname), lanacl, 0, ''
from named join pg_language o on classid = 'pg_language'::regclass and o.oid = objid
union all
select 'foreign data wrapper', o.oid, 0, quote_ident(fdwname), fdwacl, 0, ''
from named join pg_foreign_data_wrapper o
    on classid = 'pg_foreign_data_wrapper'::regclass and o.oid = objid
union all
select 'foreign server', o.oid, 0, quote_ident(srvname), srvacl, 0, ''
from named join pg_foreign_server o on classid = 'pg_foreign_server'::regclass and o.oid = objid
union all
select 'large object', o.oid, 0, o.oid::text, lomacl, 0, ''
from named join pg_largeobject_metadata o on classid = 'pg_largeobject'::regclass and o.oid = objid
union all
select 'new ' || case defaclobjtype when 'S' then 'sequences' when 'f' then 'routines'
        when 'T' then 'types' when 'n' then 'schemas' when 'L' then 'large objects'
        else 'tables' end,
    defaclnamespace, 0, coalesce('in schema ' || quote_ident(nspname), ''), defaclacl, defaclrole,
    'new'
from named join pg_default_acl o on classid = 'pg_default_acl'::regclass and o.oid = objid
    left join pg_namespace n on n.oid = defaclnamespace
"""
_READ = """
with named (classid, objid) as (
    select distinct s.classid, s.objid
    from pg_shdepend s left join pg_database d on d.oid = s.dbid
    where s.deptype = 'a' and s.refclassid = 'pg_authid'::regclass and s.refobjid = %(role)s
        and case when %(shared)s then s.dbid = 0 else d.datname = current_database() end
),
lists as ({lists})
select kind, l.oid, what, coalesce(attname, ''), privilege_type,
    case when future <> '' then quote_ident(pg_get_userbyid(maker)) else '' end, maker,
    rolname, pg_has_role(r.oid, 'USAGE'), pg_has_role(r.oid, %(set)s), rolsuper
from lists l cross join lateral aclexplode(acl) join pg_roles r on r.oid = grantor
    left join pg_attribute a on l.column > 0 and a.attrelid = l.oid and a.attnum = l.column
where grantee = %(role)s
order by kind, what, attname, privilege_type
"""
_MEMBERSHIPS = """
select b.rolname, b.oid, g.rolname, pg_has_role(g.oid, 'USAGE'), pg_has_role(g.oid, %(set)s),
    g.rolsuper
from pg_auth_members m join pg_roles b on b.oid = m.roleid join pg_roles g on g.oid = m.grantor
where m.member = %(role)s
order by 1, 3
"""


def read(connection: Connection, role: int, *, shared: bool) -> list[Remain]:
    """Return every entry of the role in this database, or (shared) of the server as a whole."""
    query = _READ.format(lists=_SHARED if shared else _LOCAL)
    values = {"role": role, "shared": shared, "set": may_set(connection)}
    return [_remain(row) for row in connection.execute(query.encode(), values)]


def _remain(row: tuple[Any, ...]) -> Remain:
    kind, oid, what, column, privilege, maker, maker_oid, *grantor = row
    return Remain(kind, oid, what, column, privilege, maker, maker_oid, Owner(*grantor))


def memberships(main: Connection, role: int) -> list[Membership]:
    """Return the roles that the login was made a member of."""
    rows = main.execute(_MEMBERSHIPS, {"role": role, "set": may_set(main)})
    return [Membership(name, oid, Owner(*grantor)) for name, oid, *grantor in rows]


def explained(
    connection: Connection, database: acl.Database, targets: Sequence[Target]
) -> set[Known]:
    """Return the entries that the targets come to in this database, by number or, else, by path."""
    here = [t for t in targets if t.server == connection.server]
    strange = [t for t in targets if t.server != connection.server]
    here += acl.by_name(connection, database, strange)
    catalog = acl.read(connection, database, here)
    needs = [catalog.needs(target) or catalog.remains(target) for target in here]
    return set[Known]().union(*(each.all for each in needs))


def lies_in(target: Target, database: acl.Database, server: str) -> bool:
    """Tell whether a target is in this database: by number or, of another server, by path."""
    if target.server != server:
        return target.type != "role" and names_in(target.path)[:1] == [database.name]
    place = place_of(target.type, target.source_id)
    return place is not None and place.database == database.oid


def is_in(main: Connection, role: int, database: int) -> bool:
    """Tell whether any list of a database names the role."""
    query = (
        "select from pg_shdepend where deptype = 'a' and dbid = %s"
        " and refclassid = 'pg_authid'::regclass and refobjid = %s limit 1"
    )
    return bool(main.execute(query, [database, role]).rowcount)


def take(connection: Connection, role: str, remains: Iterable[Remain]) -> None:
    """Take each away, in the name of whoever gave it. What Latchkey has no right to stays."""
    for remain in remains:
        # As the owner, whose right it is to take; else as whoever gave it.
        for giver in dict.fromkeys((remain.grantor.to_become, remain.grantor.name)):
            if giver and not remain.grantor.sets:
                continue
            with (
                contextlib.suppress(*NO),
                connection.transaction(),
                acting_as(connection, giver),
            ):
                connection.execute(_revocation(remain, role).encode())


def take_membership(main: Connection, role: str, membership: Membership) -> None:
    """End it, in the name of whoever gave it, as far as Latchkey may."""
    words = sql.SQL("revoke {} from {}").format(
        sql.Identifier(membership.role), sql.Identifier(role)
    )
    if main.info.server_version >= 160000:
        words += sql.SQL(" granted by {}").format(sql.Identifier(membership.grantor.name))
    with (
        contextlib.suppress(errors.InsufficientPrivilege),
        main.transaction(),
        acting_as(main, membership.grantor.to_become),
    ):
        main.execute(words + sql.SQL(" cascade"))


def _revocation(remain: Remain, role: str) -> str:
    """All of it is the server's own words, or quoted here."""
    who = sql.Identifier(role).as_string()
    if remain.maker:
        objects = remain.kind.removeprefix("new ")
        return (
            f"alter default privileges for role {remain.maker} {remain.what}"
            f" revoke {remain.privilege} on {objects} from {who} cascade"
        )
    column = f" ({sql.Identifier(remain.column).as_string()})" if remain.column else ""
    return f"revoke {remain.privilege}{column} on {remain.kind} {remain.what} from {who} cascade"


def unexplained(
    server: Server, main: Connection, role: Role, given: Collection[Target]
) -> Iterator[str]:
    """Yield all that the role has, anywhere, beyond what the targets come to."""
    known = set[Known]()
    found = list[tuple[str, Remain]]()
    for database in databases(main, templates=True):
        here = [target for target in given if lies_in(target, database, main.server)]
        named = is_in(main, role.oid, database.oid)
        if not here and not named:
            continue
        where = path_of(database.name)
        if seen := _inside(server, main, role, database, here):
            known |= seen[0]
            found += [(f", in {where}", remain) for remain in seen[1]]
            continue
        known.add((acl.ObjectKind.DATABASE, database.oid, "CONNECT", 0))
        if named:
            yield f"something in the database {where}, which cannot be entered"
    found += [("", remain) for remain in read(main, role.oid, shared=True)]
    yield from dict.fromkeys(f"{r}{where}" for where, r in found if r.entry not in known)
    of_roles = {p.role for t in given if (p := place_of(t.type, t.source_id)) and p.role}
    names = {t.path for t in given if t.type == "role" and t.server != main.server}
    for each in memberships(main, role.oid):
        if each.oid not in of_roles and path_of(each.role) not in names:
            yield str(each)
    for (attribute,) in main.execute(_ATTRIBUTES, [role.oid]):
        yield f"the attribute {attribute}"


_ATTRIBUTES = """
select word
from pg_roles r cross join lateral (values ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole),
    ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls)
) as a (word, has)
where r.oid = %s and has order by word
"""


def _inside(
    server: Server, main: Connection, role: Role, database: acl.Database, targets: Sequence[Target]
) -> tuple[set[Known], list[Remain]] | None:
    """Return what is explained there, and what the role has; None: it cannot be entered.

    Its owner can bring that about, and hides nothing by it. Where the server itself is away, or a
    connection breaks off again and again, it is no finding, and is raised.
    """
    if not database.reachable:
        return None
    broken: psycopg.Error | None = None
    for _ in range(2):
        try:
            with server.beside(main, database.name) as connection:
                return (
                    explained(connection, database, targets),
                    read(connection, role.oid, shared=False),
                )
        except psycopg.Error as error:
            broken = error if _broke_off(error) else None
            server.idle.close()
            with server.beside(main, main.info.dbname):
                pass  # it answers
    if broken:
        raise broken
    return None


def _broke_off(error: psycopg.Error) -> bool:
    """Tell whether a connection was lost on the way: who ends one in the server is said to."""
    return not error.sqlstate and any(
        words in str(error) and "FATAL" not in str(error) for words in _BROKE_OFF
    )


_BROKE_OFF = ("closed the connection unexpectedly", "connection is lost", "reset by peer")
