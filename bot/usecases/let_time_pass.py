"""Time passes for requests whose moment has come; who cannot be decided on is put off."""

from collections.abc import Sequence

import structlog

from bot.runtime.services import Services
from engine.alarms import Said
from engine.outcome import Tell
from engine.request import RequestId
from storage import apply, clock, touched
from storage.bounds import parts
from storage.company import Company
from storage.database import is_away, is_locked
from storage.touched import Change
from storage.unread import Finding

log = structlog.get_logger()


def due(services: Services, most: int) -> tuple[list[RequestId], bool]:
    """Return so many requests whose moment has come, but none that somebody holds locked.

    And whether facts have changed (`wake_touched`), which may not be said while there are more.
    """
    aside = services.locked_requests.now()
    found, changed = clock.look(services.database, services.clock.now(), most + len(aside))
    return [id_ for id_ in found if id_ not in aside][:most], changed


def tick(services: Services, ids: Sequence[RequestId]) -> int:
    """Let time pass for the first of these, in one transaction; return for how many of them."""
    with services.turns.urgent():
        ticked = services.write(
            lambda tx, company: clock.tick(tx, company, ids, services.clock.now()), urgent=True
        )
    services.locked_requests.take_back(ids[:ticked])
    return ticked


def put_off(services: Services, id_: RequestId, why: str) -> None:
    """Count that a request cannot be decided on, and look at it later."""
    services.write(lambda tx, c: clock.fail(tx, c, id_, why, services.clock.now()), urgent=True)


def tell_of_unreadable(services: Services) -> None:
    """Tell the admins, once, of rows that could not be read. It keeps nobody from their end."""
    found = services.database.unread.take()
    if not found:
        return
    left = [found]
    try:
        each = len(services.company().admins)
        left = parts(found, lambda _: each)
        while left:
            _tell(services, left[0])
            left = left[1:]
    except Exception as fault:
        services.database.unread.put_back(f for some in left for f in some)
        if is_away(fault):
            raise
        log.exception("nobody could be told of what cannot be read")


def wake_touched(services: Services, after: int) -> int | None:
    """Wake some of those that a change of facts touches, the oldest of the changes after this one.

    Return after which to go on; None: there is none. One that fails keeps nobody from their end: it
    is put off, the others go on.
    """
    change = touched.first(services.database, services.clock.now(), after)
    if change is None:
        return None
    try:
        woken = _wake(services, change)
    except Exception as fault:
        if is_away(fault):
            raise
        if not is_locked(fault):
            log.exception("what a change touches was not woken", change=change.id)
            _put_off_change(services, change, type(fault).__name__)
        woken = 0
    return after if woken else change.id  # it is through, or it is tried again in a second


def _put_off_change(services: Services, change: Change, why: str) -> None:
    try:
        services.write(
            lambda tx, c: touched.fail(tx, c, change, why, services.clock.now()), urgent=True
        )
    except Exception as fault:
        if is_away(fault):
            raise
        log.exception("a change could not be put off", change=change.id)


def _wake(services: Services, change: Change) -> int:
    company = services.company()
    with services.database.read() as session:
        ids = touched.requests(session, company, change)
    now = services.clock.now()
    return services.transaction(lambda tx: touched.wake(tx, change, ids, now), urgent=True)


def _tell(services: Services, found: Sequence[Finding]) -> None:
    services.write(lambda tx, c: apply.tell(tx, _alarms(c, found), services.clock.now()))


def _alarms(company: Company, found: Sequence[Finding]) -> list[Tell]:
    return [t for f in found for t in apply.alarm(company.admins, Said(f.key, f.sentence))]
