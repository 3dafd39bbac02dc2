"""One PostgreSQL server as Latchkey speaks to it: connections, locks, roles, its words."""

import contextlib
import json
import select
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine.connectors.port import Login, Outcome, Presence, Secret, Target, Unavailable
from engine.connectors.postgresql.acl import Database
from engine.connectors.postgresql.names import path_of, place_of

__all__ = [
    "ABSENT",
    "HELD",
    "LOCK",
    "OLDEST",
    "REFUSALS",
    "Connection",
    "Role",
    "Server",
    "by_database",
    "closed",
    "databases",
    "gone",
    "ident",
    "said",
    "stranger",
    "unknown",
]

T = TypeVar("T")

OLDEST = 15  # of those before it none is maintained any more
TRIES = 10  # for one transaction that others get in the way of
LIFE = 3.0  # seconds from its opening, in which a connection is used for another call
SWEEP = 0.5  # seconds between two looks for those that are older
KEPT = 16  # connections that wait for another call
LOCK = int.from_bytes(b"LKEY")  # the first half of our advisory locks

HELD = Outcome(Presence.HELD)
ABSENT = Outcome(Presence.ABSENT)

# The server says no, and would say it again.
REFUSALS = (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)

# Somebody else changed or dropped the same thing at the same moment: look again, try again.
_RACES = (
    errors.InternalError_,  # “tuple concurrently updated” has no code of its own
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.DuplicateObject,
    errors.UndefinedObject,
    errors.UndefinedTable,
    errors.InvalidSchemaName,
)


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of one call. When the call's time is up it begins nothing any more.

    That, and the server's own limits, make `Server.deadline` true. Nor does it wait for ever for
    a server that hangs.
    """

    until = float("inf")
    patience = 0.0
    born = 0.0

    @property
    def young(self) -> bool:
        return time.monotonic() - self.born < LIFE

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        left = self.until - time.monotonic()
        if left <= 0:
            raise psycopg.OperationalError("the time for this call is up")
        if left < float("inf"):
            timeout = min(left + self.patience, timeout or float("inf"))
        return super().wait(gen, interval, timeout)


class Idle:
    """Connections between two calls: to log in anew costs both sides more than most calls do.

    None lives for longer than `LIFE` from its opening: less than the 5 s that DROP DATABASE waits
    for others to leave. There are few of them: `KEPT`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = list[tuple[str, Connection]]()  # each with its database, the oldest first
        self._sweeping = False

    def take(self, dbname: str) -> Connection | None:
        """Return one that is young, and that the server has not closed, if there is one."""
        while found := self._newest(dbname):
            if found.young and not _has_news(found):  # it would say so
                return found
            found.close()
        return None

    def give(self, dbname: str, connection: Connection) -> None:
        """Keep it for a while, as if it were new: no lock of the call outlives it."""
        if not connection.young:
            connection.close()
            return
        connection.execute("discard all")
        with self._lock:
            self._kept.append((dbname, connection))
            gone = self._kept.pop(0)[1] if len(self._kept) > KEPT else None
            sweep, self._sweeping = not self._sweeping, True
        if gone:
            gone.close()
        if sweep:
            self._sweep_later()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            gone, self._kept = self._kept, []
        for _, connection in gone:
            connection.close()

    def _newest(self, dbname: str) -> Connection | None:
        with self._lock:
            for place in reversed(range(len(self._kept))):
                if self._kept[place][0] == dbname:
                    return self._kept.pop(place)[1]
        return None

    def _sweep_later(self) -> None:
        timer = threading.Timer(SWEEP, self._sweep)
        timer.daemon = True
        timer.start()

    def _sweep(self) -> None:
        with self._lock:
            gone = [connection for _, connection in self._kept if not connection.young]
            self._kept = [kept for kept in self._kept if kept[1].young]
            self._sweeping = bool(self._kept)
        for connection in gone:
            connection.close()
        if self._sweeping:
            self._sweep_later()


def _has_news(connection: Connection) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@dataclass(frozen=True, slots=True)
class Role:
    """A grantee's login as the server has it."""

    name: str
    oid: int
    can_login: bool
    ours: bool  # its comment names this installation
    member: bool  # Latchkey is one of it: who is not cannot end its sessions


