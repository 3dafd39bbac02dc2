"""The other side of a connector, for the contract suite: what people do in the system by hand."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.sandbox.postgres import Cluster
from engine.connectors import memory
from engine.connectors.memory import Memory
from engine.connectors.postgresql import PostgreSQL
from engine.connectors.postgresql.names import Place, path_of
from engine.port import (
    Connector,
    Discovered,
    Holding,
    Login,
    Order,
    Presence,
    Report,
    Secret,
    Target,
)
from tests.support.proxy import Proxy

INSTALLATION = 'test "one"'
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}_{next(_numbers)}"


def new_login() -> Login:
    name = unique("latchkey_ada")
    return Login(name, owner="ada", password=Secret(f"correct 'horse' {name}"))


def order(
    login: Login,
    *wanted: Target,
    end: Sequence[Target] = (),
    remaining: timedelta | None = timedelta(hours=1),
) -> Order:
    """What an account should be: what is wanted, and what is to `end`."""
    holdings = [Holding(t, wanted=True) for t in wanted] + [Holding(t, wanted=False) for t in end]
    return Order(login, holdings, remaining)


def known(login: Login, report: Report | None = None) -> Login:
    """The same login when its password has been confirmed and is not given again."""
    return replace(login, password=None, proof=report.proof if report else None)


def presences(report: Report) -> dict[Target, Presence]:
    return {target: outcome.presence for target, outcome in report.outcomes.items()}


class Session(Protocol):
    @property
    def alive(self) -> bool: ...


class Harness(Protocol):
    connector: Connector

    def make(self, *, name: str = "", permission: str = "read") -> Target:
        """Make something to have access to; all of it is in one place."""
        ...

    def drop(self, target: Target) -> None: ...

    def withhold(self, target: Target) -> None:
        """See to it that Latchkey may not give this."""
        ...

    def drop_login(self, login: Login) -> None: ...

    def stand(self, login: Login, target: Target) -> None:
        """Give access by hand."""
        ...

    def log_in(self, login: Login) -> Session | None: ...

    def set_own_password(self, login: Login, password: str) -> Login:
        """Let the grantee set one, and return the login as they would use it."""
        ...

    def can(self, login: Login, target: Target) -> bool:
        """Tell whether the login has the right, as the system sees it."""
        ...

    def left(self, login: Login) -> list[str]:
        """Tell what the system still has of the login's rights."""
        ...


class MemoryHarness:
    def __init__(self) -> None:
        self.connector = Memory()

    def make(self, *, name: str = "", permission: str = "read") -> Target:
        name = name or unique("thing")
        resource = Discovered("table", name, f"here/{name}", unique("id"), {permission: 5})
        self.connector.add(resource)
        return Target("table", resource.source_id, resource.path, permission)

    def drop(self, target: Target) -> None:
        self.connector.drop(target.source_id)

    def withhold(self, target: Target) -> None:
        self.connector.refuse(target)

    def drop_login(self, login: Login) -> None:
        self.connector.drop_login(login.name)

    def stand(self, login: Login, target: Target) -> None:
        self.connector.stand(login, target)

    def log_in(self, login: Login) -> memory.Session | None:
        password = login.password.reveal() if login.password else ""
        return self.connector.log_in(login.name, password)

    def set_own_password(self, login: Login, password: str) -> Login:
        self.connector.set_password(login.name, password)
        return replace(login, password=Secret(password))

    def can(self, login: Login, target: Target) -> bool:
        return self.connector.can(login.name, target)

    def left(self, login: Login) -> list[str]:
        account = self.connector.accounts.get(login.name)
        return [str(target) for target in account.given | account.standing] if account else []


class PostgreSQLSession:
    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    @property
    def alive(self) -> bool:
        try:
            self.connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True


