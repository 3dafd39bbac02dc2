"""Runs what is due by time and is no request; jobs of one system wait for no other system."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from bot.runtime.pool import Pool
from bot.runtime.services import Services
from engine.account import AGAIN
from engine.port import Unavailable
from engine.request import AccountId
from storage import accounts, jobs
from storage.database import AWAY
from storage.jobs import Job, JobKind

BATCH = 50

Runner = Callable[[Job], timedelta | None]  # returns after how long the job runs again; None: never

log = structlog.get_logger()


class JobLoop:
    """Runs the jobs of each lane one after another, in a thread that it has to itself.

    `longest`: for how long each kind is put off at the most (`storage.jobs.due`).
    """

    def __init__(
        self,
        services: Services,
        runners: Mapping[JobKind, Runner],
        longest: Mapping[JobKind, timedelta],
    ) -> None:
        self._services = services
        self._runners = runners
        self._longest = longest
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._busy: set[str] = set()
        self._stopping = False
        self.wake: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self._busy)

    def drain(self) -> None:
        """Begin what is due in lanes that are free."""
        while not self._stopping and (claimed := self._claim()):
            for lane, mine in claimed.items():
                with self._lock:
                    self._busy.add(lane)
                if lane not in self._pools:
                    self._pools[lane] = Pool(1, f"jobs-{lane}")
                self._pools[lane].submit(self._run_all, lane, mine)

    def stop(self, within: float = 10.0) -> bool:
        """Begin nothing more. Return whether what was under way came to its end."""
        self._stopping = True
        until = time.monotonic() + within
        stopped = [p.stop(max(0.0, until - time.monotonic())) for p in self._pools.values()]
        return all(stopped)

    def _claim(self) -> Mapping[str, list[Job]]:
        services, now = self._services, self._services.clock.now()
        instance = services.instance
        with self._lock:
            busy = set(self._busy)
        longest = self._longest
        lanes = jobs.due(services.database, now, BATCH, idle=instance, busy=busy, longest=longest)
        if not lanes:
            return {}
        claimed = services.transaction(
            lambda tx: jobs.claim(tx, instance, lanes, now, idle=True, longest=longest)
        )
        found = defaultdict[str, list[Job]](list)
        for job in claimed:
            found[lanes[job.id]].append(job)
        return found

    def _run_all(self, lane: str, mine: Sequence[Job]) -> None:
        finished = self._finish(mine)
        with self._lock:
            self._busy.discard(lane)
        if finished:  # else it is looked for again in a second
            self.wake()

    def _finish(self, mine: Sequence[Job]) -> bool:
        try:
            for job in mine:
                if not self._stopping:
                    with bound_contextvars(job=job.kind.value, subject=job.subject):
                        self._run(job)
        except AWAY as fault:
            self._services.vitals.database.bad(type(fault).__name__)
        except Exception:
            log.exception("jobs failed")
        else:
            return True
        return False

    def _run(self, job: Job) -> None:
        services, now = self._services, self._services.clock.now()
        try:
            again = self._runners[job.kind](job)
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
    desk, now = services.desk, services.clock.now()
    done = services.transaction(lambda tx: accounts.forget_secret(tx, desk, account, now))
    return None if done else AGAIN
