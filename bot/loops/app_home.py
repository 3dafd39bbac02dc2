"""The Home tabs that people look at: published anew when what they show has changed.

A tab is drawn from what is stored, and kept nowhere: what a process forgets when it ends, the next
opening shows.
"""

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.runtime.services import Services
from bot.slack.client import NO_ANSWER, reaches
from bot.slack.errors import error_code
from bot.usecases import look
from bot.views import home, lists
from bot.views.values import View
from engine.directory import Person, SlackAccount
from engine.outcome import Refusal
from storage.database import AWAY

LOOKED_AT = timedelta(days=1)  # for so long after it was opened, a tab is kept up to date
EVERY = 10  # seconds between two of them for the same person

log = structlog.get_logger()


@dataclass(slots=True)
class _Tab:
    account: SlackAccount
    person: Person
    opened: datetime
    shown: str  # what Slack shows, hashed
    published: float  # by `time.monotonic()`
    stale: bool = False


class Homes:
    """The tabs that this process has opened."""

    def __init__(self, services: Services, client: WebClient) -> None:
        self._services = services
        self._client = client
        self._lock = threading.Lock()
        self._tabs: dict[SlackAccount, _Tab] = {}
        self._seen = 0  # the last line of the audit that was looked at

    def open(self, account: SlackAccount, who: Person | Refusal) -> None:
        """Publish at once, and keep it up to date if it is somebody's."""
        opened = self._services.clock.now()
        self._publish(account, view := self._draw(who))
        if isinstance(who, Person):
            with self._lock:
                self._tabs[account] = _Tab(account, who, opened, _hash(view), time.monotonic())

    def refresh(self) -> None:
        """Publish what has changed. Raises what `storage.database.AWAY` lists."""
        tabs = self._kept()
        if not tabs:
            return
        self._seen, touched = look.concerned(self._services, self._seen)
        for tab in tabs:
            tab.stale = tab.stale or tab.person.id in touched
            if tab.stale and time.monotonic() - tab.published >= EVERY:
                self._try(tab)

    def _kept(self) -> list[_Tab]:
        since = self._services.clock.now() - LOOKED_AT
        with self._lock:
            self._tabs = {key: tab for key, tab in self._tabs.items() if tab.opened > since}
            return list(self._tabs.values())

    def _try(self, tab: _Tab) -> None:
        """Bring one up to date; what is wrong with it keeps nobody else's as it is."""
        try:
            self._renew(tab)
        except AWAY:
            raise
        except Exception:
            tab.published = time.monotonic()
            log.exception("home not drawn", person=tab.person.id)

    def _renew(self, tab: _Tab) -> None:
        view = self._draw(tab.person)
        if (drawn := _hash(view)) == tab.shown:
            tab.stale = False
            return
        tab.published = time.monotonic()
        if self._publish(tab.account, view):
            tab.shown, tab.stale = drawn, False

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

    def _publish(self, account: SlackAccount, view: View) -> bool:
        try:
            if not reaches(self._client, account):
                return False  # the tab of this user id is somebody else's
            self._client.views_publish(user_id=account.user, view=view)
        except SlackApiError as fault:
            log.warning("home not published", error=error_code(fault))
        except NO_ANSWER as fault:
            log.warning("home not published", error=type(fault).__name__)
        else:
            return True
        return False


def _hash(view: View) -> str:
    return hashlib.sha256(json.dumps(view, sort_keys=True).encode()).hexdigest()
