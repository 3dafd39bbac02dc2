"""Socket Mode: links opened with one-use addresses, each envelope to exactly one of them."""

import asyncio
import contextlib
import itertools
import json
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bot.sandbox import limits
from bot.sandbox.faults import Faults
from bot.sandbox.journal import Journal

__all__ = ["Link", "Links"]

Json = dict[str, Any]
_LIFETIME_SECONDS = 18_060  # what Slack announces in its greeting


class _Connection(ServerConnection):
    """One that can go deaf: it stays open, but what the other side says is not heard."""

    deaf = False

    def data_received(self, data: bytes) -> None:
        if not self.deaf:
            super().data_received(data)


@dataclass(slots=True)
class Link:
    number: int
    connection: _Connection
    leaving: bool = False  # told to disconnect, still open

    @property
    def deaf(self) -> bool:
        return self.connection.deaf


class Links:
    """The app's open links. `ping_seconds` is how often each is pinged, as Slack does."""

    def __init__(
        self, app_id: str, faults: Faults, journal: Journal, ping_seconds: float
    ) -> None:
        self._app_id = app_id
        self._faults = faults
        self._journal = journal
        self._ping_seconds = ping_seconds
        self._tickets: set[str] = set()
        self._numbers = itertools.count(1)
        self._turn = 0
        self._acks: dict[str, asyncio.Future[object]] = {}
        self._address = ""
        self.open: list[Link] = []

    @contextlib.asynccontextmanager
    async def serve(self, host: str) -> Any:  # noqa: ANN401
        async with serve(
            self._talk,
            host,
            0,
            process_request=self._admit,
            create_connection=_Connection,
            compression=None,
            ping_interval=None,
            close_timeout=1,
        ) as server:
            self._address = _address(server, host)
            yield

    def new_url(self) -> str:
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return f"{self._address}/link/?ticket={ticket}&app_id={self._app_id}"

    def choose(self) -> Link | None:
        """Pick the link whose turn it is; one that is leaving only when there is no other."""
        candidates = [link for link in self.open if not link.leaving] or self.open
        if not candidates:
            return None
        self._turn += 1
        return candidates[self._turn % len(candidates)]

    async def send(self, link: Link, envelope: Json) -> None:
        """Send, or, through a deaf link, believe to have sent."""
        if not link.deaf:
            with contextlib.suppress(ConnectionClosed):
                await link.connection.send(json.dumps(envelope, ensure_ascii=False))

    def expect(self, envelope_id: str) -> asyncio.Future[object]:
        """The acknowledgement to come, whichever link it comes through."""
        return self._acks.setdefault(envelope_id, asyncio.get_running_loop().create_future())

    def forget(self, envelope_id: str) -> None:
        self._acks.pop(envelope_id, None)

    async def disconnect(self, reason: str, *, number: int | None, close: bool) -> int:
        """Tell links to disconnect; return how many were told."""
        links = [link for link in self.open if number in {None, link.number}]
        for link in links:
            link.leaving = True
            host = {"host": "applink-sandbox"}
            await self.send(link, {"type": "disconnect", "reason": reason, "debug_info": host})
            if close:
                await link.connection.close()
        return len(links)

    async def close_all(self) -> None:
        for link in list(self.open):
            link.connection.transport.abort()

    def deafen(self, number: int | None) -> int:
        links = [link for link in self.open if number in {None, link.number}]
        for link in links:
            link.connection.deaf = True
        return len(links)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._faults.down or self._faults.refuse_links:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable\n")
        ticket = parse_qs(urlsplit(request.path).query).get("ticket", [""])[0]
        if ticket not in self._tickets:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "this address was used or never given\n")
        self._tickets.discard(ticket)
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        if not isinstance(connection, _Connection):
            raise TypeError(connection)
        link = Link(next(self._numbers), connection)
        if len(self.open) >= limits.LINKS:
            await self.send(link, {"type": "disconnect", "reason": "too_many_websockets"})
            return
        self.open.append(link)
        self._journal.touch()
        pinging = asyncio.create_task(self._ping(link))
        try:
            await self.send(link, self._greeting())
            async for frame in connection:
                self._heard(frame)
        except ConnectionClosed:
            pass
        finally:
            pinging.cancel()
            self.open.remove(link)
            self._journal.touch()

    async def _ping(self, link: Link) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._ping_seconds)
                if not link.deaf:
                    await link.connection.ping(b"Ping from applink-sandbox")

    def _greeting(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.open),
            "debug_info": {
                "host": "applink-sandbox",
                "build_number": 1,
                "approximate_connection_time": _LIFETIME_SECONDS,
            },
            "connection_info": {"app_id": self._app_id},
        }

    def _heard(self, frame: str | bytes) -> None:
        with contextlib.suppress(ValueError):
            said = json.loads(frame)
            if isinstance(said, dict) and (ack := self._acks.get(str(said.get("envelope_id")))):
                if not ack.done():
                    ack.set_result(said.get("payload"))


def _address(server: Server, host: str) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    return f"ws://{host}:{port}"
