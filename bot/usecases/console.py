"""What operators work with, without Slack, straight on the database; and what they look at."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.runtime.clock import Clock, clock_of
from bot.settings import KeySettings, StoreSettings
from bot.usecases import whose
from bot.usecases.whose import SettingsT
from engine.directory import Person, PersonId
from engine.errors import LatchkeyError
from engine.inventory import Entitlement, EntitlementId
from engine.outcome import Code, Refusal
from engine.request import AccessRequest, id_of
from storage import audit, facts, schema
from storage.codec import fields_of
from storage.company import Companies, Company
from storage.database import Database, address, file_of
from storage.schema import NeedsUpgradeError
from storage.secrets import KeyRing


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """An entry of the audit. `at` None: when it was, cannot be read."""

    at: datetime | None
    action: str
    by: PersonId
    body: Mapping[str, Any]


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

    def company(self) -> Company:
        """Return the company as it is. Who decides on many reads it before each transaction."""
        with self.database.read() as session:
            return self.companies.current(session)

    def knows(self, keys: KeyRing) -> bool:
        """Tell whether something that Latchkey has stored is proven by these keys."""
        with self.database.read() as session:
            return whose.knows(session, keys)

    def not_ours(self, keys: KeyRing) -> str:
        """Say what is wrong with keys beside what is stored; empty: nothing."""
        with self.database.read() as session:
            return whose.not_ours(session, keys)

    def in_force(self, given: SettingsT) -> SettingsT:
        """Return the settings with the name of the installation that is in force here."""
        with self.database.read() as session:
            return whose.in_force(session, given)

    def requests(self, *, live: bool) -> list[AccessRequest]:
        with self.database.read() as session:
            return facts.find(session, live=live)

    def request(self, code: str) -> AccessRequest | None:
        id_ = id_of(code)
        with self.database.read() as session:
            return facts.request(session, id_) if id_ else None

    def person(self, person: PersonId) -> Person | None:
        return self.company().directory.get(person)

    def name(self, person: PersonId) -> str:
        found = self.person(person)
        return found.name if found else person

    def flow(self, request: AccessRequest) -> str:
        return self.company().flow(request.flow).name

    def things(self, request: AccessRequest) -> dict[EntitlementId, Entitlement]:
        with self.database.read() as session:
            company = self.companies.current(session)
            return facts.entitlements(session, company, request.entitlements)

    def what(self, request: AccessRequest) -> list[str]:
        found = self.things(request)
        return [str(found.get(e, "something that is gone")) for e in request.entitlements]

    def history(self, request: AccessRequest) -> list[HistoryLine]:
        with self.database.read() as session:
            return [
                HistoryLine(
                    audit.moment_of(entry.at),
                    entry.action,
                    PersonId(entry.actor),
                    fields_of(entry.detail),
                )
                for entry in audit.of_requests(session, [request.id])
            ]

    def by_email(self, email: str) -> PersonId | Refusal:
        with self.database.read() as session:
            found = self.companies.current(session).directory.by_email(email)
        if len(found) == 1:
            return found[0].id
        return Refusal(Code.UNKNOWN_PERSON, f"Nobody in the directory has the address {email}.")
