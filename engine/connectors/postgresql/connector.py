"""The port, for PostgreSQL."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

from engine.connectors import transport
from engine.connectors.postgresql import cleanup, discovery, doctor, remains, roles
from engine.connectors.postgresql.acl import Database
from engine.connectors.postgresql.names import Place, names_in, path_of
from engine.connectors.postgresql.server import (
    ABSENT,
    Server,
    closed,
    databases,
    renamed,
    said,
    stranger,
)
from engine.connectors.postgresql.sessions import Address, Connection
from engine.connectors.postgresql.trace import unpacked
from engine.connectors.postgresql.work import Application, look
from engine.port import (
    Check,
    Discovered,
    DiscoveredPermission,
    Login,
    Order,
    Outcome,
    Report,
    Target,
    Unavailable,
)

__all__ = ["PostgreSQL", "Show"]

_SERVERS_OWN = "postgres"  # a database with nobody's data in it, unless it is named
_ANY = "DATABASE"  # stands for the name of one that nobody knows


@dataclass(frozen=True, slots=True)
class Show:
    """What people are shown, where it differs from Latchkey's own way in; empty: it does not.

    `database` stands for every database's name (as a pooler has it); `text` is one more line.
    """

    host: str = ""
    port: int | None = None
    database: str = ""
    sslmode: str = ""
    text: str = ""


class PostgreSQL:
    """One PostgreSQL server.

    `dsn` is libpq's, or what returns it, for each connection anew. It leads straight to the server,
    not through a pooler; its database is where locks are taken, so all processes of an installation
    name the same one. `databases` are those to offer; none named means all that Latchkey may
    connect to. `permissions` are those of `discovery.OPTIONAL` that are offered, `roles` those that
    people may become members of. Time-outs are in seconds.
    """

    generates_login = True

    def __init__(
        self,
        dsn: Address,
        *,
        installation: str,
        databases: Sequence[str] = (),
        permissions: Sequence[str] = (),
        roles: Sequence[str] = (),
        show: Mapping[str, str | int] | None = None,
        connect_timeout: int = 5,
        statement_timeout: int = 15,
    ) -> None:
        self.sessions = Server(
            dsn,
            installation=installation,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
        )
        self._named = tuple(databases)
        self._optional = frozenset(permissions)
        self._roles = tuple(roles)
        self._show = Show(**(show or {}))  # type: ignore[arg-type]  # checked where it was read
        self.deadline = self.sessions.deadline

    def server(self) -> str:
        """Return the system's identifier and timeline."""
        with self.sessions.main(writing=True) as main:
            return main.server

    def discover(self) -> list[Discovered]:
        """Return databases, schemas, and tables with all that is like a table; what is listed."""
        found: list[Discovered] = []
        with self.sessions.main() as main:
            offered = [d for d in databases(main) if self._offers(d)]
            there = {database.name for database in offered if database.reachable}
            if lost := [path_of(name) for name in self._named if name not in there]:
                raise Unavailable(f"not there, or closed to Latchkey: {', '.join(lost)}")
            for database in offered:
                found += self._discover(main, database)
            listed = roles.listed(main, names=self._roles)
            found += [discovery.role(r) for r in listed if not roles.refusal(r, main.info.user)]
        return found

    def permissions(self) -> tuple[DiscoveredPermission, ...]:
        """They are called by their ids."""
        return ()

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now, changing nothing.

        By whatever way: in its own name, or, while it can log in, through PUBLIC or membership.
        `given` is what Latchkey gave it: a target that is there only because of that (a database,
        for a table in it; a table, for its whole schema) is not held in its own right.
        """
        with self.sessions.main() as main:
            role = self.sessions.find(main, login)
            if role is None:
                return dict.fromkeys(targets, ABSENT)
            trace = unpacked(main.server, login.trace)
            return look(self.sessions, main, role, targets, given, trace=trace)

    def apply(self, order: Order) -> Report:
        """Make the account hold what is wanted and not what is unwanted; look; report."""
        with self.sessions.main(writing=True) as main:
            return Application(self.sessions, main, order).run()

    def unexplained(self, login: Login, given: Sequence[Target]) -> tuple[str, ...]:
        """Name every entry and membership of the login that the targets do not come to."""
        with self.sessions.main() as main:
            role = self.sessions.find(main, login)
            if role is None:
                return ()
            return tuple(remains.unexplained(self.sessions, main, role, given))

    def cleanup(self, login: Login) -> tuple[str, ...]:
        """Drop the role. What it owns is put away: see `cleanup`."""
        with self.sessions.main(writing=True) as main:
            self.sessions.lock(main, login)
            role = self.sessions.find(main, login)
            if not (role and role.ours) and (name := self.sessions.renamed(main, login)):
                raise Unavailable(renamed(login, name), lasting=True)
            if role is None:
                return ()
            if not role.ours:
                raise Unavailable(f"{stranger(login)} It was left alone.", lasting=True)
            role = self.sessions.joined(main, login, role)
            return tuple(cleanup.drop(self.sessions, main, role))

    def logins(self) -> list[str]:
        """Names of all roles whose comment says that this installation made them."""
        with self.sessions.main() as main:
            return [role.name for role in self.sessions.made(main)]

    def instructions(self, login: Login, targets: Sequence[Target]) -> dict[str, str]:
        """Tell the grantee where to connect, and with what line of psql.

        The line asks for no more than older clients know: of TLS, not of how to log in.
        """
        inside = [names_in(t.path)[0] for t in targets if t.type != "role"] or self._for_roles()
        names = list(dict.fromkeys(self._show.database or name for name in inside))
        way = transport.way_in(self.sessions.address, os.environ)
        where = {
            "host": self._show.host or way.host,
            "port": str(self._show.port or way.port),
            "user": login.name,
            "sslmode": self._show.sslmode or way.sslmode,
        }
        each = names or [_ANY]
        lines = [f"psql {shlex.quote(make_conninfo(**where, dbname=name))}" for name in each]
        hint = "" if names else f"For {_ANY} say one that the role may connect to."
        told = {
            "Host": where["host"],
            "Port": where["port"],
            "Database": ", ".join(names),
            "User": login.name,
            "Role": ", ".join(t.path for t in targets if t.type == "role"),
            "psql": "\n".join(lines),
            "Note": " ".join(filter(None, [hint, self._show.text])),
        }
        return {label: value for label, value in told.items() if value}

    def _for_roles(self) -> list[str]:
        """Name a database to log in to with a role alone, which is in none; empty: nobody knows."""
        own = str(self.sessions.address.get("dbname") or _SERVERS_OWN)
        known = [self._show.database, *self._named[:1], own if own != _SERVERS_OWN else ""]
        return list(filter(None, known))[:1]

    def check(self) -> list[Check]:
        """Look whether Latchkey's own login can do its work; each fault comes with its cure."""
        lines = [doctor.transport(self.sessions)]
        try:
            with self.sessions.main() as main:
                offered = [d for d in databases(main) if self._offers(d)]
                lines += doctor.checks(self.sessions, main, offered, self._named, self._roles)
        except Unavailable as error:
            lines.append(Check("connection", False, str(error)))
        return lines

    def close(self) -> None:
        """Close the connections that stay open for a while after a call."""
        self.sessions.idle.close()

    def _offers(self, database: Database) -> bool:
        if self._named:
            return database.name in self._named
        return database.name != _SERVERS_OWN

    def _discover(self, main: Connection, database: Database) -> Iterator[Discovered]:
        """Yield what is in a database; one that cannot be entered hides no other."""
        if not database.reachable:
            yield _closed(database, closed(main, database))
            return
        try:
            with self.sessions.beside(main, database.name) as connection:
                found = list(discovery.inside(connection, database, self._optional))
        except psycopg.Error as error:
            if database.name in self._named:
                raise
            yield _closed(database, said(error))
            return
        yield from found


def _closed(database: Database, why: str) -> Discovered:
    place = str(Place(database.oid))
    return Discovered("database", database.name, path_of(database.name), place, {}, closed=why)
