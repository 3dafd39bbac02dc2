"""Connected systems of a running process: as stored, each by itself, whoever stored it."""

import re
import threading
import tomllib
from datetime import timedelta
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name

import pytest
from sqlalchemy import select

from bot.loops import follow
from bot.runtime import connectors
from bot.runtime.connectors import Systems, connect, fault_of
from bot.runtime.faults import Faults
from bot.runtime.metrics import Vitals
from bot.runtime.references import BadReferenceError
from bot.runtime.services import Connected, Services
from engine.account import Logins
from engine.alarms import WELL_AGAIN
from engine.connectors.memory import Memory
from engine.inventory import Integration, IntegrationId
from engine.port import Unavailable
from manifests.kinds import KINDS
from storage import schema, servers, sync
from storage.company import Companies
from storage.database import Database
from storage.secrets import KeyRing, new_key
from storage.servers import Connection
from storage.tables import JobRow, MessageRow
from tests.printed import DOCS
from tests.support.stored import ADA, GROUPS, PEOPLE, START
from tests.support.waiting import wait_until

ONE, TWO = IntegrationId("one"), IntegrationId("two")


def system(id_=ONE, **settings) -> Connection:
    return Connection(id_, id_.title(), "memory", settings, "")


class Builder:
    """Makes connectors, but for those that have a fault."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.made: list[Memory] = []
        self.closed: list[Memory] = []
        self.hangs = threading.Event()

    def __call__(self, of: Connection) -> Connected:
        if of.settings.get("hangs"):
            self.hangs.wait(60)
        if fault := self.faults.get(of.id):
            raise BadReferenceError(fault)
        made = Memory([])
        made.close = lambda: self.closed.append(made)
        self.made.append(made)
        return Connected(Integration(of.id, of.name, of.kind), made)


@pytest.fixture
def builder():
    made = Builder()
    yield made
    made.hangs.set()


@pytest.fixture
def systems(builder, monkeypatch):
    monkeypatch.setattr(connectors, "RETRY", 0.0)
    return Systems(builder, Faults())


def settle(systems, *wanted) -> None:
    systems.want(wanted)
    systems.bring_in_line()
    systems.settle(30)


def test_one_that_cannot_be_set_up_is_out_of_order_by_itself(systems, builder):
    """One missing variable kept the whole process from starting."""
    builder.faults["one"] = "the environment has no X"

    settle(systems, system(ONE), system(TWO))

    assert set(systems) == {TWO}
    assert systems.out_of_order() == [(system(ONE), "the environment has no X")]

    builder.faults.clear()
    settle(systems)
    assert set(systems) == {ONE, TWO}
    assert systems.out_of_order() == []


@pytest.mark.parametrize(
    ("settings", "logins"),
    [
        ({}, Logins()),
        ({"logins": {"rotate_after": "30 days"}}, Logins(rotate_after=timedelta(days=30))),
        (
            {"logins": {"rotate_after": "never", "clean_up_after": "7 days"}},
            Logins(None, timedelta(days=7)),
        ),
    ],
)
def test_how_old_logins_may_get_is_said_by_the_settings(monkeypatch, settings, logins):
    """They are no connector's: PostgreSQL takes none that it does not know."""
    monkeypatch.setenv("LATCHKEY_TEST_DSN", "host=127.0.0.1")
    dsn = {"dsn": "env:LATCHKEY_TEST_DSN"}
    of = Connection(ONE, "One", "postgresql", dsn | settings, "")

    assert connectors.connect(of, "test").logins == logins


def test_one_that_has_changed_is_replaced_and_the_others_stay(systems, builder):
    settle(systems, system(ONE), system(TWO))
    first, second = systems[ONE].connector, systems[TWO].connector

    settle(systems, system(ONE, databases=["orders"]), system(TWO))

    assert systems[ONE].connector is not first
    assert builder.closed == [first]
    assert systems[TWO].connector is second


def test_one_whose_change_cannot_be_made_goes_on_as_it_was(systems, builder):
    """What has to end there ends, by the way that is still known."""
    settle(systems, system(ONE))
    first = systems[ONE].connector
    builder.faults["one"] = "the file is not there"

    settle(systems, system(ONE, databases=["orders"]))

    assert systems[ONE].connector is first
    assert builder.closed == []
    assert [why for _, why in systems.out_of_order()] == ["the file is not there"]


