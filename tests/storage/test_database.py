"""Transactions: one writer at a time in order, all or nothing, and nothing is lost."""

import sqlite3
import threading
from contextlib import closing
from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col

from storage import batch, claims
from storage.database import BusyError, Database, Gate, passes, unusable
from storage.jobs import JobKind, reschedule, schedule
from storage.tables import JobRow
from tests.support.postgres import for_libpq
from tests.support.stored import START
from tests.support.waiting import wait_until


def test_write_gate_lets_in_who_came_first():
    gate, order, threads = Gate(), [], []

    def enter(number):
        with gate:
            order.append(number)

    with gate:
        for number in range(8):
            threads.append(threading.Thread(target=enter, args=(number,)))
            threads[-1].start()
            wait_until(lambda: gate.waiting == len(threads))
    for thread in threads:
        thread.join()

    assert order == list(range(8))


def test_write_gate_lets_urgent_ones_in_first_but_never_only_those():
    """What ended access queued behind whatever people wrote, until its patience was over."""
    gate, order, threads = Gate(), [], []

    def enter(number):
        with gate.urgently() if number < 0 else gate:
            order.append(number)

    with gate:
        for number in (1, 2, 3, -1, -2, -3, -4):
            threads.append(threading.Thread(target=enter, args=(number,)))
            threads[-1].start()
            wait_until(lambda: gate.waiting == len(threads))
    for thread in threads:
        thread.join()

    assert order == [-1, -2, -3, 1, -4, 2, 3]


def test_write_gate_opens_after_a_fault():
    gate = Gate(patience=0)
    with pytest.raises(ZeroDivisionError), gate:
        raise ZeroDivisionError

    with gate, pytest.raises(BusyError), gate:
        pass


def test_write_gate_lets_in_as_many_as_it_has_room_for():
    gate = Gate(patience=0, room=2)
    for _ in range(2):
        with gate, gate, pytest.raises(BusyError), gate:
            pass


def test_threads_that_write_at_once_lose_nothing(database):
    def work():
        for number in range(20):
            with database.write() as tx:
                job = tx.execute(select(JobRow).with_for_update()).scalar_one()
                job.attempts += number

    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read() as session:
        assert session.execute(select(col(JobRow.attempts))).scalar_one() == 6 * sum(range(20))


def test_processes_that_write_at_once_lose_nothing(crew, database, url):
    """The library's default begins SQLite's transactions late: half of the updates were lost."""
    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)

    commits = crew.race("increment", url, seconds=[1.0] * 3)

    assert min(commits) > 0
    with database.read() as session:
        assert session.execute(select(col(JobRow.attempts))).scalar_one() == sum(commits)


def test_transaction_that_fails_leaves_nothing(database):
    woken = []
    database.on_commit.append(woken.append)

    def plan_and_fail():
        with database.write() as tx:
            schedule(tx, JobKind.SWEEP, "", START)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        plan_and_fail()

    assert woken == []
    with database.write() as tx:
        assert tx.execute(select(JobRow)).all() == []


def test_topics_are_told_after_the_commit(database):
    seen = []

    def listen(topics):
        with database.read() as session:
            seen.append((topics, len(session.execute(select(JobRow)).all())))

    database.on_commit.append(listen)

    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)
        assert seen == []

    assert seen == [({"jobs"}, 1)]


@pytest.mark.parametrize("kind", ["postgresql"])
def test_topics_are_told_to_other_processes(database):
    with psycopg.connect(for_libpq(database.url), autocommit=True) as connection:
        connection.execute("listen latchkey")
        with database.write() as tx:
            schedule(tx, JobKind.SWEEP, "", START)
            tx.wake("access")
            assert list(connection.notifies(timeout=0)) == []
        told = next(connection.notifies(timeout=20))

    assert (told.channel, told.payload) == ("latchkey", "access,jobs")


def test_naive_times_are_refused(database):
    naive = datetime(2026, 11, 2, 9, 0)  # noqa: DTZ001  (that is the point)

    with pytest.raises(ValueError, match="naive time"), database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", naive)


def test_times_come_back_as_utc_and_compare_as_time_does(database):
    with database.write() as tx:
        for hours in (-11, 0, 5, 14):
            zone = timezone(timedelta(hours=hours))
            at = (START + timedelta(microseconds=hours + 11)).astimezone(zone)
            reschedule(tx, JobKind.SWEEP, str(hours), at)

    with database.read() as session:
        rows = session.execute(select(col(JobRow.subject), col(JobRow.due_at)).order_by("due_at"))
        found = [(subject, at) for subject, at in rows]

    assert [subject for subject, _ in found] == ["-11", "0", "5", "14"]
    assert found[0][1] == START
    assert {at.utcoffset() for _, at in found} == {timedelta()}


