"""The HTTP way to an app: one signed request for each payload, its answer the acknowledgement."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import httpx

from bot.sandbox.delivery import Acknowledgement
from bot.sandbox.journal import Delivery

__all__ = ["Requests"]

Json = dict[str, Any]


class Requests:
    def __init__(self, url: str, signing_secret: str, ack_within: float) -> None:
        self._url = url
        self._secret = signing_secret
        self._ack_within = ack_within
        self._http = httpx.AsyncClient(timeout=ack_within, trust_env=False)

    async def carry(self, record: Delivery) -> Acknowledgement:
        body, headers = _http_form(record)
        stamp = str(int(time.time()))
        headers |= {
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": _signature(self._secret, stamp, body),
        }
        record.at = time.perf_counter()
        try:
            async with asyncio.timeout(self._ack_within):
                answer = await self._http.post(self._url, content=body.encode(), headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            return Acknowledgement("timeout")
        except httpx.TransportError:
            return Acknowledgement("connection_failed")
        if answer.status_code != 200:
            final = answer.headers.get("x-slack-no-retry") == "1"
            return Acknowledgement(f"http_{answer.status_code}", final=final)
        return Acknowledgement("acked", _decoded(answer.text), time.perf_counter() - record.at)


def _signature(secret: str, stamp: str, body: str) -> str:
    signed = f"v0:{stamp}:{body}".encode()
    return f"v0={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


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
