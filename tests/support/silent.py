"""Connections that say nothing, and come again whenever they are closed."""

import selectors
import socket
import threading
from types import TracebackType
from typing import Self

PAUSE = 0.05  # seconds between two rounds


class Silent:
    """So many of them at an address, from the beginning of the block to its end."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self._address = (host, port)
        self._number = number
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._come_again, name="silent")

    def __enter__(self) -> Self:
        for _ in range(self._number):
            self._connect()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self._leave(key)
        self._selector.close()

    def _connect(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self._address)
        self._selector.register(connection, selectors.EVENT_READ)

    def _leave(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()

    def _come_again(self) -> None:
        while not self._over.wait(PAUSE):
            for key, _ in self._selector.select(0):  # readable, with nothing to read: it was closed
                self._leave(key)
                self._connect()
