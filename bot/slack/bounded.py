"""HTTP answers that are whole within a time, and within a size, or none.

A time-out of a socket is one of each read: an answer that comes byte by byte lasts for as long as
whoever sends it likes, and one without an end takes all the memory that there is.
"""

import ssl
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from typing import Any, cast
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request, build_opener

LONGER = 1.5  # times as long as a read may take, for all of them
MOST = 32 * 1024 * 1024  # bytes of an answer; a page of 1,000 people is some 3 MB


def opener(context: ssl.SSLContext | None, *more: Any) -> OpenerDirector:  # noqa: ANN401  (handlers)
    """Return what opens requests; `more`: handlers besides. What takes too long is TimeoutError,
    what is too large OSError.
    """
    return build_opener(_Plain(), _Secure(context=context), *more)


class _Stream(RawIOBase):
    """What comes from a socket, until the time is up."""

    def __init__(self, of: socket, raw: RawIOBase) -> None:
        self._of, self._raw = of, raw
        self._each = of.gettimeout() or 0.0
        self._until = time.monotonic() + LONGER * self._each
        self._left = MOST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  (a writable buffer)
        left = self._until - time.monotonic()
        if self._each:
            if left <= 0:
                raise TimeoutError("the answer is not whole in time")
            self._of.settimeout(min(self._each, left))
        size = cast(int, self._raw.readinto(buffer) or 0)
        self._left -= size
        if self._left < 0:
            raise OSError("the answer is too large")
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **more: Any) -> None:  # noqa: ANN401  (as it is)
        super().__init__(sock, *args, **more)
        self.fp = BufferedReader(_Stream(sock, self.fp.detach()))


class _PlainConnection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Plain(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_PlainConnection, req)


class _Secure(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_SecureConnection, req, context=self._context)  # type: ignore[attr-defined]
