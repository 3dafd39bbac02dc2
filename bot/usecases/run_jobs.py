"""Jobs are taken up when they are due, and planned again when they have run."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from bot.runtime.services import Services
from storage import jobs
from storage.jobs import Job, JobKind

__all__ = ["claim", "done", "failed"]


def claim(
    services: Services, most: int, *, busy: Collection[str], longest: Mapping[JobKind, timedelta]
) -> Mapping[str, list[Job]]:
    """Lease what is due, and return it by its lane. `busy` and `longest`: see `jobs.due`."""
    now, me = services.clock.now(), services.instance
    lanes = jobs.due(services.database, now, most, idle=me, busy=busy, longest=longest)
    if not lanes:
        return {}
    claimed = services.transaction(
        lambda tx: jobs.claim(tx, me, lanes, now, idle=True, longest=longest)
    )
    found = defaultdict[str, list[Job]](list)
    for job in claimed:
        found[lanes[job.id]].append(job)
    return found


def done(services: Services, job: Job, again: datetime | None) -> None:
    """Note that it has run: it runs `again` then, or never."""
    services.transaction(lambda tx: jobs.done(tx, services.instance, job, again))


def failed(services: Services, job: Job, began: datetime) -> None:
    """Have it tried again later."""
    services.transaction(lambda tx: jobs.failed(tx, services.instance, job, began))
