"""A server that is none: it answers a client's start with what a test wants, and listens."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["CLEAR_TEXT", "Stranger"]

CLEAR_TEXT = b"R\0\0\0\x08\0\0\0\x03"  # PostgreSQL's request for the password as it is


class Stranger:
    """`heard` is what clients said after the answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.heard = b""

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Listen on loopback; yield the port."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            yield listener.getsockname()[1]
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.settimeout(5)
                while client.recv(4096)[4:8] == b"\x04\xd2\x16\x2f":  # may we encrypt?
                    client.sendall(b"N")
                client.sendall(self._answer)
                self.heard += client.recv(4096)
