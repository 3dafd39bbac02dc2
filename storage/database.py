"""Opens the database, and gives out transactions: one writer at a time, in order, on SQLite."""

import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import stamina
from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    Update,
    UpdateBase,
    create_engine,
    event,
    func,
    make_url,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import dml as postgresql_dml
from sqlalchemy.dialects.sqlite import dml as sqlite_dml
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InvalidatePoolError,
    InvalidRequestError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.selectable import TypedReturnsRows
from sqlmodel import Session, col

from engine import alarms
from engine.errors import LatchkeyError
from storage import files
from storage.dialects import COMPILED, spoken
from storage.notices import notify
from storage.readings import ClockReader, take
from storage.secrets import KeyRing
from storage.sessions import ANSWERED_AT_LAST, Sessions, UnfitStoreError, owner_of, schema_of
from storage.statements import Columns, Statements, cut_off, is_cut_off
from storage.tables import CompanyRow, Fact, GroupRow
from storage.types import db_now, read_json
from storage.unread import Unread

WRITERS = 3  # at once, on PostgreSQL
READERS = 10  # at once, on SQLite, where each knows the schema and its statements by itself
IN_A_ROW = 3  # urgent writers: the clock loop, the access loop and the heartbeat, each once
URGENT_PATIENCE = 10.0  # seconds
LOCKED_FOR = 1.2  # seconds that what ends access waits for a lock, if others wait for longer
QUEUE_FOR, QUEUE_AGAIN = 0.2, 0.05  # seconds that others wait behind one who waits to be alone
QUEUES = 10  # times
RESTED = 1.0  # seconds since it was last taken, after which a connection may be gone

_NOW = select(db_now())
_MAKE = {
    "sqlite": sqlite_dml.insert(CompanyRow).on_conflict_do_nothing(),
    "postgresql": postgresql_dml.insert(CompanyRow).on_conflict_do_nothing(),
}
_TO_THE_HOST = re.compile("^[^:]*://([^:/]*(:[^@]*)?@)?")  # as SQLAlchemy reads it
_NEXT = update(CompanyRow).values(epoch=col(CompanyRow.epoch) + 1).returning(col(CompanyRow.epoch))
_THERE = select(col(CompanyRow.id))
_NUMBERS = union_all(*(select(func.max(fact.epoch)) for fact in Fact.__subclasses__()))
_SOURCES = select(col(GroupRow.source)).distinct()
_UNKNOWN_SINCE = datetime(1970, 1, 1, tzinfo=UTC).isoformat()
# Changes that touch no other row, as a pause does, are in no number that is left.
UNSEEN = 1_000_000
_FACTS = frozenset(fact.__tablename__ for fact in Fact.__subclasses__())
_CACHE = 512  # KiB of pages for each connection; the system holds the file in its memory as well
# What is no UTF-8 is read all the same: the driver would refuse all rows because of one.
_TEXT = partial(str, encoding="utf-8", errors="replace")

Topic = str  # a loop's name: "clock", "access", "messages"

_TAKEN = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# Classes of SQLSTATE (PostgreSQL, appendix A): the connection, rolled back, no resources, not in
# the right state (a lock that was waited for), an operator's intervention.
_PASSING = ("08", "40", "53", "55", "57")
_REFUSING = (
    "starting up",
    "shutting down",
    "recovery",
    "terminating",
    "connection slots",
    "too many",
)


class UncountedError(LatchkeyError):
    """A fact would be changed without the number of the change: write it by `storage.batch`."""


class BusyError(LatchkeyError):
    """Others have written for longer than this process would wait."""


# The database does not answer, is busy, or is not as it has to be: what was begun is undone, and
# can be tried again.
AWAY = (OperationalError, InterfaceError, NoConnectionError, BusyError, UnfitStoreError)
FAULTS = (DBAPIError, *AWAY)  # whatever it answers instead of doing what it was asked
STORED_ALREADY = (IntegrityError,)  # somebody else stored the same at this moment


def is_locked(fault: Exception) -> bool:
    """Tell whether somebody held a row locked for too long. The database is well; others go on."""
    return isinstance(fault, OperationalError) and getattr(fault.orig, "sqlstate", "") == "55P03"


def is_deadlock(fault: Exception) -> bool:
    """Tell whether two waited for each other, and this one was undone: it may try again."""
    state = getattr(fault.orig, "sqlstate", "") if isinstance(fault, OperationalError) else ""
    return state in {"40P01", "40001"}


