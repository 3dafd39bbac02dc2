"""The loops that bring the world in line with what is stored.

Each is woken by commits, by its own finished work, and once a second by the scheduler. Being late,
or down, changes nothing but lateness.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from bot.pool import Pool
from bot.services import Services
from bot.vitals import Vitals
from engine.connectors.port import Report, Unavailable
from engine.inventory import IntegrationId
from engine.request import AccountId, RequestId, code_of
from storage import accounts, clock, jobs, sync
from storage.accounts import Done, Work
from storage.database import AWAY
from storage.jobs import Job, JobKind

BATCH = 50
PAUSE_AFTER_FAULT = 1.0  # seconds

log = structlog.get_logger()


class Loop:
    """A thread that drains what is due, whenever it is woken. A fault is logged, and it goes on."""

    def __init__(self, name: str, drain: Callable[[], None], vitals: Vitals) -> None:
        self.name = name
        self._drain = drain
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
    ids = [RequestId(0)] * BATCH
    while len(ids) == BATCH:
        ids = clock.due(services.database, services.clock.now(), BATCH)
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
    """Brings accounts in line, several at once, each by one worker at a time."""

    def __init__(self, services: Services, workers: int = 8) -> None:
        self._services = services
        self._pool = Pool(workers, "access")
        self._workers = workers
        self._lock = threading.Lock()
        self._busy: set[AccountId] = set()
        self._waiting: deque[AccountId] = deque()
        self._running = 0
        self._stopping = False

    def drain(self) -> None:
        services = self._services
        with self._lock:
            busy = set(self._busy)
        found = accounts.due(
            services.database, services.instance, services.clock.now(), busy=busy, limit=BATCH
        )
        with self._lock:
            fresh = [id_ for id_ in found if id_ not in self._busy]
            self._busy.update(fresh)
            self._waiting.extend(fresh)
            needed = min(len(self._waiting), self._workers - self._running)
            self._running += needed
        for _ in range(needed):
            self._pool.submit(self._work)

    def stop(self, within: float = 10.0) -> bool:
        """Claim nothing more. Return whether what was under way was finished, and stored."""
        self._stopping = True
        return self._pool.stop(within)

    @contextmanager
    def aside(self, account: AccountId) -> Iterator[bool]:
        """Keep the workers from an account for a while; False: one of them has it."""
        with self._lock:
            free = account not in self._busy
            self._busy.add(account)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._busy.discard(account)

    def _work(self) -> None:
        done: list[Done] = []
        while True:
            ids = self._next(idle=not done)
            if not done and not ids:
                return
            finished, leased = {d.work.account for d in done}, time.monotonic()
            try:
                works = self._turn(done, ids)
            except Exception as fault:
                # The leases stay ours: the next drain takes these accounts up again, in doubt.
                if isinstance(fault, AWAY):
                    self._services.vitals.database.bad(type(fault).__name__)
                else:
                    log.exception("turn failed", loop="access")
                works = []
            if not self._services.pulse.holds(leased):
                works = []  # stopped for so long that others may be at it: the same
            with self._lock:
                self._busy -= {*finished, *ids} - {w.account for w in works}
            done = [Done(work, self._call_as(work)) for work in works]

    def _next(self, *, idle: bool) -> list[AccountId]:
        """Return what to take up next; a worker who has nothing else to do leaves without it."""
        with self._lock:
            if self._waiting and not self._stopping:
                return [self._waiting.popleft()]
            self._running -= idle
            return []

    def _turn(self, done: list[Done], ids: list[AccountId]) -> list[Work]:
        services = self._services
        return services.write(
            lambda tx, company: accounts.turn(
                tx, company, services.desk, services.clock.now(), done=done, ids=ids
            )
        )

    def _call_as(self, work: Work) -> accounts.Seen | Report | Unavailable:
        requests = sorted({code_of(request) for request, _, _ in work.items})
        with bound_contextvars(
            integration=work.integration, login=work.login.name, request=",".join(requests)
        ):
            return self._call(work)

    def _call(self, work: Work) -> accounts.Seen | Report | Unavailable:
        connector = self._services.connected[work.integration].connector
        try:
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


def discover(services: Services, integration: IntegrationId) -> None:
    """Read all resources of one system and take them in."""
    found = list(services.connected[integration].connector.discover())
    services.transaction(lambda tx: sync.inventory(tx, integration, found, services.clock.now()))


def forget_secret(services: Services, job: Job) -> timedelta | None:
    """Delete a password that is saved, or has been shown for long enough."""
    account = AccountId(int(job.subject))
    done = services.transaction(lambda tx: accounts.forget_secret(tx, account))
    return None if done else accounts.AGAIN
