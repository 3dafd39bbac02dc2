"""Whether others than our replicas hold sockets of this app: Slack gives them clicks meant for us.

Slack counts the app's sockets when it greets a new one, and at no other time. So a count that is
too high is asked for again, by renewing a link, before anybody is told: a process that has just
been replaced is not a stranger.
"""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from bot.vitals import Vitals

__all__ = ["TOLERATED", "Crowd", "Greeted"]

LINKS = 2  # of each replica
TOLERATED = 300.0  # seconds

log = structlog.get_logger()


class Greeted(Protocol):
    """Links that are told how many sockets the app has."""

    @property
    def others(self) -> tuple[float, int] | None:
        """When Slack said so (`time.monotonic()`), and how many the app had besides ours."""

    def renew(self) -> None:
        """Open a link anew, which Slack greets with the count of that moment."""


class Crowd:
    """`strangers`: sockets that our replicas do not explain, seen so for `TOLERATED` seconds."""

    def __init__(
        self, links: Greeted, vitals: Vitals, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._links, self._vitals, self._now = links, vitals, now
        self._since: float | None = None
        self._asked = float("-inf")
        self.strangers = 0

    def look(self, living: int) -> int:
        """Compare with so many living replicas; return `strangers`."""
        seen = self._links.others
        if seen is None:
            return self.strangers
        at, others = seen
        extra = others - LINKS * (max(living, 1) - 1)
        if extra <= 0:
            self._since = None
            self._tell(0)
            return self.strangers
        self._since = at if self._since is None else self._since
        if at - self._since >= TOLERATED:
            self._tell(extra)
        now = self._now()
        if now - max(at, self._asked) >= TOLERATED:
            self._asked = now
            self._links.renew()
        return self.strangers

    def _tell(self, strangers: int) -> None:
        before, self.strangers = self.strangers, strangers
        self._vitals.strangers.set(strangers)
        if strangers and not before:
            log.error("others take clicks", why=sentence(strangers))
        elif before and not strangers:
            log.warning("others take clicks no more")


def sentence(strangers: int) -> str:
    """Say what it comes to, and the cure."""
    return (
        f"Slack counts {strangers} more sockets of this app than its living replicas open: clicks "
        "that go there are lost. Another program, or another installation, uses the same "
        "SLACK_APP_TOKEN: stop it, or give it an app of its own"
    )
