"""Which of Slack's methods rest after a 429: the method rests for all, not only for who met it."""

import threading
from datetime import datetime, timedelta

from engine.retry import LONGEST_PAUSE

POST = "chat.postMessage"
OWN = timedelta(seconds=5)  # for so long after a post, a channel's own limit may be what is met


class Pace:
    """Slack counts calls by method, and posts by channel too: it does not say which was too many.

    Where nothing was posted lately, it was not the channel.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, datetime] = {}
        self._posts: dict[str, datetime] = {}

    def rests(self, method: str, now: datetime) -> bool:
        return self.until(method, now) > now

    def until(self, method: str, now: datetime) -> datetime:
        """Return when the method may be called: now, or once it has rested."""
        with self._lock:
            return self._rested(method, now)

    def _rested(self, method: str, now: datetime) -> datetime:
        until = self._until.get(method, now)
        # What is much further ahead was said by a clock that has been set back since.
        return until if now < until <= now + 2 * LONGEST_PAUSE else now

    def posted(self, channel: str, now: datetime) -> None:
        with self._lock:
            self._posts = {c: at for c, at in self._posts.items() if now - at < OWN}
            self._posts[channel] = now

    def limited(self, method: str, channel: str, now: datetime, wait: timedelta) -> None:
        """Take in that Slack refused a call, and for how long."""
        with self._lock:
            if method == POST and now - self._posts.get(channel, now - OWN) < OWN:
                return
            self._until[method] = max(now + wait, self._rested(method, now))
