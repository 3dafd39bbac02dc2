"""Socket Mode: the app's links, opened with one-use addresses, each envelope to exactly one."""

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bot.sandbox import limits
from bot.sandbox.changes import Changes
from bot.sandbox.delivery import Acknowledgement
from bot.sandbox.journal import Delivery

__all__ = ["Links"]

Json = dict[str, Any]
_ANSWERED = frozenset({"slash_commands", "block_suggestion", "view_submission"})
_Ack = asyncio.Future[tuple[float, object]]  # when it came (perf_counter), and its payload


class _Connection(ServerConnection):
    """One that can go deaf: it stays open, but what the other side says is not heard."""

    deaf = False

    def data_received(self, data: bytes) -> None:
        if not self.deaf:
            super().data_received(data)


@dataclass(eq=False, slots=True)
class _Link:
    number: int
    connection: _Connection
    leaving: bool = False  # told to disconnect, still open


class Links:
    def __init__(self, app_id: str, changes: Changes, ack_within: float) -> None:
        self._app_id = app_id
        self._changes = changes
        self._ack_within = ack_within
        self._tickets: set[str] = set()
        self._numbers = itertools.count(1)
        self._turn = 0
        self._acks: dict[str, _Ack] = {}
        self._address = ""
        self._open: list[_Link] = []

    @contextlib.asynccontextmanager
    async def serve(self, host: str) -> AsyncIterator[None]:
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

    def live(self) -> int:
        """Count the links that are neither leaving nor deaf."""
        return sum(not (link.leaving or link.connection.deaf) for link in self._open)

    def new_url(self) -> str:
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return f"{self._address}/link/?ticket={ticket}&app_id={self._app_id}"

    async def carry(self, record: Delivery) -> Acknowledgement:
        """Send over the link whose turn it is; the acknowledgement may come through any."""
        ack: _Ack = asyncio.get_running_loop().create_future()
        self._acks[record.id] = ack
        record.at = time.perf_counter()
        try:
            record.link = await self._send(_envelope(record))
            if record.link is None:
                return Acknowledgement("no_link")
            async with asyncio.timeout(self._ack_within):
                came, body = await ack
        except TimeoutError:
            return Acknowledgement("timeout")
        finally:
            del self._acks[record.id]
        return Acknowledgement("acked", body, came - record.at)

    async def disconnect(self, reason: str, *, close_old: bool) -> None:
        """Tell all links to disconnect; close them, or leave that to the app."""
        leaving = list(self._open)
        host = {"host": "applink-sandbox"}
        for link in leaving:
            link.leaving = True
            await self._say(link, {"type": "disconnect", "reason": reason, "debug_info": host})
        if close_old:
            await asyncio.gather(*(link.connection.close() for link in leaving))
        self._changes.touch()

    def deafen(self, number: int | None) -> None:
        """Make one link deaf and mute, or all: it stays open and nothing passes any more."""
        for link in self._open:
            if number in {None, link.number}:
                link.connection.deaf = True
        self._changes.touch()

    def close_all(self) -> None:
        for link in list(self._open):
            link.connection.transport.abort()

    async def _send(self, envelope: Json) -> int | None:
        """Return the number of the link; None when there is none.

        A link that is leaving is used only when there is no other. A deaf one swallows its turn.
        """
        candidates = [link for link in self._open if not link.leaving] or self._open
        if not candidates:
            return None
        self._turn += 1
        link = candidates[self._turn % len(candidates)]
        await self._say(link, envelope)
        return link.number

    async def _say(self, link: _Link, said: Json) -> None:
        if not link.connection.deaf:
            with contextlib.suppress(ConnectionClosed):
                await link.connection.send(json.dumps(said, ensure_ascii=False))

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        ticket = parse_qs(urlsplit(request.path).query).get("ticket", [""])[0]
        if ticket not in self._tickets:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "used, or never given out\n")
        self._tickets.discard(ticket)
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        if not isinstance(connection, _Connection):
            raise TypeError(connection)
        link = _Link(next(self._numbers), connection)
        if len(self._open) >= limits.LINKS:
            await self._say(link, {"type": "disconnect", "reason": "too_many_websockets"})
            return
        self._open.append(link)
        pinging = asyncio.create_task(self._ping(link))
        try:
            await self._say(link, self._greeting())
            self._changes.touch()
            async for frame in connection:
                self._heard(frame)
        except ConnectionClosed:
            pass
        finally:
            pinging.cancel()
            self._open.remove(link)
            self._changes.touch()

    async def _ping(self, link: _Link) -> None:
        with contextlib.suppress(ConnectionClosed):
            while not link.connection.deaf:
                await link.connection.ping(b"Ping from applink-sandbox")
                await asyncio.sleep(limits.PING_SECONDS)

    def _greeting(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._open),
            "debug_info": {
                "host": "applink-sandbox",
                "build_number": 1,
                "approximate_connection_time": limits.LINK_SECONDS,
            },
            "connection_info": {"app_id": self._app_id},
        }

    def _heard(self, frame: str | bytes) -> None:
        now = time.perf_counter()
        with contextlib.suppress(ValueError):
            said = json.loads(frame)
            ack = self._acks.get(str(said.get("envelope_id"))) if isinstance(said, dict) else None
            if ack is not None and not ack.done():
                ack.set_result((now, said.get("payload")))


def _address(server: Server, host: str) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    return f"ws://{host}:{port}"


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
