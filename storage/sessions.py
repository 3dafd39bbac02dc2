"""Sessions on Latchkey's own PostgreSQL: started so that nobody else steers them.

Whoever owns the database, or looks after its roles, can set for all sessions what statements mean
and whether they succeed (ALTER DATABASE, ALTER ROLE … SET). What a session itself asks for at its
start comes before that. Names are looked for in Latchkey's own schema and nowhere else: in another
somebody may have planted a function that fits better than the server's.
"""

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors, sql
from psycopg.abc import AdaptContext, Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import URL, make_url

from engine.connectors.transport import Transport, examine, guarded
from engine.errors import LatchkeyError

__all__ = [
    "BadSchemaError",
    "Sessions",
    "UnfitStoreError",
    "owner_of",
    "schema_of",
    "strangers",
]

T = TypeVar("T")
Connection = psycopg.Connection[Any]

SCHEMA = "latchkey"
AFTER = ("pg_temp",)  # looked into last; pg_catalog, which is not named, first
NAMED = 10  # of what others have planted
_NAME = re.compile(r"(?!pg_|public$|information_schema$)[a-z_][a-z0-9_]{0,62}")

# Read back after the start: what is stored, and what it means, rests on these.
_PINNED = {
    "role": "none",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "row_security": "off",  # rather an error than rows that are not seen
    "synchronous_commit": "on",  # what is committed is acted upon
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "5s",  # a process that was stopped holds locks
    "exit_on_error": "off",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "IntervalStyle": "postgres",
    "default_tablespace": "",
    "default_table_access_method": "heap",
    "local_preload_libraries": "",
}
# The environment (PGTZ, PGDATESTYLE) comes before them. Moments are sent and read with their zone.
# To compile a query of five hundred conditions takes a minute, to answer it nothing.
_SPOKEN = {"TimeZone": "UTC", "DateStyle": "ISO, MDY", "jit": "off"}
# A name that nobody else can set, with a value that nobody knows: it tells that all have arrived.
_PROOF = "latchkey.session"

# A server that has gone without a word is found out: a heartbeat, and what ends access, would wait
# for it for a quarter of an hour, and on a connection that only listens for ever.
_GONE = {
    "tcp_user_timeout": "10000",  # milliseconds
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}

# The system at the other end may be well, and what listens there may hang.
ANSWERED = 10.0  # seconds that a statement may take besides what it waits for others' locks
ANSWERED_AT_LAST = 3600.0  # seconds: the longest migration, or a lock that is waited for by choice

_REFUSALS = ("unsupported startup parameter", "command-line options")  # PgBouncer's, RDS Proxy's

BETWEEN = (
    "What Latchkey asks for at the start of a session does not arrive at the database: a pooler "
    "such as PgBouncer stands in between. Give the address of the server itself in "
    "LATCHKEY_DATABASE_URL. Latchkey pools by itself, and a pooler in session mode does not do "
    "either."
)

_OWNER = """
select oid, pg_get_userbyid(nspowner), pg_get_userbyid(nspowner) = coalesce(%s, current_user)
from pg_namespace where nspname = %s
"""
_MAKERS = """
select distinct case grantee when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(grantee)) end
from pg_namespace, aclexplode(nspacl)
where pg_namespace.oid = %s and privilege_type = 'CREATE' and grantee <> nspowner
order by 1
"""
_FOREIGN = """
select pg_get_userbyid(owner), type, identity
from (
    select 'pg_class'::regclass, oid, relowner, relnamespace from pg_class
    union all select 'pg_proc'::regclass, oid, proowner, pronamespace from pg_proc
    union all select 'pg_operator'::regclass, oid, oprowner, oprnamespace from pg_operator
    union all select 'pg_collation'::regclass, oid, collowner, collnamespace from pg_collation
    union all select 'pg_type'::regclass, oid, typowner, typnamespace from pg_type
              where typrelid = 0 and typelem = 0
) as thing (class, oid, owner, schema), pg_identify_object(class, thing.oid, 0)
where thing.schema = %(schema)s
  and owner <> (select nspowner from pg_namespace where oid = %(schema)s)
order by type = 'function', type, identity  -- nothing before what it is made of
"""
_IS_ROLE = "select 1 from pg_roles where rolname = %s"
_OUR_OWN = frozenset({"alembic_version", "audit", "request"})
_PUBLIC = """
select word from unnest(array['CONNECT', 'CREATE']) as asked (word)
where has_database_privilege('public', current_database(), word)
"""


