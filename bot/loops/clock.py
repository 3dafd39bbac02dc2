"""The clock loop: lets time pass for every request whose moment has come."""

from collections.abc import Callable

import structlog

from bot.runtime.services import Services
from bot.usecases import let_time_pass
from engine.request import RequestId, code_of
from storage.database import is_away, is_locked

TICKS = 16  # requests in one transaction at the most, which others wait for

log = structlog.get_logger()


def drain(services: Services, begin: Callable[[], None] = lambda: None) -> None:
    """Let time pass for every request whose moment has come, a batch after another.

    What changes touch is woken some at a time, and looked at before the next: whose end comes
    meanwhile does not wait for all of them.
    """
    let_time_pass.tell_of_unreadable(services)
    after: int | None = 0  # the last change that is through, or is tried again later
    more = True
    while more:
        begin()
        ids, changed = let_time_pass.due(services, TICKS)
        if changed and after is not None:
            after = let_time_pass.wake_touched(services, after)
            ids, _ = let_time_pass.due(services, TICKS)
        more = len(ids) == TICKS or (changed and after is not None)
        try:
            if ids:
                more |= let_time_pass.tick(services, ids) < len(ids)
        except Exception as fault:
            if is_away(fault):
                raise
            if not is_locked(fault):
                log.exception("batch failed", loop="clock", requests=len(ids))
            for id_ in ids:
                begin()
                _tick_one(services, id_)


def _tick_one(services: Services, id_: RequestId) -> None:
    """A poisoned request stops nobody: it is put off, the others go on. So does a locked one."""
    try:
        let_time_pass.tick(services, [id_])
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
        let_time_pass.put_off(services, id_, why)
    except Exception as fault:
        if is_away(fault):
            raise
        log.exception("request could not be put off", request=code_of(id_))
