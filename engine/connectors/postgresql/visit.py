"""The part of one `apply` that is about one database."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import psycopg
from psycopg import errors

from engine.connectors.postgresql import acl, remains
from engine.connectors.postgresql.server import (
    ABSENT,
    LOCK,
    Role,
    closed,
    cure,
    gone,
    ident,
    lasting,
    told,
    unknown,
)
from engine.connectors.postgresql.sessions import NO, Connection
from engine.connectors.postgresql.statements import carry_out
from engine.connectors.postgresql.task import Task
from engine.connectors.postgresql.trace import as_needs
from engine.port import Outcome, Presence, Target

__all__ = ["Visit"]


@dataclass(kw_only=True)
class Visit:
    """Brings a role's privileges in line there: first what has to go, then what is to come."""

    work: Task
    role: Role
    wanted: Sequence[Target]
    unwanted: Sequence[Target]
    refused: dict[Target, Outcome] = field(default_factory=dict[Target, Outcome])
    said: dict[acl.AclEntry, str] = field(default_factory=dict[acl.AclEntry, str])
    given: frozenset[acl.AclEntry] = frozenset()
    failed: Outcome | None = None  # giving did, and what had to go has gone

    def find_gone(self) -> None:
        self.work.settle(self.unwanted, ABSENT)
        for target in self.unwanted:
            self.work.trace.pop((target.source_id, target.permission), None)
        for target in self.wanted:
            self.work.outcomes[target] = gone(target)

    def find_closed(self, database: acl.Database) -> None:
        reason = closed(self.work.main, database)
        self.work.settle(self.wanted, Outcome(Presence.REFUSED, reason))
        self.work.settle(self.unwanted, unknown(reason))

    def run(self, connection: Connection, database: acl.Database) -> None:
        """First what has to go, then what is to come: nothing that is refused keeps the other."""
        work = self.work
        catalog = (
            self._change(connection, database, self._take, firmly=True) if self.unwanted else None
        )
        trouble = ""
        if not self.wanted:  # an open cursor outlives REVOKE
            trouble = work.server.end_sessions(work.main, self.role, database.oid)
        else:
            try:
                catalog = self._change(connection, database, self._give, firmly=False)
            except psycopg.Error as error:
                if catalog is None:
                    raise
                self.failed = unknown(told(error), lasting=lasting(error))
        if catalog:
            self._judge(connection, catalog, trouble)

    def _change(
        self,
        connection: Connection,
        database: acl.Database,
        how: Callable[[Connection, acl.Catalog, bool], None],
        *,
        firmly: bool,
    ) -> acl.Catalog:
        def change(*, one_by_one: bool) -> acl.Catalog:
            with connection.transaction():
                self._be_alone(connection)
                catalog = self._read(connection, database)
                how(connection, catalog, one_by_one)
            return catalog

        try:
            return self.work.insist(connection, lambda: change(one_by_one=False), firmly=firmly)
        except NO:
            return self.work.insist(connection, lambda: change(one_by_one=True), firmly=firmly)

    def _read(self, connection: Connection, database: acl.Database) -> acl.Catalog:
        also = {entry for target in self.unwanted for entry in self._trace(target)}
        standing = self.work.order.standing
        here = [t for t in standing if remains.lies_in(t, database, connection.server)]
        return acl.read(connection, database, [*self.wanted, *self.unwanted, *here], also)

    def _take(self, connection: Connection, catalog: acl.Catalog, one_by_one: bool) -> None:  # noqa: FBT001
        have = acl.entries(connection, catalog, self.role.oid)
        keep = [*self._needs(catalog), *self._standing(catalog)]
        _, take = acl.change(have, keep, self._dropped(catalog))
        name = self.work.order.login.name
        self.said |= carry_out(connection, catalog, name, take=take, one_by_one=one_by_one)

    def _give(self, connection: Connection, catalog: acl.Catalog, one_by_one: bool) -> None:  # noqa: FBT001
        have = acl.entries(connection, catalog, self.role.oid)
        self.refused = self._renamed(catalog, have)
        give, _ = acl.change(have, self._needs(catalog), ())
        name = self.work.order.login.name
        self.said |= carry_out(connection, catalog, name, give=give, one_by_one=one_by_one)
        self.given = frozenset(give)
        if one_by_one or any(not catalog.mine(entry) for entry in give):
            self._undo(connection, catalog, give)

    def only_look(self, connection: Connection, database: acl.Database, held: Outcome) -> None:
        """Change nothing; what has anything left of it is `held`."""
        catalog = self._read(connection, database)
        have = acl.entries(connection, catalog, self.role.oid)
        for target in self.unwanted:
            needs = catalog.needs(target) or acl.Needs()
            left = (needs.core | needs.future | as_needs(self._trace(target)).core) & have.keys()
            self.work.outcomes[target] = held if left else ABSENT

    @staticmethod
    def _core(catalog: acl.Catalog, target: Target) -> frozenset[acl.AclEntry]:
        needs = catalog.needs(target)
        return needs.core if needs else frozenset()

    def _trace(self, target: Target) -> frozenset[acl.AclEntry]:
        return self.work.trace.get((target.source_id, target.permission), frozenset())

    def _dropped(self, catalog: acl.Catalog) -> list[acl.Needs]:
        """What the unwanted come to, by the catalogue and by what was given for them."""
        by_name = [catalog.needs(t) or catalog.remains(t) for t in self.unwanted]
        traces = [as_needs(self._known(catalog, self._trace(t))) for t in self.unwanted]
        return [*by_name, *traces]

    def _known(
        self, catalog: acl.Catalog, entries: AbstractSet[acl.AclEntry]
    ) -> frozenset[acl.AclEntry]:
        return frozenset(e for e in entries if catalog.has(e))

    def _standing(self, catalog: acl.Catalog) -> list[acl.Needs]:
        """What was there before, but for what Latchkey has given since for what ends."""
        given = {entry for target in self.unwanted for entry in self._trace(target)}
        found = [needs for t in self.work.order.standing if (needs := catalog.needs(t))]
        return [acl.Needs(needs.core - given, needs.path - given) for needs in found]

    def _be_alone(self, connection: Connection) -> None:
        """Two at a time would fail on each other: an object's ACL is one value for all roles."""
        if not self.work.alone:
            return
        try:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s, 0)", [LOCK])
        except errors.LockNotAvailable:
            self.work.alone = False

    def _needs(self, catalog: acl.Catalog) -> list[acl.Needs]:
        wanted = [target for target in self.wanted if target not in self.refused]
        return [needs for target in wanted if (needs := catalog.needs(target))]

    def _renamed(
        self, catalog: acl.Catalog, have: Mapping[acl.AclEntry, acl.Seen]
    ) -> dict[Target, Outcome]:
        """Find what would be given under another name than the one that was approved."""
        found = {}
        for target in self.wanted:
            needs, name = catalog.needs(target), catalog.called(target)
            if needs and not needs.core & have.keys() and name != target.path:
                reason = f"{target.path} is called {name} now. Ask again."
                found[target] = Outcome(Presence.REFUSED, reason)
        return found

    def _undo(
        self, connection: Connection, catalog: acl.Catalog, give: AbstractSet[acl.AclEntry]
    ) -> None:
        """Take back at once what was given of something that cannot be had: refused is absent."""
        have = acl.entries(connection, catalog, self.role.oid)
        fell_short = self._fell_short(connection, catalog, have)
        if not fell_short:
            return
        self.refused |= fell_short
        lost = [needs for target in fell_short if (needs := catalog.needs(target))]
        _, take = acl.change(have, [*self._needs(catalog), *self._standing(catalog)], lost)
        name = self.work.order.login.name
        carry_out(connection, catalog, name, take=take & give, one_by_one=True)

    def _fell_short(
        self, connection: Connection, catalog: acl.Catalog, have: Mapping[acl.AclEntry, acl.Seen]
    ) -> dict[Target, Outcome]:
        missing = self._missing(connection, catalog, have)
        found = {}
        for target in self.wanted:
            if target not in self.refused and (needs := catalog.needs(target)):
                lacking, _ = acl.falls_short(catalog, target, needs, missing)
                if lacking:
                    reason = self._lacking("give", catalog, lacking)
                    found[target] = Outcome(Presence.REFUSED, reason)
        return found

    def _missing(
        self, connection: Connection, catalog: acl.Catalog, have: Mapping[acl.AclEntry, acl.Seen]
    ) -> set[acl.AclEntry]:
        needs = [catalog.needs(target) for target in self.wanted]
        missing = {e for each in needs if each for e in each.now} - have.keys()
        return missing - acl.effective(connection, self.role.oid, missing)

    def _judge(self, connection: Connection, catalog: acl.Catalog, trouble: str) -> None:
        """Read what there is now, and say what it means for each target."""
        have = acl.entries(connection, catalog, self.role.oid)
        missing = self._missing(connection, catalog, have)
        kept = [*self._needs(catalog), *self._standing(catalog)]
        keep = {entry for needs in kept for entry in needs.all}
        for target in self.wanted:
            refused = self.refused.get(target)
            undone = not (self._core(catalog, target) & self.given & have.keys() - keep)
            if refused and not undone:
                refused = unknown(refused.reason)  # nor could it be taken back
            self.work.outcomes[target] = (
                self.failed or refused or self._judge_wanted(catalog, target, missing)
            )
        for target in self.unwanted:
            drop = catalog.needs(target) or acl.Needs()
            was = as_needs(self._known(catalog, self._trace(target)))
            gone = (drop.core | drop.future | was.core | was.future) & have.keys() - keep
            left = {entry: have[entry] for entry in gone}
            self.work.outcomes[target] = self._judge_unwanted(catalog, left, trouble)
        self._remember(catalog, have)

    def _remember(self, catalog: acl.Catalog, have: Mapping[acl.AclEntry, acl.Seen]) -> None:
        """Keep what leads back to all that was given, should it move meanwhile."""
        ours = {entry for entry, seen in have.items() if seen.revocable}
        known = self.given.union(*self.work.trace.values())
        for target in (*self.wanted, *self.unwanted):
            key = target.source_id, target.permission
            needs = catalog.needs(target) or acl.Needs()
            left = frozenset((self._trace(target) | (needs.all & known)) & ours)
            gone = self.work.outcomes[target].presence is Presence.ABSENT
            self.work.trace[key] = frozenset() if gone else left

    def _judge_wanted(
        self, catalog: acl.Catalog, target: Target, missing: AbstractSet[acl.AclEntry]
    ) -> Outcome:
        needs = catalog.needs(target)
        if needs is None:
            return gone(target)
        lacking, left_out = acl.falls_short(catalog, target, needs, missing)
        if lacking:  # it went while this was under way
            return unknown(self._lacking("give", catalog, lacking))
        return Outcome(Presence.HELD, left_out=left_out)

    def _judge_unwanted(
        self, catalog: acl.Catalog, left: Mapping[acl.AclEntry, acl.Seen], trouble: str
    ) -> Outcome:
        if ours := sorted(entry for entry, seen in left.items() if seen.revocable):
            return unknown(self._lacking("take back", catalog, ours[0]))
        if options := sorted(entry for entry, seen in left.items() if seen.by_option):
            return unknown(self._by_option(catalog, options[0]))
        if left:
            words = ", ".join(_words(catalog, entry) for entry in sorted(left))
            self.work.notes.append(f"Left in place, as somebody else gave it: {words}.")
        return unknown(trouble) if trouble else ABSENT

    def _lacking(self, verb: str, catalog: acl.Catalog, entry: acl.AclEntry) -> str:
        """Say what Latchkey may not do, and what would cure it."""
        reason = f"Latchkey may not {verb} {_words(catalog, entry)}"
        if catalog.mine(entry) and entry in self.said:
            return f"{reason}: {self.said[entry]}."
        return f"{reason}. {cure(self.work.main, catalog.owner(entry))}"

    def _by_option(self, catalog: acl.Catalog, entry: acl.AclEntry) -> str:
        """Who may act as the owner can no longer act by a grant option of its own."""
        cure = f"REVOKE {ident(catalog.owner(entry).name)} FROM {ident(self.work.me)};"
        return (
            f"Latchkey gave {_words(catalog, entry)} by a grant option, before it could act as the"
            " owner. After this it can take it back, and be made a member again."
            f" Cure: {cure}"
        )


def _words(catalog: acl.Catalog, entry: acl.AclEntry) -> str:
    future = f" for {entry.kind}" if entry.maker else ""
    return f"{entry.privilege}{future} on {catalog.path_of(entry)}"
