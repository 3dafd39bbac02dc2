"""What happened, for tests to read: every Web API call and every delivery, in the order in which
they began.
"""

import itertools
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from bot.sandbox.changes import Changes

__all__ = ["Call", "Delivery", "Journal"]

Json = dict[str, Any]
_KEPT = 20_000  # a long benchmark must not eat the machine


@dataclass(slots=True)
class _Entry:
    """`at` is on a clock that only differences are read from; `time` is the wall's.

    `seconds` is how long it took until the answer, and None while there is none.
    """

    n: int
    at: float = field(default_factory=time.perf_counter, init=False)
    time: float = field(default_factory=time.time, init=False)
    seconds: float | None = field(default=None, init=False)


@dataclass(slots=True)
class Call(_Entry):
    """A Web API call. `done` is whether its effect stands, whatever was answered."""

    method: str
    arguments: Json = field(default_factory=dict)
    whom: str = ""  # a person's id, or a channel's
    status: int | None = None  # None: never answered
    answer: Json | None = None
    error: str = ""
    rule: str = ""  # what refused it: auth, rate, scope, arguments, state, or fault
    fault: str = ""
    done: bool = False
    kind: str = "call"


@dataclass(slots=True)
class Delivery(_Entry):
    """An envelope, or a signed request, to the app."""

    id: str
    type: str  # slash_commands, interactive or events_api
    what: str  # the command, or the interaction's or event's own type
    payload: Json
    retry: int = 0
    retry_reason: str = ""
    link: int | None = None
    ack: object = None
    refused: str = ""  # why Slack does not take what the app answered
    outcome: str = "waiting"  # acked, timeout, no_link, connection_failed, http_4xx, given_up ...
    kind: str = "delivery"


class Journal:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._entries: deque[Call | Delivery] = deque(maxlen=_KEPT)
        self.last = 0  # the number of the newest entry

    def call(self, method: str) -> Call:
        call = Call(self._next(), method)
        self._entries.append(call)
        return call

    def delivery(self, type_: str, what: str, payload: Json, **more: Any) -> Delivery:  # noqa: ANN401
        delivery = Delivery(self._next(), type=type_, what=what, payload=payload, **more)
        self._entries.append(delivery)
        self.touch()
        return delivery

    def touch(self) -> None:
        """Say that an entry has got its answer."""
        self._changes.touch()

    def _next(self) -> int:
        self.last += 1
        return self.last

    def entry(self, n: int) -> Call | Delivery | None:
        first = self._entries[0].n if self._entries else 0
        return self._entries[n - first] if 0 <= n - first < len(self._entries) else None

    def newest(self, n: int) -> list[Call | Delivery]:
        """Return the entries whose number is above `n`, oldest first."""
        found = list(itertools.takewhile(lambda entry: entry.n > n, reversed(self._entries)))
        return found[::-1]

    def since(self, n: int) -> list[Json]:
        return [asdict(entry) for entry in self._entries if entry.n > n]
