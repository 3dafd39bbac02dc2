"""Which sources of people cannot be read: of them less is known than there may be."""

from bot.runtime.services import Services
from engine.directory import ON_CALL, SLACK
from storage import sync

__all__ = ["failing"]


def failing(services: Services, *, people: bool | None = None, on_call: bool | None = None) -> None:
    """Note whether what the files say of people, and of who is on call, cannot be read.

    None: it stays as it is known.
    """
    directory = services.company().directory
    groups = {group.source for group in directory.groups.values()} - {SLACK}
    known = directory.failing.keys()
    wanted = known & groups if people is None else groups if people else set[str]()
    if ON_CALL in known if on_call is None else on_call:
        wanted = wanted | {ON_CALL}
    if wanted != known:
        now = services.clock.now()
        services.transaction(lambda tx: sync.failing(tx, wanted, now))
