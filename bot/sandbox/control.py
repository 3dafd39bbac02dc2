"""The control API under /sandbox/: acting as people, seeing what they see, moving the product's
clock, and misbehaving. `bot.sandbox.client` is its other end.

Reading takes `since` and `wait`: the answer then comes when something changed after `since`, or
when `wait` seconds are over, and carries the new counter.
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sandbox.changes import ANYWHERE, Changes
from bot.sandbox.delivery import Courier
from bot.sandbox.errors import NotPossible
from bot.sandbox.faults import KINDS, Faults, PlannedFault
from bot.sandbox.journal import Journal
from bot.sandbox.people import People, Place
from bot.sandbox.protected import Protected
from bot.sandbox.sockets import Links
from bot.sandbox.workspace import User, Workspace
from storage import files

__all__ = ["Clock", "Control"]

FURTHEST = 100 * 365 * 86_400.0  # seconds; there is an end to the years that can be written

Json = dict[str, Any]


class Clock:
    """The product's clock: a file with the seconds that it is ahead of real time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.offset = 0.0
        if path:
            self.offset = float(path.read_text()) if path.exists() else self._write(path, 0.0)

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise NotPossible("the clock never goes back")
        if not self.offset + seconds <= FURTHEST:  # what is no number is not, either
            raise NotPossible("the clock goes a hundred years ahead at most")
        self._set(self.offset + seconds)

    def advance_to(self, moment: float) -> None:
        """Move on to a moment, in seconds since 1970; if it has come already, nothing moves."""
        self.advance(max(0.0, moment - time.time() - self.offset))

    def reset(self) -> None:
        self._set(0.0)

    def _set(self, offset: float) -> None:
        if self._path is None:
            raise NotPossible("the sandbox was started without --clock")
        self.offset = self._write(self._path, offset)

    @staticmethod
    def _write(path: Path, offset: float) -> float:
        files.replace(path, str(offset))
        return offset


