"""The port, for PostgreSQL."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence

from psycopg import sql
from psycopg.conninfo import make_conninfo

from engine.connectors.port import (
    Check,
    Discovered,
    Login,
    Order,
    Outcome,
    Report,
    Secret,
    Target,
    Unavailable,
)
from engine.connectors.postgresql import doctor
from engine.connectors.postgresql.acl import Database
from engine.connectors.postgresql.names import (
    Place,
    names_in,
    path_of,
    permission_risk,
    resource_risk,
)
from engine.connectors.postgresql.server import (
    ABSENT,
    LOCK,
    Connection,
    Role,
    Server,
    databases,
    stranger,
)
from engine.connectors.postgresql.work import Work, look

__all__ = ["PostgreSQL"]

_SERVERS_OWN = "postgres"  # a database with nobody's data in it, unless it is named


class PostgreSQL:
    """One PostgreSQL server.

    `dsn` is libpq's. It leads straight to the server, not through a pooler that shares sessions;
    its database is where locks are taken, so all processes of an installation name the same one.
    `databases` are those to offer; none named means all that Latchkey may connect to. Time-outs
    are in seconds.
    """

    generates_login = True

    def __init__(
        self,
        dsn: Secret,
        *,
        installation: str,
        databases: Sequence[str] = (),
        connect_timeout: int = 5,
        statement_timeout: int = 15,
    ) -> None:
        self._server = Server(
            dsn,
            installation=installation,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
        )
        self._named = tuple(databases)
        self.deadline = self._server.deadline

    def server(self) -> str:
        return ""

    def unexplained(self, login: Login, given: Sequence[Target]) -> tuple[str, ...]:
        raise Unavailable("not yet")

    def discover(self) -> list[Discovered]:
        """Return databases, schemas, and tables with all that is like a table."""
        found: list[Discovered] = []
        with self._server.main() as main:
            offered = {d.name: d for d in databases(main) if self._offers(d) and d.reachable}
            if lost := [path_of(name) for name in self._named if name not in offered]:
                raise Unavailable(f"not there, or closed to Latchkey: {', '.join(lost)}")
            for database in offered.values():
                with self._server.session(main.until, database.name) as connection:
                    found += _discover(connection, database)
        return found

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now, changing nothing.

        By whatever way: in its own name, or, while it can log in, through PUBLIC or membership.
        `given` is what Latchkey gave it: a target that is there only because of that (a database,
        for a table in it; a table, for its whole schema) is not held in its own right.
        """
        with self._server.main() as main:
            role = self._server.find(main, login)
            if role is None:
                return dict.fromkeys(targets, ABSENT)
            return look(self._server, main, role, targets, given)

    def apply(self, order: Order) -> Report:
        """Make the account hold what is wanted and not what is unwanted; look; report."""
        with self._server.main() as main:
            return Work(self._server, main, order).run()

    def cleanup(self, login: Login) -> tuple[str, ...]:
        """Drop the role. What it owns goes to the owner of the database that it is in."""
        with self._server.main() as main:
            self._server.lock(main, login, firmly=True)
            role = self._server.find(main, login)
            if role is None:
                return ()
            if not role.ours:
                return (f"{stranger(login)} It was left alone.",)
            return tuple(self._drop(main, role))

    def logins(self) -> list[str]:
        """Names of all roles whose comment says that this installation made them."""
        with self._server.main() as main:
            return [name for name, _ in self._server.made(main)]

    def instructions(self, login: Login, targets: Sequence[Target]) -> dict[str, str]:
        """Tell the grantee where to connect, and with what line of psql."""
        names = list(dict.fromkeys(names_in(target.path)[0] for target in targets))
        address = self._server.address
        where = {
            "host": str(address.get("host") or address.get("hostaddr") or "localhost"),
            "port": str(address.get("port") or 5432),
            "user": login.name,
        }
        if mode := address.get("sslmode"):
            where["sslmode"] = str(mode)
        lines = [f"psql {shlex.quote(make_conninfo(**where, dbname=name))}" for name in names]
        return {
            "Host": where["host"],
            "Port": where["port"],
            "Database": ", ".join(names),
            "User": login.name,
            "psql": "\n".join(lines),
        }

    def check(self) -> list[Check]:
        """Look whether Latchkey's own login can do its work; each fault comes with its cure."""
        try:
            with self._server.main() as main:
                offered = [d for d in databases(main) if self._offers(d)]
                return list(doctor.checks(self._server, main, offered, self._named))
        except Unavailable as error:
            return [Check("connection", False, str(error))]

    def close(self) -> None:
        """Close the connections that stay open for a while after a call."""
        self._server.idle.close()

    def _offers(self, database: Database) -> bool:
        if self._named:
            return database.name in self._named
        return database.reachable and database.name != _SERVERS_OWN

    def _drop(self, main: Connection, role: Role) -> Iterator[str]:
        """Close the role, empty it database by database, drop it."""
        who = sql.Identifier(role.name)
        self._server.join(main, role)
        nologin = sql.SQL("alter role {} nologin").format(who)
        self._server.insist(main, lambda: main.execute(nologin), firmly=True)
        if trouble := self._server.end_sessions(main, role):
            raise Unavailable(trouble)
        rows = main.execute(
            "select distinct dbid from pg_shdepend"
            " where refclassid = 'pg_authid'::regclass and refobjid = %s",
            [role.oid],
        )
        concerned = {oid for (oid,) in rows}
        for database in databases(main, templates=True):
            # What all databases share (0), such as CONNECT, can be dropped from any of them.
            if {database.oid, 0 if database.name == main.info.dbname else -1} & concerned:
                with self._server.session(main.until, database.name) as connection:
                    yield from _disown(self._server, connection, database, role)
        drop = sql.SQL("drop role if exists {}").format(who)
        self._server.insist(main, lambda: main.execute(drop), firmly=True)


