"""Runs what is due by time and is no request; jobs of one system wait for no other system."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from bot.runtime.pool import Pool
from bot.runtime.services import Services
from bot.usecases import run_jobs
from engine.port import Unavailable
from storage.database import AWAY
from storage.jobs import Job, JobKind

BATCH = 50

Runner = Callable[[Job], timedelta | None]  # returns after how long the job runs again; None: never

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Periodic:
    """A kind of job. `longest`: for how long one is put off at the most (`storage.jobs.due`)."""

    run: Runner
    longest: timedelta


class JobLoop:
    """Runs the jobs of each lane one after another, in a thread that it has to itself."""

    def __init__(
        self,
        services: Services,
        kinds: Mapping[JobKind, Periodic],
        pool: Callable[[int, str], Pool] = Pool,
    ) -> None:
        self._services = services
        self.kinds = kinds
        self._longest = {kind: known.longest for kind, known in kinds.items()}
        self._make_pool = pool
        self._changed = threading.Condition()
        self._pools: dict[str, Pool] = {}
        self._busy: set[str] = set()
        self._stopping = False
        self.wake: Callable[[], None] = lambda: None

    def drain(self) -> None:
        """Begin what is due in lanes that are free."""
        while not self._stopping and (claimed := self._claim()):
            for lane, mine in claimed.items():
                with self._changed:
                    self._busy.add(lane)
                if lane not in self._pools:
                    self._pools[lane] = self._make_pool(1, f"jobs-{lane}")
                self._pools[lane].submit(self._run_all, lane, mine)

    def wait(self, within: float) -> bool:
        """Wait until nothing is under way. Return whether something was.

        Raises TimeoutError where it is after so many seconds.
        """
        with self._changed:
            worked = bool(self._busy)
            if not self._changed.wait_for(lambda: not self._busy, within):
                raise TimeoutError(f"jobs are under way: {', '.join(sorted(self._busy))}")
        return worked

    def stop(self, within: float = 10.0) -> bool:
        """Begin nothing more. Return whether what was under way came to its end."""
        self._stopping = True
        until = time.monotonic() + within
        stopped = [p.stop(max(0.0, until - time.monotonic())) for p in self._pools.values()]
        return all(stopped)

    def _claim(self) -> Mapping[str, list[Job]]:
        with self._changed:
            busy = set(self._busy)
        return run_jobs.claim(self._services, BATCH, busy=busy, longest=self._longest)

    def _run_all(self, lane: str, mine: Sequence[Job]) -> None:
        finished = self._finish(mine)
        with self._changed:
            self._busy.discard(lane)
            self._changed.notify_all()
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
            again = self.kinds[job.kind].run(job)
        except Unavailable as fault:
            log.warning("job put off", why=str(fault))
            run_jobs.failed(services, job, now)
            return
        except AWAY:
            raise
        except Exception:
            log.exception("job failed")
            run_jobs.failed(services, job, now)
            return
        run_jobs.done(services, job, now + again if again is not None else None)
