"""What comes twice is done once, by its own id: each who brings it gets the answer."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

KNOWN = 600.0  # seconds; Slack brings an event again for 6 min, and a signature is good for 10
ANSWERED = 10.0  # seconds that an answer is kept: Slack waits for 3

T = TypeVar("T")


def own_id(body: object) -> str:
    """Return the id of what Slack delivers; nothing: it has none, and may be done again."""
    match body:
        case {"type": "block_suggestion"}:
            return ""
        case {"trigger_id": str(id_)}:
            return f"trigger/{id_}"
        case {"event_id": str(id_)}:
            return f"event/{id_}"
    return ""


def form_id(body: object) -> str:
    """Return the id of the form that is sent: each press of its button has an id of its own."""
    match body:
        case {"view": {"id": str(id_)}} if id_:
            return f"view/{id_}"
    return own_id(body)


class Once(Generic[T]):
    """`ok` tells of an answer whether it was done. What was not may be brought again.

    `done` is answered to who brings it later than `ANSWERED`.
    """

    def __init__(
        self, ok: Callable[[T], bool], done: T, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ok, self._now = ok, now
        self._done = Future[T]()
        self._done.set_result(done)
        self._lock = threading.Lock()
        self._begun: dict[str, Future[T]] = {}
        self._ended: deque[tuple[float, str]] = deque()
        self._known: deque[tuple[float, str]] = deque()

    def take(self, key: str, begin: Callable[[], Future[T]]) -> Future[T]:
        """Return the answer to what this is the key of; `begin` it, if that was not done yet."""
        with self._lock:
            self._forget()
            if begun := self._begun.get(key):
                return begun
            begun = self._begun[key] = begin()
        begun.add_done_callback(lambda it: self._end(key, it))
        return begun

    def __len__(self) -> int:
        return len(self._begun)

    def _end(self, key: str, it: Future[T]) -> None:
        done = not it.cancelled() and it.exception() is None and self._ok(it.result())
        with self._lock:
            if done:
                self._ended.append((self._now(), key))
            else:
                del self._begun[key]

    def _forget(self) -> None:
        now = self._now()
        while self._ended and self._ended[0][0] <= now - ANSWERED:
            at, key = self._ended.popleft()
            self._begun[key] = self._done
            self._known.append((at, key))
        while self._known and self._known[0][0] <= now - KNOWN:
            del self._begun[self._known.popleft()[1]]
