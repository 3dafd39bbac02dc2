"""Who is answered when: whatever one person sends, there are listeners left for the others."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bot.runtime.pool import Pool

LISTENERS = 20  # at once
OF_ONE = 2  # of them, that are one person's: who presses twice
SEARCHES = 2  # at once: they compute, and threads share one interpreter
NOTHING_FOUND = {"options": list[object]()}  # as a search's answer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lane:
    """What waits for each other: what one person does, or, apart from it, has looked for."""

    who: str  # in Slack; empty: Slack itself
    searching: bool = False


def lane_of(body: object) -> Lane:
    """Return where something that Slack delivers belongs; it need not make sense."""
    match body:
        case {"command": str(), "user_id": str(who), **rest}:
            return Lane(who, searching=_has_words(rest.get("text")))
        case {"type": str(type_), "user": {"id": str(who)}}:
            return Lane(who, searching=type_ == "block_suggestion")
        case {"event": {"user": str(who) | {"id": str(who)}}}:
            return Lane(who)
    return Lane("")


def is_outdone(body: object) -> bool:
    """Tell whether another of its kind makes it pointless: Slack shows the newest one's answer."""
    return isinstance(body, dict) and body.get("type") == "block_suggestion"


def _has_words(text: object) -> bool:
    """Tell whether a command has more than its own name: what it names is looked for."""
    return isinstance(text, str) and len(text.split(maxsplit=1)) > 1


class _Job(Generic[T]):
    def __init__(self, run: Callable[[], T], skip: Callable[[], T] | None) -> None:
        self.run, self.skip = run, skip
        self.answer = Future[T]()

    def end(self, how: Callable[[], T] | None) -> None:
        if how is None or not self.answer.set_running_or_notify_cancel():
            return
        try:
            self.answer.set_result(how())
        except BaseException as fault:  # noqa: BLE001  (it is raised where the answer is wanted)
            self.answer.set_exception(fault)


@dataclass(slots=True)
class _Queue:
    waiting: deque[_Job[Any]] = field(default_factory=deque[_Job[Any]])
    workers: int = 0  # at work, or about to be


class Lanes:
    """Listeners, of which one person has `OF_ONE` at once; what else they send waits for those.

    Of what they have looked for one is at work at a time. What waits takes no thread. After `stop`,
    `submit` raises RuntimeError.
    """

    def __init__(self) -> None:
        self._listeners, self._searchers = Pool(LISTENERS, "listener"), Pool(SEARCHES, "search")
        self._lock = threading.Lock()
        self._open = True
        self._queues: dict[Lane, _Queue] = {}

    def submit(
        self, lane: Lane, run: Callable[[], T], skip: Callable[[], T] | None = None
    ) -> Future[T]:
        """Run it when it is its turn.

        With a `skip`, it takes the place of those that wait there with one: theirs is run instead.
        """
        job, outdone = _Job(run, skip), list[_Job[Any]]()
        with self._lock:
            if not self._open:
                raise RuntimeError("stopped")
            queue = self._queues.setdefault(lane, _Queue())
            if skip:
                outdone = [older for older in queue.waiting if older.skip]
                queue.waiting = deque(older for older in queue.waiting if not older.skip)
            queue.waiting.append(job)
            begins = queue.workers < (1 if lane.searching else OF_ONE)
            queue.workers += begins
        for older in outdone:
            older.end(older.skip)
        if begins:
            self._pool(lane).submit(self._work, lane, queue)
        return job.answer

    @property
    def busy(self) -> int:
        """In how many lanes something waits, or is at work."""
        return len(self._queues)

    def stop(self, within: float, *, finish: bool = False) -> bool:
        """Take nothing more (`finish`: but do what was taken). Return whether all came to its end.

        What did not goes on; the process ends under it.
        """
        until = time.monotonic() + within
        with self._lock:
            self._open = False
        ended = [
            pool.stop(max(0.0, until - time.monotonic()), finish=finish)
            for pool in (self._listeners, self._searchers)
        ]
        return all(ended)

    def _pool(self, lane: Lane) -> Pool:
        return self._searchers if lane.searching else self._listeners

    def _work(self, lane: Lane, queue: _Queue) -> None:
        while job := self._next(lane, queue):
            job.end(job.run)
            with self._lock:
                goes_on = bool(queue.waiting)
            if goes_on:
                try:
                    self._pool(lane).submit(self._work, lane, queue)  # behind the others'
                except RuntimeError:
                    continue  # the pool takes nothing new: what was taken is done here
                return

    def _next(self, lane: Lane, queue: _Queue) -> _Job[Any] | None:
        with self._lock:
            if queue.waiting:
                return queue.waiting.popleft()
            queue.workers -= 1
            if not queue.workers:
                self._queues.pop(lane, None)
            return None
