"""The loops that bring the world in line with what is stored.

Each is woken by commits, by its own finished work, and once a second by the scheduler. Being late,
or down, changes nothing but lateness.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from bot.pool import Pool
from bot.services import Services
from bot.turns import Turns
from bot.vitals import Vitals
from engine.connectors.port import Report, Unavailable
from engine.request import AccountId, RequestId, code_of
from storage import accounts, clock, jobs
from storage.accounts import Done, Work
from storage.database import AWAY
from storage.jobs import Job, JobKind

BATCH = 50
TICKS = 16  # requests in one transaction, which others wait for
PAUSE_AFTER_FAULT = 1.0  # seconds
GATHER = 0.05  # seconds, while systems are called, for what they saw and what is due to gather

log = structlog.get_logger()


class Loop:
    """A thread that drains what is due, whenever it is woken. A fault is logged, and it goes on."""

    def __init__(
        self, name: str, drain: Callable[[], None], vitals: Vitals, turns: Turns | None = None
    ) -> None:
        self.name = name
        self._drain = drain
        self._turns = turns or Turns()
        self._vitals = vitals
        self._behind_since: float | None = None  # woken then, and not through since
        vitals.loop_lag.labels(name).set_function(lambda: self.lag)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loop-{name}", daemon=True)

    @property
    def lag(self) -> float:
        """For how many seconds it has been woken and not come to its end."""
        since = self._behind_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        self._woken.set()

    def start(self) -> None:
        self._thread.start()
        self.wake()

    def end(self) -> None:
        """Begin nothing new."""
        self._stopping.set()
        self.wake()

    def join(self, within: float) -> bool:
        """Return whether what was under way came to its end."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            if self._stopping.is_set():
                return
            self._woken.clear()
            self._turns.give_way()
            try:
                self._drain()
            except AWAY as fault:
                self._vitals.database.bad(type(fault).__name__)
                self._again()
            except Exception:
                log.exception("loop failed", loop=self.name)
                self._again()
            else:
                self._behind_since = time.monotonic() if self._woken.is_set() else None

    def _again(self) -> None:
        self._stopping.wait(PAUSE_AFTER_FAULT)
        self.wake()


def drain_clock(services: Services) -> None:
    """Let time pass for every request whose moment has come."""
    ids = [RequestId(0)] * TICKS
    while len(ids) == TICKS:
        ids = clock.due(services.database, services.clock.now(), TICKS)
        try:
            if ids:
                _tick(services, ids)
        except AWAY:
            raise
        except Exception:
            log.exception("batch failed", loop="clock", requests=len(ids))
            for id_ in ids:
                _tick_one(services, id_)


def _tick(services: Services, ids: Sequence[RequestId]) -> None:
    with services.turns:
        services.write(lambda tx, company: clock.tick(tx, company, ids, services.clock.now()))


def _tick_one(services: Services, id_: RequestId) -> None:
    """A poisoned request stops nobody: it is put off, the others go on."""
    try:
        _tick(services, [id_])
    except AWAY:
        raise
    except Exception as fault:
        log.exception("request failed", request=code_of(id_))
        why = type(fault).__name__
        services.write(lambda tx, c: clock.fail(tx, c, id_, why, services.clock.now()))


