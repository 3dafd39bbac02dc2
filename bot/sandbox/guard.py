"""Lets in this machine's own programs and the sandbox's own page, and no other site's: a page from
elsewhere, open in the same browser, could else act as anybody here.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

__all__ = ["Guard"]

_Message = MutableMapping[str, Any]
_LOCAL = frozenset({"127.0.0.1", "localhost"})


class Guard:
    """ASGI middleware. `port` is the sandbox's own."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._own = {f"{host}:{port}" for host in _LOCAL}

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        # A name that somebody else's server resolves to this machine is no way in either.
        known = headers.get(b"host", "") in self._own
        if known and (origin is None or urlsplit(origin).netloc in self._own):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse("not from there", 403)(scope, receive, send)
