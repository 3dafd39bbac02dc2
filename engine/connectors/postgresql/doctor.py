"""What an operator should know: each right that Latchkey's own login lacks, and its cure."""

import os
from collections.abc import Iterator, Sequence

import psycopg

from engine.connectors import transport as ways
from engine.connectors.postgresql import roles
from engine.connectors.postgresql.acl import Database, may_set
from engine.connectors.postgresql.caveats import caveats
from engine.connectors.postgresql.names import HEIRS, heir, path_of
from engine.connectors.postgresql.server import (
    OLDEST,
    Server,
    closed,
    ident,
    joining,
    membership,
    said,
)
from engine.connectors.postgresql.sessions import Connection
from engine.port import Check

__all__ = ["checks", "transport"]

NAMED = 5  # things that are named one by one; of more their number is told
ALTERED = 10  # things whose cures are printed one by one


def transport(server: Server) -> Check:
    """Tell whether nobody on the way can read along, and what the address allows."""
    way = ways.examine(server.address, os.environ)
    return Check("transport", way.ok, way.sentence)


def checks(
    server: Server,
    main: Connection,
    offered: Sequence[Database],
    named: Sequence[str],
    listed: Sequence[str],
) -> Iterator[Check]:
    """Yield the lines. What works, but should not be so, is a line that is in order and warns."""
    version = main.info.server_version // 10000
    where = f"PostgreSQL {version} at {main.info.host}:{main.info.port}, as “{main.info.user}”"
    if version < OLDEST:
        yield Check("connection", False, f"{where}. Latchkey needs {OLDEST} or later.")
        return
    if main.standby:
        yield Check("connection", False, f"{where}. It is a standby: lead the address elsewhere.")
        return
    yield Check("connection", True, where)
    yield from _own_login(main)
    yield _made_logins(server, main)
    for name in named:
        if name not in {database.name for database in offered}:
            yield Check(f"database {path_of(name)}", False, "There is none of this name.")
    for database in offered:
        yield from _database(server, main, database, wanted=database.name in named)
    yield _public(main, offered)
    yield from _roles(main, listed)
    if main.info.server_version >= 160000:  # before, whoever has CREATEROLE may take any back
        yield from _memberships(server, main, listed)


def _own_login(main: Connection) -> Iterator[Check]:
    me = main.info.user
    ((creates, superuser),) = main.execute(
        "select rolcreaterole or rolsuper, rolsuper from pg_roles where rolname = current_user"
    )
    cure = f"Cure: ALTER ROLE {ident(me)} CREATEROLE;"
    yield Check("create logins", creates, "has CREATEROLE" if creates else cure)
    warning = f"warning: “{me}” is a superuser. Latchkey needs much less."
    yield Check("least rights", True, warning if superuser else f"“{me}” is no superuser")
    yield Check("passwords", True, "Latchkey sets SCRAM verifiers")


def _made_logins(server: Server, main: Connection) -> Check:
    """Ask for what the next end will need of each login, on this version and on a later one."""
    made = server.made(main)
    lost = [role.name for role in made if not role.joined]
    lost += _heirs(server, main)
    if lost:
        cure = membership(main, *lost).as_string()
        found = f"Latchkey cannot do all that the ends of {len(lost)} will need."
        return Check("made logins", False, f"{found} Cure: {cure};")
    return Check("made logins", True, f"{len(made)} on this server")


def _heirs(server: Server, main: Connection) -> list[str]:
    """Name the role that owns what former grantees made, if Latchkey cannot act as it."""
    query = (
        "select rolname from pg_roles where rolname = %s and not"
        " (pg_has_role(oid, %s) and pg_has_role(oid, 'MEMBER WITH ADMIN OPTION'))"
    )
    values = [heir(server.installation), may_set(main)]
    return [name for (name,) in main.execute(query, values)]


