"""A proxy in front of PostgreSQL that counts statements and breaks things at a chosen one.

A statement is a simple query, or an extended one with all its parts up to Sync: what a client
sends before it waits for an answer. BEGIN and COMMIT count like any other.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from bot.sandbox import ports

__all__ = ["Action", "Proxy", "When"]

Action = Literal["cut", "stall"] | Callable[[], object]
When = Literal["before", "after"]

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
_HEADER = struct.Struct("!cI")
_ENDS_STATEMENT = (b"Q", b"S")
# Where the words are: a query ends with a zero, a preparation has its name before them.
_SAYS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"Q": lambda body: body.split(b"\0")[0],
    b"P": lambda body: body.split(b"\0")[1],
}
_READY = b"Z"


class _Cut(Exception):  # noqa: N818  (not a fault: the end of one connection)
    """This connection is over."""


@dataclass(eq=False)
class _Link:
    """One client, its own connection to the server, and what to do with the next answer."""

    client: socket.socket
    server: socket.socket
    after: list[Action] = field(default_factory=list)

    def cut(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Proxy:
    """`with Proxy(host, port) as proxy:` listens on `proxy.port` of loopback until the end.

    `drops`: start parameters that do not get through, as with a pooler. `hear` is called with the
    words of each statement.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        drops: Collection[str] = (),
        hear: Callable[[str], object] | None = None,
    ) -> None:
        self._target = (host, port)
        self._drops = drops
        self._hear = hear
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._actions: dict[tuple[int, When], Action] = {}
        self._released = threading.Event()
        self._answering = threading.Event()
        self._answering.set()
        self._listener: socket.socket | None = None
        self.host = "127.0.0.1"
        self.port = 0
        self.count = 0  # statements seen since the last reset

    def __enter__(self) -> Self:
        (self.port,) = ports.free()  # one that no connection of others gets while it is down
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        self.silent = False
        self.down = True
        for thread in self._threads:
            thread.join()

    def on(self, n: int, *, action: Action, when: When = "before") -> None:
        """At the n-th statement from the last reset, act, before or after the server has done it.

        “cut” drops the connection: after the statement, the client never learns of its end. “stall”
        keeps the connection open and silent until the next reset. A callable is called, and then
        all goes on.
        """
        with self._lock:
            # Bound to this reset: one that comes before the statement releases it, too.
            self._actions[n, when] = self._released.wait if action == "stall" else action

    def reset(self) -> None:
        """Count from nothing, forget all actions, let stalled connections go on."""
        with self._lock:
            self.count = 0
            self._actions.clear()
            self._released.set()
            self._released = threading.Event()

    @property
    def silent(self) -> bool:
        """Whether nobody is answered any more, on old connections and new ones, which stay open."""
        return not self._answering.is_set()

    @silent.setter
    def silent(self, silent: bool) -> None:
        if silent:
            self._answering.clear()
        else:
            self._answering.set()

    @property
    def down(self) -> bool:
        """Whether connections are refused. Going down cuts those that are open."""
        return self._listener is None

    @down.setter
    def down(self, down: bool) -> None:
        if down and self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            with self._lock:
                links = list(self._links)
            for link in links:
                link.cut()
        elif not down and not self._listener:
            self._listen()

    def _listen(self) -> None:
        listener = socket.create_server((self.host, self.port), backlog=128)
        self._listener = listener
        self._spawn(self._accept, listener)

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            with self._lock:
                self._links.add(link)
            if self.down:  # since this client was let in
                link.cut()
            self._spawn(self._serve, link)

    def _serve(self, link: _Link) -> None:
        answers = threading.Thread(target=self._pump, args=(self._answers, link), daemon=True)
        answers.start()
        self._pump(self._questions, link)
        answers.join()
        with self._lock:
            self._links.discard(link)
        link.close()

    @staticmethod
    def _pump(relay: Callable[[_Link], None], link: _Link) -> None:
        with contextlib.suppress(_Cut, OSError):
            relay(link)
        link.cut()

    def _questions(self, link: _Link) -> None:
        self._greet(link)
        batch = b""
        while True:
            kind, message = _read(link.client)
            batch += message
            if self._hear and kind in _SAYS:
                self._hear(_SAYS[kind](message[5:]).decode())
            if kind in _ENDS_STATEMENT:
                self._announce(link)
            elif kind in {b"P", b"B", b"E", b"D", b"C"}:
                continue  # the rest of this statement follows
            link.server.sendall(batch)
            batch = b""

    def _greet(self, link: _Link) -> None:
        """Pass the start-up packet on, which has no type, declining encryption before it."""
        while True:
            size = _exactly(link.client, 4)
            body = _exactly(link.client, struct.unpack("!I", size)[0] - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code in {_SSL, _GSS}:
                link.client.sendall(b"N")
                continue
            kept = body if code == _CANCEL else self._thinned(body)
            link.server.sendall(struct.pack("!I", len(kept) + 4) + kept)
            if code == _CANCEL:
                raise _Cut
            return

    def _thinned(self, body: bytes) -> bytes:
        """Return the start-up packet (a number, then names and values) without what is dropped."""
        words = body[4:].split(b"\0")
        pairs = zip(words[::2], words[1::2], strict=False)
        kept = [pair for pair in pairs if pair[0] and pair[0].decode() not in self._drops]
        return body[:4] + b"".join(name + b"\0" + value + b"\0" for name, value in kept) + b"\0"

    def _announce(self, link: _Link) -> None:
        with self._lock:
            self.count += 1
            before = self._actions.pop((self.count, "before"), None)
            after = self._actions.pop((self.count, "after"), None)
        if after is not None:
            link.after.append(after)
        if before is not None:
            self._act(before)

    def _answers(self, link: _Link) -> None:
        held = b""  # what the server said to a statement whose answer is waited for
        while True:
            kind, message = _read(link.server)
            held += message
            if link.after:
                if kind != _READY:
                    continue
                self._act(link.after.pop(0))
            self._answering.wait()
            link.client.sendall(held)
            held = b""

    @staticmethod
    def _act(action: Action) -> None:
        if action == "cut":
            raise _Cut
        if callable(action):
            action()


def _read(source: socket.socket) -> tuple[bytes, bytes]:
    header = _exactly(source, _HEADER.size)
    kind, size = _HEADER.unpack(header)
    return kind, header + _exactly(source, size - 4)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise _Cut
        data += part
    return data