def test_a_secret_on_a_disk_that_hangs_holds_up_no_other(systems):
    systems.want([system(ONE, hangs=True), system(TWO)])
    systems.bring_in_line()

    wait_until(lambda: TWO in systems)

    systems.bring_in_line()
    assert set(systems) == {TWO}
    assert [c.id for c, _ in systems.out_of_order()] == [ONE]


def test_one_that_is_set_up_at_last_is_out_of_order_no_more(builder, monkeypatch):
    """What was found hanging was said to be so only after it had been set up: for good."""

    class Slow(Faults):
        def set(self, name, sentence):
            builder.hangs.set()
            done.wait(0.5)  # one that waits for us has to wait
            super().set(name, sentence)

        def clear(self, name):
            super().clear(name)
            done.set()

    monkeypatch.setattr(connectors, "RETRY", 0.0)
    done, systems = threading.Event(), Systems(builder, Slow())
    systems.want([system(ONE, hangs=True)])
    systems.bring_in_line()
    systems.bring_in_line()
    systems.settle(30)

    assert set(systems) == {ONE}
    assert systems.out_of_order() == []


@pytest.mark.parametrize(
    ("kind", "dsn", "why"),
    [
        ("postgresql", "env:NOT_THERE", "the environment has no NOT_THERE"),
        ("postgresql", "env:NO_ADDRESS", "cannot be read"),
        ("oracle", "env:NO_ADDRESS", "there is no connector for oracle"),
    ],
)
def test_why_one_cannot_be_set_up_is_said(monkeypatch, kind, dsn, why):
    monkeypatch.delenv("NOT_THERE", raising=False)
    monkeypatch.setenv("NO_ADDRESS", "swordfish swordfish")

    with pytest.raises(BadReferenceError, match=why) as fault:
        connect(Connection(ONE, "One", kind, {"dsn": dsn}, ""), "latchkey")

    assert "swordfish" not in str(fault.value)


def test_a_secret_that_cannot_be_read_any_more_is_what_it_was(tmp_path):
    """Access stayed after its end, though the process knew the secret, and no probe named it."""
    file, faults = tmp_path / "dsn", Faults()
    file.write_text("host=127.0.0.1 port=1 user=x password=y")
    system = Connection(ONE, "One", "postgresql", {"dsn": f"file:{file}"}, "")
    made = connect(system, "latchkey", faults)
    file.unlink()

    with pytest.raises(Unavailable, match="port 1 failed: Connection refused"):
        made.connector.server()
    (said,) = faults().values()
    assert re.match(
        "the secret of one cannot be read any more: .*dsn cannot be read: No such", said
    )

    file.write_text("host=127.0.0.1 port=2 user=x password=y")
    with pytest.raises(Unavailable, match="port 2 failed: Connection refused"):
        made.connector.server()
    assert not faults()

    file.write_text("swordfish swordfish")
    with pytest.raises(Unavailable, match="address of the PostgreSQL server cannot be read"):
        made.connector.server()


# --- the registry --------------------------------------------------------------------------------


_CONTRACTS = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
_PROTECTED = {module for c in _CONTRACTS for module in c.get("protected_modules", ())}


@pytest.mark.parametrize("name", KINDS)
def test_all_that_is_said_of_a_kind_is_there(name):
    kind = KINDS[name]

    connector, settings = resolve_name(kind.connector), kind.settings.model_fields.keys()
    assert isinstance(connector, type)
    taken = signature(connector).parameters.keys() - {"installation"}
    assert settings - {connectors.LOGINS} == taken
    assert set(kind.secrets) <= settings
    assert kind.connector.partition(":")[0] in _PROTECTED
    assert (DOCS / kind.page).is_file()
    assert kind.types or kind.find
    assert kind.permissions or kind.find
    assert (kind.written is None) is (kind.find is None)


# --- following the database ----------------------------------------------------------------------


class Process:
    def __init__(self, url, builder) -> None:
        vitals = Vitals()
        self.systems = Systems(builder, vitals.faults)
        self.services = Services(
            Database(url, pool=3), Companies(), self, KeyRing([new_key()]), self.systems, vitals
        )
        self.follower = follow.SystemsFollower(self.services, self.systems)

    def now(self):
        return START

    def follow(self) -> None:
        self.follower.follow()
        self.systems.settle(30)
        self.follower.follow()

    def store(self, *listed) -> None:
        with self.services.database.write() as tx:
            sync.integrations(tx, [(c.id, c.name, c.kind, c.settings) for c in listed], START)


