"""Jobs: those of a system that hangs keep nobody else's waiting."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from bot.loops.jobs import JobLoop, Periodic
from bot.runtime.services import Services
from bot.usecases.sweep import sweep
from engine.port import Unavailable
from storage import jobs
from storage.jobs import JobKind
from storage.tables import JobRow, RequestRow
from tests.support.stored import ALICE, BOB, DORA, MINUTE, PG, WIKI, Stored
from tests.support.waiting import PATIENCE, looks

OF_SYSTEM = {JobKind.DISCOVER, JobKind.RECONCILE, JobKind.RECONCILE_ACCOUNT}
LONGEST = timedelta(minutes=10)


class Runs:
    """What was run. Jobs of PostgreSQL, and of accounts there, wait for a word to go on."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.ran = Counter[tuple[JobKind, str]]()
        self.begun, self.on = threading.Semaphore(0), threading.Event()
        self.act = lambda _job: None
        services = Services(stored.database, stored.companies, self, stored.keys, {})
        self.loop = JobLoop(services, dict.fromkeys(JobKind, Periodic(self.run, LONGEST)))

    def now(self):
        return self.stored.now

    def run(self, job):
        if job.kind in OF_SYSTEM and job.subject in self.hanging:
            self.begun.release()
            assert self.on.wait(PATIENCE)
        self.act(job)
        self.ran[job.kind, job.subject] += 1

    def until(self, *ran):
        for _ in looks(PATIENCE):
            if self.ran.keys() >= {*ran}:
                return
            self.loop.drain()
        raise AssertionError(f"never run: {set(ran) - self.ran.keys()}")


@pytest.fixture
def runs(tmp_path):
    stored = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
    made = Runs(stored)
    for who in (ALICE, BOB, DORA):
        stored.submit("read on shop.orders", "edit on handbook", by=who)
    made.hanging = {PG, *(str(stored.account(PG, who).id) for who in (ALICE, BOB, DORA))}
    yield made
    made.on.set()
    assert made.loop.stop(PATIENCE)
    stored.close()


def schedule(stored, *listed):
    for kind, subject in listed:
        stored.write(lambda tx, _, k=kind, s=subject: jobs.schedule(tx, k, s, stored.now))


def test_a_system_that_hangs_delays_no_job_of_others(runs, monkeypatch):
    """One thread ran all jobs one after another, and one look for due ones found fifty."""
    monkeypatch.setattr("bot.loops.jobs.BATCH", 2)
    stored = runs.stored
    schedule(stored, (JobKind.DISCOVER, PG), (JobKind.RECONCILE, PG))
    of_pg = [(JobKind.RECONCILE_ACCOUNT, account) for account in runs.hanging - {PG}]
    schedule(stored, *of_pg)
    others = [
        (JobKind.FORGET_SECRET, str(stored.account(PG, ALICE).id)),
        (JobKind.RECONCILE_ACCOUNT, str(stored.account(WIKI, ALICE).id)),
        (JobKind.DISCOVER, WIKI),
        (JobKind.SWEEP, ""),
    ]
    schedule(stored, *others)

    runs.until(*others)

    assert not any(subject in runs.hanging and k in OF_SYSTEM for k, subject in runs.ran)
    runs.on.set()
    runs.until(*of_pg)
    runs.loop.wait(PATIENCE)
    assert set(runs.ran.values()) == {1}
    assert stored.rows(JobRow) == []


def test_jobs_of_one_system_run_one_after_another(runs):
    schedule(runs.stored, (JobKind.DISCOVER, PG), (JobKind.RECONCILE, PG))
    runs.loop.drain()
    assert runs.begun.acquire(timeout=PATIENCE)
    runs.loop.drain()
    assert not runs.begun.acquire(blocking=False)


def test_a_job_under_way_is_waited_for_but_not_for_ever(runs):
    schedule(runs.stored, (JobKind.DISCOVER, PG))
    runs.loop.drain()
    assert runs.begun.acquire(timeout=PATIENCE)

    assert not runs.loop.stop(0)

    runs.on.set()
    assert runs.loop.stop(PATIENCE)
    assert runs.ran[JobKind.DISCOVER, PG] == 1


def test_a_job_that_fails_is_tried_again_later(runs):
    def away(_):
        raise Unavailable("away")

    runs.act = away
    schedule(runs.stored, (JobKind.DISCOVER, WIKI), (JobKind.SWEEP, ""))
    runs.loop.drain()
    runs.loop.wait(PATIENCE)

    assert {(r.attempts, r.lease) for r in runs.stored.rows(JobRow)} == {(1, None)}


def test_the_sweep_rouses_who_would_sleep_past_their_end(inside):
    """A request whose `wake_at` was taken away was never looked at again, and nobody said so."""
    marta = inside.sandbox.person("marta@harbourpine.example")
    marta.command("/access", "request read on orders/shop/customers: INC-1")
    marta.wait_view("Request access").submit()
    inside.run("messages", "clock")

    def wake():
        with inside.database.read() as session:
            return session.execute(select(RequestRow.wake_at)).scalar_one()

    planned = wake()
    with inside.database.write() as tx:
        tx.execute(update(RequestRow).values(wake_at=None))

    with capture_logs() as logs:
        sweep(inside.program.services)
    inside.run("clock")

    assert wake() == planned
    assert "requests slept past their moment" in {line["event"] for line in logs}


def test_what_was_planned_by_a_clock_that_was_ahead_runs(runs):
    """The clock was a day ahead for a moment: a password that was shown stayed stored for a day."""
    stored = runs.stored
    shown = JobKind.FORGET_SECRET, str(stored.account(PG, ALICE).id)
    ahead = stored.now + timedelta(days=1, minutes=10)
    stored.write(lambda tx, _: jobs.schedule(tx, *shown, ahead))
    stored.write(lambda tx, _: jobs.schedule(tx, JobKind.SWEEP, "", stored.now + 2 * MINUTE))

    runs.until(shown)

    assert (JobKind.SWEEP, "") not in runs.ran


def test_each_kind_of_job_is_known_by_its_longest_pause(inside):
    assert inside.program.jobs.kinds.keys() == set(JobKind)
