"""What an operator can do without Slack, straight on the database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.runtime.clock import Clock, clock_of
from bot.settings import KeySettings, StoreSettings
from bot.usecases import new_ids
from engine.commands import Cancel, Revoke
from engine.directory import Person, PersonId
from engine.errors import LatchkeyError
from engine.inventory import Entitlement, EntitlementId
from engine.outcome import AuditEntry, Code, Decision, Refusal
from engine.request import OPERATOR, WAITING, AccessRequest, id_of
from manifests import Manifests
from storage import apply, audit, facts, numbers, schema, succession, sync
from storage.codec import fields_of
from storage.company import Companies
from storage.database import AWAY, Database, Write, address, file_of, is_away, is_locked
from storage.schema import NeedsUpgradeError
from storage.secrets import KeyRing
from storage.succession import Succession
from storage.sync import TooMuchError
from storage.unit_of_work import carry_out

LOCKED = "somebody holds its row in the database locked: end that session, and try again"


@dataclass(frozen=True, slots=True)
class HistoryLine:
    at: datetime
    action: str
    by: PersonId
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was taken in: of how many people something is new, who loses something, new ids."""

    changed: int
    losing: tuple[str, ...]
    new_ids: int


class NoLatchkeyError(LatchkeyError):
    """There is no Latchkey in this database. The text names it."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"There is no Latchkey in this database: {database}. Give the address of the one that "
            "`latchkey run` works on as LATCHKEY_DATABASE_URL; a new one is made by "
            "`latchkey run`, or by `latchkey db upgrade`."
        )


@contextmanager
def on_latchkey(settings: StoreSettings) -> Iterator["Desk"]:
    """As `opened`, on a database that has a Latchkey. Raises NoLatchkeyError, NeedsUpgradeError."""
    file = file_of(settings.database_url)
    if file and not file.exists():
        raise NoLatchkeyError(address(settings.database_url))
    with opened(settings) as desk:
        found = schema.current(desk.database)
        if not found:
            raise NoLatchkeyError(address(settings.database_url))
        if not schema.fits(found):
            raise NeedsUpgradeError(found)
        yield desk


@contextmanager
def opened(settings: StoreSettings) -> Iterator["Desk"]:
    keys = settings.key_ring if isinstance(settings, KeySettings) else None
    database = Database(settings.database_url, pool=2, keys=keys)
    try:
        yield Desk(database, Companies(), clock_of(database, settings.clock_file))
    finally:
        database.close()


@dataclass(frozen=True, slots=True)
class Desk:
    database: Database
    companies: Companies
    clock: Clock

    def knows(self, keys: KeyRing) -> bool:
        """Tell whether the newest entry of the audit that is proven is so by one of these keys."""
        with self.database.read() as session:
            key = audit.newest_key(session)
        return key is None or key in keys.audit_keys

    def requests(self, *, live: bool) -> list[AccessRequest]:
        with self.database.read() as session:
            return facts.find(session, live=live)

    def request(self, code: str) -> AccessRequest | None:
        id_ = id_of(code)
        with self.database.read() as session:
            return facts.request(session, id_) if id_ else None

    def chosen(self, code: str | None, person: str | None) -> list[AccessRequest] | Refusal:
        """Return one request, those of one person, or (neither given) all that are not over."""
        if code is not None:
            found = self.request(code)
            none = Refusal(Code.NO_SUCH_REQUEST, f"There is no request {code}.")
            return [found] if found else none
        with self.database.read() as session:
            live = facts.find(session)
        if person is None:
            return live
        grantee = self._person(person)
        if isinstance(grantee, Refusal):
            return grantee
        return [r for r in live if r.grantee == grantee]

    def revoke(
        self, requests: list[AccessRequest], reason: str
    ) -> Iterator[tuple[AccessRequest, Decision | Refusal]]:
        """Revoke each, or cancel it while it waits; what is locked once more at the end."""
        with suppress(*AWAY):
            with self.database.read() as session:
                wrong = numbers.are_wrong(session)
            if wrong:
                with self.database.write() as tx:
                    numbers.set_right(tx)
        locked = list[AccessRequest]()
        for request in requests:
            outcome = self._revoke(request, reason)
            if outcome is None:
                locked.append(request)
            else:
                yield request, outcome
        for request in locked:
            yield request, self._revoke(request, reason) or Refusal(Code.UNREADABLE, LOCKED)

    def _revoke(self, request: AccessRequest, reason: str) -> Decision | Refusal | None:
        """Return None if somebody holds its row locked."""
        try:
            with self.database.write(urgent=True) as tx:
                now = facts.request(tx, request.id) or request
                command = (Cancel if now.state in WAITING else Revoke)(OPERATOR, reason)
                company = self.companies.current(tx)
                return carry_out(tx, company, request.id, command, self.clock.now())
        except Exception as fault:
            if is_away(fault):
                raise
            if is_locked(fault):
                return None
            # Whatever is wrong with one: the rest goes on.
            why = f"it could not be decided on ({type(fault).__name__})"
            return Refusal(Code.UNREADABLE, why)

    def hurry(self, requests: Iterable[AccessRequest]) -> None:
        """Have what is being taken away already tried again at once."""
        if ids := {g.account for r in requests for g in r.grants if g.open}:
            try:
                with self.database.write(urgent=True) as tx:
                    apply.bump(tx, ids, self.clock.now())
            except AWAY as fault:
                if not is_locked(fault):
                    raise  # else: it is tried again by itself

    def pause(self, *, paused: bool) -> bool:
        with self.database.write() as tx:
            return sync.pause(tx, OPERATOR, self.clock.now(), paused=paused)

    def confirm(self, email: str) -> Refusal | None:
        person = self._person(email)
        if isinstance(person, Refusal):
            return person
        with self.database.write() as tx:
            sync.confirm(tx, person, OPERATOR, self.clock.now())
        return None

    def part(self, email: str) -> Refusal | None:
        """Note that somebody else has the id that this address is listed with."""
        person = self._person(email)
        if isinstance(person, Refusal):
            return person
        with self.database.write() as tx:
            if succession.make_way(tx, person, self.clock.now()):
                return None
        return Refusal(
            Code.UNKNOWN_PERSON,
            f"Nothing waits for this: the address of {email} has not changed at its id.",
        )

    def accept(self, listed: Manifests) -> Accepted:
        """Take in all people of the manifests, and tell the admins of new ids, as a sync does."""
        now = self.clock.now()
        losing: tuple[str, ...] = ()
        with self.database.read() as session:
            found = succession.find(session, listed.people)
            people = succession.as_known(listed.people, found)
            try:
                intake = sync.compare(session, people, listed.groups)
            except TooMuchError as fault:
                losing = fault.losing
                intake = sync.compare(session, people, listed.groups, held=False)

        def said(tx: Write) -> None:
            new_ids.tell(tx, found, now)
            if losing:
                detail = {"people": list(losing)}
                audit.append(tx, [(None, AuditEntry("people_accepted", OPERATOR, detail))], now)

        # Of the set that these people are of, a start or the watch takes in the rest.
        for step in (said, *intake.steps(now, whole=False)):
            with self.database.write() as tx:
                step(tx)
        return Accepted(intake.size, losing, len(found))

    def new_ids(self, listed: Manifests) -> list[Succession]:
        """Return who is listed under another id than the one known."""
        with self.database.read() as session:
            return succession.find(session, listed.people)

    def carry(self, people: Sequence[Succession], keys: KeyRing) -> None:
        """Give people their new ids, with all that is theirs, some at a time."""
        left = [pair for pair in people if pair.carries]
        while some := left[: succession.AT_ONCE]:
            with self.database.write() as tx:
                succession.carry(tx, some, keys, self.clock.now())
            del left[: succession.AT_ONCE]

    def part_all(self, people: Sequence[Succession]) -> None:
        """Note that who had these addresses before has left: somebody else has them now."""
        with self.database.write() as tx:
            succession.part(tx, people, self.clock.now())

    def person(self, person: PersonId) -> Person | None:
        with self.database.read() as session:
            return self.companies.current(session).directory.get(person)

    def name(self, person: PersonId) -> str:
        found = self.person(person)
        return found.name if found else person

    def flow(self, request: AccessRequest) -> str:
        with self.database.read() as session:
            return self.companies.current(session).flow(request.flow).name

    def things(self, request: AccessRequest) -> dict[EntitlementId, Entitlement]:
        with self.database.read() as session:
            company = self.companies.current(session)
            return facts.entitlements(session, company, request.entitlements)

    def what(self, request: AccessRequest) -> list[str]:
        found = self.things(request)
        return [str(found.get(e, "something that is gone")) for e in request.entitlements]

    def history(self, request: AccessRequest) -> list[HistoryLine]:
        with self.database.read() as session:
            rows = audit.of_request(session, request.id)
        return [
            HistoryLine(row.at, row.action, PersonId(row.actor), fields_of(row.body))
            for row in rows
        ]

    def _person(self, email: str) -> PersonId | Refusal:
        with self.database.read() as session:
            found = self.companies.current(session).directory.by_email(email)
        if len(found) == 1:
            return found[0].id
        return Refusal(Code.UNKNOWN_PERSON, f"Nobody in the directory has the address {email}.")
