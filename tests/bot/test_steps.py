"""A clock that is set while Latchkey runs: who is told, what, and how often."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bot.loops.clock_steps import Steps
from bot.runtime.clock import DatabaseClock
from bot.runtime.services import Services
from engine.outcome import AuditEntry
from engine.request import OPERATOR
from storage import audit, sync
from storage.database import BusyError, Database
from storage.readings import take
from storage.tables import MessageRow
from tests.support.postgres import drop_database, fresh_database
from tests.support.stored import ADA, Stored


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request, tmp_path):
    if request.param == "sqlite":
        opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
        yield opened
        opened.close()
    else:
        cluster = request.getfixturevalue("cluster")
        url = fresh_database(cluster)
        opened = Stored.founded(url)
        yield opened
        opened.close()
        drop_database(cluster, url)


class Replica:
    """One process's view of the clocks: its own machine's, and the database's."""

    def __init__(self, stored: Stored) -> None:
        self.database = Database(stored.database.url)
        self.clock = DatabaseClock(self.database)
        self.machine, self.there = 0.0, 0.0  # by how much they have been set
        self._real = self.clock.now()
        services = Services(self.database, stored.companies, self.clock, stored.keys, {})
        self._steps = Steps(services, lambda: self._passed() + self.machine)
        self.second()

    def _passed(self) -> float:
        return self.database.clock.now() - self.there

    def second(self) -> None:
        there = self._passed() + self.there
        self._steps.hear(take(lambda: there))
        self._steps.look()

    def set_there(self, by: float) -> None:
        said = self.database.clock.now() + by
        self.there += by
        self._steps.hear(take(lambda: said))
        self._steps.look()


@pytest.fixture
def replicas(stored):
    made = [Replica(stored) for _ in range(2)]
    yield made
    for replica in made:
        replica.database.close()


def told(stored) -> list[str]:
    alarms = [m for m in stored.rows(MessageRow) if m.kind == "alarm"]
    assert {m.recipient for m in alarms} <= {ADA}
    return [m.detail for m in alarms]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (-60, ["set back by 60 s", "ends that much later"]),
        (7, ["set ahead by 7 s", "ends that much sooner"]),
        (5400, ["set ahead by 1 h 30", "ends that much sooner"]),
    ],
)
def test_a_step_of_the_databases_clock_is_followed_and_told_once(stored, replicas, by, words):
    before = replicas[0].clock.now()
    with capture_logs() as log:
        for replica in replicas:
            replica.set_there(by)
            replica.second()

    assert abs((replicas[0].clock.now() - before).total_seconds() - by) < 30
    [said] = told(stored)
    assert all(word in said for word in words)
    assert [line["seconds"] for line in log if line["event"] == "a clock was set"] == [by, by]


def test_a_step_while_nobody_ran_is_told_once(stored, replicas):
    """Access ended an hour late, and nobody was told."""
    entry = AuditEntry("noted", OPERATOR)
    later = replicas[0].clock.now() + timedelta(hours=1, minutes=30)
    stored.write(lambda tx, _: audit.append(tx, [(None, entry)], later))
    started = [Replica(stored) for _ in range(2)]

    for replica in started:
        replica.second()
        replica.database.close()

    [said] = told(stored)
    assert "1 h 30 ahead" in said or "1 h 29 ahead" in said
    assert "later" in said


def test_a_step_that_ntp_makes_every_day_is_not_told(stored, replicas):
    replicas[0].set_there(-4.5)
    assert told(stored) == []


def test_a_clock_that_is_put_right_is_told_too(stored, replicas):
    for by in (-60, 60):
        replicas[0].set_there(by)
    assert [("back" in said, "ahead" in said) for said in told(stored)] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("stored", ["postgresql"], indirect=True)  # on SQLite it is the database's
def test_a_step_of_this_machines_clock_is_told_and_changes_nothing(stored, replicas):
    before = replicas[0].clock.now()
    replicas[0].machine -= 60
    for _ in range(2):
        replicas[0].second()

    assert abs((replicas[0].clock.now() - before).total_seconds()) < 30
    [said] = told(stored)
    assert "was set back by 60 s" in said
    assert "on time all the same" in said


def test_a_step_while_the_database_is_away_is_told_when_it_is_back(stored, replicas, monkeypatch):
    def away(*_):
        raise BusyError

    with monkeypatch.context() as patch:
        patch.setattr(sync, "tell_admins", away)
        with pytest.raises(BusyError):
            replicas[0].set_there(-60)
    assert told(stored) == []

    replicas[0].second()
    replicas[0].second()
    assert len(told(stored)) == 1
