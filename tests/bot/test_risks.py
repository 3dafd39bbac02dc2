"""What administrators say of risks is taken in with the manifests, and holds at once."""

import pytest

from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.usecases import changes, systems
from bot.usecases.changes import Known
from bot.usecases.take_in import take_in
from engine.aql.parser import parse
from engine.risk import Risks, Rule
from manifests import IntegrationManifest, Manifests
from storage.jobs import JobKind
from storage.tables import JobRow
from tests.support.stored import ADA, GROUPS, PEOPLE, PG, WIKI

RISKY = Risks(set=(Rule(parse('resource_name = "orders"'), resource=10),))


@pytest.fixture
def services(stored):
    clock = DatabaseClock(stored.database)
    return Services(stored.database, stored.companies, clock, stored.keys, {})


def read(services, risks) -> None:
    listed = (
        IntegrationManifest(PG, "Production", "memory", {}),
        IntegrationManifest(WIKI, "Wiki", "memory", {}),
    )
    take_in(services, Manifests(PEOPLE, GROUPS, frozenset({ADA}), listed, (), risks=risks))


def known(services) -> Known:
    return Known(services.company(), systems.connections(services))


def test_all_systems_are_discovered_anew_where_risks_are_others(services, stored):
    """What was stored kept its risk until the next hour."""
    read(services, Risks())
    before = known(services)
    assert stored.rows(JobRow) == []

    read(services, RISKY)

    assert services.company().risks == RISKY
    jobs = {(r.kind, r.subject) for r in stored.rows(JobRow)}
    assert jobs == {(JobKind.DISCOVER, PG), (JobKind.DISCOVER, WIKI)}
    assert changes.changes(before, known(services)) == ["risks: changed"]


def test_the_same_risks_again_are_no_change(services):
    read(services, RISKY)
    epoch = services.company().epoch

    read(services, RISKY)

    assert services.company().epoch == epoch
