"""Systems that hang, beside one that works: access begins and ends there as if they were away."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from bot import settings, wiring
from bot.loops import workers
from bot.loops.access import AccessLoop
from bot.runtime.services import Connected, Services
from engine.commands import Return
from engine.connectors.memory import Memory
from engine.directory import PersonId
from engine.inventory import Integration, IntegrationId
from engine.port import Order, Report
from engine.request import AccessRequest, State
from engine.targets import Selector
from storage import accounts, sync
from storage.database import AWAY, WRITERS, BusyError, Database
from storage.secrets import new_key
from storage.tables import AccountRow, MessageRow
from tests.support.inside import COMPANY
from tests.support.postgres import drop_database, fresh_database
from tests.support.stored import (
    DEADLINE,
    ENGINEERS,
    GROUPS,
    PEOPLE,
    START,
    Stored,
    person,
    reading,
    table,
)
from tests.support.waiting import looks

PATIENCE = 30.0  # seconds
SYSTEMS = tuple(IntegrationId(f"s{n}") for n in range(4))
S0, S1, S2, S3 = SYSTEMS
CROWD = [PersonId(f"p{n}") for n in range(workers.CALLS + 4)]
P0, P1, *_ = CROWD


@dataclass
class House:
    """A company with four systems, and one process whose access loop the test drives."""

    stored: Stored
    systems: dict[IntegrationId, Memory]
    connected: dict[IntegrationId, Connected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connected |= {id_: self.connection(id_) for id_ in SYSTEMS}
        stored = self.stored
        self.services = Services(
            stored.database, stored.companies, self, stored.keys, self.connected
        )
        self.access = AccessLoop(self.services)

    def connection(self, id_: IntegrationId) -> Connected:
        return Connected(Integration(id_, id_, "memory"), self.systems[id_])

    def now(self):
        return self.stored.now

    def ask(self, system: IntegrationId, *people: PersonId) -> list[AccessRequest]:
        return [self.stored.submit(f"read on {system}.orders", by=who) for who in people]

    def give_back(self, requests: list[AccessRequest]) -> None:
        for request in requests:
            self.stored.do(request, Return(request.grantee))

    def work_until(self, seen: Callable[[], bool]) -> None:
        """Do what the access loop does, each time as if it had just been woken."""
        for _ in looks(PATIENCE):
            if seen():
                return
            self.access.look()
            self.access.drain()
        raise AssertionError("never seen")

    def bring(self, requests: list[AccessRequest], state: State) -> None:
        self.work_until(lambda: self.are(requests, state))

    def are(self, requests: list[AccessRequest], state: State) -> bool:
        return {self.stored.again(r).state for r in requests} == {state}

    def has(self, system: IntegrationId, who: PersonId) -> bool:
        account = self.systems[system].accounts.get(self.stored.account(system, who).login)
        return account is not None and bool(account.held)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def stored(kind, request, tmp_path) -> Iterator[Stored]:
    cluster = request.getfixturevalue("cluster") if kind == "postgresql" else None
    url = fresh_database(cluster) if cluster else f"sqlite:///{tmp_path}/latchkey.db"
    opened = Stored.founded(url)
    everybody = [*PEOPLE, *(person(who, ENGINEERS) for who in CROWD)]
    flow = reading(targets=tuple(Selector(id_) for id_ in SYSTEMS))
    with opened.database.write() as tx:
        sync.people(tx, everybody, GROUPS, START)
        sync.integrations(tx, [(id_, id_, "memory", {}) for id_ in SYSTEMS], START)
        sync.flows(tx, [(flow, True)], START)
        for id_ in SYSTEMS:
            sync.inventory(tx, id_, [table(f"{id_}.orders")], START)
    yield opened
    opened.close()
    if cluster:
        drop_database(cluster, url)


class Slow(Memory):
    """It gives to those in `slow` only when told to go on; it takes away at once."""

    def __init__(self, *given) -> None:
        super().__init__(*given, deadline=DEADLINE)
        self.slow: set[str] = set()
        self.giving = 0
        self.given = threading.Event()

    def apply(self, order: Order) -> Report:
        if order.wanted and order.login.owner in self.slow:
            self.giving += 1
            self.given.wait()
        return super().apply(order)


@pytest.fixture
def house(stored) -> Iterator[House]:
    made = House(stored, {id_: Slow([table(f"{id_}.orders")]) for id_ in SYSTEMS})
    yield made
    for system in made.systems.values():
        system.fail(0)
        system.given.set()
        system.go_on()
    assert made.access.stop(PATIENCE)


@contextmanager
def slow_store(house: House) -> Iterator[None]:
    """Let others write all the time, six people and a loop, a tenth of a second each."""
    over = threading.Event()

    def write(turn):
        while not over.is_set():
            with suppress(*AWAY), turn, house.stored.database.write():
                over.wait(0.1)

    turns = [ExitStack() for _ in range(6)]
    threads = [threading.Thread(target=write, args=(t,)) for t in (*turns, house.services.turns)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("store", ["quick", "slow"])
def test_where_three_systems_hang_access_begins_and_ends_at_the_fourth(house, store):
    """Sixteen workers were there for all: three systems that hung held every one of them."""
    waiting = [r for system in (S0, S1, S2) for r in house.ask(system, *CROWD)]
    for system in (S0, S1, S2):
        house.systems[system].hang()
    house.work_until(lambda: sum(s.hanging for s in house.systems.values()) >= workers.CALLS)

    with slow_store(house) if store == "slow" else ExitStack():
        given = house.ask(S3, *CROWD[:3])
        house.bring(given, State.ACTIVE)
        house.give_back(given)
        house.bring(given, State.RETURNED)
    assert not any(house.has(S3, who) for who in CROWD[:3])
    assert house.are(waiting, State.GRANTING)

    for system in (S0, S1, S2):
        house.systems[system].go_on()
    house.bring(waiting, State.ACTIVE)


def test_grants_that_take_long_leave_room_for_ends(house, monkeypatch):
    """Whoever was given something slowly kept all others of that system from losing theirs."""
    monkeypatch.setattr(workers, "HANGS_AFTER", 10 * PATIENCE)
    held = house.ask(S0, P0)
    house.bring(held, State.ACTIVE)
    house.systems[S0].slow = set(CROWD)
    house.ask(S0, *CROWD[1:])
    room = workers.CALLS - workers.FOR_ENDS
    house.work_until(lambda: house.systems[S0].giving >= room)

    house.give_back(held)
    house.bring(held, State.RETURNED)

    assert house.systems[S0].giving == room


@pytest.fixture
def patient(monkeypatch) -> None:
    """Probes follow each other at once; no call is late."""
    monkeypatch.setattr(workers, "PROBE_EVERY", timedelta())
    monkeypatch.setattr(workers, "HANGS_AFTER", 10 * PATIENCE)


@pytest.mark.usefixtures("patient")
def test_a_system_that_is_away_is_probed_and_all_is_done_there_once_it_answers(house):
    """Each account was tried by itself, by all workers, with pauses of up to five minutes."""
    system = house.systems[S0]
    ending = house.ask(S0, P0)
    house.bring(ending, State.ACTIVE)
    system.fail(10_000, "connection refused")
    house.give_back(ending)
    beginning = house.ask(S0, *CROWD[1:])
    house.work_until(lambda: system.calls["apply"] > 60)

    system.hang()
    house.work_until(lambda: system.hanging == 1)
    for _ in range(5):
        house.access.look()
        house.access.drain()
        assert system.hanging == 1

    alarms = [m.detail for m in house.stored.rows(MessageRow) if m.kind == "alarm"]
    assert len(alarms) == 1
    assert f"and of {len(CROWD) - 1} more" in alarms[0]
    assert "connection refused" in alarms[0]
    system.fail(0)
    system.go_on()
    house.bring(ending, State.RETURNED)
    house.bring(beginning, State.ACTIVE)


def test_what_keeps_one_account_keeps_no_other_of_its_system(house, monkeypatch):
    """Somebody may hold a lock there on what one grant needs."""
    monkeypatch.setattr(workers, "HANGS_AFTER", 0.0)
    house.systems[S0].slow = {P0}
    (kept, *others) = house.ask(S0, *CROWD)

    house.bring(others, State.ACTIVE)

    assert house.are([kept], State.GRANTING)


def test_how_long_a_system_is_silent_can_be_watched(house):
    def silent() -> float:
        found = generate_latest(house.services.vitals.registry).decode()
        name = f'latchkey_system_silent_seconds{{integration="{S0}"}} '
        return float(next(n for n in found.splitlines() if n.startswith(name)).split()[-1])

    asked = house.ask(S0, P0)
    house.systems[S0].fail()
    house.work_until(lambda: bool(house.systems[S0].calls["apply"]))
    while house.access.wait(PATIENCE):
        house.access.drain()
    assert silent() > 0

    house.stored.pass_(timedelta(seconds=5))
    house.bring(asked, State.ACTIVE)
    assert silent() == 0


def test_what_waits_for_a_system_that_is_not_connected_is_done_once_it_is(house):
    """It was put off for five minutes; and what waits there must not fill the place of others."""
    del house.connected[S0]
    waiting, others = house.ask(S0, *CROWD), house.ask(S1, P0)
    house.bring(others, State.ACTIVE)

    house.connected[S0] = house.connection(S0)
    house.bring(waiting, State.ACTIVE)


def test_a_connector_that_does_not_close_does_not_keep_the_program_from_its_end(tmp_path):
    class Stuck(Memory):
        def close(self) -> None:
            with self._call("close"):
                pass

    given = settings.load(
        SLACK_BOT_TOKEN="xoxb-test",
        SLACK_APP_TOKEN="xapp-test",
        LATCHKEY_DATABASE_URL=f"sqlite:///{tmp_path}/latchkey.db",
        LATCHKEY_KEYS=new_key(),
        LATCHKEY_MANIFESTS=str(COMPANY),
    )
    system = Stuck()
    system.hang()
    connectors = {S0: Connected(Integration(S0, S0, "memory"), system)}
    program = wiring.build(given, connectors=connectors)

    assert not program.stop()

    assert system.hanging == 1
    system.go_on()


# --- a store that is slow, or away ----------------------------------------------------------------


def test_an_end_waits_for_no_other_loop(house):
    """One that drew cards, for as long as there were any, kept ends from being stored."""
    held = house.ask(S0, P0)
    house.bring(held, State.ACTIVE)
    house.give_back(held)

    with house.services.turns:
        house.bring(held, State.RETURNED)


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_an_end_is_stored_while_all_that_may_write_wait_for_something(house):
    held = house.ask(S0, P0)
    house.bring(held, State.ACTIVE)
    house.give_back(held)

    with ExitStack() as writers:
        for _ in range(WRITERS):
            writers.enter_context(house.stored.database.write())
        house.bring(held, State.RETURNED)


@contextmanager
def away(database: Database, monkeypatch) -> Iterator[None]:
    def write(**_):
        raise BusyError

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", write)
        yield


def test_what_a_system_said_is_stored_when_the_store_is_back(house, monkeypatch):
    """It was forgotten: the account was in doubt until the connector's deadline had passed."""
    held = house.ask(S0, P0)
    house.bring(held, State.ACTIVE)
    house.give_back(held)
    house.systems[S0].hang()
    house.work_until(lambda: house.systems[S0].hanging == 1)
    house.systems[S0].go_on()
    assert house.access.wait(PATIENCE)
    with away(house.stored.database, monkeypatch), pytest.raises(BusyError):
        house.access.drain()

    house.bring(held, State.RETURNED)

    assert house.systems[S0].calls["apply"] == 2
    (row,) = [r for r in house.stored.rows(AccountRow) if r.person_id == P0]
    assert row.unknown_until is None


def test_a_look_that_the_store_cuts_short_loses_no_account(house, monkeypatch):
    asked, looks = house.ask(S0, *CROWD), []
    look = accounts.due

    def cut_short(*given, **more):
        looks.append(more)
        if len(looks) == 2:
            raise BusyError
        return look(*given, **more)

    monkeypatch.setattr(accounts, "due", cut_short)
    with pytest.raises(BusyError):
        house.access.drain()

    house.bring(asked, State.ACTIVE)