@dataclass(frozen=True, slots=True)
class Control:
    """`identity` is what the sandbox said of itself when it started."""

    identity: Json
    workspace: Workspace
    people: People
    links: Links
    courier: Courier
    faults: Faults
    journal: Journal
    changes: Changes
    clock: Clock
    protected: Protected

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/", self._reading(self._status)),
            Route("/sandbox/journal", self._reading(self._journal_since)),
            Route("/sandbox/files/{file}", self._file),
            Route("/sandbox/people/{who}", self._reading(self._person)),
            Route("/sandbox/people/{who}/{what}", self._reading(self._seen)),
            Route("/sandbox/people/{who}/{act}", self._doing(self._act), methods=["POST"]),
            Route("/sandbox/person", self._doing(self._put_person), methods=["POST"]),
            Route("/sandbox/{what}", self._doing(self._misbehave), methods=["POST"]),
        ]

    # --- reading --------------------------------------------------------------------------

    def _status(self, _: Request) -> object:
        return {
            **self.identity,
            "journal": self.journal.last,
            "links": self.links.live(),
            "clock": self.clock.offset,
            "faults": [asdict(fault) for fault in self.faults.calls if fault.times != 0],
        }

    def _journal_since(self, request: Request) -> object:
        return self.journal.since(int(request.query_params.get("n", 0)))

    def _person(self, request: Request) -> object:
        return self._user(request).model_dump()

    def _seen(self, request: Request) -> object:
        user = self._user(request)
        match request.path_params["what"]:
            case "views":
                return self.people.views(user)
            case "home":
                return self.people.home(user)
            case "messages":
                where = request.query_params
                return self.people.messages(user, where.get("channel"), where.get("thread"))
            case "notices":
                return self.people.notices(user)
        raise NotPossible("there is views, home, messages and notices")

    # --- doing ----------------------------------------------------------------------------

    async def _act(self, request: Request, said: Json) -> object:
        user, people = self._user(request), self.people
        where = Place(said.get("view_id"), said.get("ts"), said.get("channel"))
        block_id, value = said.get("block_id"), said.get("value")
        text, query = str(said.get("text", "")), str(said.get("query", ""))
        acts: dict[str, Callable[[], object]] = {
            "command": lambda: people.command(user, said["command"], text, where.channel),
            "click": lambda: people.click(user, where, said["target"], value, block_id),
            "enter": lambda: people.enter(user, where, said["action_id"], value, block_id),
            "options": lambda: people.options(user, where, said["action_id"], query, block_id),
            "submit": lambda: people.submit(user, where.view_id),
            "close": lambda: people.close(
                user, where.view_id, everything=bool(said.get("everything"))
            ),
            "home": lambda: people.open_home(user, str(said.get("tab", "home"))),
            "shortcut": lambda: people.shortcut(user, said["callback_id"], where),
            "forge": lambda: people.forge(user, said),
            "post": lambda: people.post(user, where, text, broadcast=bool(said.get("broadcast"))),
            "upload": lambda: people.upload(user, where, said["file"]),
            "react": lambda: people.react(user, where, said["name"], added=said.get("added", True)),
            "join": lambda: people.join(user, said["channel"]),
            "leave": lambda: people.leave(user, said["channel"]),
            "invite": lambda: people.invite(user, said["channel"], said["whom"]),
            "remove": lambda: people.remove(user, said["channel"], said["whom"]),
        }
        act = acts.get(request.path_params["act"])
        if act is None:
            raise NotPossible("people do not do that here")
        done = act()
        return await done if isinstance(done, Awaitable) else done

    async def _put_person(self, request: Request, said: Json) -> object:
        self.people.put(said)
        return self._status(request)

    async def _misbehave(self, request: Request, said: Json) -> object:
        acts: dict[str, Callable[[], object]] = {
            "fault": lambda: self._fault(said),
            "clear-faults": self._behave,
            "give-up-events": self.courier.give_up,
            "duplicate": lambda: self._duplicate(int(said["times"])),
            "lag-history": lambda: self._lag(float(said["seconds"])),
            "disconnect": lambda: self.links.disconnect(
                str(said["reason"]), close_old=bool(said["close_old"])
            ),
            "deafen": lambda: self.links.deafen(said.get("link")),
            "take-down": self.protected.take_down,
            "bring-up": self.protected.bring_up,
            "advance": lambda: self.clock.advance(float(said["seconds"])),
            "advance-to": lambda: self.clock.advance_to(float(said["moment"])),
            "reset-clock": self.clock.reset,
        }
        act = acts.get(request.path_params["what"])
        if act is None:
            raise NotPossible("the sandbox cannot do that")
        done = act()
        if isinstance(done, Awaitable):
            await done
        self.changes.touch()
        return self._status(request)

    def _fault(self, said: Json) -> None:
        if said.get("kind") not in KINDS:
            raise NotPossible(f"the kinds of faults are {', '.join(KINDS)}")
        self.faults.calls.append(PlannedFault(**said))

    def _duplicate(self, times: int) -> None:
        self.faults.duplicates += times

    def _lag(self, seconds: float) -> None:
        self.workspace.history_lag = seconds

    async def _behave(self) -> None:
        self.faults.clear()
        self._lag(0.0)
        await self.protected.bring_up()

    async def _file(self, request: Request) -> Response:
        """Give the bytes of a file as Slack's own client would show them."""
        file = self.workspace.files.get(request.path_params["file"])
        if file is None or file.content is None:
            return _said({"refused": "there is no such file"}, 404)
        return Response(file.content, media_type=file.mimetype or "application/octet-stream")

    # --- plumbing -------------------------------------------------------------------------

    def _user(self, request: Request) -> User:
        return self.workspace.find_user(request.path_params["who"])

    def _reading(
        self, read: Callable[[Request], object]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                who = "who" in request.path_params
                place = self._user(request).id if who else ANYWHERE
                if since := request.query_params.get("since"):
                    seconds = float(request.query_params.get("wait", 0))
                    await self.changes.wait(place, int(since), seconds)
                changes = self.changes.count(place)
                return _said({"changes": changes, "value": read(request)})
            except NotPossible as refusal:
                return _said({"refused": str(refusal)}, 409)

        return answer

    def _doing(
        self, do: Callable[[Request, Json], Awaitable[object]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return _said({"value": await do(request, json.loads(await request.body() or "{}"))})
            except NotPossible as refusal:
                return _said({"refused": str(refusal)}, 409)
            except (KeyError, TypeError, ValueError) as fault:
                return _said({"refused": f"{type(fault).__name__}: {fault}"}, 400)

        return answer


def _said(body: object, status: int = 200) -> Response:
    return JSONResponse(body, status)
