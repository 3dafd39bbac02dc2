"""What every use case and loop works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from bot.runtime.aside import Aside
from bot.runtime.clock import Clock
from bot.runtime.metrics import Vitals
from bot.runtime.priority import Turns
from engine.account import Logins, SystemTraits
from engine.eligibility import OPEN_SUBMISSIONS
from engine.inventory import Integration, IntegrationId
from engine.port import Connector
from engine.request import AccountId, RequestId, code_of
from storage.accounts import Workplace
from storage.apply import LostRaceError
from storage.claims import InstanceId, Pulse
from storage.company import FEW, BehindError, Companies, Company
from storage.database import AWAY, Database, Write, is_deadlock
from storage.secrets import KeyRing

TRIES = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connected:
    """One integration and the connector that speaks to it."""

    integration: Integration
    connector: Connector
    logins: Logins = field(default_factory=Logins)


@dataclass(frozen=True)
class Services:
    database: Database
    companies: Companies
    clock: Clock
    keys: KeyRing
    connected: Mapping[IntegrationId, Connected]
    vitals: Vitals = field(default_factory=Vitals)
    pulse: Pulse = field(default_factory=Pulse)
    turns: Turns = field(default_factory=Turns)
    open_submissions: int = OPEN_SUBMISSIONS  # of one person, at most

    @cached_property
    def locked_requests(self) -> Aside[RequestId]:
        return Aside(lambda id_: f"request {code_of(id_)}", self.vitals.faults)

    @cached_property
    def locked_accounts(self) -> Aside[AccountId]:
        return Aside(lambda id_: f"account {id_}", self.vitals.faults)

    def company(self) -> Company:
        """Return the company as it is now."""
        with self.database.read() as session:
            return self.companies.current(session)

    def knows_somebody(self) -> bool:
        """Tell whether a company was ever taken in."""
        return bool(self.company().directory.people)

    def write(
        self, change: Callable[[Write, Company], T], *, urgent: bool = False, alone: bool = False
    ) -> T:
        """Run a change that depends on people or flows, in one transaction.

        `alone`: it changes them, so that nobody else does, or decides by them, meanwhile.
        """

        def decide(tx: Write, at_most: int | None = FEW) -> T:
            if alone:
                tx.alone()
            return change(tx, self.companies.current(tx, at_most=at_most))

        for _ in range(TRIES):
            try:
                return self.transaction(decide, urgent=urgent)
            except BehindError:
                self.company()
        return self.transaction(lambda tx: decide(tx, None), urgent=urgent)

    def transaction(self, change: Callable[[Write], T], *, urgent: bool = False) -> T:
        """Run a change in one transaction; who lost a race decides again, on what is true now."""
        for _ in range(TRIES):
            try:
                with self.database.write(urgent=urgent) as tx:
                    return change(tx)
            except LostRaceError:
                continue
            except AWAY as fault:
                if not is_deadlock(fault):
                    raise
        with self.database.write(urgent=urgent) as tx:
            return change(tx)

    def generates_login(self, integration: IntegrationId) -> bool:
        found = self.connected.get(integration)
        return found is not None and found.connector.generates_login

    @property
    def instance(self) -> InstanceId:
        return InstanceId(self.database.instance or 0)

    @property
    def desk(self) -> Workplace:
        kinds = {
            id_: SystemTraits(
                c.integration.name, c.connector.generates_login, c.connector.deadline, c.logins
            )
            for id_, c in self.connected.items()
        }
        return Workplace(self.instance, self.keys, kinds)
