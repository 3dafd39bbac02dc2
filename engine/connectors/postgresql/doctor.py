"""What an operator should know: each right that Latchkey's own login lacks, and its cure."""

import os
from collections.abc import Iterator, Sequence

import psycopg

from engine.connectors import transport as ways
from engine.connectors.port import Check
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

__all__ = ["checks", "transport"]

NAMED = 5  # things that are named one by one; of more their number is told


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
            found = sorted(caveats(connection), key=lambda each: not each.reading)
    except psycopg.Error as error:
        passed_over = "" if wanted else "warning: passed over, what is in it cannot be asked for. "
        yield Check(name, not wanted, f"{passed_over}{said(error)}.")
        return
    lost = [owner for owner, mine, superuser in owners if not mine and not superuser]
    supers = [ident(owner) for owner, mine, superuser in owners if not mine and superuser]
    faults = []
    if lost:
        faults.append(f"Latchkey is not a member of every owner. Cure: {joining(main, *lost)}")
    if supers:
        faults.append(
            f"What superusers own cannot be given ({', '.join(supers)})."
            " Cure: ALTER … OWNER TO a role that Latchkey is a member of."
        )
    if faults:
        yield Check(name, False, " ".join(faults))
    else:
        yield Check(name, True, f"member of {', '.join(ident(owner) for owner, *_ in owners)}")
    if doors:
        cure = "; ".join(f"REVOKE CREATE ON SCHEMA {ident(door)} FROM PUBLIC" for door in doors)
        found = f"warning: everybody may create things in {', '.join(map(ident, doors))}."
        yield Check(f"{name}: schemas", True, f"{found} Cure, there: {cure};")
    if found:
        unusable = [f"{each.path}: {each.sentence}" for each in found]
        more = len(unusable) - NAMED
        shown = "; ".join([*unusable[:NAMED], *([f"and {more} more"] if more > 0 else [])])
        yield Check(f"{name}: use", True, f"warning: not all that is given can be used. {shown}")


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
