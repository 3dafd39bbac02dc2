"""What happened, for tests to read: every Web API call and every delivery, and a counter of
changes that lets a waiting reader wake up as soon as there may be something new.
"""

import asyncio
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Call", "Delivery", "Journal"]

Json = dict[str, Any]
_KEPT = 50_000  # a long benchmark must not eat the machine


@dataclass(slots=True)
class Call:
    """A Web API call. `at` and `took` are real, monotonic seconds."""

    method: str
    args: Json
    at: float
    wall: float
    took: float = 0.0
    status: int = 200
    answer: Json = field(default_factory=dict)
    refused_by: str = ""  # auth, rate, scope, arguments, fault, or rule: empty when it was done
    fault: str = ""
    done: bool = True  # whether its effect stands, whatever was answered


@dataclass(slots=True)
class Delivery:
    """One envelope, or signed request, to the app."""

    id: str
    type: str
    kind: str
    payload: Json
    at: float
    wall: float
    link: int | None = None
    retry: int = 0
    latency: float | None = None
    ack: object = None
    outcome: str = "waiting"  # acked, timeout, no_link, http_4xx ...


class Journal:
    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=_KEPT)
        self.deliveries: deque[Delivery] = deque(maxlen=_KEPT)
        self.changes = 0
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Say that something which somebody may be waiting for has changed."""
        self.changes += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def start_call(self, method: str, args: Json) -> Call:
        call = Call(method, args, time.monotonic(), time.time())
        self.calls.append(call)
        return call

    def start_delivery(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.touch()

    async def wait(self, since: int, timeout: float) -> int:  # noqa: ASYNC109 - a long poll's own
        """Return the counter as soon as it is past `since`, or when the time is up."""
        try:
            async with asyncio.timeout(timeout):
                while self.changes <= since:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.changes

    def calls_of(self, method: str | None) -> list[Json]:
        return [asdict(call) for call in self.calls if method in {None, call.method}]

    def deliveries_of(self, kind: str | None) -> list[Json]:
        return [asdict(d) for d in self.deliveries if kind in {None, d.kind}]