_MAY_MAKE = "select has_database_privilege(current_database(), 'CREATE')"


class BadSchemaError(LatchkeyError, ValueError):
    """`schema=` in the database's address is no name of Latchkey's own, or `owner=` is none."""


class UnfitStoreError(LatchkeyError):
    """The database cannot be Latchkey's as it is. The text says why, and what to do."""


def schema_of(url: URL) -> str:
    """Return the schema that an address means: `?schema=…`, else “latchkey”."""
    name = url.query.get("schema", SCHEMA)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadSchemaError(
            "schema= names a schema of Latchkey's own: small letters, digits and _, "
            "neither public nor beginning with pg_"
        )
    return name


def owner_of(url: URL) -> str | None:
    """Return who owns the schema, if not the login itself: `?owner=…`."""
    name = url.query.get("owner")
    if isinstance(name, tuple) or name == "":
        raise BadSchemaError("owner= names one role: the one that owns Latchkey's schema")
    return name


def strangers(connection: Connection) -> str:
    """Return what everybody may do in the database, with what its owner has to run; or nothing."""
    found = [word.lower() for (word,) in connection.execute(_PUBLIC)]
    if not found:
        return ""
    there, me = _who(connection)
    return (
        f"PUBLIC, which is everybody with a login, may {' and '.join(found)}. As its owner: "
        f"REVOKE ALL ON DATABASE {there} FROM PUBLIC; GRANT CONNECT ON DATABASE {there} "
        f"TO {me};"
    )


class _Session(Connection):
    """A session that waits for an answer for `limit` seconds at most, and is over after that."""

    limit = ANSWERED

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if timeout is not None:  # who asks so looks again
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.limit)
        except errors._WaitTimeout:  # noqa: SLF001  (it has no other name)
            self.close()  # what still comes would be taken for the answer to something else
            raise psycopg.OperationalError(
                f"the server let us in, and gave no answer within {self.limit:.0f} s"
            ) from None