def passes(fault: Exception) -> bool:
    """Tell whether it may be gone in a moment: a restart, a lock, no connection left.

    What only a person mends does not: a password, a name, rights, a damaged file.
    """
    if isinstance(fault, NoConnectionError | BusyError):
        return True
    cause: BaseException | None = getattr(fault, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _TAKEN
    if state := getattr(cause, "sqlstate", None):
        return state[:2] in _PASSING or is_cut_off(cause)
    said = str(cause or "")
    # What a server answers to a new connection comes without its code.
    return cause is not None and ("FATAL" not in said or any(word in said for word in _REFUSING))


def is_away(fault: Exception) -> bool:
    """Tell whether nothing else would get on with the database either."""
    return isinstance(fault, AWAY) and not is_locked(fault)


def clock_of(session: "Read") -> float:
    """Return what the database's clock says: seconds since 1970."""
    now: float = session.execute(_NOW).scalar_one()
    return now


def supported(address: str) -> str:
    """Return the address of a database as the driver wants it.

    Raises ValueError, with a sentence that has no part of the password in it.
    """
    address = re.sub("^postgresql://", "postgresql+psycopg://", address)
    try:
        url = make_url(address)
        if url.drivername == "postgresql+psycopg":
            if "@" in _TO_THE_HOST.sub("", address, count=1):
                raise ValueError  # noqa: TRY301  (a part of the password, read as the host)
            url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):  # whose words would quote parts of a password
        raise ValueError(
            "give a URL like sqlite:///latchkey.db or postgresql+psycopg://USER:PASSWORD@HOST/"
            "NAME, where an @, / or : of the password is written as %40, %2F, %3A"
        ) from None
    if url.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise ValueError(f"{url.drivername} is not supported: use sqlite or postgresql")
    if url.drivername == "sqlite" and file_of(address) is None:
        raise ValueError(
            "a database in memory is gone with the process, and the duty to end access with "
            "it: name a file, like sqlite:///latchkey.db"
        )
    schema_of(url)
    owner_of(url)
    return address


def of_owner(owner: str, database: str) -> str:
    """Return the address by which the schema's owner reaches it: by a name of its own."""
    url = make_url(owner).difference_update_query(["owner"])
    place = {"schema": schema_of(make_url(database))}
    return url.update_query_dict(place).render_as_string(hide_password=False)


def file_of(url: str) -> Path | None:
    """Return where SQLite keeps a database; None: it is another kind, or in memory."""
    parsed = make_url(url)
    named = parsed.get_backend_name() == "sqlite" and parsed.database
    return Path(named).absolute() if named and named != ":memory:" else None


def address(url: str) -> str:
    """Say which database an address means. It names no password, nor what may be a part of one."""
    if file := file_of(url):
        return str(file)
    parsed = make_url(url)
    if "@" in f"{parsed.host}{parsed.database}":  # before it stands a part of the password
        return f"at …@{url.rpartition('@')[2].partition('/')[0]}"
    server = f"{parsed.host or 'the local server'}:{parsed.port or 5432}"
    return f"{parsed.database or parsed.username} on {server}, schema {schema_of(parsed)}"


def unusable(fault: Exception, url: str) -> str:
    """Say why a database cannot be used, and what to do about it."""
    words = str(getattr(fault, "orig", None) or fault) or type(fault).__name__
    why = words.splitlines()[0].removeprefix("connection failed: ").rstrip(".")
    said = f"The database {address(url)} cannot be used: {why}{'' if why.endswith(';') else '.'}"
    if isinstance(fault, UnfitStoreError | BusyError):
        return said  # with its cure
    if "not a database" in why:
        return f"{said} Give Latchkey's own, or none that is there, in LATCHKEY_DATABASE_URL."
    if file := file_of(url):
        cures = {
            "locked": "Another process writes, and does not end: `fuser {file}` names it. End it "
            "if it hangs, and try again.",
            "full": "Its disk is full: `df {file}`. Make room, and try again.",
            "I/O error": "Its disk is full, or fails: `df {file}`, and the system's log.",
            "malformed": "It is damaged: restore a back-up.",
            "no such": "That is not this Latchkey's schema: name its own file in "
            "LATCHKEY_DATABASE_URL.",
        }
        if cure := next((cure for word, cure in cures.items() if word in why), ""):
            return f"{said} {cure.format(file=file)}"
        return (
            f"{said} Let the user that Latchkey runs as read and write it and its folder, or give "
            "another in LATCHKEY_DATABASE_URL."
        )
    return f"{said} See that it runs and lets Latchkey in, or correct LATCHKEY_DATABASE_URL."