class Server:
    """Gives out connections whose every statement, lock and pause the server itself limits."""

    def __init__(
        self, dsn: Secret, *, installation: str, connect_timeout: int, statement_timeout: int
    ) -> None:
        try:
            self.address = conninfo_to_dict(dsn.reveal())
        except psycopg.ProgrammingError:  # whose words would quote the password
            raise ValueError("the address of the PostgreSQL server cannot be read") from None
        self.idle = Idle()
        self._installation = installation
        self._seconds = statement_timeout
        # The last statement begins within the call's time, after at most one pause, and ends.
        self.deadline = timedelta(seconds=3 * statement_timeout)
        self._patience_ms = statement_timeout * 1000 // 3
        settings: dict[str, str | int] = {
            "statement_timeout": statement_timeout * 1000,
            "idle_session_timeout": statement_timeout * 1000,
            "idle_in_transaction_session_timeout": statement_timeout * 1000,
            "lock_timeout": self._patience_ms,
            "datestyle": "ISO",
            "timezone": "UTC",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._parts: dict[str, Any] = self.address | {
            "connect_timeout": connect_timeout,
            "tcp_user_timeout": statement_timeout * 1000,
            "application_name": "latchkey",
            "options": f"{self.address.get('options') or ''} {options}".strip(),
        }

    @contextlib.contextmanager
    def main(self) -> Iterator[Connection]:
        """Give out the connection that a call begins with. Its faults are `Unavailable`."""
        try:
            with self.session(time.monotonic() + self._seconds) as connection:
                yield connection
        except psycopg.Error as error:
            raise Unavailable(said(error)) from error

    @contextlib.contextmanager
    def session(self, until: float, dbname: str | None = None) -> Iterator[Connection]:
        """Give out a connection, to the address's own database or another, for a call's rest."""
        parts = self._parts | ({"dbname": dbname} if dbname else {})
        name = str(parts.get("dbname") or "")
        connection = self.idle.take(name) or self._connect(parts)
        connection.until = until
        connection.patience = 2.0 * self._seconds
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        try:
            self.idle.give(name, connection)
        except (psycopg.Error, RuntimeError):  # what it was opened for is done
            connection.close()

    def _connect(self, parts: dict[str, Any]) -> Connection:
        made = Connection.connect(make_conninfo(**parts), autocommit=True, prepare_threshold=None)
        made.born = time.monotonic()
        return made

    def signature(self) -> str:
        """Return what the comment of every role that this installation makes begins with."""
        return f"Latchkey {json.dumps(self._installation, ensure_ascii=False)}: login of "

    def lock(self, main: Connection, login: Login, *, firmly: bool) -> None:
        """Keep others from the same login until the connection ends."""
        take = "select pg_advisory_lock(%s, hashtext(%s))"
        self.insist(main, lambda: main.execute(take, [LOCK, login.name]), firmly=firmly)

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
        values = {"lock": LOCK, "signature": self.signature(), "patience": self._patience_ms}
        return bool(connection.execute(_CLEAR, values).rowcount)

    def find(self, main: Connection, login: Login) -> Role | None:
        row = main.execute(
            "select rolname, oid, rolcanlogin,"
            " starts_with(coalesce(shobj_description(oid, 'pg_authid'), ''), %s),"
            " pg_has_role(oid, 'USAGE') from pg_roles where rolname = %s",
            [self.signature(), login.name],
        ).fetchone()
        return Role(*row) if row else None

    def join(self, main: Connection, role: Role) -> None:
        """Make Latchkey a member again, if it may; who made the role may."""
        if not role.member:
            with contextlib.suppress(errors.InsufficientPrivilege):
                main.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role.name)))

    def made(self, main: Connection) -> list[tuple[str, bool]]:
        """Return the roles of this installation, and whether Latchkey is a member of each."""
        return main.execute(
            "select rolname, pg_has_role(oid, 'USAGE') from pg_roles where starts_with("
            "coalesce(shobj_description(oid, 'pg_authid'), ''), %s) order by 1",
            [self.signature()],
        ).fetchall()

    def end_sessions(self, main: Connection, role: Role, database: int | None = None) -> str:
        """End the role's sessions, in one database or all. Say so if one will not go."""
        values = {"role": role.oid, "database": database, "patience": self._patience_ms}
        try:
            # All at once first; then wait for each.
            if not main.execute(_END, values).rowcount:
                return ""
            main.execute(_END_AND_WAIT, values)
        except errors.InsufficientPrivilege as error:
            cure = f"GRANT {ident(role.name)} TO {ident(main.info.user)};"
            return f"Open sessions could not be ended: {said(error)}. Cure: {cure}"
        left = main.execute(_SESSIONS, values).rowcount
        return f"Open sessions that do not end: {left}." if left else ""


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
                union all select xmax from pg_default_acl
            )
        end
) as obstacle
""")


def databases(main: Connection, *, templates: bool = False) -> list[Database]:
    rows = main.execute(
        "select d.oid, datname, rolname, pg_has_role(datdba, 'USAGE'), rolsuper,"
        " datallowconn and has_database_privilege(d.oid, 'CONNECT')"
        " from pg_database d join pg_roles r on r.oid = datdba"
        " where %s or not datistemplate order by datname",
        [templates],
    )
    return [Database(*row) for row in rows]


def by_database(targets: Iterable[Target]) -> dict[int, list[Target]]:
    """Sort by the database's id. Those whose source id says nothing come under 0, which is none."""
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


def unknown(reason: str) -> Outcome:
    return Outcome(Presence.UNKNOWN, reason)


def gone(target: Target) -> Outcome:
    reason = f"{target.path} is gone, or “{target.permission}” cannot be had on it."
    return Outcome(Presence.REFUSED, reason)


def stranger(login: Login) -> str:
    return f"The login “{login.name}” is there, but this installation of Latchkey did not make it."


def closed(database: Database, me: str) -> str:
    reason = f"Latchkey may not connect to the database {path_of(database.name)}."
    if database.mine:
        return f"{reason} It takes no connections."
    if database.superuser:
        return f"{reason} Cure: give it another owner than the superuser {ident(database.owner)}."
    return f"{reason} Cure: GRANT {ident(database.owner)} TO {ident(me)};"