@pytest.fixture
def process(tmp_path, builder, monkeypatch):
    monkeypatch.setattr(connectors, "RETRY", 0.0)
    made = Process(f"sqlite:///{tmp_path}/latchkey.db", builder)
    schema.upgrade(made.services.database)
    with made.services.database.write() as tx:
        sync.people(tx, PEOPLE, GROUPS, START)
        sync.administrators(tx, [ADA], START)
    made.store(system(ONE))
    made.follow()
    yield made
    made.services.database.close()


def test_what_another_replica_has_stored_is_connected_and_discovered(process):
    """Connectors were made of files, at the start: nobody saw what was added."""
    other = Process(process.services.database.url, Builder())
    other.store(system(ONE), system(TWO))
    other.services.database.close()

    process.follow()

    assert set(process.systems) == {ONE, TWO}
    with process.services.database.read() as session:
        planned = {(j.kind, j.subject) for j in session.execute(select(JobRow)).scalars()}
    assert {(kind, id_) for kind in ("discover", "reconcile") for id_ in (ONE, TWO)} <= planned


def test_what_is_listed_no_more_stays_connected(process):
    """It was connected no more, so that nothing ended there."""
    process.store(system(TWO))

    process.follow()

    assert set(process.systems) == {ONE, TWO}
    with process.services.database.read() as session:
        assert [c.listed for c in servers.connections(session)] == [False, True]


def test_the_same_again_changes_nothing(process):
    """Every intake would have every process read the company anew."""
    before = process.services.company()
    process.store(system(ONE))
    assert process.services.company() is before


def test_one_that_is_out_of_order_is_told_once(process, builder, monkeypatch):
    said = []
    monkeypatch.setattr(
        sync, "tell_admins", lambda _tx, key, sentence, _now: said.append((key, sentence))
    )
    builder.faults["two"] = "the environment has no X"
    process.store(system(ONE), system(TWO))

    for _ in range(3):
        process.follow()

    ((key, sentence),) = said
    assert key.startswith("system/two/")
    assert "Two (two) is out of order: the environment has no X. Until that is cured" in sentence
    assert process.services.vitals.faults() == {fault_of(TWO): "the environment has no X"}


def test_one_that_is_listed_no_more_is_not_told_of_each_day(process, builder, monkeypatch):
    """An alarm each day for good, of a system that nobody has or wants any more."""
    said = []
    monkeypatch.setattr(sync, "tell_admins", lambda _tx, key, *_: said.append(key))
    builder.faults["two"] = "the environment has no X"
    process.store(system(ONE), system(TWO))
    process.follow()
    assert len(said) == 1

    process.store(system(ONE))
    monkeypatch.setattr(process, "now", lambda: START + timedelta(days=1))
    process.follow()

    assert len(said) == 1


def test_an_alarm_of_one_that_is_listed_no_more_is_taken_back(process, builder):
    """Who took it off the list, as the cure, was told for good that it is out of order."""
    builder.faults["two"] = "the environment has no X"
    process.store(system(ONE), system(TWO))
    process.follow()
    assert [alarm.startswith("Two (two) is out of order") for alarm in alarms(process)] == [True]

    process.store(system(ONE))
    process.follow()

    assert [alarm.startswith(WELL_AGAIN) for alarm in alarms(process)] == [True]


def test_an_alarm_of_ends_that_wait_is_taken_back_when_none_does(process, builder, monkeypatch):
    """It stood until the system worked again, which may be never."""
    monkeypatch.setattr(follow, "LOOK", 0.0)
    monkeypatch.setattr(follow.systems, "ending", lambda *_: 1)
    builder.faults["two"] = "the environment has no X"
    process.store(system(ONE), system(TWO))
    process.follow()
    process.store(system(ONE))
    process.follow()
    assert ["has to end there" in alarm for alarm in alarms(process)] == [False, True]
    assert not alarms(process)[1].startswith(WELL_AGAIN)

    monkeypatch.setattr(follow.systems, "ending", lambda *_: 0)
    process.follow()

    assert [alarm.startswith(WELL_AGAIN) for alarm in alarms(process)] == [True, True]


def alarms(process):
    """Return what the administrators were told, in that order."""
    with process.services.database.read() as session:
        rows = session.execute(select(MessageRow).order_by(MessageRow.id)).scalars()
        return [row.detail for row in rows if row.kind == "alarm"]
