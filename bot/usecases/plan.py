"""Plans the jobs that run now and then: without a plan none of them would ever begin."""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from bot.runtime.services import Services
from bot.usecases import anchors, channels, endless, wishes
from engine.inventory import IntegrationId
from storage import jobs
from storage.bounds import parts
from storage.database import Write
from storage.jobs import JobKind

FIRST_RECONCILED_AFTER = timedelta(minutes=5)  # by then the admins can be told what is found


def everything(services: Services) -> None:
    """Have every job run that a process runs, those of the connected systems among them."""
    now, company = services.clock.now(), services.company()
    systems(services, services.connected)

    def change(tx: Write) -> None:
        jobs.reschedule(tx, JobKind.SLACK_PEOPLE, "", now)
        jobs.schedule(tx, JobKind.ANCHOR, "", now + anchors.EVERY)
        jobs.schedule(tx, JobKind.WISHES, "", now + wishes.EVERY)
        jobs.reschedule_each(tx, JobKind.CHANNEL, sorted(channels.named(company)), now)
        jobs.schedule(tx, JobKind.ENDLESS, "", now + endless.EVERY)
        jobs.reschedule(tx, JobKind.SWEEP, "", now)

    services.transaction(change)


def systems(services: Services, those: Iterable[IntegrationId]) -> None:
    """Have the resources of systems discovered now, and what was given there compared later."""
    now = services.clock.now()

    def change(tx: Write, some: Iterable[IntegrationId]) -> None:
        jobs.reschedule_each(tx, JobKind.DISCOVER, some, now)
        jobs.schedule_each(tx, JobKind.RECONCILE, some, now + FIRST_RECONCILED_AFTER)
        tx.wake("access")

    for some in parts(sorted(those), lambda _: 2):
        services.transaction(partial(change, some=some))
