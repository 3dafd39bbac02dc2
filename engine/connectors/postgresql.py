"""PostgreSQL: a login role for each grantee, and privileges on databases, schemas and tables.

docs/postgresql.md says which rights Latchkey's own login needs, what each permission comes to and
how access ends. Needs a direct connection, not a transaction pooler: locks belong to sessions.
"""

import json
import shlex
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine.connectors import postgresql_acl as acl
from engine.connectors.port import (
    Check,
    Discovered,
    Login,
    Order,
    Outcome,
    Presence,
    Report,
    Secret,
    Target,
    Unavailable,
)
from engine.connectors.postgresql_names import (
    Place,
    names_in,
    path_of,
    permission_risk,
    place_of,
    resource_risk,
)

__all__ = ["PostgreSQL"]

T = TypeVar("T")

OLDEST = 14  # the first server that waits for a session to end, and ends idle ones itself
TRIES = 10  # for one transaction that others get in the way of

_LOCK = int.from_bytes(b"LKEY")  # the first half of our advisory locks
_SERVERS_OWN = "postgres"  # a database that nobody's data is in, unless it is named
_HELD = Outcome(Presence.HELD)
_ABSENT = Outcome(Presence.ABSENT)

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
# The server says no, and would say it again.
_REFUSALS = (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of one call. After the call's time is up it begins nothing any more.

    That, and the server's own limits, make `deadline` true. An answer that does not come, from a
    server that hangs, is not waited for either.
    """

    until = float("inf")
    patience = 0.0

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        left = self.until - time.monotonic()
        if left <= 0:
            raise psycopg.OperationalError("the time for this call is up")
        limit = min(left + self.patience, timeout or float("inf"))
        return super().wait(gen, interval, None if limit == float("inf") else limit)


@dataclass(frozen=True, slots=True)
class _Role:
    oid: int
    can_login: bool
    ours: bool  # its comment names this installation


class PostgreSQL:
    """One PostgreSQL server.

    `dsn` is libpq's; its database is where roles are made and locks are taken: the same one for
    all of an installation's processes. `databases`: those to offer; none named means all that
    Latchkey may connect to. Time-outs are in seconds.
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
        try:
            parts = conninfo_to_dict(dsn.reveal())
        except psycopg.ProgrammingError:  # whose words would quote the password
            raise ValueError("the address of the PostgreSQL server cannot be read") from None
        self.installation = installation
        self.databases = tuple(databases)
        self.deadline = timedelta(seconds=3 * statement_timeout)
        self._seconds = statement_timeout
        self._patience_ms = statement_timeout * 1000 // 3
        limits = {
            "statement_timeout": statement_timeout * 1000,
            "idle_session_timeout": statement_timeout * 1000,
            "idle_in_transaction_session_timeout": statement_timeout * 1000,
            "lock_timeout": self._patience_ms,
        }
        options = [str(parts.get("options") or "")]
        options += [f"-c {name}={value}" for name, value in limits.items()]
        options += ["-c datestyle=ISO", "-c timezone=UTC"]
        self._parts = parts | {
            "connect_timeout": connect_timeout,
            "tcp_user_timeout": statement_timeout * 1000,
            "application_name": "latchkey",
            "options": " ".join(options).strip(),
        }

    def __repr__(self) -> str:
        return f"PostgreSQL({self._parts.get('host', 'localhost')!r})"

    # --- The port ---------------------------------------------------------------------------------

    def discover(self) -> list[Discovered]:
        """Return all databases, schemas, and tables with what is like one. All, or `Unavailable`."""
        found = []
        with self.main() as main:
            listed = {d.name: d for d in _databases(main) if self._offers(d)}
            if lost := [path_of(name) for name in self.databases if name not in listed]:
                raise Unavailable(f"not there, or closed to Latchkey: {', '.join(lost)}")
            for database in listed.values():
                with self.session(main.until, database.name) as connection:
                    found += _discover(connection, database)
        return found

    def inspect(
        self, login: Login, targets: Sequence[Target], *, given: Sequence[Target] = ()
    ) -> dict[Target, Outcome]:
        """Tell which targets the login holds now, changing nothing.

        By whatever way: given to it, to PUBLIC, or to a role that it is a member of; those last two
        only while it can log in. `given` is what Latchkey gave: a target that is there only because
        of it (CONNECT, for a table; one table, for its schema) is not held in its own right.
        """
        with self.main() as main:
            role = self.find(main, login)
            if role is None:
                return dict.fromkeys(targets, _ABSENT)
            outcomes = dict.fromkeys(targets, _ABSENT)
            databases = {d.oid: d for d in _databases(main)}
            for oid, here in _by_database(targets).items():
                if database := databases.get(oid):
                    outcomes |= self._inspect(main, role, database, here, given)
            return outcomes

    def apply(self, order: Order) -> Report:
        """Make the account hold what is wanted and not what is unwanted; look; report."""
        with self.main() as main:
            return _Work(self, main, order).run()

    def cleanup(self, login: Login) -> tuple[str, ...]:
        """Drop the role. What it owns goes to the owner of the database that it is in."""
        with self.main() as main:
            lock(main, login)
            role = self.find(main, login)
            if role is None:
                return ()
            if not role.ours:
                return (f"{_stranger(login)} It was left alone.",)
            return tuple(self._drop(main, role, login.name))

    def logins(self) -> list[str]:
        """Names of all roles whose comment says that this installation made them."""
        with self.main() as main:
            rows = main.execute(
                "select rolname from pg_roles where starts_with("
                "coalesce(shobj_description(oid, 'pg_authid'), ''), %s) order by 1",
                [self.signature()],
            )
            return [name for (name,) in rows]

    def instructions(self, login: Login, targets: Sequence[Target]) -> dict[str, str]:
        """Tell the grantee where to connect, and with what line of psql."""
        databases = list(dict.fromkeys(names_in(t.path)[0] for t in targets))
        where = {
            "host": str(self._parts.get("host") or self._parts.get("hostaddr") or "localhost"),
            "port": str(self._parts.get("port") or 5432),
            "user": login.name,
        }
        mode = {"sslmode": self._parts["sslmode"]} if "sslmode" in self._parts else {}
        lines = [
            f"psql {shlex.quote(make_conninfo(**where, **mode, dbname=name))}" for name in databases
        ]
        return {
            "Host": where["host"],
            "Port": where["port"],
            "Database": ", ".join(databases),
            "User": login.name,
            "psql": "\n".join(lines),
        }

    def check(self) -> list[Check]:
        """Look whether Latchkey's own login can do its work; each fault with its cure."""
        try:
            with self.main() as main:
                return list(self._checks(main))
        except Unavailable as error:
            return [Check("connection", False, str(error))]

    def close(self) -> None:
        """Nothing stays open between calls."""

    # --- Shared with the work on one order ---------------------------------------------------------

    @contextmanager
    def main(self) -> Iterator[_Connection]:
        """Open the connection that a call begins with; its faults are `Unavailable`."""
        try:
            with self.session(time.monotonic() + self._seconds) as connection:
                yield connection
        except psycopg.Error as error:
            raise Unavailable(_said(error)) from error

    @contextmanager
    def session(self, until: float, dbname: str | None = None) -> Iterator[_Connection]:
        parts = self._parts | ({"dbname": dbname} if dbname else {})
        connection = _Connection.connect(
            make_conninfo(**parts), autocommit=True, prepare_threshold=None
        )
        connection.until = until
        connection.patience = 2.0 * self._seconds
        try:
            yield connection
        finally:
            connection.close()

    def signature(self) -> str:
        """Return what the comment of every role that this installation makes begins with."""
        return f"Latchkey {json.dumps(self.installation, ensure_ascii=False)}: login of "

    def find(self, main: _Connection, login: Login) -> _Role | None:
        row = main.execute(
            "select oid, rolcanlogin, coalesce(shobj_description(oid, 'pg_authid'), '')"
            " from pg_roles where rolname = %s",
            [login.name],
        ).fetchone()
        return row and _Role(row[0], row[1], row[2].startswith(self.signature()))

    def end_sessions(self, main: _Connection, role: int, database: int | None = None) -> str:
        """End the role's sessions, in one database or all; say so if one will not go."""
        theirs: LiteralString = (
            "from pg_stat_activity where usesysid = %(role)s"
            " and (%(database)s::oid is null or datid = %(database)s)"
        )
        values = {"role": role, "database": database, "patience": self._patience_ms}
        try:
            told = main.execute(f"select pg_terminate_backend(pid) {theirs}", values)
            if not told.rowcount:
                return ""
            main.execute(f"select pg_terminate_backend(pid, %(patience)s) {theirs}", values)
        except errors.InsufficientPrivilege as error:
            return f"open sessions could not be ended: {_said(error)}"
        left = main.execute(f"select pid {theirs}", values).rowcount
        return f"{left} open sessions do not end" if left else ""

    # --- Private ----------------------------------------------------------------------------------

    def _offers(self, database: acl.Database) -> bool:
        if self.databases:
            return database.reachable and database.name in self.databases
        return database.reachable and database.name != _SERVERS_OWN

    def _inspect(
        self,
        main: _Connection,
        role: _Role,
        database: acl.Database,
        targets: list[Target],
        given: Sequence[Target],
    ) -> dict[Target, Outcome]:
        if not database.reachable:
            return dict.fromkeys(targets, _unknown(_closed(database, main.info.user)))
        try:
            with self.session(main.until, database.name) as connection:
                catalog = acl.read(connection, database, [*targets, *given])
                have = acl.entries(connection, catalog, role.oid)
                needs = {t: catalog.needs(t) for t in {*targets, *given}}
                missing = {e for n in needs.values() if n for e in n.now} - have.keys()
                if role.can_login:
                    missing -= acl.effective(connection, role.oid, missing)
        except psycopg.Error as error:
            return dict.fromkeys(targets, _unknown(_said(error)))
        ours = {e for t in given if (n := needs[t]) for e in n.now}
        return {
            t: _HELD
            if (n := needs[t]) and not n.now & missing and (t in given or not n.core & ours)
            else _ABSENT
            for t in targets
        }

    def _drop(self, main: _Connection, role: _Role, name: str) -> Iterator[str]:
        """Close the role, empty it database by database, drop it."""
        who = sql.Identifier(name)
        if not _belongs(main, role.oid):
            main.execute(sql.SQL("grant {} to current_user").format(who))
        insist(lambda: main.execute(sql.SQL("alter role {} nologin").format(who)))
        if trouble := self.end_sessions(main, role.oid):
            raise Unavailable(trouble)
        rows = main.execute(
            "select distinct dbid from pg_shdepend"
            " where refclassid = 'pg_authid'::regclass and refobjid = %s and dbid <> 0",
            [role.oid],
        )
        concerned = {oid for (oid,) in rows}
        for database in _databases(main, all_of_them=True):
            # What is shared by all databases, such as CONNECT, can be dropped from any of them.
            if database.oid in concerned or database.name == main.info.dbname:
                with self.session(main.until, database.name) as connection:
                    yield from insist(lambda: list(_disown(connection, database, role, who)))
        insist(lambda: main.execute(sql.SQL("drop role if exists {}").format(who)))

    def _checks(self, main: _Connection) -> Iterator[Check]:
        me = main.info.user
        version = main.info.server_version // 10000
        detail = f"PostgreSQL {version} at {main.info.host}:{main.info.port}, as “{me}”"
        if version < OLDEST:
            detail += f"; Latchkey needs {OLDEST} or later"
        yield Check("connection", version >= OLDEST, detail)
        row = main.execute(
            "select rolcreaterole or rolsuper, rolsuper, current_setting('password_encryption')"
            " from pg_roles where rolname = current_user"
        ).fetchone()
        createrole, superuser, encryption = row or (False, False, "")
        yield Check(
            "create logins",
            createrole,
            "has CREATEROLE" if createrole else f"Cure: ALTER ROLE {_ident(me)} CREATEROLE;",
        )
        yield Check(
            "least rights",
            True,
            f"warning: “{me}” is a superuser, which is more than Latchkey needs"
            if superuser
            else "no superuser",
        )
        scram = encryption == "scram-sha-256"
        yield Check(
            "passwords",
            True,
            f"set as SCRAM verifiers; the server's own default is {encryption}"
            + ("" if scram else " (warning: SCRAM is better)"),
        )
        yield from self._check_made(main, me)
        databases = [d for d in _databases(main) if d.name in self.databases or self._offers(d)]
        for name in self.databases:
            if name not in {d.name for d in databases}:
                yield Check(f"database {path_of(name)}", False, "It is not there.")
        for database in databases:
            yield self._check_database(main, database)
        yield _check_public(main, databases)

    def _check_made(self, main: _Connection, me: str) -> Check:
        """Without membership in the logins that it made, Latchkey cannot end their sessions."""
        rows = main.execute(
            "select rolname, pg_has_role(oid, 'USAGE') from pg_roles where starts_with("
            "coalesce(shobj_description(oid, 'pg_authid'), ''), %s) order by 1",
            [self.signature()],
        ).fetchall()
        if lost := [_ident(name) for name, member in rows if not member]:
            return Check("made logins", False, f"Cure: GRANT {', '.join(lost)} TO {_ident(me)};")
        return Check("made logins", True, f"{len(rows)}")

    def _check_database(self, main: _Connection, database: acl.Database) -> Check:
        name = f"database {path_of(database.name)}"
        me = main.info.user
        if not database.reachable:
            return Check(name, False, _closed(database, me))
        try:
            with self.session(main.until, database.name) as connection:
                owners = connection.execute(_OWNERS).fetchall()
        except psycopg.Error as error:
            return Check(name, False, _said(error))
        superusers = [_ident(o) for o, member, superuser in owners if superuser and not member]
        missing = [_ident(o) for o, member, superuser in owners if not superuser and not member]
        faults = []
        if missing:
            faults.append(
                f"not a member of every owner. Cure: GRANT {', '.join(missing)} TO {_ident(me)};"
            )
        if superusers:
            faults.append(
                f"what superusers own cannot be given: {', '.join(superusers)}. Cure:"
                f" another owner (ALTER … OWNER TO …)"
            )
        detail = "; ".join(faults) or f"member of {', '.join(_ident(o) for o, *_ in owners)}"
        return Check(name, not faults, detail)


class _Work:
    """One `apply`: from the lock on the login to the report."""

    def __init__(self, connector: PostgreSQL, main: _Connection, order: Order) -> None:
        self.connector = connector
        self.main = main
        self.order = order
        self.me = main.info.user
        self.who = sql.Identifier(order.login.name)
        self.outcomes: dict[Target, Outcome] = {}
        self.notes: list[str] = []
        self.deadline_refused = ""

    def run(self) -> Report:
        order = self.order
        lock(self.main, order.login)
        role = self.connector.find(self.main, order.login)
        if role is None and not (order.wanted and order.login.password):
            absent = dict.fromkeys((h.target for h in order.holdings), _ABSENT)
            return Report(absent, login_missing=bool(order.wanted))
        if role is not None and not role.ours:
            return self._leave_to(role)
        refusal = self._open(role) if order.wanted else ""
        doubt = refusal if role and role.can_login else ""
        wanted = [] if refusal and not doubt else order.wanted
        self._note(set(order.wanted) - set(wanted), Presence.REFUSED, refusal)
        role = self.connector.find(self.main, order.login)
        if role is None:
            self._note(order.unwanted, Presence.ABSENT)
            return self._report()
        trouble = "" if wanted else self._shut(role)
        self._visit(role, wanted)
        closing = not any(self._may_hold(target) for target in wanted)
        if closing:
            trouble = (
                self._shut(role) or trouble or self.connector.end_sessions(self.main, role.oid)
            )
        for target, outcome in self.outcomes.items():
            if trouble and target in order.unwanted and outcome.presence is Presence.ABSENT:
                self.outcomes[target] = _unknown(trouble)
            if doubt and outcome.presence is Presence.HELD:
                self.outcomes[target] = _unknown(doubt)
        return self._report()

    def _report(self) -> Report:
        outcomes = {h.target: self.outcomes[h.target] for h in self.order.holdings}
        return Report(
            outcomes, deadline_refused=self.deadline_refused, notes=tuple(dict.fromkeys(self.notes))
        )

    def _note(self, targets: Iterable[Target], presence: Presence, reason: str = "") -> None:
        self.outcomes |= dict.fromkeys(targets, Outcome(presence, reason))

    def _may_hold(self, target: Target) -> bool:
        return self.outcomes[target].presence in {Presence.HELD, Presence.UNKNOWN}

    # --- The login --------------------------------------------------------------------------------

    def _open(self, role: _Role | None) -> str:
        """Let the login in, until the order's end; say so if the server refuses.

        All in one transaction: a new login without an end would be in the world for good if
        Latchkey died after making it.
        """
        try:
            insist(self._opened)
        except _REFUSALS as error:
            if role and role.can_login and not self.order.login.password:
                self.deadline_refused = f"the old end stays: {_said(error)}"
                return ""
            return self._no_login(error)
        return ""

    def _opened(self) -> None:
        login = self.order.login
        with self.main.transaction():
            role = self.connector.find(self.main, login)
            if role is None:
                comment = self.connector.signature() + login.owner
                for statement in (
                    sql.SQL("create role {} nologin").format(self.who),
                    sql.SQL("comment on role {} is {}").format(self.who, comment),
                    sql.SQL("grant {} to current_user").format(self.who),
                ):
                    self.main.execute(statement)
            if login.password:
                # The clear text never leaves this process.
                verifier = self.main.pgconn.encrypt_password(
                    login.password.reveal().encode(), login.name.encode(), b"scram-sha-256"
                )
                self.main.execute(
                    sql.SQL("alter role {} login password {}").format(self.who, verifier.decode())
                )
            elif role and not role.can_login:
                self.main.execute(sql.SQL("alter role {} login").format(self.who))
            self._set_end()

    def _set_end(self) -> None:
        """Set VALID UNTIL by the server's clock. It only stops new logins; ending is `apply`'s."""
        try:
            with self.main.transaction():
                end = "infinity"
                if self.order.remaining is not None:
                    row = self.main.execute(
                        "select (clock_timestamp() + %s)::text", [self.order.remaining]
                    ).fetchone()
                    end = row[0] if row else end
                self.main.execute(sql.SQL("alter role {} valid until {}").format(self.who, end))
        except _REFUSALS as error:
            self.deadline_refused = f"the server refused the new end: {_said(error)}"

    def _no_login(self, error: psycopg.Error) -> str:
        said = f"Latchkey could not make or open the login: {_said(error)}."
        if not isinstance(error, errors.InsufficientPrivilege):
            return said
        may = self.main.execute(
            "select rolcreaterole from pg_roles where rolname = current_user"
        ).fetchone()
        if may == (True,):  # then it is this role that Latchkey has no say in
            name = self.order.login.name
            return f"{said} Cure: GRANT {_ident(name)} TO {_ident(self.me)} WITH ADMIN OPTION;"
        return f"{said} Cure: ALTER ROLE {_ident(self.me)} CREATEROLE;"

    def _shut(self, role: _Role) -> str:
        """Let nobody in any more; say so if that fails."""
        current = self.connector.find(self.main, self.order.login)
        if current is None or current.oid != role.oid or not current.can_login:
            return ""
        try:
            insist(lambda: self.main.execute(sql.SQL("alter role {} nologin").format(self.who)))
        except _REFUSALS as error:
            return self._no_login(error)
        return ""

    # --- The databases ----------------------------------------------------------------------------

    def _visit(self, role: _Role, wanted: Sequence[Target]) -> None:
        """Bring what the role has in line, in each database that the order names."""
        databases = {d.oid: d for d in _databases(self.main)}
        targets = [*wanted, *self.order.unwanted]
        visits = _by_database(targets)
        for oid, here in visits.items():
            to_hold = [t for t in here if t in wanted]
            not_to = [t for t in here if t not in wanted]
            database = databases.get(oid)
            if database is None:
                self._gone(here)
            elif not database.reachable:
                closed = _closed(database, self.me)
                self._note(to_hold, Presence.REFUSED, closed)
                self._note(not_to, Presence.UNKNOWN, closed)
            else:
                try:
                    with self.connector.session(self.main.until, database.name) as connection:
                        _Visit(self, connection, database, role, to_hold, not_to).run()
                except psycopg.Error as error:
                    if oid in {d.oid for d in _databases(self.main)}:
                        self._note(here, Presence.UNKNOWN, _said(error))
                    else:  # dropped under our hands
                        self._gone(here)

    def _gone(self, targets: Iterable[Target]) -> None:
        for target in targets:
            self.outcomes[target] = _gone(target) if target in self.order.wanted else _ABSENT

    def _leave_to(self, role: _Role) -> Report:
        """A role of that name that this installation did not make: look at it, leave it alone."""
        reason = _stranger(self.order.login)
        seen = self.connector.inspect(self.order.login, self.order.unwanted)
        self._note(self.order.wanted, Presence.REFUSED, reason)
        for target, outcome in seen.items():
            held = outcome.presence is Presence.HELD
            self.outcomes[target] = _unknown(reason) if held else outcome
        return self._report()


class _Visit:
    """The part of one `apply` that is about one database."""

    def __init__(
        self,
        work: _Work,
        connection: _Connection,
        database: acl.Database,
        role: _Role,
        wanted: Sequence[Target],
        unwanted: Sequence[Target],
    ) -> None:
        self.work = work
        self.connection = connection
        self.database = database
        self.role = role
        self.wanted = wanted
        self.unwanted = unwanted

    def run(self) -> None:
        insist(self._change)
        trouble = ""
        if not self.wanted:  # a cursor that is open outlives REVOKE
            trouble = self.work.connector.end_sessions(
                self.work.main, self.role.oid, self.database.oid
            )
        self.have = acl.entries(self.connection, self.catalog, self.role.oid)
        self._judge_wanted()
        self._judge_unwanted(trouble)

    def _change(self) -> None:
        with self.connection.transaction():
            # Two at a time would fail on each other: an ACL is one value for all roles.
            self.connection.execute("select pg_advisory_xact_lock(%s, 0)", [_LOCK])
            self.catalog = acl.read(self.connection, self.database, [*self.wanted, *self.unwanted])
            have = acl.entries(self.connection, self.catalog, self.role.oid)
            self.needs = {t: self.catalog.needs(t) for t in self.wanted}
            self.drops = {t: self.catalog.needs(t) for t in self.unwanted}
            give, take = acl.change(
                have,
                [needs for needs in self.needs.values() if needs],
                [needs or self.catalog.remains(t) for t, needs in self.drops.items()],
            )
            name = self.work.order.login.name
            acl.carry_out(self.connection, self.catalog, name, give, take)

    def _judge_wanted(self) -> None:
        missing = {e for needs in self.needs.values() if needs for e in needs.now}
        missing -= self.have.keys()
        missing -= acl.effective(self.connection, self.role.oid, missing)
        for target, needs in self.needs.items():
            if needs is None:
                outcome = _gone(target)
            elif lacking := sorted(needs.now & missing):
                outcome = Outcome(Presence.REFUSED, self._lacking("give", lacking[0]))
            else:
                outcome = _HELD
            self.work.outcomes[target] = outcome

    def _judge_unwanted(self, trouble: str) -> None:
        keep = {e for needs in self.needs.values() if needs for e in (*needs.now, *needs.future)}
        for target, needs in self.drops.items():
            core = needs.core | needs.future if needs else frozenset()
            left = sorted(core & self.have.keys() - keep)
            ours = [entry for entry in left if self.have[entry].revocable]
            if ours:
                outcome = _unknown(self._lacking("take back", ours[0]))
            elif trouble:
                outcome = _unknown(trouble)
            elif left:
                words = self._words(left[0])
                self.work.notes.append(f"{words} stays: somebody else than its owner gave it.")
                outcome = _ABSENT
            else:
                outcome = _ABSENT
            self.work.outcomes[target] = outcome

    def _words(self, entry: acl.Entry) -> str:
        kind = f" for {entry.kind}" if entry.maker else ""
        return f"{entry.privilege}{kind} on {self.catalog.path_of(entry)}"

    def _lacking(self, verb: str, entry: acl.Entry) -> str:
        """Say what Latchkey may not give or take, and what the owner of the system can do."""
        said = f"Latchkey may not {verb} {self._words(entry)}."
        owner, superuser = self.catalog.owner(entry)
        if superuser:
            return f"{said} Cure: give it another owner than the superuser {_ident(owner)}."
        return f"{said} Cure: GRANT {_ident(owner)} TO {_ident(self.work.me)};"


# --- What the server is asked in several places ---------------------------------------------------

_OWNERS = """
select pg_get_userbyid(owner), pg_has_role(owner, 'USAGE'), bool_or(rolsuper)
from (
    select datdba from pg_database where datname = current_database()
    union
    select nspowner from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
        and nspowner <> 'pg_database_owner'::regrole
    union
    select relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and nspname !~ '^pg_' and nspname <> 'information_schema'
) as o (owner)
    join pg_roles on pg_roles.oid = owner
group by owner
order by 1
"""
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


def lock(main: _Connection, login: Login) -> None:
    """Keep others from the same login until the connection ends."""
    main.execute("select pg_advisory_lock(%s, hashtext(%s))", [_LOCK, login.name])


def insist(work: Callable[[], T]) -> T:
    """Do it again at once if others got in the way."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except _RACES:
            continue
    return work()


def _databases(main: _Connection, *, all_of_them: bool = False) -> list[acl.Database]:
    rows = main.execute(
        "select d.oid, datname, rolname, pg_has_role(datdba, 'USAGE'), rolsuper,"
        " datallowconn and has_database_privilege(d.oid, 'CONNECT')"
        " from pg_database d join pg_roles r on r.oid = datdba"
        " where %s or not datistemplate order by datname",
        [all_of_them],
    )
    return [acl.Database(*row) for row in rows]


def _discover(connection: _Connection, database: acl.Database) -> Iterator[Discovered]:
    schemas = connection.execute(_SCHEMAS).fetchall()
    relations = connection.execute(_RELATIONS).fetchall()
    inside = defaultdict[str, list[str]](list)
    for _, schema, name, _, _ in relations:
        inside[schema].append(name)
    yield _resource("database", Place(database.oid), (database.name,), ("connect",))
    for oid, schema in schemas:
        place = Place(database.oid, schema=oid)
        permissions = ("read", "read-write")
        yield _resource("schema", place, (database.name, schema), permissions, inside[schema])
    for oid, schema, name, kind, writable in relations:
        place = Place(database.oid, relation=oid)
        permissions = ("read", "read-write") if writable else ("read",)
        yield _resource("table", place, (database.name, schema, name), permissions, kind=kind)


def _resource(
    type_: str,
    place: Place,
    names: tuple[str, ...],
    permissions: Sequence[str],
    inside: Sequence[str] = (),
    kind: str = "",
) -> Discovered:
    """A schema is as risky as the riskiest of what is `inside`."""
    nested = [(*names, name) for name in inside] or [names]
    return Discovered(
        type=type_,
        name=names[-1],
        path=path_of(*names),
        source_id=str(place),
        permissions={
            p: max(permission_risk(type_, p, *each) for each in nested) for p in permissions
        },
        risk=max(resource_risk(*each) for each in nested),
        tags={"kind": (kind,)} if kind else {},
    )


def _disown(
    connection: _Connection, database: acl.Database, role: _Role, who: sql.Identifier
) -> Iterator[str]:
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s, 0)", [_LOCK])
        rows = connection.execute(
            "select pg_describe_object(classid, objid, objsubid)"
            " from pg_shdepend s left join pg_database d on d.oid = s.dbid"
            " where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid = %s"
            " and (s.dbid = 0 or d.datname = current_database()) order by 1",
            [role.oid],
        ).fetchall()
        if rows:
            owner = sql.Identifier(database.owner)
            connection.execute(sql.SQL("reassign owned by {} to {}").format(who, owner))
            owned = ", ".join(name for (name,) in rows)
            yield f"In {path_of(database.name)} now “{database.owner}” owns: {owned}."
        connection.execute(sql.SQL("drop owned by {}").format(who))


def _check_public(main: _Connection, databases: Sequence[acl.Database]) -> Check:
    """Where PUBLIC may connect, every login gets in, with whatever PUBLIC has there."""
    rows = main.execute(
        "select oid from pg_database where has_database_privilege('public', oid, 'CONNECT')"
    )
    public = {oid for (oid,) in rows}
    open_ = [d.name for d in databases if d.oid in public]
    if not open_:
        return Check("PUBLIC", True, "may connect to none of them")
    names = ", ".join(_ident(name) for name in open_)
    return Check(
        "PUBLIC",
        True,
        f"warning: may connect. Cure: REVOKE CONNECT ON DATABASE {names} FROM PUBLIC;",
    )


def _belongs(main: _Connection, role: int) -> bool:
    return main.execute("select pg_has_role(%s::oid, 'USAGE')", [role]).fetchone() == (True,)


def _by_database(targets: Iterable[Target]) -> dict[int, list[Target]]:
    """Those whose source id says nothing come under 0, which no database has."""
    found = defaultdict[int, list[Target]](list)
    for target in targets:
        place = place_of(target.type, target.source_id)
        found[place.database if place else 0].append(target)
    return found


# --- Words ----------------------------------------------------------------------------------------


def _ident(name: str) -> str:
    return sql.Identifier(name).as_string()


def _said(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return error.diag.message_primary or (lines[0] if lines else type(error).__name__)


def _unknown(reason: str) -> Outcome:
    return Outcome(Presence.UNKNOWN, reason)


def _gone(target: Target) -> Outcome:
    return Outcome(
        Presence.REFUSED, f"{target.path} is gone, or “{target.permission}” is not for it."
    )


def _stranger(login: Login) -> str:
    return f"The login “{login.name}” is there, but was not made by this installation of Latchkey."


def _closed(database: acl.Database, me: str) -> str:
    said = f"Latchkey may not connect to the database {path_of(database.name)}."
    if database.superuser:
        return f"{said} Cure: give it another owner than the superuser {_ident(database.owner)}."
    if database.mine:
        return f"{said} It takes no connections."
    return f"{said} Cure: GRANT {_ident(database.owner)} TO {_ident(me)};"
