"""One look at an account, and one `apply`: from the lock on its login to the report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from engine.connectors.port import Order, Outcome, Presence, Report, Target
from engine.connectors.postgresql import acl
from engine.connectors.postgresql.server import (
    ABSENT,
    HELD,
    LOCK,
    REFUSALS,
    Connection,
    Role,
    Server,
    by_database,
    closed,
    databases,
    gone,
    ident,
    said,
    stranger,
    unknown,
)

__all__ = ["Work", "look"]

T = TypeVar("T")


def look(
    server: Server, main: Connection, role: Role, targets: Sequence[Target], given: Sequence[Target]
) -> dict[Target, Outcome]:
    """Tell what the role holds: see `PostgreSQL.inspect`."""
    outcomes = dict.fromkeys(targets, ABSENT)
    known = {database.oid: database for database in databases(main)}
    for oid, here in by_database(targets).items():
        database = known.get(oid)
        if database is None:
            continue
        if not database.reachable:
            outcomes |= dict.fromkeys(here, unknown(closed(database, main.info.user)))
            continue
        try:
            with server.session(main.until, database.name) as connection:
                outcomes |= _look_into(connection, database, role, here, given)
        except psycopg.Error as error:
            outcomes |= dict.fromkeys(here, unknown(said(error)))
    return outcomes


def _look_into(
    connection: Connection,
    database: acl.Database,
    role: Role,
    targets: Sequence[Target],
    given: Sequence[Target],
) -> dict[Target, Outcome]:
    catalog = acl.read(connection, database, [*targets, *given])
    have = acl.entries(connection, catalog, role.oid)
    needs = {target: catalog.needs(target) for target in (*targets, *given)}
    missing = {entry for each in needs.values() if each for entry in each.now} - have.keys()
    if role.can_login:
        missing -= acl.effective(connection, role.oid, missing)
    ours = {entry for target in given if (each := needs[target]) for entry in each.now}

    def held(target: Target) -> bool:
        each = needs[target]
        if each is None or each.now & missing:
            return False
        return target in given or not each.core & ours

    return {target: HELD if held(target) else ABSENT for target in targets}


class Work:
    """One `apply`."""

    def __init__(self, server: Server, main: Connection, order: Order) -> None:
        self.server = server
        self.main = main
        self.order = order
        self.me = main.info.user
        self.who = sql.Identifier(order.login.name)
        self.outcomes: dict[Target, Outcome] = {}
        self.notes: list[str] = []
        self.deadline_refused = ""
        self.firmly = bool(order.unwanted)  # a session is worth less than an end, not than a grant

    def insist(self, connection: Connection, work: Callable[[], T]) -> T:
        return self.server.insist(connection, work, firmly=self.firmly)

    def run(self) -> Report:
        order, server = self.order, self.server
        server.lock(self.main, order.login, firmly=self.firmly)
        role = server.find(self.main, order.login)
        if role is None and not (order.wanted and order.login.password):
            self.settle((h.target for h in order.holdings), ABSENT)
            return self._report(login_missing=bool(order.wanted))
        if role is not None and not role.ours:
            return self._leave_alone(role)

        refusal = self._let_in(role) if order.wanted else ""
        was_open = role is not None and role.can_login
        wanted = [] if refusal and not was_open else order.wanted
        self.settle(set(order.wanted).difference(wanted), Outcome(Presence.REFUSED, refusal))
        role = server.find(self.main, order.login)
        if role is None:
            self.settle(order.unwanted, ABSENT)
            return self._report()

        server.join(self.main, role)
        trouble = "" if wanted else self._shut_out()
        self._visit(role, wanted)
        if not any(self._may_hold(target) for target in wanted):
            trouble = trouble or self._shut_out() or server.end_sessions(self.main, role)
        self._doubt(order.unwanted, Presence.ABSENT, trouble)
        self._doubt(wanted, Presence.HELD, refusal)
        return self._report()

    def settle(self, targets: Iterable[Target], outcome: Outcome) -> None:
        self.outcomes |= dict.fromkeys(targets, outcome)

    def _doubt(self, targets: Iterable[Target], presence: Presence, reason: str) -> None:
        """Privileges are as they should be, but that is not all of it."""
        if reason:
            seen = [t for t in targets if self.outcomes[t].presence is presence]
            self.settle(seen, unknown(reason))

    def _may_hold(self, target: Target) -> bool:
        return self.outcomes[target].presence in {Presence.HELD, Presence.UNKNOWN}

    def _report(self, *, login_missing: bool = False) -> Report:
        return Report(
            {h.target: self.outcomes[h.target] for h in self.order.holdings},
            login_missing=login_missing,
            deadline_refused=self.deadline_refused,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _leave_alone(self, role: Role) -> Report:
        """Only look: what this role has, Latchkey may have given it before its comment changed."""
        reason = stranger(self.order.login)
        self.settle(self.order.wanted, Outcome(Presence.REFUSED, reason))
        self.outcomes |= look(self.server, self.main, role, self.order.unwanted, ())
        self._doubt(self.order.unwanted, Presence.HELD, reason)
        return self._report()

    # --- The login --------------------------------------------------------------------------------

    def _let_in(self, role: Role | None) -> str:
        """Let the login in until the order's end, making it if need be. Say so if refused."""
        try:
            self.insist(self.main, self._open)
        except REFUSALS as error:
            if role and role.can_login and not self.order.login.password:
                self.deadline_refused = f"The old end stays: {said(error)}."
                return ""
            return self._refused(error)
        return ""

    def _open(self) -> None:
        """All at once: a new login without an end would stay if Latchkey died after making it."""
        login = self.order.login
        with self.main.transaction():
            role = self.server.find(self.main, login)
            if role is None:
                comment = self.server.signature() + login.owner
                self._run("create role {} nologin")
                self._run("comment on role {} is {}", comment)
                self._run("grant {} to current_user")
            if login.password:
                # Made here, so that the server never sees, and never logs, the password itself.
                verifier = self.main.pgconn.encrypt_password(
                    login.password.reveal().encode(), login.name.encode(), b"scram-sha-256"
                )
                self._run("alter role {} login password {}", verifier.decode())
            elif role and not role.can_login:
                self._run("alter role {} login")
            self._set_end()

    def _set_end(self) -> None:
        """Set VALID UNTIL by the server's own clock. It only stops logins; `apply` ends access."""
        try:
            with self.main.transaction():
                end = "infinity"
                if self.order.remaining is not None:
                    ((end,),) = self.main.execute(
                        "select (clock_timestamp() + %s)::text", [self.order.remaining]
                    )
                self._run("alter role {} valid until {}", end)
        except REFUSALS as error:
            self.deadline_refused = f"The server refused the new end: {said(error)}."

    def _shut_out(self) -> str:
        """Let nobody log in any more. Say so if that is refused."""
        role = self.server.find(self.main, self.order.login)
        if role is None or not role.can_login:
            return ""
        try:
            self.insist(self.main, lambda: self._run("alter role {} nologin"))
        except (*REFUSALS, errors.LockNotAvailable) as error:
            return self._refused(error)  # the privileges and sessions can end all the same
        return ""

    def _run(self, statement: str, *literals: str) -> None:
        self.main.execute(sql.SQL(statement).format(self.who, *literals))

    def _refused(self, error: psycopg.Error) -> str:
        reason = f"The login could not be changed: {said(error)}."
        if not isinstance(error, errors.InsufficientPrivilege):
            return reason
        ((creates,),) = self.main.execute(
            "select rolcreaterole from pg_roles where rolname = current_user"
        )
        if creates:  # then it is this one role that Latchkey has no say in
            name = ident(self.order.login.name)
            return f"{reason} Cure: GRANT {name} TO {ident(self.me)} WITH ADMIN OPTION;"
        return f"{reason} Cure: ALTER ROLE {ident(self.me)} CREATEROLE;"

    # --- The databases ----------------------------------------------------------------------------

    def _visit(self, role: Role, wanted: Sequence[Target]) -> None:
        """Bring the role's privileges in line, in each database that the order names."""
        known = {database.oid: database for database in databases(self.main)}
        for oid, here in by_database([*wanted, *self.order.unwanted]).items():
            visit = _Visit(
                work=self,
                role=role,
                wanted=[t for t in here if t in wanted],
                unwanted=[t for t in here if t not in wanted],
            )
            database = known.get(oid)
            if database is None:
                visit.find_gone()
            elif not database.reachable:
                visit.find_closed(database)
            else:
                try:
                    with self.server.session(self.main.until, database.name) as connection:
                        visit.run(connection, database)
                except psycopg.Error as error:
                    if oid in {database.oid for database in databases(self.main)}:
                        self.settle(here, unknown(said(error)))
                    else:
                        visit.find_gone()


