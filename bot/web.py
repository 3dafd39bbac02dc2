"""HTTP: signed events from Slack, health for an orchestrator, metrics for Prometheus."""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import structlog
import uvicorn
from anyio import fail_after, to_thread
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
PROBE_WITHIN = 3.0  # seconds; what takes longer does not answer

T = TypeVar("T")
log = structlog.get_logger()


class Seal:
    """Tells whether Slack made a request, just now, and not before."""

    def __init__(self, signing_secret: str) -> None:
        self._verifier = SignatureVerifier(signing_secret)
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


class Events:
    """Takes what Slack posts, and runs the app on it, in threads: the event loop never waits."""

    def __init__(self, app: App, signing_secret: str, turns: Turns | None = None) -> None:
        self._app = app
        self._turns = turns or Turns()
        self._seal = Seal(signing_secret)
        self._lanes = Lanes()

    async def take(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        signature = headers.get("x-slack-signature", "")
        fault = self._seal.fault(body, headers.get("x-slack-request-timestamp", ""), signature)
        if fault:
            log.warning("request refused", why=fault)
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
    async def healthz(_: Request) -> Response:
        return _said({} if health.alive() else {"loops": "one has ended"})

    async def readyz(_: Request) -> Response:
        return _said(await _within(health.problems, {"probe": "takes too long"}))

    async def metrics(_: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(await _within(health.metrics, b""), media_type=kind)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        *([Route(EVENTS, events.take, methods=["POST"])] if events else []),
    ]
    return Starlette(routes=routes)


def _said(problems: dict[str, str]) -> Response:
    return JSONResponse({"ok": not problems, **problems}, 503 if problems else 200)


async def _within(look: Callable[[], T], otherwise: T) -> T:
    try:
        with fail_after(PROBE_WITHIN):
            return await to_thread.run_sync(look, abandon_on_cancel=True)
    except TimeoutError:
        return otherwise


class Server:
    """Serves in a thread, from `start` to `stop`. Raises OSError if the address cannot be had."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        # Naming the protocol matters: asyncio sets TCP_NODELAY only on sockets that do.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within: float = 5.0) -> bool:
        """Take nothing more; what was taken is answered."""
        self._server.should_exit = True
        self._thread.join(within)
        self._socket.close()
        return not self._thread.is_alive()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])
