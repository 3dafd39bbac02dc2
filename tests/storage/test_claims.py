"""Instances and their leases."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from storage import claims
from storage.jobs import JobKind, schedule
from storage.tables import InstanceRow, JobRow
from storage.types import db_now
from tests.support.stored import START

LOCK = """
import sys
from storage import claims
from storage.database import Database

try:
    held = claims.lock_file(Database(sys.argv[1]))
except claims.NotAloneError as fault:
    print(fault)
else:
    print("alone")
"""


def fall_silent(database, instance, seconds=3.1) -> None:
    """Set the last heartbeat back, which waits for nothing."""
    with database.write() as tx:
        tx.execute(
            update(InstanceRow)
            .where(col(InstanceRow.id) == instance)
            .values(beat=db_now() - seconds)
        )


@pytest.fixture
def leased(database):
    """An instance that has leased a job."""
    with database.write() as tx:
        instance = claims.register(tx)
        schedule(tx, JobKind.SWEEP, "", START)
        tx.execute(update(JobRow).values(lease=instance))
    return instance


def is_free(database) -> bool:
    with database.read() as session:
        return bool(session.execute(select(JobRow).where(claims.free(col(JobRow.lease)))).all())


@pytest.mark.usefixtures("leased")
def test_lease_of_a_living_instance_holds(database):
    assert not is_free(database)


def test_row_that_nobody_leased_is_free(database):
    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)

    assert is_free(database)


def test_lease_of_a_silent_instance_is_free(database, leased):
    fall_silent(database, leased, 2.0)
    assert not is_free(database)

    fall_silent(database, leased)
    assert is_free(database)


def test_heartbeat_keeps_the_lease(database, leased):
    fall_silent(database, leased)
    with database.write() as tx:
        assert claims.beat(tx, leased)

    assert not is_free(database)


def test_instance_that_leaves_gives_its_leases_back(database, leased):
    with database.write() as tx:
        claims.leave(tx, leased)

    assert is_free(database)
    with database.write() as tx:
        assert not claims.beat(tx, leased)


def test_instances_long_dead_are_forgotten(database, leased):
    fall_silent(database, leased, 3500)
    with database.write() as tx:
        claims.forget_dead(tx)
    assert len(rows(database)) == 1

    fall_silent(database, leased, 3700)
    with database.write() as tx:
        claims.forget_dead(tx)
    assert rows(database) == []


def rows(database) -> list[object]:
    with database.read() as session:
        return list(session.execute(select(col(InstanceRow.id))).scalars())


def test_successor_never_takes_a_dead_instance_for_itself(database, leased):
    """SQLite gave the number of a deleted row again: what the dead one had leased was taken for
    the new one's own, its jobs never ran again and its messages were sent twice."""
    with database.write() as tx:
        claims.leave(tx, leased)
        successor = claims.register(tx)

    assert successor != leased
    assert is_free(database)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_file_lets_one_process_in(database, url):
    held = claims.lock_file(database)
    second = [sys.executable, "-c", LOCK, url]

    refused = subprocess.run(second, capture_output=True, text=True, check=True)
    assert refused.stdout.startswith("Another Latchkey runs on this SQLite file.")

    held.close()
    alone = subprocess.run(second, capture_output=True, text=True, check=True)
    assert alone.stdout == "alone\n"


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_command_takes_the_place_of_no_process_that_is_there(database):
    with claims.lock_file(database):
        assert claims.take_turn(database) is None

    with claims.take_turn(database):
        assert claims.take_turn(database) is None


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_process_that_starts_waits_for_a_command(database, monkeypatch):
    """It would have been refused, and an orchestrator would have waited before the next try."""
    turn = claims.take_turn(database)
    waits = threading.Event()
    monkeypatch.setattr("storage.claims.time.sleep", lambda _: waits.set())
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(claims.lock_file, database)
        assert waits.wait(30)
        assert not started.done()

        turn.close()

        started.result(30).close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_process_that_starts_does_not_wait_for_ever(database, monkeypatch):
    monkeypatch.setattr(claims, "WAIT_FOR_COMMANDS", 0.0)
    with claims.take_turn(database), pytest.raises(claims.NotAloneError):
        claims.lock_file(database)


def test_heartbeats_of_others_are_told_in_seconds(database, leased):
    with database.read() as session:
        assert claims.heartbeat(session) < claims.DEAD_AFTER
        assert claims.heartbeat(session, besides=leased) is None
        assert claims.living(session) == 1
    fall_silent(database, leased, seconds=60)
    with database.read() as session:
        assert 59 < claims.heartbeat(session) < 90
        assert claims.living(session) == 0


def test_what_the_dead_have_told_of_strangers_counts_no_more(database, leased):
    with database.write() as tx:
        claims.tell_strangers(tx, leased, 3)
    with database.read() as session:
        assert claims.strangers(session) == 3
    fall_silent(database, leased)
    with database.read() as session:
        assert claims.strangers(session) is None


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.usefixtures("leased")
def test_lock_on_the_file_voids_old_leases(database):
    with claims.lock_file(database):
        assert is_free(database)


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.usefixtures("leased")
def test_postgresql_needs_no_lock(database):
    assert claims.lock_file(database) is None
    assert not is_free(database)


def test_pulse_holds_while_it_beats(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("storage.claims.time.monotonic", lambda: now[0])
    pulse = claims.Pulse()
    leased = now[0]
    for _ in range(10):
        pulse.beaten(now[0])
        now[0] += claims.DEAD_AFTER - 0.1
        assert pulse.holds(leased)
    now[0] += 0.2
    assert not pulse.holds(leased)


def test_what_was_leased_before_a_silence_is_not_ours_after_it(monkeypatch):
    """A process that was stopped for longer than its leases hold does not notice that it was."""
    now = [100.0]
    monkeypatch.setattr("storage.claims.time.monotonic", lambda: now[0])
    pulse = claims.Pulse()
    pulse.beaten(now[0])
    leased = now[0]
    now[0] += claims.DEAD_AFTER
    pulse.beaten(now[0])

    assert not pulse.holds(leased)
    assert pulse.holds(now[0])
