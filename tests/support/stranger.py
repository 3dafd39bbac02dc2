"""A server that is none: it answers a client's start with what a test wants, and listens."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["CLEAR_TEXT", "DRIP", "LET_IN", "Stranger"]

# PostgreSQL's welcome to whom it asks for no password: who they are, its version, “go on”.
LET_IN = (
    b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0015.4\0"
    b"S\0\0\0\x19client_encoding\0UTF8\0Z\0\0\0\x05I"
)
DRIP = b"N\0\0\0\x1aSNOTICE\0C00000\0Mwait\0\0"
CLEAR_TEXT = b"R\0\0\0\x08\0\0\0\x03"  # PostgreSQL's request for the password as it is


class Stranger:
    """`heard` is what clients said after the answer, each of whose connections it then closes.

    `drip`, which may be nothing, is all that it says from then on, instead of closing them: to
    each client, again and again.
    """

    def __init__(self, answer: bytes, drip: bytes | None = None) -> None:
        self._answer, self._drip = answer, drip
        self._over = threading.Event()
        self.heard = b""

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Listen on loopback; yield the port."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            yield listener.getsockname()[1]
            self._over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            served = threading.Thread(target=self._answer_one, args=(client,))
            served.start()
            if self._drip is None:
                served.join()

    def _answer_one(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(5)
            while client.recv(4096)[4:8] == b"\x04\xd2\x16\x2f":  # may we encrypt?
                client.sendall(b"N")
            client.sendall(self._answer)
            self.heard += client.recv(4096)
            while self._drip is not None and not self._over.wait(0.1):
                client.sendall(self._drip)
