"""Whether Latchkey says that it is well, for each thing that it needs."""

from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bot.operations.health import Health
from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from bot.usecases.search import prepare
from storage import schema
from storage.company import Companies
from storage.database import Database
from storage.secrets import KeyRing, new_key
from storage.tables import IntegrationRow
from tests.support.revisions import downgrade


@dataclass
class Running:
    """A loop, as far as its health goes."""

    lag: float = 0.0
    alive: bool = True
    silent: float = 0.0


@dataclass
class Beating:
    """A pulse, as far as health goes by it."""

    steady: float = 3600.0


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path}/latchkey.db")
    schema.upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def health(database):
    services = Services(database, Companies(), DatabaseClock(database), KeyRing([new_key()]), {})
    return Health(services, {"access": Running(), "jobs": Running()}, lambda: 2)


def test_with_all_that_it_needs_it_is_well(health):
    assert health.alive()
    assert health.problems() == {}


def test_a_schema_that_is_missing_is_told(health, database):
    downgrade(database, "base")

    said = health.problems()["database"]

    assert schema.newest() in said
    assert "missing" in said


@pytest.mark.parametrize("steps", [-1, 2])
def test_a_schema_that_is_not_the_programs_is_told(health, database, steps):
    revision = f"{int(schema.newest()) + steps:04}"
    with database.write() as tx:
        tx.execute(text("update alembic_version set version_num = :it"), {"it": revision})

    said = health.problems()["database"]

    assert schema.newest() in said
    assert revision in said


def test_a_database_that_does_not_answer_is_told(health):
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1")
    services = Services(away, Companies(), DatabaseClock(away), KeyRing([new_key()]), {})
    lost = Health(services, health.loops, health.links)

    for loop in health.loops.values():
        loop.silent = 3600
    assert lost.problems() == {"database": "does not answer (OperationalError)"}
    assert lost.alive()  # a restart would not help
    away.close()


def test_without_a_living_link_nobody_can_click(health):
    health = Health(health.services, health.loops, lambda: 0)
    assert health.problems() == {"slack": "no link is alive"}


def test_with_http_there_is_no_link_to_miss(health):
    health = Health(health.services, health.loops, None, lambda: True)
    assert health.problems() == {}


def test_with_http_nobody_can_click_where_nothing_listens(health):
    """It was ready, though what Slack sent reached nobody."""
    health = Health(health.services, health.loops, None, lambda: False)
    assert "LATCHKEY_HTTP" in health.problems()["slack"]


def test_it_is_ready_once_a_search_need_not_wait_for_what_can_be_had(health):
    """With a million entitlements it was ready some seconds before: the first search came later
    than Slack waits."""
    catalogues = health.services.companies.catalogues
    health = replace(health, searches=lambda: catalogues.looked)
    assert "search" in health.problems()

    prepare(health.services)

    assert health.problems() == {}


def test_what_can_be_had_and_cannot_be_read_keeps_nobody_from_deciding(health, database):
    catalogues = health.services.companies.catalogues
    health = replace(health, searches=lambda: catalogues.looked)
    with database.write() as tx:
        tx.add(IntegrationRow(id="pg", name="Orders", kind="memory", body={}))
        tx.flush()
        tx.execute(text("alter table entitlement rename to lost"))
    with pytest.raises(OperationalError):
        prepare(health.services)

    assert health.problems() == {}


def test_a_token_that_slack_refuses_is_told_though_the_link_lives(health):
    health.services.vitals.slack.bad("token_revoked")
    assert "token_revoked" in health.problems()["slack"]
    health.services.vitals.slack.good()
    assert health.problems() == {}


def test_a_slack_that_is_slow_for_a_moment_is_no_reason_to_be_taken_out(health):
    health.services.vitals.slack.bad("TimeoutError")
    assert health.problems() == {}


@pytest.mark.parametrize(("name", "lag", "told"), [("access", 11, True), ("jobs", 11, False)])
def test_a_loop_that_is_behind_is_named(health, name, lag, told):
    health.loops[name].lag = lag
    said = f"{name} is {lag} s behind"
    assert health.problems() == ({"loops": said} if told else {})


def test_what_is_out_of_order_by_itself_is_no_problem(health):
    assert health.faults() == {}
    faults = {"orders-db": "its secret is missing"}
    health = replace(health, faults=lambda: faults)
    assert health.faults() == faults
    assert health.problems() == {}


def test_a_loop_that_has_ended_needs_a_restart(health):
    health.loops["access"].alive = False
    assert not health.alive()


@pytest.mark.parametrize(
    ("name", "silent", "steady", "alive"),
    [
        ("access", 9, 3600, True),
        ("access", 11, 3600, False),
        ("access", 3600, 0, True),  # the database hangs: no heartbeat is stored either
        ("access", 3600, 9, True),  # it has just come back
        ("access", 3600, 11, False),
        ("jobs", 600, 3600, True),  # a system with many resources is being read
        ("jobs", 901, 3600, False),
    ],
)
def test_a_loop_that_stands_still_while_the_database_answers_needs_a_restart(
    health, name, silent, steady, alive
):
    """Set back by a minute, the clock stopped everything, and it was called well."""
    health = Health(replace(health.services, pulse=Beating(steady)), health.loops, health.links)
    health.loops[name].silent = silent
    assert health.alive() is alive