class Gate:
    """First come, first served, so many at once. Raises BusyError when one's turn does not come.

    SQLite lets one writer in and makes no queue: without this, loops starve listeners for seconds.
    PostgreSQL lets all in; but threads that share one interpreter hold their locks for longer, the
    more of them there are.

    Urgent ones go first, but no more than `IN_A_ROW` of them while others wait.
    """

    def __init__(self, patience: float = 10.0, room: int = 1) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._urgent: deque[threading.Event] = deque()
        self._in_a_row = 0
        self._room = room

    def enter(self, within: float, *, urgent: bool = False) -> bool:
        """Wait for one's turn, for so many seconds. True: `leave` has to follow."""
        with self._lock:
            if self._room:
                self._room -= 1
                return True
            turn, queue = threading.Event(), self._urgent if urgent else self._queue
            queue.append(turn)
        if turn.wait(within):
            return True
        with self._lock:
            if turn not in queue:
                return True  # it came at the last moment
            queue.remove(turn)
        return False

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue) + len(self._urgent)

    def leave(self) -> None:
        with self._lock:
            first = bool(self._urgent) and (self._in_a_row < IN_A_ROW or not self._queue)
            self._in_a_row = self._in_a_row + 1 if first else 0
            if queue := self._urgent if first else self._queue:
                queue.popleft().set()
            else:
                self._room += 1

    @contextmanager
    def urgently(self) -> Iterator[None]:
        """Pass before others, and wait for longer: nobody waits for an answer meanwhile."""
        if not self.enter(URGENT_PATIENCE, urgent=True):
            raise BusyError
        try:
            yield
        finally:
            self.leave()

    def __enter__(self) -> None:
        if not self.enter(self._patience):
            raise BusyError

    def __exit__(self, *_: object) -> None:
        self.leave()


class Read(Session):
    """Questions, each for itself: `ask` is the quick way for constants; the ORM knows the rest.

    `keys` are those of the database, for the audit; None: who opened it had none. `unread` takes
    what cannot be read.
    """

    def __init__(
        self, connection: Connection, statements: Statements, keys: KeyRing | None, unread: Unread
    ) -> None:
        super().__init__(connection, expire_on_commit=False)
        self._on, self._statements = connection, statements
        self.keys, self.unread = keys, unread
        self.dialect = connection.dialect.name

    def close(self) -> None:
        """Let go of what the ORM holds, if it was used."""
        if self.in_transaction() or self.identity_map:
            super().close()

    def ask(
        self, query: TypedReturnsRows[*Columns], values: Mapping[str, Any] = MappingProxyType({})
    ) -> list[tuple[*Columns]]:
        """Return the rows. `query` is a constant, with `bindparam`s that do not expand."""
        return self._statements.ask(self._on, query, values)