class Sessions:
    """The way in to one database, for pools, the listener and the command line alike.

    `patience`: the seconds to wait for others' locks, and for a connection. `fresh` returns the
    address as it is now, for each connection: the password may be another one by then.
    """

    def __init__(self, url: str, patience: float, fresh: Callable[[], str] | None = None) -> None:
        parsed = make_url(url)
        self.schema, self.owner = schema_of(parsed), owner_of(parsed)
        self.url = _of_driver(parsed)
        self._read = url
        self._fresh = fresh or (lambda: url)
        self._path = (self.schema, *AFTER)
        self._proof = secrets.token_hex(8)
        started = {
            "search_path": ", ".join(self._path),
            **_PINNED,
            **_SPOKEN,
            "lock_timeout": str(round(patience * 1000)),
            _PROOF: self._proof,
        }
        self._asked = " ".join(f"-c {name}={_escaped(value)}" for name, value in started.items())
        self._connect_timeout = max(2, round(patience))  # libpq's least is two
        self.parameters = self._parameters(self.url)
        self.limit = patience + ANSWERED
        self._standing = False

    def _parameters(self, url: URL) -> Mapping[str, Any]:
        _, given = url.get_dialect()().create_connect_args(url)
        return {
            **_GONE,
            **guarded(given, os.environ),
            "connect_timeout": self._connect_timeout,
            "client_encoding": "UTF8",
            "options": f"{given.get('options', '')} {self._asked}".strip(),
        }

    @property
    def transport(self) -> Transport:
        return examine(self.parameters, os.environ)

    def connect(self, **more: Any) -> Connection:  # noqa: ANN401  (psycopg's own)
        """Open a session. Raises UnfitStoreError for one that others could steer."""
        if (now := self._fresh()) != self._read:
            self.parameters = self._parameters(_of_driver(make_url(now)))
            self._read = now
        connection = self._reach({**self.parameters, **more})
        connection.limit = self.limit
        for loader in _MOMENTS:
            connection.adapters.register_loader("timestamptz", loader)
        try:
            before, connection.autocommit = connection.autocommit, True
            self._read_back(connection)
            self.standing(connection)
            connection.autocommit = before
        except BaseException:
            connection.close()
            raise
        return connection

    def standing(self, connection: Connection) -> bool:
        """Tell whether Latchkey's schema is there. Raises UnfitStoreError if it is not its own.

        Until it is, this session looks for nothing there: what is in it may fit our questions
        better than the server's own. Once it is, nobody else can change that.
        """
        if not self._standing:
            self._standing = self._look(connection)
        return self._standing

    def make_schema(self, connection: Connection) -> None:
        """Make Latchkey's schema if it is not there; until the transaction ends, others wait here.

        A lock on one's own schema is not to be had by others, as an advisory lock is.
        """
        if self.owner:
            raise UnfitStoreError(self._not_for_us)
        name = sql.Identifier(self.schema)
        if not self._look(connection):
            try:
                with connection.transaction():
                    for statement in (
                        "create schema {} authorization current_user",
                        "revoke all on schema {} from public",
                    ):
                        connection.execute(sql.SQL(statement).format(name))
            except (errors.DuplicateSchema, errors.UniqueViolation):
                pass  # another process was quicker
            except errors.InsufficientPrivilege:
                raise UnfitStoreError(self._not_allowed(connection)) from None
            if not self._look(connection):
                raise UnfitStoreError(f"The schema {self.schema} was dropped. Try again.")
        said = sql.Literal("Latchkey's own: nobody else makes anything here")
        connection.execute(sql.SQL("comment on schema {} is {}").format(name, said))

    def cannot_make(self) -> str:
        """Return what keeps Latchkey from making its schema, with the cure; empty: nothing."""
        if self.owner:
            return self._not_for_us
        with self.connect() as connection:
            if self.standing(connection):  # made beforehand, and empty
                return ""
            (may,) = connection.execute(_MAY_MAKE).fetchone() or (False,)
            return "" if may else self._not_allowed(connection)

    def _look(self, connection: Connection) -> bool:
        with connection.transaction():
            connection.execute("set search_path = pg_catalog, pg_temp")
            if found := self._is_ours(connection):
                own = sql.SQL(", ").join(map(sql.Identifier, self._path))
                connection.execute(sql.SQL("set search_path = {}").format(own))
        return found

    def _reach(self, parameters: dict[str, Any]) -> _Session:
        try:
            return _Session.connect(**parameters)
        except psycopg.OperationalError as fault:
            if any(words in str(fault) for words in _REFUSALS):
                raise UnfitStoreError(BETWEEN) from None
            if "authentication method requirement" in str(fault):
                raise UnfitStoreError(
                    f"Latchkey told the server no password: {_requirement(fault)}. If that is how "
                    "it is meant to be, say so in the address: require_auth=password for a token "
                    "over verified TLS, require_auth=none for a certificate."
                ) from None
            raise

    def _read_back(self, connection: Connection) -> None:
        """Compare what the session has with what it was started with, in one way there and back."""
        expected = {"search_path": ", ".join(self._path), _PROOF: self._proof, **_PINNED}
        asked = [f"show {name}" for name in expected]
        if connection.info.server_version >= 170000:  # an older one would refuse to start with it
            connection.execute("set transaction_timeout = 0")
        try:
            answers = connection.execute("; ".join(asked).encode())
        except errors.UndefinedObject:
            raise UnfitStoreError(BETWEEN) from None
        found = []
        for _ in expected:
            found.append(answers.fetchone())
            answers.nextset()
        if found != [(value,) for value in expected.values()]:
            raise UnfitStoreError(BETWEEN)

    def _is_ours(self, connection: Connection) -> bool:
        found = connection.execute(_OWNER, [self.owner, self.schema]).fetchone()
        if found is None:
            return False
        oid, owner, fits = found
        _, me = _who(connection)
        if self.owner and not fits:
            raise UnfitStoreError(self._of_another(connection, owner, self.owner))
        if not fits:
            raise UnfitStoreError(
                f"The schema {self.schema} belongs to {owner}, who could plant in it what Latchkey "
                "then runs. If that role migrates and this one runs (two roles), say so in "
                f"LATCHKEY_DATABASE_URL: ?owner={owner}. If it is another's: give another name, "
                f"?schema=NAME. If it was made for {me}: ALTER SCHEMA {self.schema} OWNER TO {me};"
            )
        if makers := [maker for (maker,) in connection.execute(_MAKERS, [oid])]:
            them = ", ".join(makers)
            raise UnfitStoreError(
                f"{them} may create in the schema {self.schema}, and plant there what Latchkey "
                f"then runs. REVOKE CREATE ON SCHEMA {self.schema} FROM {them};"
            )
        if planted := list(connection.execute(_FOREIGN, {"schema": oid})):
            others = ", ".join(sorted({owner for owner, _, _ in planted}))
            what = f"In the schema {self.schema} there is what belongs to others ({others})."
            if _OUR_OWN & {name.removeprefix(f"{self.schema}.") for _, _, name in planted}:
                raise UnfitStoreError(
                    f"{what} It has the names of Latchkey's own tables. Look first whose it is. Of "
                    "the role that migrates, while this one runs (two roles): ALTER SCHEMA "
                    f"{self.schema} OWNER TO {others}; then `latchkey db upgrade`, with "
                    f"?owner={others} in LATCHKEY_DATABASE_URL. Of a role that you do not know: "
                    "restore a back-up, into a schema of Latchkey's own"
                )
            raise UnfitStoreError(f"{what} {_drops(planted)}")
        return True

    def _of_another(self, connection: Connection, owner: str, named: str) -> str:
        """Say that the schema is not its owner's that the address names, and what to do."""
        role = sql.Identifier(named).as_string(connection)
        said = (
            f"The schema {self.schema} belongs to {owner}, and not to {role}, as owner= in "
            "LATCHKEY_DATABASE_URL says:"
        )
        if not connection.execute(_IS_ROLE, [named]).fetchone():
            return f"{said} there is no such role. Correct owner="
        _, me = _who(connection)
        mine = owner == connection.info.user
        cure = f"REASSIGN OWNED BY {me}" if mine else f"ALTER SCHEMA {self.schema} OWNER"
        return f"{said} {cure} TO {role};"

    @property
    def not_granted(self) -> str:
        """Say that this role may not use the schema that is there, and what to do."""
        owner = self.owner or "another role"
        return (
            f"{self.url.username} may not read what is in the schema {self.schema}. Its owner, "
            f"{owner}, lets it: `latchkey db upgrade`, with LATCHKEY_OWNER_URL"
        )

    @property
    def _not_for_us(self) -> str:
        return (
            f"The schema {self.schema} is for {self.owner} to make and to change: "
            "`latchkey db upgrade`, with LATCHKEY_OWNER_URL"
        )

    def _not_allowed(self, connection: Connection) -> str:
        there, me = _who(connection)
        return (
            f"{me} may not make the schema {self.schema} in the database {there}. As its owner: "
            f"CREATE SCHEMA {self.schema} AUTHORIZATION {me}; or let it do so: "
            f"GRANT CREATE ON DATABASE {there} TO {me};"
        )


