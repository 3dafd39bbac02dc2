"""What Slack posts: signed, fresh, done once, and answered in time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from hashlib import sha256

import structlog
from slack_bolt import App
from slack_sdk.signature import SignatureVerifier
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bot.runtime.look import Look
from bot.runtime.priority import Turns
from bot.slack import dispatch, payloads
from bot.slack.lanes import NOTHING_FOUND, Lane, Lanes, is_outdone, lane_of
from bot.slack.once import Once, own_id

EVENTS = "/slack/events"
LARGEST = 1024 * 1024  # bytes of a body; Slack's largest, a view with all its state, is 250 KB
FRESH = 300  # seconds that a signature is good for
SAY_EVERY = 1.0  # seconds between two lines on what was refused
RENEW_WITHIN = 1.0  # seconds that a forged request waits for a new secret
RENEW_EVERY = 5.0  # seconds; what was signed with a former one is refused after that

log = structlog.get_logger()


class Seal:
    """Tells whether Slack made a request, just now.

    `secret` is asked for at the start, and at each `renew`.
    """

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret_now = secret
        self._verifier = SignatureVerifier(secret())

    def fault(self, body: bytes, stamp: str, signature: str) -> str:
        """Return what is wrong with it: stale, or forged; nothing: it is good."""
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 16):
            return "forged"
        if abs(time.time() - int(stamp)) > FRESH:
            return "stale"
        good = signature.isascii() and self._good(body, stamp, signature)
        return "" if good else "forged"

    def renew(self) -> None:
        """Go by the secret as it is now."""
        self._verifier = SignatureVerifier(self._secret_now())

    def _good(self, body: bytes, stamp: str, signature: str) -> bool:
        try:
            return self._verifier.is_valid(body, stamp, signature)
        except UnicodeDecodeError:
            return False


class Refusals:
    """Says what is refused, but not each: whoever reaches the door could fill the log."""

    def __init__(self) -> None:
        self._said = float("-inf")
        self._count = 0  # since

    def note(self, why: str) -> None:
        self._count += 1
        now = time.monotonic()
        if now - self._said >= SAY_EVERY:
            log.warning("request refused", why=why, count=self._count)
            self._said, self._count = now, 0


class Events:
    """Takes what Slack posts, and runs the app on it, in threads: the event loop never waits."""

    def __init__(
        self, app: App, signing_secret: Callable[[], str], turns: Turns | None = None
    ) -> None:
        self._app = app
        self._turns = turns or Turns()
        self._seal = Seal(signing_secret)
        self._renewal = Look(self._seal.renew, None, within=RENEW_WITHIN)
        self._renewed = time.monotonic()
        self._lanes = Lanes()
        self._refusals = Refusals()
        self._once = Once[Response](lambda answer: answer.status_code < 500, Response())

    async def take(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        signature = headers.get("x-slack-signature", "")
        stamp = headers.get("x-slack-request-timestamp", "")
        if time.monotonic() - self._renewed > RENEW_EVERY:
            self._renewed = time.monotonic()
            self._renewal.begin()
        fault = self._seal.fault(body, stamp, signature)
        if fault == "forged":  # or made with a secret that is new
            await self._renewal.answer()
            fault = self._seal.fault(body, stamp, signature)
        if fault:
            self._refusals.note(fault)
            return Response(status_code=401)
        read = _read(body.decode())

        def begin() -> Future[Response]:
            return self._submit(read, headers, signature)

        # Two searches of one second are alike to the letter, and signed alike: both are answered.
        id_ = own_id(read)
        key = f"{id_}/{sha256(body).hexdigest()}"
        return await asyncio.wrap_future(self._once.take(key, begin) if id_ else begin())

    def _submit(self, body: object, headers: dict[str, str], signature: str) -> Future[Response]:
        lane = lane_of(body)
        return self._lanes.submit(
            lane,
            lambda: self._answer(lane, body, headers, signature),
            (lambda: JSONResponse(NOTHING_FOUND)) if is_outdone(body) else None,
        )

    def _answer(
        self, lane: Lane, body: object, headers: dict[str, str], signature: str
    ) -> Response:
        # The seal was good: the app need not look at it again.
        with self._turns.answering(searching=lane.searching):
            answer = dispatch.dispatch(self._app, body, signature.removeprefix("v0=")[:16], headers)
        return Response(answer.body, answer.status, answer.first_headers())


def _read(text: str) -> object:
    """Return the body. What cannot be read stays as it is, and is refused at the door."""
    try:
        return payloads.read(text)
    except payloads.BadPayloadError:
        return text


async def _body(request: Request) -> bytes | None:
    """Return the body, None if it is too large: it is not read any further then."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)
