"""The clock loop: lets time pass for every request whose moment has come."""

from collections.abc import Callable, Sequence

import structlog

from bot.runtime.services import Services
from engine.alarms import Said
from engine.outcome import Tell
from engine.request import RequestId, code_of
from storage import apply, clock
from storage.company import Company
from storage.database import is_away, is_locked
from storage.unread import Finding

TICKS = 16  # requests in one transaction, which others wait for

log = structlog.get_logger()


def drain(services: Services, begin: Callable[[], None] = lambda: None) -> None:
    """Let time pass for every request whose moment has come, a batch after another."""
    _tell_of_unreadable(services)
    ids = [RequestId(0)] * TICKS
    while len(ids) == TICKS:
        begin()
        ids = _due(services)
        try:
            if ids:
                _tick(services, ids)
        except Exception as fault:
            if is_away(fault):
                raise
            if not is_locked(fault):
                log.exception("batch failed", loop="clock", requests=len(ids))
            for id_ in ids:
                begin()
                _tick_one(services, id_)


def _due(services: Services) -> list[RequestId]:
    aside = services.locked_requests.now()
    found = clock.due(services.database, services.clock.now(), TICKS + len(aside))
    return [id_ for id_ in found if id_ not in aside][:TICKS]


def _tell_of_unreadable(services: Services) -> None:
    """Tell the admins, once, of rows that could not be read. It keeps nobody from their end."""
    found = services.database.unread.take()
    if not found:
        return
    try:
        services.write(lambda tx, c: apply.tell(tx, _alarms(c, found), services.clock.now()))
    except Exception as fault:
        services.database.unread.put_back(found)
        if is_away(fault):
            raise
        log.exception("nobody could be told of what cannot be read")


def _alarms(company: Company, found: Sequence[Finding]) -> list[Tell]:
    return [t for f in found for t in apply.alarm(company.admins, Said(f.key, f.sentence))]


def _tick(services: Services, ids: Sequence[RequestId]) -> None:
    with services.turns.urgent():
        services.write(
            lambda tx, company: clock.tick(tx, company, ids, services.clock.now()), urgent=True
        )
    services.locked_requests.take_back(ids)


def _tick_one(services: Services, id_: RequestId) -> None:
    """A poisoned request stops nobody: it is put off, the others go on. So does a locked one."""
    try:
        _tick(services, [id_])
    except Exception as fault:
        if is_away(fault):
            raise
        if is_locked(fault):
            services.locked_requests.put(id_)
        else:
            log.exception("request failed", request=code_of(id_))
            _put_off(services, id_, type(fault).__name__)


def _put_off(services: Services, id_: RequestId, why: str) -> None:
    try:
        services.write(lambda tx, c: clock.fail(tx, c, id_, why, services.clock.now()), urgent=True)
    except Exception as fault:
        if is_away(fault):
            raise
        log.exception("request could not be put off", request=code_of(id_))
