"""The access loop: several accounts in one transaction, and none that waits for another."""

import threading
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlmodel import col

from bot import settings, wiring
from bot.loops import clock
from bot.loops.access import AccessLoop
from bot.loops.loop import Loop
from bot.operations import revoking
from bot.runtime.metrics import Vitals
from bot.runtime.services import Connected, Services
from bot.usecases import console, revoke
from engine.connectors.memory import Memory
from engine.directory import PersonId
from engine.inventory import Integration
from engine.port import Order, Report
from engine.request import State
from storage import accounts
from storage.secrets import new_key
from storage.tables import AccountRow, MessageRow, RequestRow
from tests.support.inside import COMPANY, counted
from tests.support.postgres import drop_database, for_libpq, fresh_database
from tests.support.stored import ADA, ALICE, BOB, DORA, MINUTE, PG, TABLES, Now, Stored
from tests.support.waiting import PATIENCE

EVERYBODY = (ALICE, BOB, DORA)


class Held(Memory):
    """A system whose calls wait until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(TABLES)
        self.called, self.on = threading.Semaphore(0), threading.Event()

    def apply(self, order: Order) -> Report:
        self.called.release()
        assert self.on.wait(PATIENCE)
        return super().apply(order)


@pytest.fixture
def system():
    return Held()


@pytest.fixture
def services(stored, system):
    connected = {PG: Connected(Integration(PG, "Production", "memory"), system)}
    return Services(stored.database, stored.companies, Now(stored), stored.keys, connected)


@pytest.fixture
def loop(services, system):
    made = AccessLoop(services)
    yield made
    system.on.set()
    assert made.stop()


def begin(loop: AccessLoop, system: Held, accounts: int) -> None:
    """Let the loop take up what is due, and come to where so many systems are being called."""
    loop.look()
    loop.drain()
    for _ in range(accounts):
        assert system.called.acquire(timeout=PATIENCE)


def finish(loop: AccessLoop, system: Held) -> None:
    system.on.set()
    while loop.wait(PATIENCE):
        loop.drain()


def test_accounts_that_are_due_together_are_leased_together_and_stored_together(
    stored, loop, system
):
    requests = [stored.submit(by=who) for who in EVERYBODY]
    with counted(stored.database) as cost:
        begin(loop, system, 3)
        finish(loop, system)
    assert {stored.again(r).state for r in requests} == {State.ACTIVE}
    assert cost.transactions == 2


def test_a_system_that_does_not_answer_keeps_nobody_else_waiting(stored, loop, system):
    """While one call hangs, other accounts are taken up."""
    slow = stored.submit(by=ALICE)
    begin(loop, system, 1)
    quick = stored.submit(by=BOB)
    begin(loop, system, 1)
    finish(loop, system)
    assert {stored.again(r).state for r in (slow, quick)} == {State.ACTIVE}


def test_what_is_wanted_anew_during_a_call_is_taken_up_when_it_is_stored(stored, loop, system):
    """It timed out while the system was giving it: nobody else wakes the loop for the rest."""
    request = stored.submit(by=ALICE)
    begin(loop, system, 1)
    woken = threading.Event()
    loop.wake = woken.set
    stored.pass_(61 * MINUTE)
    stored.tick()
    loop.look()
    loop.drain()
    finish(loop, system)
    assert woken.is_set()
    loop.drain()
    finish(loop, system)
    assert stored.again(request).state is State.FAILED
    assert stored.account().acted == stored.account().wanted


def test_poisoned_account_backs_off_and_the_others_are_served(stored, loop, system, poison):
    """What cannot be decided on stopped the turn of all accounts that were due with it."""
    poisoned, fine = stored.submit(by=ALICE), stored.submit(by=BOB)
    heal = poison(poisoned)
    pauses = []
    for _ in range(3):
        begin(loop, system, accounts=0)
        finish(loop, system)
        row = stored.account(of=ALICE)
        pauses.append((row.due_at - stored.now).total_seconds())
        stored.now = row.due_at
    assert stored.again(fine).state is State.ACTIVE
    assert pauses == [1, 2, 4]
    alarms = [m for m in stored.rows(MessageRow) if m.kind == "alarm"]
    assert [m.recipient for m in alarms] == [ADA]
    assert "Alice" in alarms[0].detail

    heal()
    begin(loop, system, accounts=0)
    finish(loop, system)
    assert stored.again(poisoned).state is State.ACTIVE


def test_an_account_that_is_kept_aside_is_left_alone(stored, loop, system):
    stored.submit(by=ALICE)
    with loop.aside(stored.account().id) as free:
        assert free
        begin(loop, system, accounts=0)
        assert not loop.wait(0)
    begin(loop, system, accounts=1)
    with loop.aside(stored.account().id) as free:
        assert not free
    finish(loop, system)
    row = next(r for r in stored.rows(AccountRow) if r.person_id == PersonId("alice"))
    assert row.acted == row.wanted


def running(drain, **more):
    """Run a loop, for a test to end it."""
    made = Loop("access", drain, Vitals(), **more)
    made.start()
    return made


def ended(loop: Loop) -> bool:
    loop.end()
    return loop.join(30)


def test_a_loop_that_nobody_wakes_looks_by_itself():
    """A scheduler woke it, by the wall clock: set back a minute, nothing was done for a minute."""
    turns, looked = threading.Semaphore(0), threading.Semaphore(0)
    made = running(turns.release, look=looked.release)

    for _ in range(3):  # the first is from its start
        assert turns.acquire(timeout=30)
    assert looked.acquire(timeout=30)
    assert ended(made)


def test_a_loop_that_is_woken_all_the_time_looks_once_a_second_all_the_same():
    """What has come due by time is found by looking; its own finished work kept it awake."""
    looked = threading.Semaphore(0)

    def works():
        made.wake()

    made = running(works, look=looked.release)
    for _ in range(2):
        assert looked.acquire(timeout=30)
    assert ended(made)


def test_a_loop_goes_on_after_a_fault():
    turns = threading.Semaphore(0)

    def fails():
        turns.release()
        raise ZeroDivisionError

    made = running(fails)
    for _ in range(2):
        assert turns.acquire(timeout=30)
    assert ended(made)


def test_a_loop_that_begins_nothing_is_behind_though_nobody_woke_it(monkeypatch):
    """It was behind only when it was woken: what should have woken it stood still as well."""
    now = [100.0]
    monkeypatch.setattr("bot.loops.access.time.monotonic", lambda: now[0])
    made = Loop("access", lambda: None, Vitals())
    now[0] += 0.9
    assert made.lag == 0
    now[0] += 11
    assert made.lag > 10
    made.begin()
    assert made.lag == 0


def test_a_backlog_of_requests_is_no_loop_that_stands_still(stored):
    """Each batch is a turn: else a bot with much to do would be started anew, and again."""
    requests = [stored.submit(by=who) for who in EVERYBODY]
    stored.pass_(2 * 24 * 60 * MINUTE)
    services = Services(stored.database, stored.companies, Now(stored), stored.keys, {})
    begun: list[None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "TICKS", 1)
        clock.drain(services, lambda: begun.append(None))

    assert len(begun) > len(requests)
    assert not stored.tick()


def test_one_account_that_cannot_even_be_put_off_keeps_nobody_else(
    stored, loop, system, poison, monkeypatch
):
    """To put it off failed as well, and with it whatever was to be done in that second."""
    poisoned, fine = stored.submit(by=ALICE), stored.submit(by=BOB)
    poison(poisoned)

    def broken(*_given, **_more):
        raise TypeError

    monkeypatch.setattr(accounts, "fail", broken)
    begin(loop, system, accounts=0)
    finish(loop, system)

    assert stored.again(fine).state is State.ACTIVE


def test_the_admins_are_told_once_of_a_row_that_cannot_be_read(stored, services, loop, system):
    """Only the log of one process knew."""
    request = stored.submit(by=ALICE)
    begin(loop, system, accounts=1)
    finish(loop, system)
    with stored.database.write() as tx:
        broken = update(RequestRow).where(col(RequestRow.id) == request.id)
        tx.execute(broken.values(body={"state": "no such"}))

    for _ in range(3):
        stored.again(request)
        clock.drain(services)

    (alarm,) = [m for m in stored.rows(MessageRow) if m.kind == "alarm"]
    assert alarm.recipient == ADA
    assert f"latchkey revoke {request.code}" in alarm.detail
    assert services.database.unread.take() == []


@pytest.fixture
def on_postgresql(cluster):
    url = fresh_database(cluster)
    opened = Stored.founded(url)
    yield opened
    opened.close()
    drop_database(cluster, url)


@contextmanager
def held(stored: Stored, rows: str):
    """Somebody at a terminal holds rows locked, or a replica that was stopped does."""
    with psycopg.connect(for_libpq(stored.database.url)) as other:
        other.execute(f"select 1 from latchkey.{rows} for update")  # noqa: S608  (ours)
        yield
        other.rollback()


def at_work(stored: Stored) -> tuple[Services, AccessLoop]:
    connected = {PG: Connected(Integration(PG, "Production", "memory"), Memory(TABLES))}
    services = Services(stored.database, stored.companies, Now(stored), stored.keys, connected)
    return services, AccessLoop(services)


def bring_in_line(loop: AccessLoop) -> None:
    loop.look()
    loop.drain()
    while loop.wait(PATIENCE):
        loop.drain()


@pytest.mark.parametrize("what", ["request where id = {0}", "account where person_id = 'alice'"])
def test_a_row_that_somebody_holds_locked_keeps_nobody_else_from_their_end(
    on_postgresql, what, monkeypatch
):
    """Whoever looked at the oldest with `for update` stopped all ends for as long as they did."""
    stored = on_postgresql
    services, loop = at_work(stored)
    lost, fine = stored.submit(by=ALICE), stored.submit(by=BOB)
    bring_in_line(loop)
    assert {stored.again(r).state for r in (lost, fine)} == {State.ACTIVE}
    stored.pass_(24 * 60 * MINUTE)

    with held(stored, what.format(lost.id)):
        clock.drain(services)
        bring_in_line(loop)
        assert stored.again(fine).state is State.EXPIRED
        assert stored.again(lost).state is State.ACTIVE
        assert list(services.vitals.faults()) == [f"request {lost.code}"]

    monkeypatch.setattr("bot.runtime.aside.PAUSE", 0)
    clock.drain(services)
    bring_in_line(loop)
    assert stored.again(lost).state is State.EXPIRED
    assert not services.vitals.faults()
    assert loop.stop()


def test_a_login_that_cannot_be_read_is_not_called_gone(stored):
    """A damaged name was asked for, found nowhere, and said to be ended; the real one stayed."""
    services, loop = at_work(stored)
    request = stored.submit(by=ALICE)
    bring_in_line(loop)
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql("update account set login = cast(x'6c6bff' as text)")
    stored.pass_(24 * 60 * MINUTE)
    clock.drain(services)
    bring_in_line(loop)

    assert stored.again(request).state is State.REVOKING
    assert stored.rows(AccountRow)[0].attempts == 1
    assert loop.stop()


def test_an_operator_revokes_the_rest_and_hears_of_what_is_locked(on_postgresql):
    """The command ended with the first that somebody held locked."""
    stored = on_postgresql
    lost, fine = stored.submit(by=ALICE), stored.submit(by=BOB)
    desk = console.Desk(stored.database, stored.companies, Now(stored))
    said: list[str] = []

    with held(stored, f"request where id = {lost.id}"):
        left, refused = revoking.record(desk, [lost, fine], "an incident", said.append)

    assert refused
    assert lost.id not in {r.id for r in left}
    assert stored.again(fine).state is State.REVOKED
    assert "locked" in next(line for line in said if lost.code in line)
    assert all("locked" not in line for line in said if fine.code in line)


def test_what_is_being_taken_away_and_locked_keeps_no_operator_from_the_rest(on_postgresql):
    """To have it tried again at once came first, and failed."""
    stored = on_postgresql
    lost, fine = stored.submit(by=ALICE), stored.submit(by=BOB)
    _, loop = at_work(stored)
    bring_in_line(loop)
    desk = console.Desk(stored.database, stored.companies, Now(stored))
    list(revoke.revoke(desk, [lost], "an incident"))
    assert stored.again(lost).state is State.REVOKING

    with held(stored, "account where person_id = 'alice'"):
        revoking.record(desk, [stored.again(lost), fine], "an incident", lambda _: None)

    assert stored.again(fine).state is State.REVOKING
    assert loop.stop()


def test_a_process_whose_own_row_is_locked_takes_another(on_postgresql):
    """Its heartbeats could not be stored, so that no lease held and nothing ended meanwhile."""
    given = settings.load(
        SLACK_BOT_TOKEN="xoxb-test",
        SLACK_APP_TOKEN="xapp-test",
        LATCHKEY_DATABASE_URL=on_postgresql.database.url,
        LATCHKEY_KEYS=new_key(),
        LATCHKEY_MANIFESTS=str(COMPANY),
    )
    program = wiring.build(given, connectors={})
    program.heart.register()
    first = program.services.instance
    program.heart.beat()

    with held(on_postgresql, "instance"):
        with pytest.raises(OperationalError):
            program.heart.beat()  # its leases last for a little
        assert program.services.instance == first
        program.services.pulse.beaten(tuple(0.0 for _ in program.services.pulse.begin()))
        program.heart.beat()
        assert program.services.instance != first
        program.heart.beat()
        assert program.services.pulse.steady
    program.database.close()