def _disown(server: Server, connection: Connection, database: Database, role: Role) -> list[str]:
    who = sql.Identifier(role.name)

    def disown() -> list[str]:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s, 0)", [LOCK])
            owned = [name for (name,) in connection.execute(_OWNED, [role.oid])]
            if owned:
                for (close,) in connection.execute(_OPEN_TO_OTHERS, {"role": role.oid}).fetchall():
                    connection.execute(close.encode())
                owner = sql.Identifier(database.owner)
                connection.execute(sql.SQL("reassign owned by {} to {}").format(who, owner))
            connection.execute(sql.SQL("drop owned by {}").format(who))
        return owned

    owned = server.insist(connection, disown, firmly=True)
    where = path_of(database.name)
    return [f"Now “{database.owner}” owns, in {where}: {', '.join(owned)}."] if owned else []


_OWNED = """
select pg_describe_object(classid, objid, objsubid)
from pg_shdepend s left join pg_database d on d.oid = s.dbid
where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid = %s
    and (s.dbid = 0 or d.datname = current_database())
order by 1
"""

# What reads with its owner's rights would show others all that its new owner may read.
_OPEN_TO_OTHERS = """
with shown (what, acl) as (
    select 'table ' || c.oid::regclass, coalesce(relacl, acldefault('r', relowner))
    from pg_class c where relowner = %(role)s and (relkind = 'v' or relhasrules)
    union all
    select 'table ' || c.oid::regclass, attacl
    from pg_class c join pg_attribute on attrelid = c.oid
    where relowner = %(role)s and (relkind = 'v' or relhasrules)
    union all
    select 'routine ' || p.oid::regprocedure, coalesce(proacl, acldefault('f', proowner))
    from pg_proc p where proowner = %(role)s and prosecdef
)
select distinct format('revoke all on %%s from %%s cascade', what,
    case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
from shown cross join lateral aclexplode(acl) where grantee <> %(role)s
"""

# --- Discovery ------------------------------------------------------------------------------------

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
        when relkind in ('v', 'f') then pg_relation_is_updatable(c.oid, true) & 28 = 28
        else relkind <> 'm'
    end
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'p', 'v', 'm', 'f')
    and nspname !~ '^pg_' and nspname <> 'information_schema'
order by nspname, relname
"""
_READ = ("read",)
_READ_WRITE = ("read", "read-write")


def _discover(connection: Connection, database: Database) -> Iterator[Discovered]:
    schemas = connection.execute(_SCHEMAS).fetchall()
    relations = connection.execute(_RELATIONS).fetchall()
    inside = defaultdict[str, list[str]](list)
    for _, schema, name, _, _ in relations:
        inside[schema].append(name)
    here = database.name
    yield _resource("database", Place(database.oid), (here,), ("connect",))
    for oid, schema in schemas:
        place = Place(database.oid, schema=oid)
        yield _resource("schema", place, (here, schema), _READ_WRITE, inside=inside[schema])
    for oid, schema, name, kind, writable in relations:
        place = Place(database.oid, relation=oid)
        permissions = _READ_WRITE if writable else _READ
        yield _resource("table", place, (here, schema, name), permissions, kind=kind)


def _resource(
    type_: str,
    place: Place,
    names: tuple[str, ...],
    permissions: tuple[str, ...],
    *,
    inside: Sequence[str] = (),
    kind: str = "",
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
    )
