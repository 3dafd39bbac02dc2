"""Puts the sandbox together and serves it until it is told to stop."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox import limits
from bot.sandbox.access import Access
from bot.sandbox.api import Site
from bot.sandbox.changes import Changes
from bot.sandbox.control import Clock, Control
from bot.sandbox.delivery import Carrier, Courier
from bot.sandbox.documents import AppManifest, WorkspaceDocument, read
from bot.sandbox.events import Events
from bot.sandbox.faults import Faults
from bot.sandbox.files import Files
from bot.sandbox.gateway import Gateway
from bot.sandbox.guard import Guard
from bot.sandbox.journal import Journal
from bot.sandbox.kept import Kept
from bot.sandbox.page import Page
from bot.sandbox.payloads import Payloads
from bot.sandbox.people import People
from bot.sandbox.protected import Protected
from bot.sandbox.rates import Rates
from bot.sandbox.responses import Responses
from bot.sandbox.sockets import Links
from bot.sandbox.standing import Ledger
from bot.sandbox.views import Views
from bot.sandbox.workspace import App, Workspace

__all__ = ["PATIENCE_FACTOR", "Options", "serve"]

_HOST = "127.0.0.1"
# The environment's word where no option gives one: it reaches whichever way a sandbox is started.
PATIENCE_FACTOR = "SANDBOX_PATIENCE_FACTOR"


@dataclass(frozen=True, slots=True)
class Options:
    manifest: Path
    workspace: Path
    port: int = 0
    clock: Path | None = None
    rate_factor: float = 1.0
    patience_factor: float = 1.0
    events_url: str = ""
    state: Path | None = None


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; say on stdout, in one line of JSON, where and with what."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


async def _serve(options: Options) -> None:
    # Naming the protocol matters: asyncio sets TCP_NODELAY only on sockets that do.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_HOST, options.port))
        url = f"http://{_HOST}:{listening.getsockname()[1]}"
        app = App(read(AppManifest, options.manifest))
        identity = {
            "url": url,
            "bot_token": app.bot_token,
            "app_token": app.app_token,
            "signing_secret": app.signing_secret,
            "pid": os.getpid(),
        }
        if options.rate_factor != 1:
            identity["rate_factor"] = options.rate_factor
            said = f"sandbox: rate limit windows have {options.rate_factor} times the seconds"
            sys.stderr.write(f"{said}\n")
        if (factor := options.patience_factor) != 1:
            identity["patience_factor"] = factor
            said = f"sandbox: an app has {factor} times the seconds that Slack gives"
            sys.stderr.write(f"{said}\n")
        ack = factor * limits.ACK_SECONDS
        changes, faults = Changes(), Faults()
        journal = Journal(changes)
        workspace = Workspace(read(WorkspaceDocument, options.workspace), app, changes, url)
        files = Files(workspace)
        views = Views(app, workspace.team.id, changes, files, factor * limits.TRIGGER_SECONDS)
        payloads = Payloads(workspace, views)
        links = Links(app.id, changes, ack)
        carrier = _requests(options.events_url, app, ack) if options.events_url else links
        courier = Courier(carrier, faults, journal, options.rate_factor)
        events = Events(workspace, payloads, courier)
        responses = Responses(workspace, files, events, journal, url)
        people = People(
            workspace, views, payloads, courier, responses=responses, files=files, events=events
        )
        site = Site(workspace, views, files, events, links.new_url)
        gateway = Gateway(site, Rates(options.rate_factor), faults, journal)
        clock = Clock(options.clock)
        access, standing = Access(changes), Ledger(options.state)
        protected = Protected(options.state, standing, factor)
        control = Control(
            identity,
            workspace,
            people,
            links,
            courier,
            faults,
            journal,
            changes,
            clock,
            protected,
        )
        page = Page(
            workspace,
            people,
            views,
            links,
            faults,
            journal,
            changes,
            clock,
            access,
            standing,
            protected,
        )
        routes = [
            Route("/api/{method}", gateway.answer, methods=["GET", "POST"]),
            Route("/response/{name}", responses.answer, methods=["POST"]),
            Route("/upload/v1/{ticket}", files.receive, methods=["POST"]),
            Route("/files-pri/{file}/{name:path}", files.serve),
            *control.routes(),
            *page.routes(),
        ]
        async with links.serve(_HOST), _keeping(options.state, workspace, views, page, changes):
            pages = Starlette(routes=routes, exception_handlers={ClientDisconnect: _gone})
            guarded = Guard(pages, listening.getsockname()[1])
            server = _Server(guarded, json.dumps(identity))
            await server.serve(sockets=[listening])
            links.close_all()
            await courier.give_up()
            await access.close_all()


async def _gone(_request: Request, _fault: Exception) -> Response:
    """Who asked was killed in the middle: nothing is wrong here, and nobody hears the answer."""
    return Response(status_code=499)


@contextlib.asynccontextmanager
async def _keeping(
    directory: Path | None, workspace: Workspace, views: Views, page: Page, changes: Changes
) -> AsyncIterator[None]:
    if directory is None:
        yield
        return
    kept = Kept(directory / "slack.json", workspace, views, page.marks, changes)
    kept.load()
    keeping = asyncio.create_task(kept.keep())
    yield
    keeping.cancel()
    kept.save()


def _requests(url: str, app: App, ack_within: float) -> Carrier:
    from bot.sandbox.signed import Requests

    return Requests(url, app.signing_secret, ack_within)


class _Server(uvicorn.Server):
    """Says `greeting` once it listens, and stops at once: what still waits is dropped."""

    def __init__(self, app: Guard, greeting: str) -> None:
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            timeout_keep_alive=60,  # seconds; who asks keeps a connection for less: httpx for 5
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self._greeting}\n")
        sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        logging.disable()  # of those that still wait, none is worth a traceback
        self.should_exit = self.force_exit = True
