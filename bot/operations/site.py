"""What is served by HTTP: health for an orchestrator, metrics for Prometheus, Slack's events."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.operations.health import Health
from bot.runtime.look import Look
from bot.slack.http import EVENTS, Events


def site(health: Health, events: Events | None) -> Starlette:
    """What outsiders may reach: it says whether all is well, and nothing of why it is not."""
    seen = _Seen(health)

    async def healthz(_: Request) -> Response:
        return _said(well=health.alive())

    async def readyz(_: Request) -> Response:
        return _said(well=not await seen.problems())

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        *([Route(EVENTS, events.take, methods=["POST"])] if events else []),
    ]
    return Starlette(routes=routes)


def probes(health: Health) -> Starlette:
    """What is for the inside: names and reasons, and the numbers."""
    seen = _Seen(health)

    async def healthz(_: Request) -> Response:
        alive = health.alive()
        return _said(well=alive, **({} if alive else {"loops": "one has ended, or stands still"}))

    async def readyz(_: Request) -> Response:
        problems = await seen.problems()
        faults = dict(health.faults())
        return _said(well=not problems, **problems, **({"faults": faults} if faults else {}))

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", seen.metrics),
        ]
    )


def _said(*, well: bool, **more: object) -> Response:
    return JSONResponse({"ok": well, **more}, 200 if well else 503)


class _Seen:
    """What looks at a program's health find."""

    def __init__(self, health: Health) -> None:
        self._problems = Look(health.problems, {"probe": "takes too long"})
        self._metrics = Look(health.metrics, b"")

    async def problems(self) -> dict[str, str]:
        return await self._problems.answer()

    async def metrics(self, _: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(await self._metrics.answer(), media_type=kind)