def test_sqlite_waits_for_its_disk(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/settings.db")
    with database.writer.connect() as connection:
        found = [
            connection.exec_driver_sql(f"pragma {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    database.close()

    assert found == ["wal", 2, 1]


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_who_starts_waits_for_locks_longer_than_a_click_does(url):
    """A replica gave up its start because others, who started with it, were at work for longer."""
    hurried = Database(url, patience=0.05)
    waited = text(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        " and clock_timestamp() - query_start > interval '0.2 s' and datname = current_database()"
    )
    done = []

    def start():
        with hurried.write() as tx:
            tx.wait_for_others()
            tx.execute(update(JobRow).values(attempts=2))
        done.append(True)

    with hurried.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)
    with hurried.write() as rival:
        rival.execute(update(JobRow).values(attempts=1))
        starting = threading.Thread(target=start)
        starting.start()
        with hurried.read() as session:
            wait_until(lambda: session.execute(waited).scalar(), "it waits")
    starting.join()
    hurried.close()

    assert done


def leave(url) -> None:
    """End all sessions of the database, as a restart of the server does."""
    with psycopg.connect(for_libpq(url)) as one:
        one.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_connections_that_rested_are_looked_at_before_they_are_used(url, monkeypatch):
    database = Database(url)
    monkeypatch.setattr("storage.database.RESTED", 0.0)
    with database.read() as one, database.read() as another:
        assert one.execute(text("select 1")).scalar() == another.execute(text("select 1")).scalar()
    leave(url)

    with database.write() as tx:
        schedule(tx, JobKind.SWEEP, "", START)
    with database.read() as one, database.read() as another:
        assert one.execute(select(col(JobRow.kind))).scalar() == JobKind.SWEEP
        assert another.execute(select(col(JobRow.kind))).scalar() == JobKind.SWEEP
    database.close()


@pytest.mark.parametrize("way", ["ask", "execute"])
@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_process_that_was_stopped_in_a_transaction_finds_it_undone(database, url, way):
    """What the server says then was no fault that passes: a start gave up at it."""
    query = select(col(JobRow.id)).where(col(JobRow.kind) == "sweep")

    def stopped():
        with database.write() as tx:
            schedule(tx, JobKind.SWEEP, "", START)
            tx.connection().exec_driver_sql("set idle_in_transaction_session_timeout = 1")
            with psycopg.connect(for_libpq(url), autocommit=True) as other:
                wait_until(lambda: not others(other), "it is cut off")
            tx.ask(query) if way == "ask" else tx.execute(query)

    def others(other) -> int:
        states = "select count(*) from pg_stat_activity where datname = current_database()"
        return other.execute(states + " and state like 'idle in transaction%'").fetchone()[0]

    with pytest.raises(OperationalError) as raised:
        stopped()

    assert passes(raised.value)
    with database.read() as session:
        assert session.ask(query) == []


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_heartbeat_does_not_queue_behind_those_who_wait_for_rows(url, monkeypatch):
    """Writers that waited for another's lock would have kept a living process from saying so."""
    monkeypatch.setattr("storage.database.WRITERS", 0)  # as if all were waiting
    database = Database(url, patience=0.05)

    with pytest.raises(BusyError), database.write():
        pass
    with database.write(urgent=True) as tx:
        assert claims.beat(tx, claims.register(tx))
    database.close()


def test_a_batch_refuses_a_naive_time(database):
    naive = [
        {"kind": "sweep", "subject": str(n), "due_at": datetime(2026, 1, 1), "attempts": 0}  # noqa: DTZ001
        for n in range(2)
    ]

    with pytest.raises(ValueError, match="naive time"), database.write() as tx:
        batch.add(tx, JobRow, naive)


def test_why_a_database_cannot_be_used_is_said_of_every_reason():
    """Of one whose writers had waited for too long it was an IndexError."""
    for fault in (BusyError(), OperationalError("select 1", {}, Exception()), ValueError()):
        said = unusable(fault, "sqlite:////x/latchkey.db")
        assert said.startswith("The database /x/latchkey.db cannot be used: ")
    for said in ("database or disk is full", "disk I/O error"):
        full = OperationalError("insert", {}, sqlite3.OperationalError(said))
        assert "`df /x/latchkey.db`" in unusable(full, "sqlite:////x/latchkey.db")
    assert "Others have written" in unusable(BusyError(), "sqlite:////x/latchkey.db")


class _RefusedError(Exception):
    """What PostgreSQL's driver raises; `sqlstate` is not known where no connection was made."""

    def __init__(self, said: str, sqlstate: str | None = None) -> None:
        super().__init__(said)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("cause", "passing"),
    [
        (_RefusedError("connection failed: Connection refused"), True),
        (_RefusedError("connection timeout expired"), True),
        (_RefusedError("FATAL:  the database system is starting up"), True),
        (_RefusedError("FATAL:  sorry, too many clients already"), True),
        (_RefusedError('FATAL:  password authentication failed for user "x"'), False),
        (_RefusedError('FATAL:  database "x" does not exist'), False),
        (_RefusedError("canceling statement due to lock timeout", "55P03"), True),
        (_RefusedError("terminating connection", "57P01"), True),
        (_RefusedError("terminating connection due to idle-in-transaction timeout", "25P03"), True),
        (_RefusedError("permission denied", "42501"), False),
        (sqlite3.DatabaseError("file is not a database"), False),
    ],
    ids=str,
)
def test_what_passes_is_told_from_what_a_person_has_to_mend(cause, passing):
    assert passes(OperationalError("select 1", {}, cause)) is passing


def test_a_file_that_somebody_writes_to_is_free_again_soon(tmp_path):
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as one, closing(sqlite3.connect(file, timeout=0)) as other:
        one.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("begin immediate")
    assert passes(OperationalError("begin", {}, locked.value))


def test_what_is_in_somebodys_hands_when_all_is_closed_is_closed_after_it(url):
    """It went into a pool that nobody had any more, and stayed open until it was collected."""
    opened, later, held = Database(url), Database(url), []

    with opened.read() as session:
        held.append(session.connection().connection.driver_connection)
        opened.close()
        assert session.execute(text("select 1")).scalar() == 1
    later.close()
    with later.read() as session:  # as whoever is late does
        held.append(session.connection().connection.driver_connection)

    for connection in held:
        with pytest.raises((psycopg.OperationalError, sqlite3.ProgrammingError), match="closed"):
            connection.execute("select 1")
