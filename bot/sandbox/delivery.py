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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from bot.sandbox import limits
from bot.sandbox.faults import DeliveryFault, Faults
from bot.sandbox.journal import Delivery, Journal
from bot.sandbox.sockets import Links

__all__ = ["Courier", "Outcome", "signature"]

Json = dict[str, Any]
_ANSWERED = frozenset({"block_suggestion", "view_submission"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`body` is what the acknowledgement carried: decoded JSON, plain text, or None."""

    acked: bool
    body: object = None
    reason: str = ""
    retry: bool = True


class Courier:
    def __init__(
        self,
        links: Links,
        faults: Faults,
        journal: Journal,
        signing_secret: str,
        *,
        request_url: str = "",
        event_retry_seconds: Sequence[float] = limits.EVENT_RETRY_SECONDS,
    ) -> None:
        self.request_url = request_url  # empty: Socket Mode
        self._links = links
        self._faults = faults
        self._journal = journal
        self._secret = signing_secret
        self._event_retry_seconds = event_retry_seconds
        self._http = httpx.AsyncClient(timeout=limits.ACK_SECONDS, trust_env=False)
        self._publishing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._publishing:
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        await self._http.aclose()

    def publish(self, event: Json) -> None:
        """Deliver an event in the background, again and again while it is not acknowledged."""
        task = asyncio.create_task(self._publish(event))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def deliver(
        self, envelope_type: str, payload: Json, *, retry: int = 0, reason: str = ""
    ) -> Outcome:
        """Deliver once, misbehaving if told to, and wait for the acknowledgement."""
        kind = _kind(envelope_type, payload)
        fault = self._faults.of_delivery(kind)
        if fault and fault.do == "delay":
            await asyncio.sleep(fault.seconds)
        record = Delivery(
            id=str(uuid.uuid4()),
            type=envelope_type,
            kind=kind,
            payload=payload,
            at=time.monotonic(),
            wall=time.time(),
            retry=retry,
        )
        self._journal.start_delivery(record)
        copies = 2 if fault and fault.do == "duplicate" else 1
        if self.request_url:
            outcome = await self._by_http(record, copies, reason)
        else:
            outcome = await self._by_link(record, copies, reason)
        if outcome.acked:
            record.latency, record.ack = time.monotonic() - record.at, outcome.body
            outcome = await _dropping(fault, record, outcome)
        record.outcome = outcome.reason
        self._journal.touch()
        return outcome

    async def verify_url(self) -> bool:
        """Challenge the request URL, as Slack does when it is entered."""
        challenge = uuid.uuid4().hex
        response = await self._post(
            json.dumps({"type": "url_verification", "challenge": challenge, "token": ""}),
            {"content-type": "application/json"},
        )
        return response.status_code == 200 and challenge in response.text  # noqa: PLR2004

    async def _publish(self, event: Json) -> None:
        reason = ""
        for attempt, pause in enumerate((0.0, *self._event_retry_seconds)):
            await asyncio.sleep(pause)
            outcome = await self.deliver("events_api", event, retry=attempt, reason=reason)
            if outcome.acked or not outcome.retry:
                return
            reason = "timeout" if outcome.reason == "timeout" else "http_error"

    async def _by_link(self, record: Delivery, copies: int, reason: str) -> Outcome:
        link = self._links.choose()
        if link is None:
            return Outcome(acked=False, reason="no_link")
        record.link = link.number
        envelope = _envelope(record, reason)
        answer = self._links.expect(record.id)
        try:
            for _ in range(copies):
                await self._links.send(link, envelope)
                link = self._links.choose() or link
            async with asyncio.timeout(limits.ACK_SECONDS):
                return Outcome(acked=True, body=await answer, reason="acked")
        except TimeoutError:
            return Outcome(acked=False, reason="timeout")
        finally:
            self._links.forget(record.id)

    async def _by_http(self, record: Delivery, copies: int, reason: str) -> Outcome:
        body, headers = _http_form(record)
        if record.retry:
            headers |= {
                "x-slack-retry-num": str(record.retry),
                "x-slack-retry-reason": "http_timeout" if reason == "timeout" else reason,
            }
        sending = [self._post(body, dict(headers)) for _ in range(copies)]
        try:
            response, *_ = await asyncio.gather(*sending)
        except httpx.TimeoutException:
            return Outcome(acked=False, reason="timeout")
        except httpx.TransportError:
            return Outcome(acked=False, reason="connection_failed")
        if response.status_code != 200:  # noqa: PLR2004
            retry = response.headers.get("x-slack-no-retry") != "1"
            return Outcome(acked=False, reason=f"http_{response.status_code}", retry=retry)
        return Outcome(acked=True, body=_decoded(response.text), reason="acked")

    async def _post(self, body: str, headers: dict[str, str]) -> httpx.Response:
        stamp = str(int(time.time()))
        headers |= {
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": signature(self._secret, stamp, body),
        }
        return await self._http.post(self.request_url, content=body.encode(), headers=headers)


def signature(secret: str, stamp: str, body: str) -> str:
    version = limits.SIGNATURE_VERSION
    signed = f"{version}:{stamp}:{body}".encode()
    return f"{version}={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def _kind(envelope_type: str, payload: Json) -> str:
    """What faults and the journal call it: an interaction's or event's own type."""
    match envelope_type:
        case "interactive":
            return str(payload["type"])
        case "events_api":
            return str(payload["event"]["type"])
    return envelope_type


def _envelope(record: Delivery, reason: str) -> Json:
    answered = record.type == "slash_commands" or record.kind in _ANSWERED
    envelope: Json = {
        "envelope_id": record.id,
        "payload": record.payload,
        "type": record.type,
        "accepts_response_payload": answered,
    }
    if record.type == "events_api":
        envelope |= {"retry_attempt": record.retry, "retry_reason": reason}
    return envelope


def _http_form(record: Delivery) -> tuple[str, dict[str, str]]:
    if record.type == "events_api":
        return json.dumps(record.payload), {"content-type": "application/json"}
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


async def _dropping(fault: DeliveryFault | None, record: Delivery, outcome: Outcome) -> Outcome:
    """Lose the acknowledgement if told to: the app is sure, the person waits in vain."""
    if fault is None or fault.do != "drop_ack":
        return outcome
    await asyncio.sleep(max(0.0, record.at + limits.ACK_SECONDS - time.monotonic()))
    return Outcome(acked=False, reason="timeout")
