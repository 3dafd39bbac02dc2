"""Brings payloads to the app, over its links or as signed HTTP requests, and waits for the
acknowledgement as long as Slack would. Events are delivered again when it does not come.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from bot.sandbox import limits
from bot.sandbox.faults import Faults
from bot.sandbox.journal import Delivery, Journal
from bot.sandbox.sockets import Links

__all__ = ["Courier", "Outcome", "signature"]

Json = dict[str, Any]
Type = Literal["slash_commands", "interactive", "events_api"]
_ANSWERED = frozenset({"slash_commands", "block_suggestion", "view_submission"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`body` is what the acknowledgement carried: decoded JSON, plain text, or None.

    `reason` is `acked`, or why it was not: timeout, no_link, connection_failed, http_503 ...
    """

    reason: str
    body: object = None
    seconds: float | None = None
    final: bool = False  # the app asked not to be told again

    @property
    def acked(self) -> bool:
        return self.reason == "acked"


class Courier:
    """`events_url` is where requests go; empty, envelopes go over the links.

    `factor` scales the pauses before an event is delivered again.
    """

    def __init__(
        self,
        links: Links,
        faults: Faults,
        journal: Journal,
        signing_secret: str,
        *,
        events_url: str,
        factor: float,
    ) -> None:
        self._links = links
        self._faults = faults
        self._journal = journal
        self._secret = signing_secret
        self._url = events_url
        self._factor = factor
        self._http = httpx.AsyncClient(timeout=limits.ACK_SECONDS, trust_env=False)
        self._behind: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)
        await self._http.aclose()

    async def deliver(
        self, type_: Type, payload: Json, *, retry: int = 0, reason: str = ""
    ) -> Outcome:
        """Deliver once, or twice if told to, and wait for the first one's acknowledgement."""
        if self._faults.duplicate_next():
            first = asyncio.create_task(self._deliver(type_, payload, retry, reason))
            self._in_background(asyncio.create_task(self._deliver(type_, payload, retry, reason)))
            return await first
        return await self._deliver(type_, payload, retry, reason)

    async def publish(self, event: Json) -> Outcome:
        """Deliver an event; go on in the background while it is not acknowledged."""
        outcome = await self.deliver("events_api", event)
        if not outcome.acked:
            self._in_background(asyncio.create_task(self._repeat(event, outcome)))
        return outcome

    async def _repeat(self, event: Json, outcome: Outcome) -> None:
        for attempt, pause in enumerate(limits.EVENT_RETRY_SECONDS, start=1):
            if outcome.acked or outcome.final:
                return
            await asyncio.sleep(pause * self._factor)
            reason = _RETRY_REASONS.get(outcome.reason, "http_error")
            outcome = await self.deliver("events_api", event, retry=attempt, reason=reason)

    def _in_background(self, task: asyncio.Task[Any]) -> None:
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _deliver(self, type_: Type, payload: Json, retry: int, reason: str) -> Outcome:
        record = self._journal.delivery(
            type_,
            _what(type_, payload),
            payload,
            id=str(uuid.uuid4()),
            retry=retry,
            retry_reason=reason,
        )
        outcome = await (self._by_http(record) if self._url else self._by_link(record))
        record.outcome, record.ack, record.seconds = outcome.reason, outcome.body, outcome.seconds
        self._journal.touch()
        return outcome

    async def _by_link(self, record: Delivery) -> Outcome:
        ack = self._links.expect(record.id)
        record.at = time.perf_counter()
        try:
            record.link = await self._links.send(_envelope(record))
            if record.link is None:
                return Outcome("no_link")
            async with asyncio.timeout(limits.ACK_SECONDS):
                came, body = await ack
        except TimeoutError:
            return Outcome("timeout")
        finally:
            self._links.forget(record.id)
        return Outcome("acked", body, came - record.at)

    async def _by_http(self, record: Delivery) -> Outcome:
        body, headers = _http_form(record)
        stamp = str(int(time.time()))
        headers |= {
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": signature(self._secret, stamp, body),
        }
        record.at = time.perf_counter()
        try:
            async with asyncio.timeout(limits.ACK_SECONDS):
                answer = await self._http.post(self._url, content=body.encode(), headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            return Outcome("timeout")
        except httpx.TransportError:
            return Outcome("connection_failed")
        if answer.status_code != 200:
            final = answer.headers.get("x-slack-no-retry") == "1"
            return Outcome(f"http_{answer.status_code}", final=final)
        return Outcome("acked", _decoded(answer.text), time.perf_counter() - record.at)


def signature(secret: str, stamp: str, body: str) -> str:
    signed = f"v0:{stamp}:{body}".encode()
    return f"v0={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


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


def _envelope(record: Delivery) -> Json:
    envelope: Json = {
        "envelope_id": record.id,
        "payload": record.payload,
        "type": record.type,
        "accepts_response_payload": bool(_ANSWERED & {record.type, record.what}),
    }
    if record.type == "events_api":
        envelope |= {"retry_attempt": record.retry, "retry_reason": record.retry_reason}
    return envelope


def _http_form(record: Delivery) -> tuple[str, dict[str, str]]:
    if record.type == "events_api":
        headers = {"content-type": "application/json"}
        if record.retry:
            headers["x-slack-retry-num"] = str(record.retry)
            headers["x-slack-retry-reason"] = record.retry_reason
        return json.dumps(record.payload), headers
    fields = record.payload
    if record.type == "interactive":
        fields = {"payload": json.dumps(record.payload)}
    return urlencode(fields), {"content-type": "application/x-www-form-urlencoded"}


def _decoded(text: str) -> object:
    if not text.strip():
        return None
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text
