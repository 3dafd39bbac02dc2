"""Looks for what no loop would: processes that are gone, requests that sleep past their moment."""

from functools import partial

import structlog

from bot.runtime.services import Services
from engine.request import code_of
from engine.retry import LONGEST_PAUSE
from storage import claims, links, numbers
from storage.bounds import parts
from storage.clock import asleep, rouse

EVERY = 2 * LONGEST_PAUSE

log = structlog.get_logger()


def sweep(services: Services) -> None:
    """Forget processes that are gone, set numbers right, rouse requests that nobody would."""
    now = services.clock.now()
    services.transaction(claims.forget_dead)
    services.transaction(claims.forget_tombstones)
    numbers.mend(services.database)
    links.mend(services.database, now)
    with services.database.read() as session:
        found = asleep(session, services.companies.current(session), now)
    if found:
        log.error("requests slept past their moment", requests=[code_of(id_) for id_ in found])
    for some in parts(found):
        services.transaction(partial(rouse, ids=some, now=now))
