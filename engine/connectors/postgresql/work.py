"""One look at an account, and one `apply`: from the lock on its login to the report."""

import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from engine.connectors.postgresql import acl, remains, roles
from engine.connectors.postgresql.names import names_in, path_of, place_of
from engine.connectors.postgresql.remains import Known
from engine.connectors.postgresql.server import (
    ABSENT,
    HELD,
    IN_NONE,
    NOWHERE,
    REFUSALS,
    Role,
    Server,
    by_database,
    closed,
    databases,
    gone,
    ident,
    lasting,
    membership,
    renamed,
    stranger,
    told,
    unknown,
)
from engine.connectors.postgresql.sessions import RACES, Connection, said
from engine.connectors.postgresql.task import Task
from engine.connectors.postgresql.trace import Trace, as_needs, packed, untold
from engine.connectors.postgresql.visit import Visit
from engine.port import Order, Outcome, Presence, Report, Secret, Target

__all__ = ["Application", "look"]

T = TypeVar("T")


def look(
    server: Server,
    main: Connection,
    role: Role,
    targets: Sequence[Target],
    given: Sequence[Target],
    *,
    trace: Trace,
) -> dict[Target, Outcome]:
    """Tell what the role holds: see `PostgreSQL.inspect`."""
    if any(target.server != main.server for target in targets):
        return dict.fromkeys(targets, unknown(elsewhere(main)))
    outcomes = dict.fromkeys(targets, ABSENT)
    known = {database.oid: database for database in databases(main, templates=True)}
    for oid, here in by_database(targets).items():
        database = known.get(oid)
        if oid == IN_NONE:
            outcomes |= roles.held(main, role, here, given)
            continue
        if database is None:
            continue
        if not database.reachable:
            outcomes |= dict.fromkeys(here, unknown(closed(main, database)))
            continue
        try:
            with server.beside(main, database.name) as connection:
                outcomes |= _look_into(connection, database, role, here, given, trace=trace)
        except psycopg.Error as error:
            outcomes |= dict.fromkeys(here, unknown(told(error), lasting=lasting(error)))
    return outcomes


def elsewhere(main: Connection) -> str:
    """Say that numbers are not used here, as another server has given them."""
    return (
        f"{main.info.host}:{main.info.port} is another server than the one that Latchkey knows"
        f" ({main.server or 'a standby'}): it was rebuilt, upgraded, restored or switched over."
        " Nothing new is given there until an administrator accepts it"
    )


def _look_into(
    connection: Connection,
    database: acl.Database,
    role: Role,
    targets: Sequence[Target],
    given: Sequence[Target],
    *,
    trace: Trace,
) -> dict[Target, Outcome]:
    catalog = acl.read(connection, database, [*targets, *given])
    have = acl.entries(connection, catalog, role.oid)
    needs = {target: catalog.needs(target) for target in (*targets, *given)}
    missing = {entry for each in needs.values() if each for entry in each.now} - have.keys()
    if role.can_login:
        # What comes through a role that Latchkey gave is not there in its own right.
        through = "public" if any(t.type == "role" for t in given) else role.oid
        missing -= acl.effective(connection, through, missing)
    ours = {entry for target in given if (each := needs[target]) for entry in each.now}
    ours |= {e for t in given for e in trace.get((t.source_id, t.permission), ())}

    def held(target: Target) -> Outcome:
        each = needs[target]
        if each is None:
            return ABSENT
        if target in given:  # as far as it can be had
            lacking, left_out = acl.falls_short(catalog, target, each, missing)
            return ABSENT if lacking else Outcome(Presence.HELD, left_out=left_out)
        return ABSENT if each.now & missing or each.core & ours else HELD

    return {target: held(target) for target in targets}