class Write(Read):
    """A writing transaction. `wake(topic)` tells a loop, after the commit, that it has work.

    `instance` is the process that writes, once it is registered (`storage.claims`).

    Each fact that it writes gets the number of its change (`storage.tables.Fact`). Who compares
    before writing is to be `alone` first.
    """

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        keys: KeyRing | None,
        unread: Unread,
        instance: int | None,
    ) -> None:
        super().__init__(connection, statements, keys, unread)
        self.topics = set[Topic]()
        self.instance = instance
        self._limit = "default"  # of the time that it waits for a lock
        self._alone = False
        self._epoch: int | None = None

    def alone(self) -> None:
        """Let nobody else change facts, or decide by them, until COMMIT.

        It queues behind those who decide at this moment, and they behind it: a lock of the row
        alone would be had at any moment by who decides, and never by this. Nor do they wait behind
        it for long, where somebody decides for ever.
        """
        if not self._alone and self.dialect == "postgresql":
            tries = 0
            while not self._queue():
                tries += 1
                if tries == QUEUES and self._limit != "0":
                    raise BusyError
                threading.Event().wait(QUEUE_AGAIN)  # by time that nobody sets
        self._alone = True

    def _queue(self) -> bool:
        """Stand in the queue for a moment; return whether the turn came."""
        self._statements.say(self._on, "savepoint queue")
        self._statements.say(self._on, f"set local lock_timeout = {QUEUE_FOR * 1000:.0f}")
        try:
            self._statements.say(self._on, "lock table company in exclusive mode")
        except OperationalError as fault:
            if not is_locked(fault):
                raise
            self._statements.say(self._on, "rollback to savepoint queue")
            return False
        self._statements.say(self._on, f"set local lock_timeout = {self._limit}")
        self._statements.say(self._on, "release savepoint queue")
        return True

    @property
    def is_alone(self) -> bool:
        return self._alone

    @property
    def changes_facts(self) -> bool:
        """Whether it has: what it sees nobody else knows yet."""
        return self._epoch is not None

    @property
    def epoch(self) -> int:
        """The number of the change that this transaction is, one more than that of the last."""
        if self._epoch is None:
            self.alone()
            self.ensure_company()
            ((self._epoch,),) = self.ask(_NEXT)
        return self._epoch

    def ask(
        self, query: TypedReturnsRows[*Columns], values: Mapping[str, Any] = MappingProxyType({})
    ) -> list[tuple[*Columns]]:
        self._goes_on()
        return super().ask(query, values)

    def do(self, statement: UpdateBase, *rows: Mapping[str, Any]) -> int:
        """Run a constant for each row of values; return how many rows it changed.

        Facts are changed by `storage.batch`. Raises UncountedError.
        """
        if _changes_facts(statement):
            raise UncountedError
        self._goes_on()
        return self._statements.do(self._on, statement, rows)

    def ensure_company(self) -> None:
        """Make the company's row anew if it is not there, so that facts can be changed."""
        if self.ask(_THERE):
            return
        row = {"id": 1, "syncing": False, "requests_from": 1, "installation": ""}
        row |= lost_company(self)
        self.do(_MAKE[self.dialect], row)

    def wake(self, *topics: Topic) -> None:
        self.topics.update(topics)

    def wait_for_others(self) -> None:
        """Wait for others' locks as long as they last: nobody waits for this transaction."""
        if self.dialect == "postgresql":
            self._limit = "0"
            driver: Any = self._on.connection.driver_connection
            driver.limit = ANSWERED_AT_LAST  # until it is taken from the pool again
            self._statements.say(self._on, "set local lock_timeout = 0")

    def leave_what_is_locked(self) -> None:
        """Wait for others' locks for `LOCKED_FOR` at most, then raise what `is_locked` tells."""
        if self.dialect == "postgresql":
            self._limit = f"{LOCKED_FOR * 1000:.0f}"
            self._statements.say(self._on, f"set local lock_timeout = {self._limit}")

    def finish(self) -> None:
        """Write what the ORM still holds."""
        if self.in_transaction():
            self.commit()  # of the session: the transaction is the connection's
        self._goes_on()

    @property
    def shared(self) -> set[Topic]:
        """What was woken for other processes, too."""
        # Messages are born leased to the one that wrote them.
        return self.topics - {"messages"} if self.instance else self.topics

    def _goes_on(self) -> None:
        """Refuse to work after the ORM has undone it: the driver would store what comes now."""
        if not self._on.in_transaction():
            raise InvalidRequestError("the transaction was undone")


def lost_company(session: Read) -> dict[str, Any]:
    """Return what is safe to take for the company's row, which is not there; and have it said.

    Nothing new begins, nobody is known to administer, and whoever knows facts reads them anew.
    """
    session.unread.note("company", 1, None, alarms.lost_company())
    seen = [n for n in session.execute(_NUMBERS).scalars() if isinstance(n, int)]
    epoch = max(seen, default=0) + UNSEEN
    failing = dict.fromkeys(map(str, session.execute(_SOURCES).scalars()), _UNKNOWN_SINCE)
    row = {"epoch": epoch, "forgotten": epoch, "paused": True}
    return row | {"admins": [], "failing": failing}


def _changes_facts(statement: UpdateBase) -> bool:
    """Tell whether it does, and says nothing of its number (the option `facts`)."""
    table: Any = statement.table
    return table.name in _FACTS and "facts" not in statement.get_execution_options()


@event.listens_for(Write, "before_flush")
def _number_facts(tx: Write, _context: object, _instances: object) -> None:
    if any(isinstance(row, Fact) for row in tx.deleted):
        raise UncountedError
    for row in (*tx.new, *tx.dirty):
        if isinstance(row, Fact) and (row in tx.new or tx.is_modified(row)):
            row.epoch = tx.epoch


