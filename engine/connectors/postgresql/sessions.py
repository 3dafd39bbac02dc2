"""Connections to one PostgreSQL server: what others could set for them is pinned, and read back.

An owner of a database, or an administrator of roles, can set almost anything for the sessions of
others (ALTER DATABASE … SET, ALTER ROLE … SET). What a client asks for at its start goes before
that. A pooler in between may leave it out: then nothing is done.
"""

import contextlib
import os
import secrets
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine.connectors import transport
from engine.connectors.elapsed import boottime
from engine.port import Secret, Unavailable

__all__ = [
    "GONE",
    "NO",
    "RACES",
    "Address",
    "Connection",
    "NotDirectError",
    "Sessions",
    "acting_as",
    "said",
]

T = TypeVar("T")
Address = Secret | Callable[[], Secret]

# What was spoken of is not there, or is there already: somebody did so at the same moment.
GONE = (
    errors.UndefinedObject,
    errors.UndefinedTable,
    errors.UndefinedFunction,
    errors.InvalidSchemaName,
    errors.DuplicateObject,
)
# Somebody else got in the way: look again, try again.
RACES = (
    *GONE,
    errors.InternalError_,  # “tuple concurrently updated” has no code of its own
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
)

LIFE = 3.0  # seconds from its opening, in which a connection is used for another call
SWEEP = 0.5  # seconds between two looks for those that are older
KEPT = 16  # connections that wait for another call

# What would change what our statements mean, or whether they succeed.
_PINNED = {
    # Nobody's function, operator or type comes before the server's own.
    "search_path": "pg_catalog,pg_temp",
    "role": "none",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_deferrable": "off",
    "row_security": "on",
    "synchronous_commit": "on",  # what was reported as ended stays so if the server crashes
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "password_encryption": "scram-sha-256",
    "bytea_output": "hex",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "exit_on_error": "off",
    "local_preload_libraries": "",
    "tcp_user_timeout": "0",
    "client_connection_check_interval": "0",
}
# Some servers know these, and others refuse to be asked for what they do not know.
_PINNED_SINCE = {
    # Verifiers are made in this process: each iteration costs it time, and too few are no defence.
    160000: {"createrole_self_grant": "", "scram_iterations": "4096"},
    170000: {"transaction_timeout": "0"},
}
# A name that nobody else sets, with a value that nobody knows: it tells that all have arrived.
_PROOF = "latchkey.session"
_READ_BACK = (
    _PROOF,
    "search_path",
    "role",
    "default_transaction_read_only",
    "row_security",
    "statement_timeout",
    "lock_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
)
_REFUSED = ("unsupported startup parameter", "command-line options")  # PgBouncer's, RDS Proxy's
_UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}

# A backup restored to an earlier moment keeps the identifier: its timeline is another.
_WHO = """
select pg_is_in_recovery(), system_identifier::text,
    case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end
from pg_control_system()
"""


# The server says no, and not because somebody got in the way. An event trigger may say anything.
NO = (
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
    psycopg.DataError,
    psycopg.IntegrityError,
    errors.RaiseException,
)


def said(error: psycopg.Error) -> str:
    """Return the server's words, in one line, without a full stop."""
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


