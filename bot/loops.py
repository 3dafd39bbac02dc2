"""The loops that bring the world in line with what is stored.

Each is woken by commits, by its own finished work, and once a second by the scheduler. Being late,
or down, changes nothing but lateness.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog

from bot.services import Services
from engine.connectors.port import Report, Unavailable
from engine.inventory import IntegrationId
from engine.request import AccountId, RequestId
from storage import accounts, clock, jobs, sync
from storage.accounts import Done, Work
from storage.jobs import Job, JobKind

BATCH = 50
PAUSE_AFTER_FAULT = 1.0  # seconds

log = structlog.get_logger()


class Loop:
    """A thread that drains what is due, whenever it is woken. A fault is logged, and it goes on."""

    def __init__(self, name: str, drain: Callable[[], None]) -> None:
        self.name = name
        self._drain = drain
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loop-{name}", daemon=True)

    def wake(self) -> None:
        self._woken.set()

    def start(self) -> None:
        self._thread.start()
        self.wake()

    def stop(self) -> None:
        """Begin nothing new, and wait for what is under way (at most 10 s)."""
        self._stopping.set()
        self.wake()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._woken.wait()
            if self._stopping.is_set():
                return
            self._woken.clear()
            try:
                self._drain()
            except Exception:
                log.exception("loop failed", loop=self.name)
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
    except Exception as fault:
        log.exception("request failed", request=id_)
        why = type(fault).__name__
        services.write(lambda tx, c: clock.fail(tx, c, id_, why, services.clock.now()))


class AccessLoop:
    """Brings accounts in line, several at once, each by one worker at a time."""

    def __init__(self, services: Services, workers: int = 8) -> None:
        self._services = services
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="access")
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

    def stop(self) -> None:
        """Claim nothing more; what is under way is finished and stored."""
        self._stopping = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self) -> None:
        done: list[Done] = []
        while True:
            ids = self._next(idle=not done)
            if not done and not ids:
                return
            finished = {d.work.account for d in done}
            try:
                works = self._turn(done, ids)
            except Exception:
                # The leases stay ours: the next drain takes these accounts up again, in doubt.
                log.exception("turn failed", loop="access")
                works = []
            with self._lock:
                self._busy -= {*finished, *ids} - {w.account for w in works}
            done = [Done(work, self._call(work)) for work in works]

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

    def _call(self, work: Work) -> accounts.Seen | Report | Unavailable:
        connector = self._services.connected[work.integration].connector
        try:
            if work.order is None:
                looked_at = list(work.look.values())
                return connector.inspect(work.login, looked_at, given=work.given)
            return connector.apply(work.order)
        except Unavailable as fault:
            log.warning("system unavailable", integration=work.integration, why=str(fault))
            return fault
        except Exception as fault:
            # A defect in a connector: nothing is known of what it did, so it is tried again.
            log.exception("connector failed", integration=work.integration)
            return Unavailable(f"unexpected {type(fault).__name__}")


Runner = Callable[[Job], timedelta | None]


def drain_jobs(services: Services, runners: Mapping[JobKind, Runner]) -> None:
    """Run what is due; a runner returns after how long its job runs again, None for never."""
    while claimed := _claim_jobs(services):
        for job in claimed:
            _run_job(services, runners[job.kind], job)


def _claim_jobs(services: Services) -> list[Job]:
    now = services.clock.now()
    ids = jobs.due(services.database, now, BATCH)
    if not ids:
        return []
    return services.transaction(lambda tx: jobs.claim(tx, services.instance, ids, now))


def _run_job(services: Services, runner: Runner, job: Job) -> None:
    now = services.clock.now()
    try:
        again = runner(job)
    except Unavailable as fault:
        log.warning("job put off", job=job.kind, subject=job.subject, why=str(fault))
        services.transaction(lambda tx: jobs.failed(tx, services.instance, job, now))
        return
    except Exception:
        log.exception("job failed", job=job.kind, subject=job.subject)
        services.transaction(lambda tx: jobs.failed(tx, services.instance, job, now))
        return
    at = now + again if again is not None else None
    services.transaction(lambda tx: jobs.done(tx, services.instance, job, at))


def discover(services: Services, integration: IntegrationId) -> None:
    """Read all resources of one system and take them in."""
    found = list(services.connected[integration].connector.discover())
    services.transaction(lambda tx: sync.inventory(tx, integration, found, services.clock.now()))


def forget_secret(services: Services, job: Job) -> None:
    """Delete a password that has been shown for long enough."""
    services.transaction(lambda tx: accounts.forget_secret(tx, AccountId(int(job.subject))))