class AccessLoop:
    """Brings accounts in line: several in one transaction, their systems called at the same time.

    No more is leased than can be called at once; the rest is anybody's.
    """

    def __init__(self, services: Services, workers: int = 16) -> None:
        self._services = services
        self._pool = Pool(workers, "access")
        self._workers = workers
        self._called = threading.Condition()
        self._busy: set[AccountId] = set()  # leased
        self._aside: set[AccountId] = set()
        self._done: list[Done] = []  # called, and not stored yet
        self._stopping = False
        self._due = threading.Event()  # there may be something to take up
        self._due.set()
        self._missed = False  # the last look left out what was being worked on
        self.wake: Callable[[], None] = lambda: None

    def look(self) -> None:
        """Have the next drain look for what is due: somebody committed, or time has passed."""
        self._due.set()
        self.wake()

    def drain(self) -> None:
        """Store what was seen, and take up what is due."""
        if self._busy:
            self._gather(GATHER)
        done, ids = self._next()
        if not done and not ids:
            return
        leased, works = time.monotonic(), list[Work]()
        try:
            works = self._turns(done, ids)
            if not self._services.pulse.holds(leased):
                works = []  # stopped for so long that others may be at it
        finally:
            # What is left out here stays leased: another drain takes it up again, in doubt.
            with self._called:
                self._busy -= {*(d.work.account for d in done), *ids} - {w.account for w in works}
        for work in works:
            self._pool.submit(self._work, work)
        if done and self._missed:
            self.look()  # some of them may have been wanted anew while they were called

    def stop(self, within: float = 10.0) -> bool:
        """Claim nothing more. Return whether what was under way was finished, and stored."""
        self._stopping = True
        until = time.monotonic() + within
        while self._busy and self._gather(until - time.monotonic(), enough=1):
            self.drain()
        return self._pool.stop(max(0.0, until - time.monotonic())) and not self._busy

    @contextmanager
    def aside(self, account: AccountId) -> Iterator[bool]:
        """Keep the workers from an account for a while; False: one of them has it."""
        with self._called:
            free = account not in self._busy | self._aside
            if free:
                self._aside.add(account)
        try:
            yield free
        finally:
            if free:
                with self._called:
                    self._aside.discard(account)

    def _gather(self, within: float, enough: int | None = None) -> bool:
        """Wait, not for long, until so many calls, else all, have come to their end."""
        with self._called:
            return self._called.wait_for(
                lambda: len(self._done) >= (enough or len(self._busy)), within
            )

    def _next(self) -> tuple[list[Done], list[AccountId]]:
        """Return what to store, and what to take up."""
        services = self._services
        with self._called:
            done, self._done = self._done, []
            taken = self._busy | self._aside
        goes_on = sum(isinstance(d.result, Mapping) for d in done)  # after the look, the order
        room = self._workers - len(self._busy) + len(done) - goes_on
        if self._stopping or room <= 0 or not self._due.is_set():
            return done, []
        self._due.clear()
        self._missed = bool(taken)
        now = services.clock.now()
        systems = services.desk.kinds
        found = accounts.due(
            services.database, services.instance, now, systems=systems, busy=taken, limit=room
        )
        if len(found) == room:
            self.look()
        with self._called:
            ids = [id_ for id_ in found if id_ not in self._aside]
            self._busy.update(ids)
        return done, ids

    def _turns(self, done: list[Done], ids: list[AccountId]) -> list[Work]:
        """Take a turn for all; if that fails, for each alone: a poisoned account stops nobody."""
        services = self._services
        try:
            with services.turns:
                return services.write(
                    lambda tx, company: accounts.turn(
                        tx, company, services.desk, services.clock.now(), done=done, ids=ids
                    )
                )
        except AWAY:
            raise
        except Exception as fault:
            log.exception("turn failed", loop="access", accounts=len(done) + len(ids))
            why = type(fault).__name__
        alone = [*(([one], []) for one in done), *(([], [id_]) for id_ in ids)]
        if len(alone) > 1:
            return [work for one in alone for work in self._turns(*one)]
        for account in (*(d.work.account for d in done), *ids):
            self._put_off(account, why)
        return []

    def _put_off(self, account: AccountId, why: str) -> None:
        desk, now = self._services.desk, self._services.clock.now()
        self._services.write(lambda tx, c: accounts.fail(tx, c, desk, account, now, why=why))

    def _work(self, work: Work) -> None:
        self._services.turns.give_way()
        done = Done(work, self._call_as(work))
        with self._called:
            self._done.append(done)
            last = len(self._done) == len(self._busy)
            if last or self._stopping:
                self._called.notify_all()
        self.wake()

    def _call_as(self, work: Work) -> accounts.Result:
        requests = sorted({code_of(request) for request, _, _ in work.items})
        with bound_contextvars(
            integration=work.integration, login=work.login.name, request=",".join(requests)
        ):
            return self._call(work)

    def _call(self, work: Work) -> accounts.Result:
        try:
            connector = self._services.connected[work.integration].connector
            if work.order is None:
                looked_at = list(work.look.values())
                return connector.inspect(work.login, looked_at, given=work.given)
            report = connector.apply(work.order)
        except Unavailable as fault:
            log.warning("system unavailable", why=str(fault))
            self._count(work, None)
            return fault
        except Exception as fault:
            # A defect in a connector: nothing is known of what it did, so it is tried again.
            log.exception("connector failed")
            self._count(work, None)
            return Unavailable(f"unexpected {type(fault).__name__}")
        self._count(work, report)
        return report

    def _count(self, work: Work, report: Report | None) -> None:
        if work.order:
            self._services.vitals.carried_out(work.integration, work.order, report)


Runner = Callable[[Job], timedelta | None]


def drain_jobs(services: Services, runners: Mapping[JobKind, Runner]) -> None:
    """Run what is due; a runner returns after how long its job runs again, None for never."""
    while claimed := _claim_jobs(services):
        for job in claimed:
            with bound_contextvars(job=job.kind.value, subject=job.subject):
                _run_job(services, runners[job.kind], job)


def _claim_jobs(services: Services) -> list[Job]:
    now = services.clock.now()
    instance = services.instance
    ids = jobs.due(services.database, now, BATCH, idle=instance)
    if not ids:
        return []
    return services.transaction(lambda tx: jobs.claim(tx, instance, ids, now, idle=True))


def _run_job(services: Services, runner: Runner, job: Job) -> None:
    now = services.clock.now()
    try:
        again = runner(job)
    except Unavailable as fault:
        log.warning("job put off", why=str(fault))
        services.transaction(lambda tx: jobs.failed(tx, services.instance, job, now))
        return
    except AWAY:
        raise
    except Exception:
        log.exception("job failed")
        services.transaction(lambda tx: jobs.failed(tx, services.instance, job, now))
        return
    at = now + again if again is not None else None
    services.transaction(lambda tx: jobs.done(tx, services.instance, job, at))


def forget_secret(services: Services, job: Job) -> timedelta | None:
    """Delete a password that is saved, or has been shown for long enough."""
    account = AccountId(int(job.subject))
    done = services.transaction(lambda tx: accounts.forget_secret(tx, account))
    return None if done else accounts.AGAIN
