"""One PostgreSQL server as Latchkey speaks to it: its roles, locks and sessions, its words."""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from engine.connectors.port import Login, Outcome, Presence, Secret, Target, Unavailable
from engine.connectors.postgresql.acl import Database, Owner, may_set
from engine.connectors.postgresql.names import path_of, place_of
from engine.connectors.postgresql.sessions import Connection, NotDirectError, Sessions, acting_as

__all__ = [
    "ABSENT",
    "HELD",
    "LOCK",
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
    "unknown",
]

T = TypeVar("T")

OLDEST = 15  # those before it have reached the end of their life
TRIES = 10  # for one transaction that others get in the way of
LOCK = int.from_bytes(b"LKEY")  # the first half of our advisory locks

HELD = Outcome(Presence.HELD)
ABSENT = Outcome(Presence.ABSENT)

# The server says no, and would say it again.
REFUSALS = (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)

# It will say so until somebody does something about it: what the refusal of a grant may rest on.
_LASTING = (
    errors.InsufficientPrivilege,
    errors.InvalidAuthorizationSpecification,  # no line of pg_hba.conf lets it in; NOLOGIN
    errors.InvalidPassword,
    errors.InvalidCatalogName,  # no such database
    errors.ReadOnlySqlTransaction,  # a standby
    errors.FeatureNotSupported,
    errors.UndefinedFunction,
    NotDirectError,
)
# The same, where the client says so, or the server before it has sent a code.
_LASTING_WORDS = (
    "authentication failed",
    "authentication method requirement",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "certificate verify failed",
    "root certificate file",
    "server certificate for",
    "does not support SSL",
    'database "',  # … does not exist; is not currently accepting connections
)

# Somebody else changed or dropped the same thing at the same moment: look again, try again.
_RACES = (
    errors.InternalError_,  # “tuple concurrently updated” has no code of its own
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.DuplicateObject,
    errors.UndefinedObject,
    errors.UndefinedTable,
    errors.UndefinedFunction,
    errors.InvalidSchemaName,
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
        self, dsn: Secret, *, installation: str, connect_timeout: int, statement_timeout: int
    ) -> None:
        super().__init__(dsn, connect_timeout=connect_timeout, statement_timeout=statement_timeout)
        self.installation = installation

    @contextlib.contextmanager
    def main(self, *, writing: bool = False) -> Iterator[Connection]:
        """Give out the connection that a call begins with. Its faults are `Unavailable`."""
        try:
            with self.session(time.monotonic() + self.seconds) as connection:
                if writing and connection.standby:
                    raise Unavailable(_standby(connection), lasting=True)
                yield connection
        except psycopg.Error as error:
            raise Unavailable(said(error), lasting=lasting(error)) from error

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

    def lock(self, main: Connection, login: Login, *, firmly: bool) -> bool:
        """Keep other calls from the same login until the connection ends, or say that it cannot be.

        It only saves tries: any login of the server may hold a lock of this number.
        """
        take = "select pg_advisory_lock(%s, hashtext(%s))"
        try:
            self.insist(main, lambda: main.execute(take, [LOCK, login.name]), firmly=firmly)
        except errors.LockNotAvailable:
            return False
        return True

    def insist(self, connection: Connection, work: Callable[[], T], *, firmly: bool) -> T:
        """Do it again, at once, if others got in the way.

        Firmly: a grantee's session that stays there is put out. Else a transaction left open, by
        mistake or on purpose, could keep an access for ever.
        """
        for _ in range(TRIES - 1):
            try:
                return work()
            except _RACES:
                continue
            except errors.LockNotAvailable:
                if not (firmly and self._clear_the_way(connection)):
                    raise
        return work()

    def _clear_the_way(self, connection: Connection) -> bool:
        """End the grantees' sessions that hold what was waited for; tell whether there were any."""
        values = {"lock": LOCK, "signature": self.signature(), "patience": self.patience_ms}
        return bool(connection.execute(_CLEAR, values).rowcount)

    def find(self, main: Connection, login: Login) -> Role | None:
        values = {"name": login.name, "signature": self.signature(), "set": may_set(main)}
        row = main.execute(_FIND, values).fetchone()
        return Role(*row) if row else None

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

    def end_sessions(self, main: Connection, role: Role, database: int | None = None) -> str:
        """End the role's sessions, in one database or all. Say so if one will not go."""
        values = {"role": role.oid, "database": database, "patience": self.patience_ms}
        try:
            # All at once first; then wait for each.
            with acting_as(main, role.to_become):
                if not main.execute(_END, values).rowcount:
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
            undo = sql.SQL("rollback prepared {}").format(gid)
            with (
                contextlib.suppress(psycopg.Error),
                self.beside(main, dbname) as connection,
                acting_as(connection, role.name),  # only its owner may
            ):
                connection.execute(undo)
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
# A row that a transaction has changed names it as xmax, while it is open. That of a login cannot
# be read, but who changes one keeps the whole table locked.
_CLEAR = sql.SQL("""
select pg_terminate_backend(pid, %(patience)s)
from (
    select distinct l.pid
    from pg_locks l join pg_stat_activity a using (pid) join pg_roles r on r.oid = a.usesysid
    where l.granted and pg_has_role(r.oid, 'USAGE')
        and starts_with(coalesce(shobj_description(r.oid, 'pg_authid'), ''), %(signature)s)
        and case l.locktype
            when 'advisory' then l.classid = %(lock)s::bigint::oid
            when 'relation'
                then l.relation = 'pg_authid'::regclass and l.mode = 'RowExclusiveLock'
            when 'transactionid' then l.transactionid in (
                select xmax from pg_class
                union all select xmax from pg_namespace
                union all select xmax from pg_database
                union all select xmax from pg_proc
                union all select xmax from pg_default_acl
                union all select xmax from pg_auth_members
            )
        end
) as obstacle
""")


