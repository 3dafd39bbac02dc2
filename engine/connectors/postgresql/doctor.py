"""What an operator should know: each right that Latchkey's own login lacks, and its cure."""

from collections.abc import Iterator, Sequence

import psycopg

from engine.connectors.port import Check
from engine.connectors.postgresql.acl import Database
from engine.connectors.postgresql.names import path_of
from engine.connectors.postgresql.server import OLDEST, Connection, Server, closed, ident, said

__all__ = ["checks"]


def checks(
    server: Server, main: Connection, offered: Sequence[Database], named: Sequence[str]
) -> Iterator[Check]:
    """Yield the lines. What works, but should not be so, is a line that is in order and warns."""
    version = main.info.server_version // 10000
    where = f"PostgreSQL {version} at {main.info.host}:{main.info.port}, as “{main.info.user}”"
    if version < OLDEST:
        yield Check("connection", False, f"{where}. Latchkey needs {OLDEST} or later.")
        return
    yield Check("connection", True, where)
    yield from _own_login(main)
    yield _made_logins(server, main)
    for name in named:
        if name not in {database.name for database in offered}:
            yield Check(f"database {path_of(name)}", False, "There is none of this name.")
    for database in offered:
        yield _database(server, main, database)
    yield _public(main, offered)


def _own_login(main: Connection) -> Iterator[Check]:
    me = main.info.user
    ((creates, superuser, encryption),) = main.execute(
        "select rolcreaterole or rolsuper, rolsuper, current_setting('password_encryption')"
        " from pg_roles where rolname = current_user"
    )
    cure = f"Cure: ALTER ROLE {ident(me)} CREATEROLE;"
    yield Check("create logins", creates, "has CREATEROLE" if creates else cure)
    warning = f"warning: “{me}” is a superuser. Latchkey needs much less."
    yield Check("least rights", True, warning if superuser else f"“{me}” is no superuser")
    detail = "Latchkey sets SCRAM verifiers"
    if encryption != "scram-sha-256":
        detail += f". warning: other passwords on this server are kept as {encryption}"
    yield Check("passwords", True, detail)


def _made_logins(server: Server, main: Connection) -> Check:
    """Who is not a member of a login cannot end its sessions."""
    made = server.made(main)
    if lost := [ident(name) for name, member in made if not member]:
        cure = f"GRANT {', '.join(lost)} TO {ident(main.info.user)};"
        return Check("made logins", False, f"Latchkey is not a member of all. Cure: {cure}")
    return Check("made logins", True, f"{len(made)} on this server")


_OWNERS = """
with owners (owner) as (
    select datdba from pg_database where datname = current_database()
    union
    select nspowner from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
    union
    select relowner from pg_class join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and nspname !~ '^pg_' and nspname <> 'information_schema'
)
select rolname, pg_has_role(owner, 'USAGE'), rolsuper
from owners join pg_roles r on r.oid = owner
where owner <> 'pg_database_owner'::regrole
order by rolname
"""


def _database(server: Server, main: Connection, database: Database) -> Check:
    name, me = f"database {path_of(database.name)}", main.info.user
    if not database.reachable:
        return Check(name, False, closed(database, me))
    try:
        with server.session(main.until, database.name) as connection:
            owners = connection.execute(_OWNERS).fetchall()
    except psycopg.Error as error:
        return Check(name, False, said(error))
    lost = [ident(owner) for owner, member, superuser in owners if not member and not superuser]
    supers = [ident(owner) for owner, member, superuser in owners if not member and superuser]
    faults = []
    if lost:
        faults.append(
            "Latchkey is not a member of every owner."
            f" Cure: GRANT {', '.join(lost)} TO {ident(me)};"
        )
    if supers:
        faults.append(
            f"What superusers own cannot be given ({', '.join(supers)})."
            " Cure: ALTER … OWNER TO a role that Latchkey is a member of."
        )
    if faults:
        return Check(name, False, " ".join(faults))
    return Check(name, True, f"member of {', '.join(ident(owner) for owner, *_ in owners)}")


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