@dataclass(kw_only=True)
class _Visit:
    """The part of one `apply` that is about one database."""

    work: Work
    role: Role
    wanted: Sequence[Target]
    unwanted: Sequence[Target]

    def find_gone(self) -> None:
        self.work.settle(self.unwanted, ABSENT)
        for target in self.wanted:
            self.work.outcomes[target] = gone(target)

    def find_closed(self, database: acl.Database) -> None:
        reason = closed(database, self.work.me)
        self.work.settle(self.wanted, Outcome(Presence.REFUSED, reason))
        self.work.settle(self.unwanted, unknown(reason))

    def run(self, connection: Connection, database: acl.Database) -> None:
        work = self.work
        catalog = work.insist(connection, lambda: self._change(connection, database))
        trouble = ""
        if not self.wanted:  # an open cursor outlives REVOKE
            trouble = work.server.end_sessions(work.main, self.role, database.oid)
        self._judge(connection, catalog, trouble)

    def _change(self, connection: Connection, database: acl.Database) -> acl.Catalog:
        with connection.transaction():
            # Two at a time would fail on each other: an object's ACL is one value for all roles.
            connection.execute("select pg_advisory_xact_lock(%s, 0)", [LOCK])
            catalog = acl.read(connection, database, [*self.wanted, *self.unwanted])
            have = acl.entries(connection, catalog, self.role.oid)
            give, take = acl.change(
                have,
                [needs for target in self.wanted if (needs := catalog.needs(target))],
                [catalog.needs(target) or catalog.remains(target) for target in self.unwanted],
            )
            acl.carry_out(connection, catalog, self.work.order.login.name, give, take)
        return catalog

    def _judge(self, connection: Connection, catalog: acl.Catalog, trouble: str) -> None:
        """Read what there is now, and say what it means for each target."""
        have = acl.entries(connection, catalog, self.role.oid)
        needs = {target: catalog.needs(target) for target in self.wanted}
        keep = {e for each in needs.values() if each for e in (*each.now, *each.future)}
        missing = {e for each in needs.values() if each for e in each.now} - have.keys()
        missing -= acl.effective(connection, self.role.oid, missing)
        for target, each in needs.items():
            self.work.outcomes[target] = (
                self._judge_wanted(catalog, each, missing) if each else gone(target)
            )
        for target in self.unwanted:
            drop = catalog.needs(target) or acl.Needs()
            left = {entry: have[entry] for entry in (drop.core | drop.future) & have.keys() - keep}
            self.work.outcomes[target] = self._judge_unwanted(catalog, left, trouble)

    def _judge_wanted(
        self, catalog: acl.Catalog, needs: acl.Needs, missing: AbstractSet[acl.Entry]
    ) -> Outcome:
        if lacking := sorted(needs.now & missing):
            return Outcome(Presence.REFUSED, self._lacking("give", catalog, lacking[0]))
        return HELD

    def _judge_unwanted(
        self, catalog: acl.Catalog, left: Mapping[acl.Entry, acl.Seen], trouble: str
    ) -> Outcome:
        if ours := sorted(entry for entry, seen in left.items() if seen.revocable):
            return unknown(self._lacking("take back", catalog, ours[0]))
        if left:
            words = ", ".join(_words(catalog, entry) for entry in sorted(left))
            self.work.notes.append(f"Left in place, as somebody else gave it: {words}.")
        return unknown(trouble) if trouble else ABSENT

    def _lacking(self, verb: str, catalog: acl.Catalog, entry: acl.Entry) -> str:
        """Say what Latchkey may not do, and what would cure it."""
        reason = f"Latchkey may not {verb} {_words(catalog, entry)}."
        owner, superuser = catalog.owner(entry)
        if superuser:
            return f"{reason} Cure: give it another owner than the superuser {ident(owner)}."
        return f"{reason} Cure: GRANT {ident(owner)} TO {ident(self.work.me)};"


def _words(catalog: acl.Catalog, entry: acl.Entry) -> str:
    future = f" for {entry.kind}" if entry.maker else ""
    return f"{entry.privilege}{future} on {catalog.path_of(entry)}"