# Owners of what can be given. An empty schema is no resource of anybody's.
_OWNERS = """
with owners (owner, forced) as (
    select datdba, true from pg_database where datname = current_database()
    union
    select nspowner, true from pg_namespace n
    where nspname !~ '^pg_' and nspname <> 'information_schema'
        and exists (select from pg_class where relnamespace = n.oid)
    union
    select relowner, true from pg_class join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and nspname !~ '^pg_' and nspname <> 'information_schema'
)
select distinct rolname, pg_has_role(owner, 'USAGE') or pg_has_role(owner, %s), rolsuper
from owners join pg_roles r on r.oid = owner
where owner <> 'pg_database_owner'::regrole and not starts_with(rolname, %s)
order by rolname
"""
# A sequence that belongs to a table follows it.
_SUPERUSERS_OWN = """
select kind, what
from (
    select 0 as rank, 'SCHEMA' as kind, quote_ident(nspname) as what, nspowner as owner
    from pg_namespace n
    where nspname !~ '^pg_' and nspname <> 'information_schema'
        and exists (select from pg_class where relnamespace = n.oid)
    union all
    select 1, case relkind when 'v' then 'VIEW' when 'm' then 'MATERIALIZED VIEW'
        when 'f' then 'FOREIGN TABLE' when 'S' then 'SEQUENCE' else 'TABLE' end,
        c.oid::regclass::text, relowner
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and nspname !~ '^pg_' and nspname <> 'information_schema'
        and not exists (select from pg_depend where classid = 'pg_class'::regclass
            and objid = c.oid and refclassid = 'pg_class'::regclass and relkind = 'S'
            and deptype in ('a', 'i'))
) as things join pg_roles r on r.oid = owner
where rolsuper and not (pg_has_role(owner, 'USAGE') or pg_has_role(owner, %s))
order by rank, what
"""
_OPEN_SCHEMAS = """
select distinct nspname
from pg_namespace cross join lateral aclexplode(nspacl)
where grantee = 0 and privilege_type = 'CREATE' and left(nspname, 3) <> 'pg_'
order by nspname
"""


def _database(
    server: Server, main: Connection, database: Database, *, wanted: bool
) -> Iterator[Check]:
    name = f"database {path_of(database.name)}"
    try:
        if not database.reachable:
            raise psycopg.OperationalError(closed(main, database))
        with server.beside(main, database.name) as connection:
            owners = connection.execute(_OWNERS, [may_set(main), HEIRS]).fetchall()
            doors = [schema for (schema,) in connection.execute(_OPEN_SCHEMAS)]
            supers = connection.execute(_SUPERUSERS_OWN, [may_set(main)]).fetchall()
            unusable = sorted(caveats(connection), key=lambda each: not each.reading)
    except psycopg.Error as error:
        passed_over = "" if wanted else "warning: passed over, what is in it cannot be asked for. "
        why = said(error)
        end = "" if why.endswith(";") else "."  # a cure ends as SQL does
        yield Check(name, not wanted, f"{passed_over}{why}{end}")
        return
    yield _owned(main, database, owners, supers)
    if doors:
        cure = "; ".join(f"REVOKE CREATE ON SCHEMA {ident(door)} FROM PUBLIC" for door in doors)
        found = f"warning: everybody may create things in {', '.join(map(ident, doors))}."
        yield Check(f"{name}: schemas", True, f"{found} Cure, there: {cure};")
    if unusable:
        said_of = [f"{each.path}: {each.sentence}" for each in unusable[:NAMED]]
        more = len(unusable) - NAMED
        shown = "; ".join([*said_of, *([f"and {more} more"] if more > 0 else [])])
        yield Check(f"{name}: use", True, f"warning: not all that is given can be used. {shown}")