class _Moment(Loader):
    """Reads what Python can hold; what it cannot (`infinity`, before Christ) is read as none.

    The driver would refuse all rows because of one. SQLite's column does the same (`UtcDateTime`).
    """

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        kind = psycopg.adapters.get_loader(oid, self.format)
        assert kind  # noqa: S101  (the driver's own)
        self._read = kind(oid, context).load

    def load(self, data: Buffer) -> datetime | None:
        try:
            return cast(datetime, self._read(data))
        except psycopg.DataError:
            return None


class _BinaryMoment(_Moment):
    format = Format.BINARY


_MOMENTS = (_Moment, _BinaryMoment)


def _of_driver(url: URL) -> URL:
    return url.difference_update_query(["schema", "owner"])


def _drops(planted: Sequence[tuple[str, str, str]]) -> str:
    drops = " ".join(f"DROP {kind.upper()} {name};" for _, kind, name in planted[:NAMED])
    return drops if len(planted) <= NAMED else f"{drops} And {len(planted) - NAMED} more."


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _who(connection: Connection) -> tuple[str, str]:
    """Return the names of the database and of the role, as SQL has them."""
    names = connection.info.dbname, connection.info.user
    database, role = (sql.Identifier(name).as_string(connection) for name in names)
    return database, role


def _requirement(fault: Exception) -> str:
    _, start, rest = str(fault).partition("authentication method requirement")
    return (start + rest).splitlines()[0]