class NotDirectError(psycopg.OperationalError):
    """Something between Latchkey and the server drops what promises rest on."""

    def __init__(self) -> None:
        super().__init__(
            "between Latchkey and the server stands a pooler, such as PgBouncer, that drops what a"
            " session asks for at its start. Cure: let the address lead straight to the server;"
            " pooling by session does not do either"
        )


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of one call. When the call's time is up it begins nothing any more.

    That, and the server's own limits, make `Server.deadline` true. Nor does it wait for ever for
    a server that hangs. `server` names the server, as long as it is no `standby`.
    """

    until = float("inf")
    patience: float
    born: float
    server = ""
    standby = False

    @property
    def young(self) -> bool:
        return time.monotonic() - self.born < LIFE

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        left = self.until - boottime()  # a call is over, too, where the machine was suspended
        if left <= 0:
            raise psycopg.OperationalError("the time for this call is up")
        if left < float("inf"):
            timeout = min(left + self.patience, timeout or float("inf"))
        return super().wait(gen, interval, timeout)


@contextlib.contextmanager
def acting_as(connection: Connection, role: str) -> Iterator[None]:
    """Take on a role for a while, whose rights need not be inherited; empty: stay as it is."""
    if not role:
        yield
        return
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
    try:
        yield
    except psycopg.Error:
        with contextlib.suppress(psycopg.Error):  # in a transaction, its undoing undoes this
            connection.execute("set role none")
        raise
    connection.execute("set role none")


class Sessions:
    """Gives out connections whose every statement, lock and pause the server itself limits.

    `address` is libpq's, or what returns it: it is asked anew for each connection, since the
    password may be another one by now, and may raise Unavailable. Time-outs are in seconds.
    Raises ValueError for an address that cannot be read, and what `address` raises.
    """

    def __init__(self, address: Address, *, connect_timeout: int, statement_timeout: int) -> None:
        self._given = address if callable(address) else lambda: address
        self.address = _read(self._given())  # as it was read last
        self.idle = Idle()
        self.seconds = statement_timeout
        # The last statement begins within the call's time, after at most one pause, and ends.
        self.deadline = timedelta(seconds=3 * statement_timeout)
        self.patience_ms = statement_timeout * 1000 // 3
        self._limits = {
            "statement_timeout": statement_timeout * 1000,
            "lock_timeout": self.patience_ms,
            "idle_session_timeout": statement_timeout * 1000,
            "idle_in_transaction_session_timeout": statement_timeout * 1000,
        }
        self._more: dict[str, Any] = {
            "connect_timeout": connect_timeout,
            "tcp_user_timeout": statement_timeout * 1000,
            "application_name": "latchkey",
        }
        self._proof = secrets.token_hex(8)
        self._version = 0  # of the server, as last met

    @contextlib.contextmanager
    def session(self, until: float, dbname: str | None = None) -> Iterator[Connection]:
        """Give out a connection, to the address's own database or another, for a call's rest.

        `until`: the moment of `boottime` at which the call's time is up.
        """
        name = dbname or str(self.address.get("dbname") or "")
        connection = self.idle.take(name) or self._connect(self._parts(dbname), until)
        connection.until = until
        connection.patience = 2.0 * self.seconds
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        try:
            self.idle.give(name, connection)
        except (psycopg.Error, RuntimeError):  # what it was opened for is done
            connection.close()

    def _parts(self, dbname: str | None) -> dict[str, Any]:
        """Return what to connect with, read anew."""
        try:
            self.address = _read(self._given())
        except ValueError as fault:
            raise Unavailable(str(fault)) from None
        return self.address | self._more | ({"dbname": dbname} if dbname else {})

    def _connect(self, parts: dict[str, Any], until: float) -> Connection:
        made = self._open(parts)
        before, self._version = self._version, made.info.server_version
        if any(before < since <= self._version for since in _PINNED_SINCE):
            made.close()  # it knows more than was asked for
            made = self._open(parts)
        try:
            made.until, made.patience = until, 2.0 * self.seconds
            self._read_back(made)
            _meet(made)
        except BaseException:
            made.close()
            raise
        return made

    def _open(self, parts: dict[str, Any]) -> Connection:
        try:
            made = self._begin(parts)
        except psycopg.OperationalError as fault:
            if "unrecognized configuration parameter" in str(fault) and self._version:
                self._version = 0  # it was replaced by an older one
                made = self._begin(parts)
            elif any(words in str(fault) for words in _REFUSED):
                raise NotDirectError from None
            else:
                raise
        made.born = time.monotonic()
        return made

    def _begin(self, parts: dict[str, Any]) -> Connection:
        """Open it with the options: ours last, as the last one counts."""
        pinned: dict[str, object] = {**_PINNED, **self._limits, _PROOF: self._proof}
        for since, more in _PINNED_SINCE.items():
            if self._version >= since:
                pinned |= more
        ours = " ".join(f"-c {name}={value}" for name, value in pinned.items())
        options = f"{parts.get('options') or ''} {ours}".strip()
        whole = make_conninfo(**{**parts, "options": options})
        return Connection.connect(whole, autocommit=True, prepare_threshold=None)

    def _read_back(self, made: Connection) -> None:
        """Ask by SHOW only: until it is known, any function might be somebody else's."""
        try:
            cursor = made.execute("; ".join(f"show {name}" for name in _READ_BACK))
        except errors.UndefinedObject:
            raise NotDirectError from None
        found: dict[str, str] = {}
        for name in _READ_BACK:
            ((found[name],),) = cursor.fetchall()
            cursor.nextset()
        wanted: Mapping[str, object] = {**_PINNED, **self._limits, _PROOF: self._proof}
        for name, value in found.items():
            if name in self._limits:
                same = _milliseconds(value) == wanted[name]
            else:
                same = value.replace(" ", "") == wanted[name]
            if not same:
                raise NotDirectError


def _read(address: Secret) -> dict[str, Any]:
    try:
        given = conninfo_to_dict(address.reveal())
    except psycopg.ProgrammingError:  # whose words would quote the password
        raise ValueError("the address of the PostgreSQL server cannot be read") from None
    return transport.guarded(given, os.environ)


def _meet(made: Connection) -> None:
    """Learn which server it is."""
    made.standby, system, timeline = made.execute(_WHO).fetchone() or (True, "", "")
    made.server = "" if made.standby else f"{system}/{int(timeline, 16)}"


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


def _milliseconds(shown: str) -> int:
    """Read a duration as SHOW writes it: “15s”, “500ms”, “0”."""
    number = shown.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(number) * _UNITS.get(shown[len(number) :], 1)
