"""One PostgreSQL server as Latchkey speaks to it: its roles, locks and sessions, its words."""

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from engine.connectors.elapsed import boottime
from engine.connectors.postgresql.acl import Database, Owner, may_set
from engine.connectors.postgresql.names import PERMISSIONS, path_of, place_of
from engine.connectors.postgresql.sessions import (
    RACES,
    Address,
    Connection,
    NotDirectError,
    Sessions,
    acting_as,
    said,
)
from engine.port import Login, Outcome, Presence, Target, Unavailable

__all__ = [
    "ABSENT",
    "HELD",
    "IN_NONE",
    "LOCK",
    "NOWHERE",
    "OLDEST",
    "REFUSALS",
    "Role",
    "Server",
    "by_database",
    "closed",
    "cure",
    "databases",
    "gone",
    "ident",
    "joining",
    "joining_own",
    "lasting",
    "membership",
    "said",
    "stranger",
    "told",
    "unknown",
]

T = TypeVar("T")

OLDEST = 15  # those before it have reached the end of their life
TRIES = 10  # for one transaction that others get in the way of
LOCK = int.from_bytes(b"LKEY")  # the first half of our advisory locks
PATIENT = 0.3  # seconds that others may take before it is looked who they are
GLANCE = 0.1  # seconds between two looks then
IN_NONE, NOWHERE = 0, -1  # the database of what is in none, and of what nobody can find

HELD = Outcome(Presence.HELD)
ABSENT = Outcome(Presence.ABSENT)

# The server says no, and would say it again.
REFUSALS = (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)

# It will say so until somebody does something about it: what the refusal of a grant may rest on.
# A class, or words where the client says so, or the server before it has sent a code; and the cure.
_BY_DSN = "put the right password where `dsn` refers to"
_ASK_BY_SCRAM = (
    "let the server ask by scram-sha-256 (pg_hba.conf, and the password set anew), or say otherwise"
    " by require_auth= in `dsn`"
)
_AUTHORITY = "give the authority that signed the server's certificate, by sslrootcert= in `dsn`"
_LASTING: tuple[tuple[type[psycopg.Error] | str, str], ...] = (
    (NotDirectError, ""),
    (errors.InvalidPassword, _BY_DSN),
    ("password authentication failed", _BY_DSN),
    (errors.InsufficientPrivilege, "see what `latchkey doctor` says of it"),
    ("authentication method requirement", _ASK_BY_SCRAM),
    ("did not complete authentication", _ASK_BY_SCRAM),
    ("no pg_hba.conf entry", "add a line for it to the server's pg_hba.conf"),
    ("pg_hba.conf rejects", "change the line of the server's pg_hba.conf that rejects it"),
    ("is not permitted to log in", "ALTER ROLE … LOGIN, for Latchkey's own login"),
    ("certificate verify failed", _AUTHORITY),
    ("root certificate file", _AUTHORITY),
    ("server certificate for", "give the host in `dsn` the name that its certificate has"),
    ("does not support SSL", "switch TLS on at the server, or say otherwise by sslmode= in `dsn`"),
    ("is not currently accepting connections", "ALTER DATABASE … ALLOW_CONNECTIONS true"),
    ("does not exist", "name a database and a role in `dsn` that there are"),
    (errors.InvalidCatalogName, "name a database in `dsn` that there is"),
    (errors.InvalidAuthorizationSpecification, "let Latchkey's own login in (pg_hba.conf)"),
    (errors.ReadOnlySqlTransaction, "let the address lead to the primary"),
    (errors.FeatureNotSupported, ""),
    (errors.UndefinedFunction, ""),
    (errors.InvalidGrantOperation, ""),
    (errors.RaiseException, "ask whoever made the event trigger"),
)


