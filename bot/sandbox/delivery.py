"""Brings payloads to the app, whichever way they are carried, and keeps the journal of that.
Events are delivered again when they are not acknowledged.
"""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from bot.sandbox import limits
from bot.sandbox.faults import Faults
from bot.sandbox.journal import Delivery, Journal

__all__ = ["Acknowledgement", "Carrier", "Courier"]

Json = dict[str, Any]
Type = Literal["slash_commands", "interactive", "events_api"]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """`body` is what the acknowledgement carried: decoded JSON, plain text, or None.

    `reason` is `acked`, or why it was not: timeout, no_link, connection_failed, http_503 ...
    """

    reason: str
    body: object = None
    seconds: float | None = None
    final: bool = False  # the app asked not to be told again
    record: Delivery | None = field(default=None, compare=False, repr=False)

    @property
    def acked(self) -> bool:
        return self.reason == "acked"


class Carrier(Protocol):
    """Socket Mode links, or signed HTTP requests."""

    async def carry(self, record: Delivery) -> Acknowledgement:
        """Bring it there and wait for the acknowledgement, as long as Slack would."""


class Courier:
    """`factor` scales the pauses before an event is delivered again."""

    def __init__(self, carrier: Carrier, faults: Faults, journal: Journal, factor: float) -> None:
        self._carrier = carrier
        self._faults = faults
        self._journal = journal
        self._factor = factor
        self._behind: set[asyncio.Task[Any]] = set()

    async def give_up(self) -> None:
        """Deliver nothing again that is not yet acknowledged."""
        behind = tuple(self._behind)
        for task in behind:
            task.cancel()
        await asyncio.gather(*behind, return_exceptions=True)

    async def deliver(
        self, type_: Type, payload: Json, *, retry: int = 0, reason: str = ""
    ) -> Acknowledgement:
        """Deliver once, or twice if told to, and wait for the first one's acknowledgement."""
        if self._faults.duplicate_next():
            first = asyncio.create_task(self._deliver(type_, payload, retry, reason))
            self._in_background(asyncio.create_task(self._deliver(type_, payload, retry, reason)))
            return await first
        return await self._deliver(type_, payload, retry, reason)

    async def publish(self, event: Json) -> Acknowledgement:
        """Deliver an event; go on in the background while it is not acknowledged."""
        outcome = await self.deliver("events_api", event)
        if not outcome.acked:
            self._in_background(asyncio.create_task(self._repeat(event, outcome)))
        return outcome

    def announce(self, event: Json) -> None:
        """Deliver an event behind the back of whoever caused it."""
        self._in_background(asyncio.create_task(self.publish(event)))

    async def _repeat(self, event: Json, outcome: Acknowledgement) -> None:
        for attempt, pause in enumerate(limits.EVENT_RETRY_SECONDS, start=1):
            if outcome.acked or outcome.final:
                return
            await asyncio.sleep(pause * self._factor)
            reason = _RETRY_REASONS.get(outcome.reason, "http_error")
            outcome = await self.deliver("events_api", event, retry=attempt, reason=reason)

    def _in_background(self, task: asyncio.Task[Any]) -> None:
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _deliver(
        self, type_: Type, payload: Json, retry: int, reason: str
    ) -> Acknowledgement:
        record = self._journal.delivery(
            type_,
            _what(type_, payload),
            payload,
            id=str(uuid.uuid4()),
            retry=retry,
            retry_reason=reason,
        )
        try:
            outcome = await self._carrier.carry(record)
        except asyncio.CancelledError:
            record.outcome = "given_up"
            self._journal.touch()
            raise
        record.outcome, record.ack, record.seconds = outcome.reason, outcome.body, outcome.seconds
        self._journal.touch()
        return replace(outcome, record=record)

    def refuse(self, outcome: Acknowledgement, why: str) -> None:
        """Note in the journal why Slack does not take what the app answered."""
        if outcome.record:
            outcome.record.refused = why
            self._journal.touch()


_RETRY_REASONS = {
    "timeout": "http_timeout",
    "connection_failed": "connection_failed",
    "no_link": "connection_failed",
}


def _what(type_: Type, payload: Json) -> str:
    match type_:
        case "slash_commands":
            return str(payload["command"])
        case "events_api":
            return str(payload["event"]["type"])
    return str(payload["type"])
