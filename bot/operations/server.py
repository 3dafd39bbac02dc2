"""An HTTP server that nobody can fill: each wait for a client has an end, and so have connections.

Who connects when there is no room takes the place of whoever has kept the server waiting longest:
a probe gets through beside any number of connections that say nothing. An address that somebody
else has taken is tried again until it can be had: it keeps nothing else from running.
"""

import asyncio
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import h11
import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.operations import open_files
from bot.runtime.faults import Faults
from engine.errors import LatchkeyError

WITHIN = 5.0  # seconds for a head, for a body, for taking in an answer
ANSWER_WITHIN = 30.0  # seconds, which no answer takes
LARGEST_HEAD = 16 * 1024  # bytes
BACKLOG = 512  # connections that the system holds back: they cost this process nothing
PAUSE = 0.1  # seconds
TELL_EVERY = 60.0  # seconds

log = structlog.get_logger()
# What is no HTTP is answered, and not logged: whoever reaches the door could fill the log.
_FAULTS = logging.getLogger("uvicorn.faults")
_FAULTS.setLevel(logging.ERROR)


class NoAddressError(LatchkeyError):
    """Nothing can listen at the address of a setting."""

    def __init__(self, setting: str, address: tuple[str, int], why: object) -> None:
        host, port = address
        super().__init__(
            f"{setting}: nothing can listen on {host}:{port}: {why}. Stop what listens there, or "
            "set an address of this machine with a port that is free."
        )


class _Strict(h11.Connection):
    """Refuses a head that is too large, and one of which two readers would find different ends
    (RFC 9112, 6.1).
    """

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            if sum(len(name) + len(value) for name, value in event.headers) > LARGEST_HEAD:
                raise h11.RemoteProtocolError("the head is too large")
            names = {name for name, _ in event.headers}
            chunked = b"transfer-encoding" in names
            if chunked and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("where the body ends is told twice")
        return event


class _Connection(H11Protocol):
    """A client's connection. Its time runs anew only when it is another's turn: bytes win none."""

    def __init__(
        self, server: uvicorn.Server, loop: asyncio.AbstractEventLoop, within: float
    ) -> None:
        super().__init__(server.config, server.server_state, {}, loop)
        self.conn = _Strict(h11.SERVER, LARGEST_HEAD)
        self.logger = _FAULTS
        self.since = loop.time()
        self._within = within
        self._said_all = False
        self._turn: tuple[object, bool] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether the client has to say something, to take in what it was told, or to go."""
        asked = self.cycle is not None and self.conn.their_state is not h11.SEND_BODY
        return not asked or self.cycle.response_complete or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer who has asked, and says no more; then it is over."""
        self._said_all = True
        return not self.waits

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._said_all:
            self.transport.close()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # it was answered already
            self.transport.abort()

    def _look(self) -> None:
        turn = (self.cycle, self.waits)
        if turn == self._turn:
            return
        self._turn, self.since = turn, self.loop.time()
        if self._deadline:
            self._deadline.cancel()
        within = self._within if self.waits else ANSWER_WITHIN
        # `close` would wait until all is written, and a client need not read.
        self._deadline = self.loop.call_later(within, self.transport.abort)