@dataclass(frozen=True, slots=True)
class Role:
    """A grantee's login as the server has it, and what Latchkey may do with it.

    From PostgreSQL 16 on `admin` is needed to change it, `inherits` to end its sessions, `sets` to
    act as it, which does for that too. Before, `noinherit`: Latchkey's own login inherits nothing.
    """

    name: str
    oid: int
    can_login: bool
    ours: bool  # its comment names this installation
    admin: bool
    inherits: bool
    sets: bool
    noinherit: bool

    @property
    def joined(self) -> bool:
        """Whether Latchkey has all that the login's end may need, after an upgrade too."""
        return self.admin and self.sets and (self.inherits or self.noinherit)

    @property
    def to_become(self) -> str:
        """The role to take on, to do what only itself may; empty: none has to be."""
        return "" if self.inherits or not self.sets else self.name


class Server(Sessions):
    """Knows the logins of one installation on one server."""

    def __init__(
        self, dsn: Address, *, installation: str, connect_timeout: int, statement_timeout: int
    ) -> None:
        super().__init__(dsn, connect_timeout=connect_timeout, statement_timeout=statement_timeout)
        self.installation = installation

    @contextlib.contextmanager
    def main(self, *, writing: bool = False) -> Iterator[Connection]:
        """Give out the connection that a call begins with. Its faults are `Unavailable`."""
        try:
            with self.session(boottime() + self.seconds) as connection:
                if writing and connection.standby:
                    raise Unavailable(_standby(connection), lasting=True)
                yield connection
        except psycopg.Error as error:
            raise Unavailable(told(error), lasting=lasting(error)) from error

    @contextlib.contextmanager
    def beside(self, main: Connection, dbname: str) -> Iterator[Connection]:
        """Give out a connection to another database of the server that `main` is connected to."""
        with self.session(main.until, dbname) as connection:
            if (connection.server, connection.standby) != (main.server, main.standby):
                raise psycopg.OperationalError("another server has taken the place of this one")
            yield connection

    def signature(self) -> str:
        """Return what the comment of every role that this installation makes begins with."""
        return f"Latchkey {json.dumps(self.installation, ensure_ascii=False)}: login of "

    def lock(self, main: Connection, login: Login) -> bool:
        """Keep other calls from the same login until the connection ends, or say that it cannot be.

        It only saves tries: any login of the server may hold a lock of this number.
        """
        try:
            main.execute("select pg_advisory_lock(%s, hashtext(%s))", [LOCK, login.name])
        except errors.LockNotAvailable:
            return False
        return True

    def insist(self, connection: Connection, work: Callable[[], T], *, firmly: bool) -> T:
        """Do it again, at once, if others got in the way.

        Firmly: a grantee's session, or prepared transaction, that is waited for is put out. Else
        one left open, by mistake or on purpose, could keep an access for ever.
        """
        with self._way_kept_clear(connection) if firmly else contextlib.nullcontext():
            for _ in range(TRIES - 1):
                try:
                    return work()
                except RACES:
                    continue
            return work()

    @contextlib.contextmanager
    def _way_kept_clear(self, connection: Connection) -> Iterator[None]:
        """Put out whoever of the grantees `connection` waits for, while it waits.

        It keeps its place in the queue, so that they cannot come back before it.
        """
        done, pid = threading.Event(), connection.info.backend_pid
        until = connection.until

        def watch() -> None:
            while not done.wait(PATIENT) and boottime() < until:
                # From the address's own database: others may be full.
                faults = psycopg.Error, Unavailable
                with contextlib.suppress(*faults), self.session(until) as other:
                    while not done.wait(GLANCE) and boottime() < until:
                        self._clear_the_way(other, pid)

        watcher = threading.Thread(target=watch, name="way", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _clear_the_way(self, other: Connection, pid: int) -> None:
        """End what the process waits for, if it is a grantee's."""
        values = {"pid": pid, "signature": self.signature(), "set": may_set(other)}
        for blocker, role, inherits in other.execute(_BLOCKERS, values).fetchall():
            with contextlib.suppress(psycopg.Error), acting_as(other, "" if inherits else role):
                other.execute("select pg_terminate_backend(%s)", [blocker])
        for gid, dbname, role in other.execute(_BLOCKING_PREPARED, values).fetchall():
            self._roll_back(other, gid, dbname, role)

    def _roll_back(self, beside: Connection, gid: str, dbname: str, role: str) -> None:
        """Roll back what was prepared, as its owner: nobody else may."""
        undo = sql.SQL("rollback prepared {}").format(gid)
        with (
            contextlib.suppress(psycopg.Error),
            self.beside(beside, dbname) as connection,
            acting_as(connection, role),
        ):
            connection.execute(undo)

    def find(self, main: Connection, login: Login) -> Role | None:
        values = {"name": login.name, "signature": self.signature(), "set": may_set(main)}
        row = main.execute(_FIND, values).fetchone()
        return Role(*row) if row else None

    def comment(self, login: Login) -> str:
        """Return what stands beside the login in the server: it is known by that, too."""
        return f"{self.signature()}{login.owner} as {login.name}"

    def renamed(self, main: Connection, login: Login) -> str:
        """Return what the login is called by now, if somebody gave it another name; or nothing."""
        query = (
            "select rolname from pg_roles where rolname <> %s"
            " and right(shobj_description(oid, 'pg_authid'), %s) = %s"
            " and starts_with(shobj_description(oid, 'pg_authid'), %s)"
        )
        words = f" as {login.name}"
        row = main.execute(query, [login.name, len(words), words, self.signature()]).fetchone()
        return str(row[0]) if row else ""

    def joined(self, main: Connection, login: Login, role: Role) -> Role:
        """See to it that Latchkey has all that the login's end may need, as far as it may."""
        if role.joined:
            return role
        with contextlib.suppress(errors.InsufficientPrivilege, errors.InvalidGrantOperation):
            main.execute(joining_own(main, role.name))
        return self.find(main, login) or role

    def made(self, main: Connection) -> list[Role]:
        """Return the logins that this installation has made."""
        values = {"name": None, "signature": self.signature(), "set": may_set(main)}
        found = [Role(*row) for row in main.execute(_FIND, values)]
        return [role for role in found if role.ours]

    def end_sessions(
        self, main: Connection, role: Role, database: int | None = None, *, wait: bool = True
    ) -> str:
        """End the role's sessions, in one database or all. Say so if one will not go."""
        values = {"role": role.oid, "database": database, "patience": self.patience_ms}
        try:
            # All at once first; then wait for each.
            with acting_as(main, role.to_become):
                if not main.execute(_END, values).rowcount or not wait:
                    return ""
                main.execute(_END_AND_WAIT, values)
        except errors.InsufficientPrivilege as error:
            cure = f"{membership(main, role.name).as_string()};"
            return f"Open sessions could not be ended: {said(error)}. Cure: {cure}"
        left = main.execute(_SESSIONS, values).rowcount
        return f"Open sessions that do not end: {left}." if left else ""

    def roll_back_prepared(self, main: Connection, role: Role) -> str:
        """Roll back what the login has prepared for two-phase commit. Say so if some is left."""
        query = "select gid, database from pg_prepared_xacts where owner = %s::name order by gid"
        prepared = main.execute(query, [role.name]).fetchall()
        if not prepared:
            return ""
        for gid, dbname in prepared:
            self._roll_back(main, gid, dbname, role.name)
        left = main.execute(query, [role.name]).fetchall()
        if not left:
            return ""
        where = ", ".join(sorted({path_of(dbname) for _, dbname in left}))
        return (
            f"Prepared transactions of {ident(role.name)} are left in {where}, and may take effect."
            f" Cure, there: ROLLBACK PREPARED {', '.join(repr(gid) for gid, _ in left)};"
        )


def membership(connection: Connection, *logins: str) -> sql.Composed:
    """Return the statement that gives Latchkey's own login all that the ends of these may need.

    With ADMIN, for from PostgreSQL 16 on whoever has it not cannot change a login, and an upgrade
    makes nobody one who had not.
    """
    new = connection.info.server_version >= 160000
    return _grant(
        connection, logins, "ADMIN TRUE, INHERIT TRUE, SET TRUE" if new else "ADMIN OPTION"
    )


def joining_own(connection: Connection, role: str) -> sql.Composed:
    """Return the statement by which Latchkey gives itself the same for a role that it has made.

    From PostgreSQL 16 on, whoever makes a role has ADMIN on it, and may not give that to itself.
    """
    new = connection.info.server_version >= 160000
    return _grant(connection, [role], "INHERIT TRUE, SET TRUE" if new else "ADMIN OPTION")


def joining(connection: Connection, *owners: str) -> str:
    """Return the statement that lets Latchkey act in the name of these owners."""
    new = connection.info.server_version >= 160000
    return f"{_grant(connection, owners, 'INHERIT TRUE, SET TRUE' if new else '').as_string()};"


def _grant(connection: Connection, roles: Iterable[str], how: str) -> sql.Composed:
    return sql.SQL("GRANT {} TO {}" + (f" WITH {how}" if how else "")).format(
        sql.SQL(", ").join(sql.Identifier(role) for role in roles),
        sql.Identifier(connection.info.user),
    )


_FIND = """
select rolname, oid, rolcanlogin, starts_with(coalesce(shobj_description(oid, 'pg_authid'), ''),
    %(signature)s), pg_has_role(oid, 'MEMBER WITH ADMIN OPTION'), pg_has_role(oid, 'USAGE'),
    pg_has_role(oid, %(set)s),
    %(set)s = 'MEMBER' and not (select rolinherit from pg_roles where rolname = current_user)
from pg_roles
where case when %(name)s::text is null
    then starts_with(coalesce(shobj_description(oid, 'pg_authid'), ''), %(signature)s)
    else rolname = %(name)s end
order by rolname
"""
_THEIRS = sql.SQL(
    "from pg_stat_activity where usesysid = %(role)s"
    " and (%(database)s::oid is null or datid = %(database)s)"
)
_SESSIONS = sql.SQL("select pid {}").format(_THEIRS)
_END = sql.SQL("select pg_terminate_backend(pid) {}").format(_THEIRS)
_END_AND_WAIT = sql.SQL("select pg_terminate_backend(pid, %(patience)s) {}").format(_THEIRS)
_OURS = "starts_with(coalesce(shobj_description(r.oid, 'pg_authid'), ''), %(signature)s)"
_BLOCKERS = f"""
select a.pid, r.rolname, pg_has_role(r.oid, 'USAGE')
from unnest(pg_blocking_pids(%(pid)s)) as b (pid)
    join pg_stat_activity a on a.pid = b.pid join pg_roles r on r.oid = a.usesysid
where (pg_has_role(r.oid, 'USAGE') or pg_has_role(r.oid, %(set)s)) and {_OURS}
"""  # noqa: S608  (of constants)
_BLOCKING_PREPARED = f"""
select distinct p.gid, p.database, r.rolname
from pg_locks mine
    join pg_locks theirs on theirs.granted and theirs.pid is null
        and (theirs.locktype, theirs.database, theirs.relation, theirs.page, theirs.tuple,
            theirs.transactionid, theirs.classid, theirs.objid, theirs.objsubid)
        is not distinct from (mine.locktype, mine.database, mine.relation, mine.page, mine.tuple,
            mine.transactionid, mine.classid, mine.objid, mine.objsubid)
    -- what is prepared is known by the lock that it has on its own transaction
    join pg_locks own on own.pid is null and own.locktype = 'transactionid'
        and own.virtualtransaction = theirs.virtualtransaction
    join pg_prepared_xacts p on p.transaction = own.transactionid
    join pg_roles r on r.rolname = p.owner
where mine.pid = %(pid)s and not mine.granted and {_OURS}
"""  # noqa: S608  (of constants)


def databases(main: Connection, *, templates: bool = False) -> list[Database]:
    rows = main.execute(
        "select d.oid, datname, rolname, pg_has_role(datdba, 'USAGE'), pg_has_role(datdba, %s),"
        " rolsuper, datallowconn, datallowconn and has_database_privilege(d.oid, 'CONNECT')"
        " from pg_database d join pg_roles r on r.oid = datdba"
        " where %s or not datistemplate order by datname",
        [may_set(main), templates],
    )
    return [
        Database(oid, name, Owner(*owner), accepts, reachable)
        for oid, name, *owner, accepts, reachable in rows
    ]


def by_database(targets: Iterable[Target]) -> dict[int, list[Target]]:
    """Sort by the database's id: `IN_NONE` for roles, `NOWHERE` for what says nothing of it.

    A permission that nobody can have says as little as a number that is none.
    """
    found = defaultdict[int, list[Target]](list)
    for target in targets:
        place = place_of(target.type, target.source_id)
        known = place and (target.type, target.permission) in PERMISSIONS
        found[place.database if place and known else NOWHERE].append(target)
    return found


# --- Words ----------------------------------------------------------------------------------------


def ident(name: str) -> str:
    return sql.Identifier(name).as_string()


def told(error: psycopg.Error) -> str:
    """Return the server's words, with the cure if there is one that is always the same."""
    words = said(error)
    if isinstance(error, errors.DependentObjectsStillExist) and error.diag.message_detail:
        words += f" ({'; '.join(error.diag.message_detail.splitlines())})"
    cure = next((cure for what, cure in _LASTING if _is(error, what)), "")
    return f"{words}. Cure: {cure}" if cure else words


def lasting(error: psycopg.Error) -> bool:
    """Tell whether the answer will be the same until somebody does something about it."""
    return any(_is(error, what) for what, _ in _LASTING)


def _is(error: psycopg.Error, what: type[psycopg.Error] | str) -> bool:
    if isinstance(what, str):
        return not error.sqlstate and what in str(error)
    return isinstance(error, what)


def unknown(reason: str, *, lasting: bool = False) -> Outcome:
    return Outcome(Presence.UNKNOWN, reason, lasting=lasting)


def gone(target: Target) -> Outcome:
    reason = f"{target.path} is gone, or “{target.permission}” cannot be had on it."
    return Outcome(Presence.REFUSED, reason)


def renamed(login: Login, name: str) -> str:
    """Say that a login has another name by now, and what helps."""
    who, now = ident(login.name), ident(name)
    return f"The login {who} is called {now} by now. Cure: ALTER ROLE {now} RENAME TO {who};"


def stranger(login: Login) -> str:
    return f"The login “{login.name}” is there, but this installation of Latchkey did not make it."


def _standby(connection: Connection) -> str:
    return (
        f"{connection.info.host}:{connection.info.port} is a standby: it only repeats what its"
        " primary does. Cure: let the address lead to the primary, or add"
        " target_session_attrs=read-write to it."
    )


def closed(connection: Connection, database: Database) -> str:
    """Say why a database cannot be entered, and the cure."""
    reason = f"Latchkey may not connect to the database {path_of(database.name)}."
    if not database.accepts:
        name = ident(database.name)
        return f"{reason} It takes none. Cure: ALTER DATABASE {name} ALLOW_CONNECTIONS true;"
    me, name = ident(connection.info.user), ident(database.name)
    if database.owner.mine or database.owner.superuser:
        return f"{reason} Cure: GRANT CONNECT ON DATABASE {name} TO {me};"
    return f"{reason} {cure(connection, database.owner)}"


def cure(connection: Connection, owner: Owner) -> str:
    """Say what would let Latchkey give what this owner has."""
    if owner.superuser:
        return f"Cure: give it another owner than the superuser {ident(owner.name)}."
    return f"Cure: {joining(connection, owner.name)}"