def _owned(
    main: Connection,
    database: Database,
    owners: Sequence[tuple[str, bool, bool]],
    supers: Sequence[tuple[str, str]],
) -> Check:
    """Tell whether Latchkey may give what is in a database: what it cannot act as the owner of."""
    name = f"database {path_of(database.name)}"
    lost = [owner for owner, mine, superuser in owners if not mine and not superuser]
    theirs = [owner for owner, mine, superuser in owners if not mine and superuser]
    if not lost and not theirs:
        return Check(name, True, f"member of {', '.join(ident(owner) for owner, *_ in owners)}")
    faults, cures = [], []
    if lost:
        faults.append("Latchkey is not a member of every owner.")
        cures.append(joining(main, *lost))
    if theirs:
        faults.append(f"What superusers own cannot be given ({', '.join(map(ident, theirs))}).")
        if database.owner.superuser:
            fit = [ident(owner) for owner, _, superuser in owners if not superuser]
            such = f", such as {' or '.join(fit[:NAMED])}" if fit else ""
            faults.append(
                f"Choose an owner that is no superuser{such}, let Latchkey be a member of it, and"
                f" say, for the database too: ALTER … OWNER TO it."
            )
        else:
            owner = ident(database.owner.name)
            cures += [f"ALTER {kind} {what} OWNER TO {owner};" for kind, what in supers[:ALTERED]]
            if len(supers) > ALTERED:
                faults.append(f"Of {len(supers)} things the first {ALTERED} are in the cure.")
    if cures:
        faults.append(f"Cure{', there' if theirs else ''}: {' '.join(cures)}")
    return Check(name, False, " ".join(faults))


def _public(main: Connection, offered: Sequence[Database]) -> Check:
    """Where PUBLIC may connect, every login gets in, to whatever PUBLIC may do there."""
    rows = main.execute(
        "select oid from pg_database where has_database_privilege('public', oid, 'CONNECT')"
    )
    open_to_all = {oid for (oid,) in rows}
    names = ", ".join(ident(d.name) for d in offered if d.oid in open_to_all)
    if not names:
        return Check("PUBLIC", True, "may connect to none of the databases")
    cure = f"Cure: REVOKE CONNECT ON DATABASE {names} FROM PUBLIC;"
    return Check("PUBLIC", True, f"warning: every login may connect. {cure}")


def _roles(main: Connection, listed: Sequence[str]) -> Iterator[Check]:
    found = {role.name: role for role in roles.listed(main, names=listed)}
    for name in listed:
        role = found.get(name)
        why = roles.refusal(role, main.info.user) if role else "There is none of this name."
        yield Check(f"role {name}", not why, why or "Latchkey may give membership in it")


# What a superuser gives, the first one has given; from an upgrade on, all that was given before.
_GIVEN_BY_OTHERS = """
select r.rolname, g.rolname, array_agg(l.rolname::text order by l.rolname),
    exists (select from pg_auth_members a join pg_roles me on me.oid = a.member
        where a.roleid = m.roleid and a.admin_option and me.rolname = current_user)
from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles l on l.oid = m.member
    join pg_roles g on g.oid = m.grantor
where r.rolname = any(%s) and l.oid = any(%s)
    and not (pg_has_role(g.oid, 'USAGE') or pg_has_role(g.oid, 'SET'))
group by m.roleid, 1, 2
order by 1, 2
"""


def _memberships(server: Server, main: Connection, listed: Sequence[str]) -> Iterator[Check]:
    """Ask for what the end of a membership will need: Latchkey takes back only its own grants."""
    made = [role.oid for role in server.made(main)]
    me = ident(main.info.user)
    names, cures = [], []
    for name, grantor, logins, admin in main.execute(_GIVEN_BY_OTHERS, [list(listed), made]):
        names += [f"{login} in {name}" for login in logins]
        role, whom = ident(name), ", ".join(map(ident, logins))
        if not admin:
            cures.append(f"GRANT {role} TO {me} WITH ADMIN OPTION;")
        # The new one first: who uses it at this moment loses nothing.
        cures.append(f"GRANT {role} TO {whom} WITH INHERIT TRUE, SET TRUE GRANTED BY {me};")
        cures.append(f"REVOKE {role} FROM {whom} GRANTED BY {ident(grantor)} CASCADE;")
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        found = (
            f"Others gave these, and Latchkey cannot end them: {', '.join(names[:NAMED])}{more}."
        )
        yield Check("memberships", False, f"{found} Cure: {' '.join(cures)}")