class _Uvicorn(uvicorn.Server):
    """Accepts one connection at a time, `most` at once.

    asyncio accepts as many as come, before any of them is looked at; each is a file that others in
    this process go without.
    """

    def __init__(self, config: uvicorn.Config, most: int, within: float) -> None:
        super().__init__(config)
        self._most = most
        self._within = within
        self._accepting: list[asyncio.Task[None]] = []
        self._told = float("-inf")  # when it was last said that files are short

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._accepting = [asyncio.create_task(self._accept(each)) for each in sockets or ()]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for each in self._waiting():
            each.transport.abort()
        await asyncio.sleep(0)  # they are gone when the event loop comes round
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                newcomer, _ = await loop.sock_accept(listener)
                await self._take(newcomer, loop)
            except OSError as fault:
                if loop.time() - self._told > TELL_EVERY:
                    self._told = loop.time()
                    log.warning("no connection can be accepted", why=fault.strerror)
                await asyncio.sleep(PAUSE)  # who has asked is answered, and gives its file back
                if _somebody_waits(listener):
                    await self._make_room()

    async def _take(self, newcomer: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        with ExitStack() as held:
            held.enter_context(newcomer)
            while len(self.server_state.connections) >= self._most:
                await self._make_room()
            made = _Connection(self, loop, self._within)
            await loop.connect_accepted_socket(lambda: made, newcomer)
            held.pop_all()

    async def _make_room(self) -> None:
        # Where all are being answered, one of them soon has been.
        await asyncio.sleep(0 if self._give_way() else PAUSE)

    def _give_way(self) -> bool:
        """Cut off who has kept the server waiting longest. Return whether there is anybody."""
        waiting = self._waiting()
        if waiting:
            min(waiting, key=lambda each: each.since).transport.abort()
        return bool(waiting)

    def _waiting(self) -> list[_Connection]:
        made = self.server_state.connections
        return [each for each in made if isinstance(each, _Connection) and each.waits]


def _somebody_waits(listener: socket.socket) -> bool:
    """Tell whether there is a connection to accept: without a file left, none is refused, too."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


class Server:
    """Serves in a thread, from `start` to `stop`.

    Raises OSError if the address cannot be had, UnicodeError if no host has such a name.
    """

    def __init__(
        self,
        app: Starlette,
        host: str,
        port: int,
        *,
        most: int | None = None,
        within: float = WITHIN,
    ) -> None:
        """`most` connections at once: if none is given, as many as the process can spare.

        Who has not sent a head or a body, or taken in an answer, `within` so many seconds, is cut
        off, and so is who asks nothing more.
        """
        # Naming the protocol matters: asyncio sets TCP_NODELAY only on sockets that do.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except (OSError, UnicodeError):
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                loop="asyncio",
                access_log=False,
                log_config=None,
                lifespan="off",
                ws="none",
                server_header=False,
                # Who kept one would post into it while it is closed: that click would be lost.
                headers=[("Connection", "close")],
                timeout_graceful_shutdown=2,
            ),
            most or open_files.for_a_door(),
            within,
        )
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer, if it has not begun."""
        if not self._thread.ident:
            self._thread.start()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    def stop(self, within: float = 5.0) -> bool:
        """Take nothing more; what was taken is answered."""
        self._server.should_exit = True
        if self._thread.ident:
            self._thread.join(within)
        self._socket.close()
        return not self._thread.is_alive()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


@dataclass
class _Door:
    setting: str
    served: Starlette
    address: tuple[str, int]
    server: Server | None = None
    missed: tuple[float, NoAddressError] | None = None  # since when, and why


class Servers:
    """Those of a program. What cannot listen yet is out of order by itself, and tried again."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._doors: list[_Door] = []
        self._stopped = False

    def add(self, setting: str, served: Starlette, address: tuple[str, int]) -> None:
        """Have it served at the address that this setting gives."""
        self._doors.append(_Door(setting, served, address))

    def listen(self) -> list[NoAddressError]:
        """Take every address that can be had, and return why others cannot.

        The name of a host is looked up, which takes as long as whoever is asked.
        """
        for door in self._doors:
            self._open(door)
        return [missed[1] for door in self._doors if (missed := door.missed)]

    def serve(self) -> None:
        """Listen, and answer wherever that is possible."""
        self.listen()
        for door in self._doors:
            if door.server and not self._stopped:
                door.server.start()

    def listening(self, setting: str) -> bool:
        """Tell whether who comes to the address of this setting is answered, or soon will be."""
        return all(door.server for door in self._doors if door.setting == setting)

    def missed(self, seconds: float) -> list[str]:
        """Return what could not be listened to for so long."""
        at = time.monotonic() - seconds
        missed = [missed for door in self._doors if (missed := door.missed)]
        return [str(why) for since, why in missed if since <= at]

    def stop(self, within: Callable[[], float]) -> bool:
        """Take nothing more; `within` tells how many seconds each has. Return whether all ended."""
        self._stopped = True
        ended = [door.server.stop(within()) for door in self._doors if door.server]
        return all(ended)

    def _open(self, door: _Door) -> None:
        if door.server or self._stopped:
            return
        try:
            door.server = Server(door.served, *door.address)
        except (OSError, UnicodeError) as fault:
            why = getattr(fault, "strerror", None) or fault
            missing = NoAddressError(door.setting, door.address, why)
            door.missed = door.missed[0] if door.missed else time.monotonic(), missing
            self._faults.set(door.setting, str(missing))
        else:
            door.missed = None
            self._faults.clear(door.setting)
