"""An operator has no new access begin for a while, and begin again."""

from bot.usecases.console import Desk
from engine.request import OPERATOR
from storage import sync

__all__ = ["pause"]


def pause(desk: Desk, *, paused: bool) -> bool:
    """Begin no new access, or begin it again; revoking goes on. False: it was so already."""
    with desk.database.write() as tx:
        return sync.pause(tx, OPERATOR, desk.clock.now(), paused=paused)
