"""Instances and their leases."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from storage import claims, files
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
    said = f"Another Latchkey works on this SQLite file: `latchkey run`, process {os.getpid()}."
    assert refused.stdout.startswith(said)

    held.close()
    alone = subprocess.run(second, capture_output=True, text=True, check=True)
    assert alone.stdout == "alone\n"


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_command_takes_the_place_of_no_process_that_is_there(database):
    with claims.lock_file(database):
        with pytest.raises(claims.NotAloneError) as refused:
            claims.take_turn(database)
        assert refused.value.peer is None

    with claims.take_turn(database), pytest.raises(claims.NotAloneError) as refused:
        claims.take_turn(database)
    assert refused.value.peer == os.getpid()


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        ("17 latchkey db", "file: `latchkey db`, process 17. Stop it"),
        ("17 latchkey revoke", "file: `latchkey revoke`, process 17. What it was told to do"),
        ("17", "file. Stop it"),
        ("latchkey revoke", "file. Stop it"),
        ("", "file. Stop it"),
    ],
)
def test_who_has_the_file_is_said_as_far_as_it_can_be_read(holder, said):
    assert said in str(claims.NotAloneError(holder))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_process_that_starts_waits_for_a_command(database, monkeypatch):
    """It would have been refused, and an orchestrator would have waited before the next try."""
    looks = threading.Semaphore(0)
    opened = files.open_beside

    def looked(database, suffix):
        looks.release()
        return opened(database, suffix)

    with claims.take_turn(database) as turn, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(files, "open_beside", looked)
        started = pool.submit(claims.lock_file, database)
        assert all(looks.acquire(timeout=30) for _ in range(3))
        assert not started.done()

        turn.close()

        started.result(30).close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_process_that_starts_does_not_wait_for_ever(database, monkeypatch):
    """A command that was suspended kept it out without end, and nothing said what did."""
    monkeypatch.setattr(claims, "WAIT_FOR_COMMANDS", 0.0)
    with claims.take_turn(database), pytest.raises(claims.NotAloneError) as refused:
        claims.lock_file(database)
    assert f"`latchkey revoke`, process {os.getpid()}." in str(refused.value)
    assert f"kill -KILL {os.getpid()}" in str(refused.value)


def test_heartbeats_of_others_are_told_in_seconds(database, leased):
    with database.read() as session:
        assert claims.heartbeat(session) < claims.DEAD_AFTER
    fall_silent(database, leased, seconds=60)
    with database.read() as session:
        assert 59 < claims.heartbeat(session) < 90


def test_what_the_dead_have_told_of_strangers_counts_no_more(database):
    with database.write() as tx:
        linked = claims.register(tx, links=2)
        claims.tell_strangers(tx, linked, 3, 60.0)
    with database.read() as session:
        found = claims.sockets(session)
    assert (found.explained, found.strangers) == (2, 3)
    assert 59 < found.age < 90
    fall_silent(database, linked)
    with database.read() as session:
        assert claims.sockets(session) == claims.Sockets(0, 0, None)


@pytest.mark.usefixtures("leased")
def test_commands_and_who_takes_events_by_http_explain_no_socket(database):
    """Each counted as two, so that as many of a stranger's were never told."""
    with database.write() as tx:
        claims.register(tx, hands=True)
        claims.register(tx, links=2)
    with database.read() as session:
        assert claims.sockets(session).explained == 2


def test_a_command_is_no_process_that_is_alive(database):
    """Beside another operator's that waited, a revoke waited for that one to do its work."""
    with database.write() as tx:
        claims.register(tx, hands=True)
    with database.read() as session:
        assert claims.heartbeat(session) is None


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


def beat_of(database, instance) -> float:
    """Return for how many seconds an instance has been silent; less than nothing: it is ahead."""
    silent = select(db_now() - col(InstanceRow.beat)).where(col(InstanceRow.id) == instance)
    with database.read() as session:
        return float(session.execute(silent).scalar_one())


def test_a_dead_instance_holds_nothing_for_as_long_as_the_clock_went_back(database, leased):
    """The database's clock was set back a minute: what a dead one had leased was nobody's until it
    had caught up."""
    fall_silent(database, leased, -60)
    with database.write() as tx:
        assert claims.beat(tx, claims.register(tx))

    assert 0 <= beat_of(database, leased) < 30
    fall_silent(database, leased)
    assert is_free(database)


