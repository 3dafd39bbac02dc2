"""Whether others than our replicas hold sockets of this app: Slack gives them clicks meant for us.

Slack counts the app's sockets when it greets a new one, and at no other time. So a link is renewed
every `TOLERATED` seconds, by whichever replica: who comes later is counted then. And a count that
is too high is asked for again before anybody is told: a process that has just been replaced is not
a stranger.
"""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from bot.runtime.metrics import Vitals
from bot.slack.socket_mode import LINKS

__all__ = ["OLD", "TOLERATED", "Crowd", "Greeted"]

TOLERATED = 300.0  # seconds
OLD = 3 * TOLERATED  # seconds after which a count says nothing any more

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

    def look(self, explained: int, age: float | None = None) -> float | None:
        """Compare with so many sockets that living replicas keep, ours among them.

        `age`: for how many seconds no replica was told. Return when this one was
        (`time.monotonic()`); None: not yet.
        """
        seen = self._links.others
        if seen is None:
            return None
        at, others = seen
        extra = others - max(explained - LINKS, 0)
        if extra <= 0:
            self._since = None
            self._tell(0)
        else:
            self._since = at if self._since is None else self._since
            if at - self._since >= TOLERATED:
                self._tell(extra)
        now = self._now()
        # Where all is well, what another was told is as good.
        newest = max(at, now - age) if age is not None and extra <= 0 else at
        if now - max(newest, self._asked) >= TOLERATED:
            self._asked = now
            self._links.renew()
        return at

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
        f"Slack counts {strangers} more {'socket' if strangers == 1 else 'sockets'} of this app "
        "than its living replicas open: clicks "
        "that go there are lost. Another program, or another installation, uses the same "
        "SLACK_APP_TOKEN: stop it, or give it an app of its own"
    )