class Application(Task):
    """One `apply`.

    `untold` is what was given by the trace, and no holding explains any more: it goes, too.
    """

    def __init__(self, server: Server, main: Connection, order: Order) -> None:
        super().__init__(server, main, order)
        told = [*(h.target for h in order.holdings), *order.standing]
        self.untold = untold(main.server, self.trace, told)
        self.who = sql.Identifier(order.login.name)
        self.deadline_refused = ""
        self.proof: Secret | None = None
        self.elsewhere = any(h.target.server != main.server for h in order.holdings)

    def run(self) -> Report:
        order, server = self.order, self.server
        self.alone = server.lock(self.main, order.login)
        role = server.find(self.main, order.login)
        if not (role and role.ours) and (name := server.renamed(self.main, order.login)):
            return self._find_renamed(name)
        if self.elsewhere:
            return self._run_elsewhere(role)
        if role is None and not (order.wanted and order.login.password):
            self.trace.clear()
            self.settle((h.target for h in order.holdings), ABSENT)
            return self._report(login_missing=bool(order.wanted))
        if role is not None and not role.ours:
            return self._leave_alone(role)
        if order.wanted and role and not role.can_login and not self._secret:
            self.settle((h.target for h in order.holdings), unknown("its password is not known"))
            return self._report(login_missing=True)

        was_there, was_open = role is not None, role is not None and role.can_login
        refusal = self._let_in(role) if order.wanted else ""
        wanted = [] if refusal and not was_open else order.wanted
        self.settle(set(order.wanted).difference(wanted), Outcome(Presence.REFUSED, refusal))
        role = server.find(self.main, order.login)
        if role is None:
            self.trace.clear()
            self.settle(order.unwanted, ABSENT)
            return self._report()

        role = server.joined(self.main, order.login, role)
        trouble = "" if wanted else self._close(role)
        self._visit(role, wanted)
        if not any(self._may_hold(target) for target in wanted):
            # Who was being let in meanwhile is a session by now.
            trouble = trouble or self._close(role)
            if not was_there:
                self._unmake(trouble)
        self._doubt(order.unwanted, Presence.ABSENT, trouble or self._left_of_untold())
        self._doubt(wanted, Presence.HELD, refusal)
        return self._report()

    @property
    def _unwanted(self) -> list[Target]:
        return [*self.order.unwanted, *self.untold]

    def _left_of_untold(self) -> str:
        """Say why something that no holding explains may still be there; empty: it is gone."""
        left = [o for t in self.untold if (o := self.outcomes[t]).presence is not Presence.ABSENT]
        self.notes += [outcome.reason for outcome in left]
        return left[0].reason if left else ""

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
            alone=self.alone,
            proof=self.proof,
            trace=None if self.elsewhere else packed(self.main.server, self.trace),
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _find_renamed(self, name: str) -> Report:
        """Nothing is known of what a login is that somebody else has named."""
        reason = renamed(self.order.login, name)
        self.settle((h.target for h in self.order.holdings), unknown(reason, lasting=True))
        return self._report()

    def _leave_alone(self, role: Role) -> Report:
        """Only look: what this role has, Latchkey may have given it before its comment changed."""
        reason = stranger(self.order.login)
        self.settle(self.order.wanted, Outcome(Presence.REFUSED, reason))
        for oid, here in by_database(self._unwanted).items():
            database = next((d for d in databases(self.main, templates=True) if d.oid == oid), None)
            if oid == IN_NONE:
                self.outcomes |= roles.held(self.main, role, here)
            elif oid == NOWHERE or (database and not database.reachable):
                self.settle(here, unknown(reason))
            elif database is None:
                self.settle(here, ABSENT)
            else:
                visit = Visit(work=self, role=role, wanted=(), unwanted=here)
                with self.server.beside(self.main, database.name) as connection:
                    visit.only_look(connection, database, unknown(reason))
        self._doubt(self.order.unwanted, Presence.HELD, reason)
        self._doubt(self.order.unwanted, Presence.ABSENT, self._left_of_untold())
        return self._report()

    # --- The login --------------------------------------------------------------------------------

    @property
    def _secret(self) -> Secret | None:
        """What the password is set to, when the login is let in."""
        return self.order.login.password or self.order.login.proof

    def _let_in(self, role: Role | None) -> str:
        """Let the login in until the order's end, making it if need be. Say so if refused."""
        try:
            self.insist(self.main, self._open, firmly=False)
        except REFUSALS as error:
            if role and role.can_login and not self.order.login.password:
                self.deadline_refused = f"The old end stays: {said(error)}."
                return ""
            return self._refused(error)
        return ""

    def _open(self) -> None:
        """All at once: a new login without an end would stay if Latchkey died after making it."""
        login, proof = self.order.login, None
        with self.main.transaction():
            role = self.server.find(self.main, login)
            if role is None:
                self._run("create role {} nologin")
                self._run("comment on role {} is {}", self.server.comment(login))
            if login.password:
                # Made here, so that the server never sees, and never logs, the password itself.
                verifier = self.main.pgconn.encrypt_password(
                    login.password.reveal().encode(), login.name.encode(), b"scram-sha-256"
                )
                proof = Secret(verifier.decode())
                self._run("alter role {} login password {}", proof.reveal())
            elif role and not role.can_login and login.proof:
                # Its owner may have set another one, to come back with.
                self._run("alter role {} login password {}", login.proof.reveal())
            self._set_end()
        self.proof = proof

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

    def _close(self, role: Role) -> str:
        """Let nobody log in any more, and end what is under way. Say so if that is refused.

        What was prepared for two-phase commit goes too: it would take effect at anybody's word.
        """
        trouble = self._shut_out(role)
        ended = self.server.end_sessions(self.main, role)
        prepared = self.server.roll_back_prepared(self.main, role)
        return trouble or ended or prepared

    def _shut_out(self, role: Role) -> str:
        """Close the way in. Its sessions end meanwhile: else they could come back without end."""
        found = self.server.find(self.main, self.order.login)
        if found is None or not found.can_login:
            return ""
        give_up = time.monotonic() + self.server.seconds / 3

        def close() -> None:
            try:
                self._run("alter role {} nologin")
            except RACES:
                self.server.end_sessions(self.main, role, wait=False)
                raise

        while True:
            try:
                self.insist(self.main, close)
            except RACES as error:
                if time.monotonic() > give_up:
                    return self._refused(error)
            except (*REFUSALS, errors.LockNotAvailable) as error:
                return self._refused(error)  # the privileges and sessions can end all the same
            else:
                return ""

    def _unmake(self, trouble: str) -> None:
        """Drop the login that was made for nothing."""
        if not trouble:
            try:
                self.insist(self.main, lambda: self._run("drop role {}"))
            except psycopg.Error as error:
                self.notes.append(f"The login {ident(self.order.login.name)} stays: {said(error)}.")

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
            name = self.order.login.name
            return f"{reason} Cure: {membership(self.main, name).as_string()};"
        return f"{reason} Cure: ALTER ROLE {ident(self.me)} CREATEROLE;"

    # --- The databases ----------------------------------------------------------------------------

    def _visit(self, role: Role, wanted: Sequence[Target]) -> None:
        """Bring the role's privileges in line, in each database that the order or trace names."""
        for target in self.untold:
            self._note_untold(target)
        known = {database.oid: database for database in databases(self.main, templates=True)}
        for oid, here in by_database([*wanted, *self._unwanted]).items():
            visit = Visit(
                work=self,
                role=role,
                wanted=[t for t in here if t in wanted],
                unwanted=[t for t in here if t not in wanted],
            )
            database = known.get(oid)
            if oid == IN_NONE:
                self._bring_roles(role, visit.wanted, visit.unwanted)
            elif oid == NOWHERE:
                self._find_nowhere(role, visit.wanted, visit.unwanted)
            elif database is None:
                visit.find_gone()
            elif not database.reachable:
                visit.find_closed(database)
            else:
                try:
                    with self.server.beside(self.main, database.name) as connection:
                        visit.run(connection, database)
                except psycopg.Error as error:
                    there = databases(self.main, templates=True)
                    if oid in {database.oid for database in there}:
                        self.settle(here, unknown(told(error), lasting=lasting(error)))
                    else:
                        visit.find_gone()

    def _note_untold(self, target: Target) -> None:
        if as_needs(self.trace[target.source_id, target.permission]).core:
            self.notes.append(f"{target} was given, and is taken away: no access explains it.")

    def _bring_roles(
        self, role: Role, wanted: Sequence[Target], unwanted: Sequence[Target]
    ) -> None:
        def bring(give: Sequence[Target], take: Sequence[Target]) -> dict[Target, Outcome]:
            return dict(roles.bring(self.main, role, give, take))

        if unwanted:
            self.outcomes |= self.insist(self.main, lambda: bring((), unwanted))
            # Sessions that have taken a role on keep its rights, and may have prepared something.
            self._doubt(unwanted, Presence.ABSENT, self.server.end_sessions(self.main, role))
            self._doubt_roles(unwanted)
        if wanted:
            self.outcomes |= self.insist(self.main, lambda: bring(wanted, ()), firmly=False)
        for target in (*wanted, *unwanted):
            self._remember_role(target)

    def _remember_role(self, target: Target) -> None:
        place, presence = place_of(target.type, target.source_id), self.outcomes[target].presence
        if place and presence in {Presence.HELD, Presence.ABSENT}:
            given = acl.AclEntry(acl.ObjectKind.ROLE, place.role, "MEMBER")
            key = target.source_id, target.permission
            self.trace[key] = frozenset({given} if presence is Presence.HELD else ())

    def _doubt_roles(self, unwanted: Iterable[Target]) -> None:
        for target in unwanted:
            place = place_of(target.type, target.source_id.partition("@")[0])
            if place and place.role:
                self._doubt([target], Presence.ABSENT, roles.unsettled(self.main, place.role))

    def _find_nowhere(
        self, role: Role, wanted: Sequence[Target], unwanted: Sequence[Target]
    ) -> None:
        """What no number leads to any more ends with all that nothing else explains."""
        for target in wanted:
            self.outcomes[target] = gone(target)
        if unwanted:
            left = self._take_all(role)
            left = left or self.server.end_sessions(self.main, role)
            self.settle(unwanted, unknown(left) if left else ABSENT)
            self._leave_roles(role)
            named = ", ".join(map(str, unwanted))
            self.notes.append(f"{named} leads nowhere: all that nothing else explains had to go.")

    # --- On a server that is not the one --------------------------------------------------------

    def _run_elsewhere(self, role: Role | None) -> Report:
        """End by the login's name and comment: numbers mean other things here."""
        reason = elsewhere(self.main)
        if role and not role.ours:
            reason = stranger(self.order.login)
        self.settle(self.order.wanted, unknown(reason))
        if role is None:
            self.settle(self.order.unwanted, ABSENT)
        elif not role.ours:
            self.settle(self.order.unwanted, unknown(reason))
        elif self.order.unwanted:
            role = self.server.joined(self.main, self.order.login, role)
            trouble = "" if self.order.wanted else self._close(role)
            left = self._take_all(role)
            trouble = trouble or self.server.end_sessions(self.main, role)
            self.settle(self.order.unwanted, unknown(t) if (t := trouble or left) else ABSENT)
            self._leave_roles(role)
        return self._report()

    def _leave_roles(self, role: Role) -> None:
        """Take what memberships can be taken. What others gave may be theirs to give."""
        kept = [t for t in (*self.order.wanted, *self.order.standing) if t.type == "role"]
        names = {name for target in kept for name in names_in(target.path)}
        for each in remains.memberships(self.main, role.oid):
            if each.role not in names:
                remains.take_membership(self.main, role.name, each)
        for each in remains.memberships(self.main, role.oid):
            if each.role in names:
                continue
            roles = [t for t in self.order.unwanted if t.type == "role"]
            meant = [t for t in roles if names_in(t.path) == [each.role]]
            self.settle(meant, unknown(f"Latchkey may not take back {each}."))
            if not meant:
                self.notes.append(f"Left in place, as somebody else gave it: {each}.")
        self._doubt_roles(self.order.unwanted)

    def _take_all(self, role: Role) -> str:
        """Take whatever the login has, but for what is wanted and what was there before."""
        left, kept = list[str](), set[Known]()
        keep = [*self.order.wanted, *self.order.standing]
        for database in databases(self.main, templates=True):
            where = path_of(database.name)
            named = remains.is_in(self.main, role.oid, database.oid)
            here = [t for t in keep if remains.lies_in(t, database, self.main.server)]
            if not named and not here:
                continue
            try:
                if not database.reachable:
                    raise psycopg.OperationalError(closed(self.main, database))
                with self.server.beside(self.main, database.name) as connection:
                    known = remains.explained(connection, database, here)
                    kept |= known
                    left += [f"{each}, in {where}" for each in self._take(connection, role, known)]
            except psycopg.Error as error:
                kept.add((acl.ObjectKind.DATABASE, database.oid, "CONNECT", 0))
                if named:
                    left.append(f"something in {where}, which cannot be entered ({said(error)})")
        left += map(str, self._take(self.main, role, kept, shared=True))
        return f"Latchkey may not take back: {', '.join(left)}." if left else ""

    def _take(
        self,
        connection: Connection,
        role: Role,
        keep: AbstractSet[Known],
        *,
        shared: bool = False,
    ) -> list[remains.Remain]:
        """Take what is not to be kept; return what is left of it."""

        def chosen() -> list[remains.Remain]:
            found = remains.read(connection, role.oid, shared=shared)
            return [each for each in found if each.entry not in keep]

        def change() -> None:
            with connection.transaction():
                remains.take(connection, role.name, chosen())

        self.insist(connection, change)
        return chosen()
