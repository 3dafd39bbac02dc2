"""What an operator can do without Slack, straight on the database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from bot import new_ids
from bot.clock import Clock, MovedClock, SystemClock
from bot.manifests import Manifests
from bot.settings import Settings
from engine.commands import Cancel, Revoke
from engine.directory import Person, PersonId
from engine.outcome import Code, Decision, Entry, Refusal
from engine.request import OPERATOR, AccessRequest, State, id_of
from storage import audit, facts, succession, sync
from storage.book import carry_out
from storage.company import Companies
from storage.database import AWAY, Database, Write
from storage.secrets import KeyRing
from storage.succession import Succession
from storage.sync import TooMuchError
from storage.tables import AuditRow


@dataclass(frozen=True, slots=True)
class Line:
    at: datetime
    action: str
    actor: str
    detail: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was taken in: of how many people something is new, who loses something, new ids."""

    changed: int
    losing: tuple[str, ...]
    new_ids: int


@contextmanager
def opened(settings: Settings) -> Iterator["Desk"]:
    database = Database(settings.database_url, pool=2, keys=settings.key_ring)
    clock = MovedClock(settings.clock_file) if settings.clock_file else SystemClock()
    try:
        yield Desk(database, Companies(), clock)
    finally:
        database.close()


@dataclass(frozen=True, slots=True)
class Desk:
    database: Database
    companies: Companies
    clock: Clock

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
        live = self.requests(live=True)
        if person is None:
            return live
        grantee = self._person(person)
        if isinstance(grantee, Refusal):
            return grantee
        return [r for r in live if r.grantee == grantee]

    def revoke(
        self, requests: list[AccessRequest], reason: str
    ) -> Iterator[tuple[AccessRequest, Decision | Refusal]]:
        """Revoke each, or cancel it while it waits."""
        waiting = {State.PENDING_MFA, State.PENDING}
        for request in requests:
            kind = Cancel if request.state in waiting else Revoke
            command = kind(OPERATOR, reason)
            try:
                with self.database.write() as tx:
                    company = self.companies.current(tx)
                    outcome = carry_out(tx, company, request.id, command, self.clock.now())
            except AWAY:
                raise
            except Exception as fault:  # noqa: BLE001  (whatever is wrong with one: the rest goes on)
                why = f"it could not be decided on ({type(fault).__name__})"
                outcome = Refusal(Code.UNREADABLE, why)
            yield request, outcome

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
                audit.append(tx, [(None, Entry("people_accepted", OPERATOR, detail))], now)

        for step in (said, *intake.steps(now)):
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

    def what(self, request: AccessRequest) -> list[str]:
        with self.database.read() as session:
            company = self.companies.current(session)
            found = facts.entitlements(session, company, request.entitlements)
        return [str(found.get(e, "something that is gone")) for e in request.entitlements]

    def history(self, request: AccessRequest) -> list[Line]:
        query = (
            select(AuditRow)
            .where(col(AuditRow.request_id) == request.id)
            .order_by(col(AuditRow.seq))
        )
        with self.database.read() as session:
            rows = session.execute(query).scalars().all()
        return [
            Line(
                row.at,
                row.action,
                self.name(PersonId(row.actor)),
                _said(row.body),
            )
            for row in rows
        ]

    def _person(self, email: str) -> PersonId | Refusal:
        with self.database.read() as session:
            found = self.companies.current(session).directory.by_email(email)
        if len(found) == 1:
            return found[0].id
        return Refusal(Code.UNKNOWN_PERSON, f"Nobody in the directory has the address {email}.")


def _said(detail: object) -> str:
    """Return a line's detail in words; what cannot be read of it, as it stands there."""
    if isinstance(detail, dict):
        return ", ".join(f"{key}: {value}" for key, value in sorted(detail.items()))
    return str(detail)
