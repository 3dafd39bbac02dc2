"""The one gate in front of Slack: whoever calls, nothing goes out before its time.

Nobody waits here: what may not go out now is refused, as Slack would, and whoever wanted it does it
later, or says so.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import ceil

from slack_sdk.errors import SlackApiError

from bot.slack.errors import Cure, asked_to_wait, cure_of, refusal
from engine.retry import LONGEST_PAUSE

__all__ = ["POST", "AtRestError", "Gate"]

POST = "chat.postMessage"
POSTS, WITHIN = 3, 3.0  # to one channel, in so many seconds: about one a second, as Slack asks
OWN = 5.0  # seconds after a post, in which a channel's own limit may be what is met
NOBODY_THERE = frozenset({Cure.NOBODY, Cure.ANEW})  # asked again once in five minutes
UNDER_WAY = 1.0  # seconds to wait for posts that are


class AtRestError(SlackApiError):
    """Slack has asked to be left alone, or a channel has had enough for now: nothing was sent."""

    def __init__(self, method: str, wait: float) -> None:
        asked = {"Retry-After": str(ceil(wait))}
        limited = refusal(method, "ratelimited", 429, asked).response
        super().__init__("at rest", limited)  # type: ignore[no-untyped-call]


class Gate:
    """Slack counts calls by method, and posts by channel too: it does not say which was too many.

    Where nothing was posted lately, it was not the channel. Who takes no message is left alone for
    five minutes. All that call with the same token have
    one gate. `posts`: to one channel, within three seconds; `now` gives seconds that nobody sets.
    """

    def __init__(self, posts: int = POSTS, now: Callable[[], float] = time.monotonic) -> None:
        self.posts = posts
        self._now = now
        self._lock = threading.Lock()
        self._methods: dict[str, float] = {}  # when each that was limited may be called again
        self._channels: dict[str, float] = {}
        self._answered: dict[str, list[float]] = {}  # posts, by their channel
        self._under_way = Counter[str]()

    def rests(self, method: str) -> bool:
        """Tell whether Slack has asked that nobody calls it now."""
        with self._lock:
            return self._rest(method) > 0

    @property
    def full(self) -> set[str]:
        """The channels to which nothing may be posted now."""
        with self._lock:
            known = {*self._channels, *self._answered, *self._under_way}
            return {channel for channel in known if self._room(channel) > 0}

    @contextmanager
    def passing(self, method: str, channel: str = "") -> Iterator[None]:
        """Let a call out, and take in what Slack says of it. `channel`: to which it posts.

        Raises AtRestError where it may not go out now.
        """
        self._enter(method, channel)
        limit = None
        try:
            yield
        except SlackApiError as fault:
            limit = asked_to_wait(fault)
            if channel and cure_of(fault, method) in NOBODY_THERE:
                self._leave_alone(channel)
            raise
        finally:
            self._leave(method, channel, limit)

    def same(self, channel: str, other: str) -> None:
        """Take in that both name the direct message that was posted to just now."""
        with self._lock:
            if channel != other:
                self._answered.setdefault(other, []).append(self._now())
                self._channels.pop(other, None)

    def _enter(self, method: str, channel: str) -> None:
        with self._lock:
            wait = max(self._rest(method), self._room(channel) if channel else 0.0)
            if wait > 0:
                raise AtRestError(method, wait)
            if channel:
                self._forget()
                self._under_way[channel] += 1

    def _leave(self, method: str, channel: str, limit: timedelta | None) -> None:
        with self._lock:
            now = self._now()
            if limit is not None:
                lately = bool(channel and self._answered.get(channel))
                rest, what = (self._channels, channel) if lately else (self._methods, method)
                rest[what] = max(now + limit.total_seconds(), rest.get(what, now))
            if channel:
                self._under_way -= Counter([channel])
                if limit is None:
                    self._answered.setdefault(channel, []).append(now)

    def _leave_alone(self, channel: str) -> None:
        with self._lock:
            self._channels[channel] = self._now() + LONGEST_PAUSE.total_seconds()

    def _rest(self, method: str) -> float:
        """Return for how many seconds a method is still to be left alone."""
        return self._methods.get(method, 0.0) - self._now()

    def _room(self, channel: str) -> float:
        """Return after how many seconds something may be posted there."""
        now, answered = self._now(), self._answered.get(channel, [])
        rest = self._channels.get(channel, now) - now
        left = self.posts - self._under_way[channel]
        if left <= 0:
            return max(rest, UNDER_WAY)
        if len(answered) < left:
            return rest
        return max(rest, answered[-left] + WITHIN - now)

    def _forget(self) -> None:
        now = self._now()
        self._channels = {channel: at for channel, at in self._channels.items() if at > now}
        lately = {c: [at for at in all_ if at > now - OWN] for c, all_ in self._answered.items()}
        self._answered = {channel: all_ for channel, all_ in lately.items() if all_}