class PostgreSQLHarness:
    """Acts as the superuser, and as the grantee; the connector itself is Latchkey's own login."""

    def __init__(self, cluster: Cluster, *, database: str = "orders") -> None:
        self.cluster = cluster
        self.database = database
        self.connector = PostgreSQL(Secret(cluster.latchkey_dsn()), installation=INSTALLATION)
        self.server = self.connector.server()
        self.admin = psycopg.connect(cluster.superuser_dsn(database), autocommit=True)
        self.schema = unique("schema")
        self.owner = f"{database}_owner"
        self.run(
            "create schema {} authorization {}",
            sql.Identifier(self.schema),
            sql.Identifier(self.owner),
        )
        self.open: list[psycopg.Connection] = []
        self.tables: dict[Target, str] = {}
        self._withheld: list[sql.Identifier] = []
        (self.oid,) = self.one("select oid from pg_database where datname = current_database()")

    def close(self) -> None:
        for table in self._withheld:
            self.run("alter table if exists {} owner to {}", table, sql.Identifier(self.owner))
        for connection in (*self.open, self.admin):
            connection.close()

    def run(self, statement: str, *parts: sql.Composable) -> None:
        self.admin.execute(sql.SQL(statement).format(*parts))

    def one(self, query: str, *values: object) -> tuple:
        row = self.admin.execute(query, values).fetchone()
        assert row
        return row

    def make(self, *, name: str = "", permission: str = "read") -> Target:
        name = name or unique("table")
        table = sql.Identifier(self.schema, name)
        self.run("create table {} (id serial primary key, note text)", table)
        self.run("alter table {} owner to {}", table, sql.Identifier(self.owner))
        self.run("insert into {} (note) select 'row' from generate_series(1, 100)", table)
        target = self.table(name, permission)
        self.tables[target] = name
        return target

    def table(self, name: str, permission: str = "read") -> Target:
        (oid,) = self.one(
            "select c.oid from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where nspname = %s and relname = %s",
            *(self.schema, name),
        )
        path = path_of(self.database, self.schema, name)
        return Target("table", str(Place(self.oid, relation=oid)), path, permission, self.server)

    def whole_schema(self, permission: str = "read") -> Target:
        (oid,) = self.one("select oid from pg_namespace where nspname = %s", self.schema)
        path = path_of(self.database, self.schema)
        return Target("schema", str(Place(self.oid, schema=oid)), path, permission, self.server)

    def whole_database(self) -> Target:
        path = path_of(self.database)
        return Target("database", str(Place(self.oid)), path, "connect", self.server)

    def drop(self, target: Target) -> None:
        self.run("drop table {}", sql.Identifier(self.schema, self.tables[target]))

    def withhold(self, target: Target) -> None:
        table = sql.Identifier(self.schema, self.tables[target])
        self.run("alter table {} owner to postgres", table)
        self._withheld.append(table)

    def drop_login(self, login: Login) -> None:
        self.run("drop owned by {}", sql.Identifier(login.name))
        self.run("drop role {}", sql.Identifier(login.name))

    def stand(self, login: Login, target: Target) -> None:
        who = sql.Identifier(login.name)
        self.run("grant connect on database {} to {}", sql.Identifier(self.database), who)
        self.run("grant usage on schema {} to {}", sql.Identifier(self.schema), who)
        table = sql.Identifier(self.schema, self.tables[target])
        self.run("grant select on {} to {}", table, who)

    def log_in(self, login: Login) -> PostgreSQLSession | None:
        parts = conninfo_to_dict(self.cluster.latchkey_dsn(self.database))
        password = login.password.reveal() if login.password else ""
        try:
            connection = psycopg.connect(
                **parts | {"user": login.name, "password": password}, autocommit=True
            )
        except psycopg.OperationalError:
            return None
        self.open.append(connection)
        return PostgreSQLSession(connection)

    def set_own_password(self, login: Login, password: str) -> Login:
        session = self.log_in(login)
        assert session
        change = sql.SQL("alter role current_user password {}").format(password)
        session.connection.execute(change)
        return replace(login, password=Secret(password))

    def can(self, login: Login, target: Target) -> bool:
        privileges = ["SELECT"]
        if target.permission == "read-write":
            privileges += ["INSERT", "UPDATE", "DELETE"]
        relation = int(target.source_id.rpartition(":")[2])
        rows = self.admin.execute(
            """
            select has_database_privilege(r.oid, current_database(), 'CONNECT')
                and has_schema_privilege(r.oid, relnamespace, 'USAGE')
                and has_table_privilege(r.oid, c.oid, privilege)
            from pg_roles r, pg_class c, unnest(%s::text[]) as privilege
            where rolname = %s and c.oid = %s
            """,
            [privileges, login.name, relation],
        ).fetchall()
        return bool(rows) and all(may for (may,) in rows)

    def left(self, login: Login) -> list[str]:
        """Read the lists that pg_dump would read, not those that the connector reads."""
        rows = self.admin.execute(
            """
            with me as (select oid from pg_roles where rolname = %s),
            lists (what, acl) as (
                select 'database ' || datname, datacl from pg_database
                union all select 'schema ' || nspname, nspacl from pg_namespace
                union all select 'relation ' || relname, relacl from pg_class
                union all select 'default ' || defaclrole::regrole, defaclacl from pg_default_acl
            )
            select privilege_type || ' on ' || what
            from lists, me, aclexplode(acl) where grantee = me.oid order by 1
            """,
            [login.name],
        )
        return [what for (what,) in rows]


def valid_for(harness: PostgreSQLHarness, login: Login) -> timedelta | None:
    """How long the server would still let the login in; None: for ever."""
    query = "select nullif(rolvaliduntil, 'infinity') - now() from pg_roles where rolname = %s"
    (left,) = harness.one(query, login.name)
    return left


def through(proxy: Proxy, cluster: Cluster, **settings: int) -> PostgreSQL:
    """A connector whose connections all pass the proxy."""
    parts = conninfo_to_dict(cluster.latchkey_dsn()) | {"port": proxy.port}
    return PostgreSQL(Secret(make_conninfo(**parts)), installation=INSTALLATION, **settings)