@pytest.mark.parametrize("ahead", [60, 3600, float("inf")])
def test_a_heartbeat_from_ahead_is_no_sign_of_life(database, leased, ahead):
    """The clock was set back: `revoke` waited for a process that was gone, for as long as that."""
    fall_silent(database, leased, -ahead)
    with database.read() as session:
        assert claims.heartbeat(session) is None
        assert claims.sockets(session).explained == 0

    with database.write() as tx:
        claims.register(tx)
    with database.read() as session:
        assert claims.heartbeat(session) < 30


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_heartbeat_that_is_no_number_is_no_sign_of_life(database, leased):
    fall_silent(database, leased, float("nan"))
    with database.read() as session:
        assert claims.heartbeat(session) is None


def test_a_living_instance_keeps_its_leases_when_the_clock_goes_back(database, leased):
    """Others beat before it does: they have seen the step, and it has not."""
    fall_silent(database, leased, -60)
    with database.write() as tx:
        claims.beat(tx, claims.register(tx))
    assert not is_free(database)

    with database.write() as tx:
        assert claims.beat(tx, leased)
    assert not is_free(database)


@pytest.mark.parametrize("kind", ["postgresql"])
def test_one_that_beats_at_this_moment_is_not_waited_for(database, leased):
    """Each puts the other's beat right: two that wait for each other would lose their leases."""
    with database.write() as tx:
        other = claims.register(tx)
    fall_silent(database, other, -60)
    with database.write() as theirs:
        theirs.execute(
            update(InstanceRow).where(col(InstanceRow.id) == other).values(beat=db_now())
        )
        with database.write() as tx:
            assert claims.beat(tx, leased)


def test_a_heartbeat_tells_what_the_databases_clock_says(database, leased):
    with database.write() as tx:
        tx.execute(update(InstanceRow).values(beat=db_now() - 100))
    with database.write() as tx:
        reading = claims.beat(tx, leased)
        there = tx.execute(select(db_now())).scalar_one()

    assert reading
    assert reading.before <= reading.after
    assert 0 <= there - reading.said < 30
    assert 0 <= beat_of(database, leased) < 30


class Clocks:
    """CLOCK_BOOTTIME and the wall clock of a machine, and CLOCK_MONOTONIC, as a test moves them."""

    def __init__(self, monkeypatch) -> None:
        self.boot, self.wall, self.monotonic = 100.0, 1_700_000_000.0, 50.0
        monkeypatch.setattr("storage.claims.time.monotonic", lambda: self.monotonic)
        self.pulse = claims.Pulse((lambda: self.boot, lambda: self.wall))

    def pass_(self, seconds: float) -> None:
        self.boot += seconds
        self.wall += seconds
        self.monotonic += seconds

    def beat(self) -> None:
        self.pulse.beaten(self.pulse.begin())


@pytest.fixture
def clocks(monkeypatch):
    made = Clocks(monkeypatch)
    made.beat()
    return made


def test_pulse_holds_while_it_beats(clocks):
    leased = clocks.monotonic
    for _ in range(10):
        clocks.beat()
        clocks.pass_(claims.DEAD_AFTER - 0.1)
        assert clocks.pulse.holds(leased)
    clocks.pass_(0.2)
    assert not clocks.pulse.holds(leased)


def test_what_was_leased_before_a_silence_is_not_ours_after_it(clocks):
    """A process that was stopped for longer than its leases hold does not notice that it was."""
    leased = clocks.monotonic
    clocks.pass_(claims.DEAD_AFTER)
    clocks.beat()

    assert not clocks.pulse.holds(leased)
    assert clocks.pulse.holds(clocks.monotonic)


@pytest.mark.parametrize("told_by", ["boot", "wall"])
def test_a_machine_that_was_suspended_holds_nothing_that_it_leased_before(clocks, told_by):
    """CLOCK_MONOTONIC had not moved: it went on where others were at work. In a container only the
    wall clock may tell."""
    leased = clocks.monotonic
    setattr(clocks, told_by, getattr(clocks, told_by) + claims.DEAD_AFTER)
    assert not clocks.pulse.holds(leased)

    clocks.pass_(0.001)
    clocks.beat()
    assert not clocks.pulse.holds(leased)
    assert clocks.pulse.holds(clocks.monotonic)


@pytest.mark.parametrize("back", [1, 60, 3600])
def test_a_wall_clock_that_is_set_back_makes_no_lease_last_longer(clocks, back):
    leased = clocks.monotonic
    clocks.wall -= back
    assert clocks.pulse.holds(leased)
    clocks.pass_(claims.DEAD_AFTER)
    assert not clocks.pulse.holds(leased)


def test_the_pulse_is_steady_for_as_long_as_no_heartbeat_is_missing(clocks):
    for _ in range(10):
        clocks.pass_(1)
        clocks.beat()
    assert clocks.pulse.steady == 10
    clocks.pass_(claims.DEAD_AFTER)
    assert clocks.pulse.steady == 0
    clocks.beat()
    clocks.pass_(1)
    assert clocks.pulse.steady == 1
