"""HTTP: signed events from Slack, health for an orchestrator, metrics for Prometheus."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from anyio import to_thread
from slack_bolt import App
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot import door, payload
from bot.health import Health
from bot.lanes import NOTHING_FOUND, Lane, Lanes, is_outdone, lane_of
from bot.turns import Turns

EVENTS = "/slack/events"
LARGEST = 1024 * 1024  # bytes of a body; Slack's largest, a view with all its state, is 250 KB
FRESH = 300  # seconds that a signature is good for
SAY_EVERY = 1.0  # seconds between two lines on what was refused
RENEW_WITHIN = 1.0  # seconds that a forged request waits for a new secret
RENEW_EVERY = 5.0  # seconds; what was signed with a former one is refused after that
PROBE_WITHIN = 3.0  # seconds; what takes longer does not answer

T = TypeVar("T")
log = structlog.get_logger()


class Seal:
    """Tells whether Slack made a request, just now, and not before.

    `secret` is asked for at the start, and at each `renew`.
    """

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret_now = secret
        self._verifier = SignatureVerifier(secret())
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._order: deque[tuple[float, str]] = deque()

    def fault(self, body: bytes, stamp: str, signature: str) -> str:
        """Return what is wrong with it: stale, forged, or seen before; nothing: it is good."""
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 16):
            return "forged"
        if abs(time.time() - int(stamp)) > FRESH:
            return "stale"
        if not (signature.isascii() and self._good(body, stamp, signature)):
            return "forged"
        return "replayed" if self._known(signature) else ""

    def renew(self) -> None:
        """Go by the secret as it is now."""
        self._verifier = SignatureVerifier(self._secret_now())

    def _good(self, body: bytes, stamp: str, signature: str) -> bool:
        try:
            return self._verifier.is_valid(body, stamp, signature)
        except UnicodeDecodeError:
            return False

    def _known(self, signature: str) -> bool:
        now = time.monotonic()
        with self._lock:
            # A stamp may lie as far ahead as behind.
            while self._order and self._order[0][0] < now - 2 * FRESH:
                self._seen.discard(self._order.popleft()[1])
            if signature in self._seen:
                return True
            self._seen.add(signature)
            self._order.append((now, signature))
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
        self._renewal = _Look(self._seal.renew, None, within=RENEW_WITHIN)
        self._renewed = time.monotonic()
        self._lanes = Lanes()
        self._refusals = Refusals()

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
        lane = lane_of(read)
        return await asyncio.wrap_future(
            self._lanes.submit(
                lane,
                lambda: self._answer(lane, read, headers, signature),
                (lambda: JSONResponse(NOTHING_FOUND)) if is_outdone(read) else None,
            )
        )

    def _answer(
        self, lane: Lane, body: object, headers: dict[str, str], signature: str
    ) -> Response:
        # The seal was good: the app need not look at it again.
        with self._turns.answering(searching=lane.searching):
            answer = door.dispatch(self._app, body, signature.removeprefix("v0=")[:16], headers)
        return Response(answer.body, answer.status, answer.first_headers())


def _read(text: str) -> object:
    """Return the body. What cannot be read stays as it is, and is refused at the door."""
    try:
        return payload.read(text)
    except payload.BadPayloadError:
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


def site(health: Health, events: Events | None) -> Starlette:
    """What outsiders may reach: it says whether all is well, and nothing of why it is not."""
    seen = _Seen(health)

    async def healthz(_: Request) -> Response:
        return _said(well=health.alive())

    async def readyz(_: Request) -> Response:
        return _said(well=not await seen.problems())

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        *([Route(EVENTS, events.take, methods=["POST"])] if events else []),
    ]
    return Starlette(routes=routes)


def probes(health: Health) -> Starlette:
    """What is for the inside: names and reasons, and the numbers."""
    seen = _Seen(health)

    async def healthz(_: Request) -> Response:
        alive = health.alive()
        return _said(well=alive, **({} if alive else {"loops": "one has ended, or stands still"}))

    async def readyz(_: Request) -> Response:
        problems = await seen.problems()
        faults = dict(health.faults())
        return _said(well=not problems, **problems, **({"faults": faults} if faults else {}))

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", seen.metrics),
        ]
    )


def _said(*, well: bool, **more: object) -> Response:
    return JSONResponse({"ok": well, **more}, 200 if well else 503)


class _Seen:
    """What looks at a program's health find."""

    def __init__(self, health: Health) -> None:
        self._problems = _Look(health.problems, {"probe": "takes too long"})
        self._metrics = _Look(health.metrics, b"")

    async def problems(self) -> dict[str, str]:
        return await self._problems.answer()

    async def metrics(self, _: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(await self._metrics.answer(), media_type=kind)


class _Look(Generic[T]):
    """A look in a thread, which all who ask meanwhile share: any number of them holds one thread,
    and one of the connections to the database that the loops use. `within`: seconds.
    """

    def __init__(
        self, look: Callable[[], T], otherwise: T, *, within: float = PROBE_WITHIN
    ) -> None:
        self._look = look
        self._otherwise = otherwise
        self._within = within
        self._under_way: asyncio.Task[T] | None = None

    def begin(self) -> asyncio.Task[T]:
        if self._under_way is None or self._under_way.done():
            run = to_thread.run_sync(self._look, abandon_on_cancel=True)
            self._under_way = asyncio.create_task(run)
        return self._under_way

    async def answer(self) -> T:
        """Return what it finds, or `otherwise` if that takes too long."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.begin()), self._within)
        except TimeoutError:
            return self._otherwise
