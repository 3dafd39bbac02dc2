"""Answers probes while the database is waited for: nobody is to start this process anew.

Else an orchestrator would do so ever more seldom, and access would not end when the database is
there again.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.operations.server import Servers
from bot.runtime.faults import Faults
from bot.settings import Settings

STOP_WITHIN = 1.0  # seconds


class Waiting:
    """What is served at the addresses of a program that cannot begin. `why`, once it waits."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._servers: Servers | None = None
        self.why = ""

    def wait(self, why: str) -> None:
        """Answer, wherever that is possible. To be called at each try."""
        self.why = why
        if self._servers is None:
            self._servers = Servers(Faults(logged=False))
            if self._settings.listen:
                self._servers.add("LATCHKEY_HTTP", self._site(inside=False), self._settings.listen)
            if there := self._settings.listen_for_probes:
                self._servers.add("LATCHKEY_PROBES", self._site(inside=True), there)
        self._servers.serve()

    def over(self) -> None:
        """Leave the addresses to the program."""
        if self._servers:
            self._servers.stop(lambda: STOP_WITHIN)
            self._servers = None

    def _site(self, *, inside: bool) -> Starlette:
        """`inside`: it is told why."""

        async def healthz(_: Request) -> Response:
            return JSONResponse({"ok": True})

        async def readyz(_: Request) -> Response:
            why = {"database": self.why} if inside else {}
            return JSONResponse({"ok": False, **why}, 503)

        async def rest(_: Request) -> Response:
            return Response(status_code=503)

        every = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/healthz", healthz),
                Route("/readyz", readyz),
                Route("/{path:path}", rest, methods=every),
            ]
        )