@event.listens_for(Write, "do_orm_execute")
def _number_update(state: ORMExecuteState) -> None:
    statement, tx = state.statement, cast(Write, state.session)
    said = state.execution_options.get("facts")
    if said or not isinstance(statement, UpdateBase) or not _changes_facts(statement):
        return
    if not isinstance(statement, Update):
        raise UncountedError
    state.statement = statement.values(epoch=tx.epoch)


class Database:
    """`url` is SQLAlchemy's: `sqlite:///file` or `postgresql+psycopg://…[?schema=…]`.

    SQLite's file is made where nobody else can write; elsewhere it raises UnsafePlaceError.
    `on_commit` is called after each commit with the topics that it woke. `patience`: the seconds to
    wait for one's turn in this process, then for others' locks, and for a connection. `fresh`, on
    PostgreSQL, returns the address as it is at the time of a connection. `keys` prove what is
    written to the audit.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: int = 25,
        patience: float = 10.0,
        fresh: Callable[[], str] | None = None,
        keys: KeyRing | None = None,
    ) -> None:
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        self.file = files.make_private(parsed.database or "") if self.sqlite else None
        self.url = url
        self.keys = keys
        self.sessions = None if self.sqlite else Sessions(url, patience, fresh)
        self._patience = patience
        self._gate = Gate(patience, 1 if self.sqlite else WRITERS)
        # On SQLite only one writes at a time.
        self.writer = self._open(1 if self.sqlite else pool, patience)
        # It never leaves anything to be undone when a connection goes back.
        alone: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
        self.reader = self._open(min(pool, READERS) if self.sqlite else pool, patience, **alone)
        if self.sqlite:
            event.listen(self.writer, "begin", self._begin_immediate)
        self._only: Connection | None = None  # SQLite's, to write with
        self._closed = False
        self._lost = float("-inf")  # when a connection was last found to be gone
        self.statements = Statements(self.writer.dialect, self._lost_one)
        self.unread = Unread()
        self.instance: int | None = None
        self.clock = ClockReader()
        self.on_commit: list[Callable[[set[Topic]], None]] = []

    def _open(self, pool: int, patience: float, **more: Any) -> Engine:  # noqa: ANN401
        # What people wrote, and what is sealed, stays out of the text of errors.
        common: dict[str, Any] = {
            "pool_size": pool,
            "pool_use_lifo": True,  # those that are seldom needed stay cold, and small
            "max_overflow": 0,
            "pool_timeout": patience,
            "hide_parameters": True,
            "json_deserializer": read_json,
            "execution_options": {"compiled_cache": COMPILED},
            **more,
        }
        if self.sessions:
            # It would ask for a type that is not used, before each first statement.
            engine = create_engine(spoken(self.sessions.url), use_native_hstore=False, **common)
            event.listen(engine, "do_connect", _connect(self.sessions))
            event.listen(engine, "checkout", self._still_there(engine, self.sessions.limit))
            event.listen(engine, "handle_error", self._has_failed, retval=True)
            event.listen(engine, "do_executemany", _execute_one)
            event.listen(engine, "checkin", self._given_back)
            return engine
        # The driver waits for others' locks for as long as `timeout` says. Statements that it keeps
        # prepared save the writer a fifth of its time; for 25 readers they would be 20 MB.
        kept = 128 if pool == 1 else 32
        there = {"check_same_thread": False, "timeout": patience, "cached_statements": kept}
        engine = create_engine(spoken(self.url), connect_args=there, **common)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "checkin", self._given_back)
        return engine

    @contextmanager
    def write(self, *, urgent: bool = False) -> Iterator[Write]:
        """Open a writing transaction: committed at the end of the block, undone by an exception.

        Urgent is what ends access, and what says that this process lives: it does not queue behind
        what people and other loops write, of which there may be much, and much to wait for. Nor
        does it wait for long for a row that somebody holds locked: the others would wait with it.
        """
        with self._turn(urgent=urgent), self._connected() as connection:
            with (
                connection.begin(),
                Write(connection, self.statements, self.keys, self.unread, self.instance) as tx,
            ):
                if urgent and self._patience > LOCKED_FOR:
                    tx.leave_what_is_locked()
                yield tx
                tx.finish()
            if tx.shared and not self.sqlite:
                self._notify(connection, tx.shared)
        for listener in self.on_commit:
            listener(tx.topics)

    def _turn(self, *, urgent: bool) -> AbstractContextManager[None]:
        if not urgent:
            return self._gate
        return self._gate.urgently() if self.sqlite else nullcontext()

    def _notify(self, connection: Connection, topics: set[Topic]) -> None:
        """Tell other processes. What is committed stays so if it fails: they look by themselves.

        In the transaction it would hold a lock of the whole server's while the commit is written.
        """
        try:
            notify(cast(Any, connection.connection.driver_connection), topics)
        except self.writer.dialect.loaded_dbapi.Error as fault:
            connection.invalidate(fault)
            self._lost_one()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Lend a connection to write with. SQLite's one is not given back: the gate keeps it."""
        if not self.sqlite:
            with self.writer.connect() as connection:
                yield connection
            return
        if self._only is None:
            self._only = self.writer.connect()
        yield self._only

    @contextmanager
    def read(self) -> Iterator[Read]:
        """Open a session that only reads, each statement for itself."""
        with (
            self.reader.connect() as connection,
            Read(connection, self.statements, self.keys, self.unread) as session,
        ):
            yield session

    def now(self) -> datetime:
        """Return the moment by the database's clock, which is the same for all who share it.

        It is asked once; after that, whoever reads it lets `clock` hear what it says.
        """
        if not self.clock.known:
            with self.read() as session:
                self.clock.hear(take(lambda: session.execute(_NOW).scalar_one()))
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def _still_there(
        self, engine: Engine, limit: float
    ) -> Callable[[Any, ConnectionPoolEntry, object], None]:
        """Ask only a connection that may be gone: it is a way there and back for each use."""

        def ask(connection: Any, record: ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401
            now = time.monotonic()
            connection.limit = limit
            if record.info.get("taken", now) < max(self._lost, now - RESTED):
                try:
                    engine.dialect.do_ping(connection)
                except engine.dialect.loaded_dbapi.Error as fault:
                    # The others that rest are as old: all are opened anew.
                    raise InvalidatePoolError from fault
            # Not when it was given back: it may have been idle in somebody's hands when it was cut.
            record.info["taken"] = now

        return ask

    def _given_back(self, connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401
        """Close what somebody had in hand, or was still opening, when all was closed."""
        if self._closed and connection is not None:
            connection.close()

    def _has_failed(self, context: ExceptionContext) -> Exception | None:
        if context.is_disconnect:
            self._lost_one()
        fault = context.original_exception
        return cut_off(context.statement or "", fault) if is_cut_off(fault) else None

    def _lost_one(self) -> None:
        self._lost = time.monotonic()

    def _begin_immediate(self, connection: Connection) -> None:
        # The library's default begins late: two processes read, both write, one update is lost.
        self.statements.say(connection, "BEGIN IMMEDIATE")

    def close(self) -> None:
        """Close all connections, and those that are in somebody's hands when they come back."""
        self._closed = True
        self.let_go()

    def let_go(self) -> None:
        """Close the connections that are in nobody's hands: others are opened when needed."""
        if self._only:
            self._only.close()
            self._only = None
        self.writer.dispose()
        self.reader.dispose()


def _connect(sessions: Sessions) -> Callable[..., Any]:
    def connect(_dialect: object, _record: object, _: object, given: dict[str, Any]) -> Any:  # noqa: ANN401  (DB-API)
        return sessions.connect(context=given["context"])  # how SQLAlchemy wants values read

    return connect


def _configure_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401  (DB-API)
    connection.isolation_level = None
    connection.text_factory = _TEXT
    cursor = connection.cursor()
    for pragma in ("synchronous=full", "foreign_keys=on", f"cache_size=-{_CACHE}"):
        cursor.execute(f"pragma {pragma}")
    # A file that several processes open for the first time: SQLite does not wait its turn here.
    for attempt in stamina.retry_context(
        on=sqlite3.OperationalError, attempts=None, timeout=10, wait_initial=0.01, wait_max=0.1
    ):
        with attempt:
            cursor.execute("pragma journal_mode=wal")
    cursor.close()


def _execute_one(
    cursor: Any,  # noqa: ANN401  (DB-API)
    statement: str,
    parameters: Sequence[Any],
    _context: object,
) -> bool:
    """Execute a batch of one as what it is, and return whether that is done.

    For a batch psycopg opens a pipeline, which takes twice as long.
    """
    if len(parameters) == 1:
        cursor.execute(statement, parameters[0])
    return len(parameters) == 1
