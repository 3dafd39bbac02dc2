"""The Home tabs that people look at: published anew when what they show has changed.

A tab is drawn from what is stored, and kept nowhere: what a process forgets when it ends, the next
opening shows.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER, reaches
from bot.slack.errors import asked_to_wait, error_code
from bot.usecases import look
from bot.views import home, lists
from bot.views.values import View
from engine.directory import Person, SlackAccount
from engine.outcome import Refusal
from engine.retry import pause
from storage.database import AWAY

LOOKED_AT = timedelta(days=1)  # for so long after it was opened, a tab is kept up to date
EVERY = timedelta(seconds=10)  # between two of them for the same person

log = structlog.get_logger()


@dataclass(slots=True)
class _Tab:
    account: SlackAccount
    who: Person | Refusal
    opened: datetime
    shown: str = ""  # what Slack shows, hashed
    stale: bool = True
    failures: int = 0  # in a row
    again: float = 0.0  # when it may be published anew

    @property
    def kept(self) -> bool:
        """Whether it is kept up to date; nobody's is, until it was published once."""
        return self.stale or isinstance(self.who, Person)


class Homes:
    """The tabs that this process has opened. `now` gives seconds."""

    def __init__(
        self, services: Services, client: WebClient, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._services = services
        self._client = client
        self._now = now
        self._lock = threading.Lock()
        self._tabs: dict[SlackAccount, _Tab] = {}
        self._seen = 0  # the last line of the audit that was looked at

    def open(self, account: SlackAccount, who: Person | Refusal) -> None:
        """Publish at once, and keep it up to date. What Slack does not take now comes later."""
        tab = _Tab(account, who, self._services.clock.now())
        try:
            self._renew(tab)
        finally:
            with self._lock:
                self._tabs[account] = tab

    def refresh(self) -> None:
        """Publish what has changed, or failed. Raises what `storage.database.AWAY` lists."""
        tabs = self._kept()
        if not tabs:
            return
        self._seen, touched = look.concerned(self._services, self._seen)
        for tab in tabs:
            tab.stale = tab.stale or (isinstance(tab.who, Person) and tab.who.id in touched)
            if tab.stale and self._now() >= tab.again:
                self._try(tab)

    def _kept(self) -> list[_Tab]:
        since = self._services.clock.now() - LOOKED_AT
        with self._lock:
            tabs = self._tabs.items()
            self._tabs = {key: tab for key, tab in tabs if tab.opened > since and tab.kept}
            return list(self._tabs.values())

    def _try(self, tab: _Tab) -> None:
        """Bring one up to date; what is wrong with it keeps nobody else's as it is."""
        try:
            self._renew(tab)
        except AWAY:
            raise
        except Exception:
            self._put_off(tab, pause(tab.failures))
            log.exception("home not drawn", account=tab.account.user)

    def _renew(self, tab: _Tab) -> None:
        view = self._draw(tab.who)
        if (drawn := _hash(view)) == tab.shown:
            tab.stale = False
        elif wait := self._publish(tab, view):
            tab.shown = ""  # whether Slack has taken it, nobody knows
            self._put_off(tab, wait)
        else:
            tab.shown, tab.stale, tab.failures = drawn, False, 0
            tab.again = self._now() + EVERY.total_seconds()

    def _put_off(self, tab: _Tab, wait: timedelta) -> None:
        tab.failures += 1
        tab.again = self._now() + wait.total_seconds()

    def _draw(self, who: Person | Refusal) -> View:
        if isinstance(who, Refusal):
            return home.closed(lists.refusal(who))
        tasks = look.tasks(self._services, who)
        mine = look.my_access(self._services, who)
        if isinstance(tasks, Refusal):
            return home.closed(lists.refusal(tasks))
        if isinstance(mine, Refusal):
            return home.closed(lists.refusal(mine))
        return home.home(tasks, mine)

    def _publish(self, tab: _Tab, view: View) -> timedelta | None:
        """Return after how long it is to be tried again; None: it is there."""
        try:
            if reaches(self._client, tab.account):  # else the tab of this user id is another's
                self._client.views_publish(user_id=tab.account.user, view=view)
        except SlackApiError as fault:
            log.warning("home not published", error=error_code(fault))
            return max(asked_to_wait(fault) or timedelta(), pause(tab.failures))
        except NO_ANSWER as fault:
            log.warning("home not published", error=type(fault).__name__)
            return pause(tab.failures)
        return None


def _hash(view: View) -> str:
    return hashlib.sha256(json.dumps(view, sort_keys=True).encode()).hexdigest()