def databases(main: Connection, *, templates: bool = False) -> list[Database]:
    rows = main.execute(
        "select d.oid, datname, rolname, pg_has_role(datdba, 'USAGE'), pg_has_role(datdba, %s),"
        " rolsuper, datallowconn and has_database_privilege(d.oid, 'CONNECT')"
        " from pg_database d join pg_roles r on r.oid = datdba"
        " where %s or not datistemplate order by datname",
        [may_set(main), templates],
    )
    return [Database(oid, name, Owner(*owner), reachable) for oid, name, *owner, reachable in rows]


def by_database(targets: Iterable[Target]) -> dict[int, list[Target]]:
    """Sort by the database's id. What is in none, or says nothing of where it is, comes under 0."""
    found = defaultdict[int, list[Target]](list)
    for target in targets:
        place = place_of(target.type, target.source_id)
        found[place.database if place else 0].append(target)
    return found


# --- Words ----------------------------------------------------------------------------------------


def ident(name: str) -> str:
    return sql.Identifier(name).as_string()


def said(error: psycopg.Error) -> str:
    """Return the server's words, in one line, without a full stop."""
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def lasting(error: psycopg.Error) -> bool:
    """Tell whether the answer will be the same until somebody does something about it."""
    if isinstance(error, _LASTING):
        return True
    return not error.sqlstate and any(words in str(error) for words in _LASTING_WORDS)


def unknown(reason: str, *, lasting: bool = False) -> Outcome:
    return Outcome(Presence.UNKNOWN, reason, lasting=lasting)


def gone(target: Target) -> Outcome:
    reason = f"{target.path} is gone, or “{target.permission}” cannot be had on it."
    return Outcome(Presence.REFUSED, reason)


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
    if database.owner.inherits:
        return f"{reason} It takes no connections."
    me, name = ident(connection.info.user), ident(database.name)
    if database.owner.sets or database.owner.superuser:
        return f"{reason} Cure: GRANT CONNECT ON DATABASE {name} TO {me};"
    return f"{reason} {cure(connection, database.owner)}"


def cure(connection: Connection, owner: Owner) -> str:
    """Say what would let Latchkey give what this owner has."""
    if owner.superuser:
        return f"Cure: give it another owner than the superuser {ident(owner.name)}."
    return f"Cure: {joining(connection, owner.name)}"
