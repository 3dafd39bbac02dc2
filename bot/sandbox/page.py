"""The page: a workspace in the browser, for one person a window.

A window is told over a WebSocket what to show and when it changes; acting goes through the control
API. What a window needs and Slack's API has no word for stands here: what is unread, what is
typed but not yet sent, and the drawer with the sandbox's own state.
"""

import asyncio
import contextlib
import json
import mimetypes
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox import elements
from bot.sandbox.access import Access
from bot.sandbox.api import METHODS
from bot.sandbox.changes import ANYWHERE, Changes
from bot.sandbox.control import Clock
from bot.sandbox.errors import NotPossible
from bot.sandbox.faults import Faults
from bot.sandbox.journal import Journal
from bot.sandbox.people import People, Place
from bot.sandbox.protected import Protected
from bot.sandbox.sockets import Links
from bot.sandbox.standing import Ledger
from bot.sandbox.views import View, Views
from bot.sandbox.whom import actor, request_in
from bot.sandbox.workspace import Channel, ConversationKind, Message, User, Workspace

__all__ = ["Marks", "Page"]

Json = dict[str, Any]
Marks = dict[str, dict[str, str]]  # the ts up to which a person has read, by person and channel

_WEB = Path(__file__).with_name("web")
_WINDOW = 60  # messages that a window shows at first, and more each time that somebody scrolls on
_MOST = 180  # messages that it shows at once: what is far out of sight is left out again
_CALM = 0.03  # seconds in which changes are gathered before a window is told
_IDLE = 20.0
_ENTRIES = 300  # of the journal, in a drawer
_POLICY = (
    "default-src 'self'; img-src 'self' data: http: https:; style-src 'self' 'unsafe-inline';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Page:
    workspace: Workspace
    people: People
    views: Views
    links: Links
    faults: Faults
    journal: Journal
    changes: Changes
    clock: Clock
    access: Access
    standing: Ledger
    protected: Protected
    marks: Marks = field(default_factory=dict)
    dismissed: Counter[str] = field(default_factory=Counter)  # how many notices, by person

    def routes(self) -> list[Route | WebSocketRoute]:
        return [
            Route("/", self._file),
            Route("/web/{path:path}", self._file),
            WebSocketRoute("/page/live", self._live),
            Route("/page/journal/{n:int}", self._asked(self._entry)),
            Route("/page/standing", self._asked(self._stand)),
            Route("/page/{who}/hold", self._asked(self._hold), methods=["POST"]),
            Route("/page/{who}/session", self._asked(self._open), methods=["POST"]),
            Route("/page/{who}/session/{n:int}", self._asked(self._query), methods=["POST"]),
            Route("/page/{who}/session/{n:int}", self._asked(self._end), methods=["DELETE"]),
        ]

    async def _file(self, request: Request) -> Response:
        path = (_WEB / request.path_params.get("path", "index.html")).resolve()
        if not path.is_relative_to(_WEB) or not path.is_file():
            return PlainTextResponse("not found", 404)
        kind = mimetypes.guess_type(path.name)[0] or "text/plain"
        headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
        return FileResponse(path, media_type=kind, headers=headers)

    def _asked(
        self, answer: Callable[[Request], Awaitable[object]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                return JSONResponse(await answer(request))
            except NotPossible as refusal:
                return JSONResponse({"refused": str(refusal)}, 409)
            except (KeyError, TypeError, ValueError) as fault:
                said = f"{type(fault).__name__}: {fault}"
                return JSONResponse({"refused": said}, 400)

        return answered

    # --- typing ---------------------------------------------------------------------------

    async def _hold(self, request: Request) -> object:
        """Keep what is in a field, as Slack's client does until the view is sent."""
        user, said = self._user(request), await request.json()
        place = Place(said.get("view_id"), said.get("ts"), said.get("channel"))
        with contextlib.suppress(NotPossible):  # the field went away while somebody typed
            self.people.hold(user, place, said["action_id"], said["value"], said.get("block_id"))
        return {}

    # --- using the access -----------------------------------------------------------------

    async def _open(self, request: Request) -> object:
        return await self.access.open(self._user(request).id, await request.json())

    async def _query(self, request: Request) -> object:
        said = await request.json()
        return await self.access.query(
            self._user(request).id, request.path_params["n"], str(said["query"])
        )

    async def _end(self, request: Request) -> object:
        await self.access.close(self._user(request).id, request.path_params["n"])
        return {}

    # --- the drawer -----------------------------------------------------------------------

    async def _entry(self, request: Request) -> object:
        entry = self.journal.entry(request.path_params["n"])
        if entry is None:
            raise NotPossible("the journal has forgotten this")
        return asdict(entry)

    async def _stand(self, _: Request) -> object:
        return await asyncio.to_thread(self.standing.read)

    # --- live -----------------------------------------------------------------------------

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            window = _Window(self, self.workspace.find_user(socket.query_params["as"]), socket)
        except (NotPossible, KeyError):
            window = _Window(self, None, socket)
        listening = asyncio.create_task(window.listen())
        telling = asyncio.create_task(window.tell())
        await asyncio.wait((listening, telling), return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, telling):
            task.cancel()
        gone = (asyncio.CancelledError, WebSocketDisconnect, RuntimeError)
        for task in (listening, telling):
            with contextlib.suppress(*gone):
                await task

    def _user(self, request: Request) -> User:
        return self.workspace.find_user(request.path_params["who"])

    # --- what is shown --------------------------------------------------------------------

    def company(self) -> Json:
        workspace = self.workspace
        manifest = workspace.app.manifest
        return {
            "team": workspace.team.model_dump(),
            "app": {
                "id": workspace.app.user_id,
                "name": workspace.app.name,
                "about": manifest.display_information.description,
                "home": manifest.features.app_home.home_tab_enabled,
                "commands": [c.model_dump() for c in manifest.features.slash_commands],
                "shortcuts": [s.model_dump() for s in manifest.features.shortcuts],
            },
            "people": [user.model_dump() for user in workspace.users.values()],
            "groups": [{"id": g.id, "handle": g.handle} for g in workspace.usergroups.values()],
            "channels": [
                {"id": c.id, "name": c.name, "private": c.kind is not ConversationKind.PUBLIC}
                for c in workspace.channels.values()
                if c.kind is not ConversationKind.DM
            ],
            "guide": [
                {"who": workspace.find_user(hint.who).id, "does": hint.does}
                for hint in workspace.guide
            ],
            "methods": sorted(METHODS),
        }

    def screen(self, user: User) -> Json:
        home = self.views.homes.get(user.id)
        mine = self.workspace.channels_of(user)
        dm = self.workspace.dm(user)
        return {
            "channels": [self._channel(user, one) for one in mine if one is not dm],
            "open": [
                {"id": c.id, "name": c.name}
                for c in self.workspace.channels.values()
                if user.may_join
                and c.kind is ConversationKind.PUBLIC
                and not c.archived
                and user.id not in c.members
            ],
            "dm": self._channel(user, dm),
            "views": [self._view(view) for view in self.views.stack(user.id)],
            "home": self._view(home) if home else None,
            "notices": self.people.notices(user)[self.dismissed[user.id] :],
            "sessions": self.access.sessions(user.id),
        }

    def sandbox(self) -> Json:
        return {
            "clock": self.clock.offset,
            "links": self.links.live(),
            "faults": [asdict(fault) for fault in self.faults.calls if fault.times != 0],
            "duplicates": self.faults.duplicates,
            "lag": self.workspace.history_lag,
            "postgresql": {"known": self.protected.known, "away": self.protected.away},
        }

    def _channel(self, user: User, channel: Channel) -> Json:
        read = self.marks.get(user.id, {}).get(channel.id, "")
        unread, last = 0, ""
        for message in reversed(channel.messages.values()):
            if message.only_for not in {None, user.id} or not _in_channel(message):
                continue
            last = last or message.ts
            if message.ts <= read:
                break
            unread += message.user != user.id
        return {
            "id": channel.id,
            "name": channel.name,
            "kind": channel.kind,
            "archived": channel.archived,
            "members": sorted(channel.members),
            "read": read,
            "unread": unread,
            "last": last,
        }

    def _view(self, view: View) -> Json:
        return {**self.views.as_json(view), "errors": view.errors, "banner": view.banner}

    def mark(self, user: User, channel: str, ts: str) -> None:
        marks = self.marks.setdefault(user.id, {})
        if ts > marks.get(channel, ""):
            marks[channel] = ts
            self.changes.touch(user.id)

    def dismiss(self, user: User) -> None:
        self.dismissed[user.id] = len(self.people.notices(user))
        self.changes.touch(user.id)

    def message(self, message: Message, user: User, threads: dict[str, list[Message]]) -> Json:
        replies = threads.get(message.ts, [])
        return {
            "ts": message.ts,
            "channel": message.channel,
            "user": message.user,
            "text": message.text,
            "blocks": message.blocks,
            "attachments": message.attachments,
            "edited": bool(message.edited),
            "thread_ts": message.thread_ts,
            "private": message.only_for is not None,
            "reactions": message.reactions,
            "files": [self._shown_file(name) for name in message.files],
            "state": elements.state_values(self.people.entered(user, message)),
            "replies": len(replies),
            "last_reply": replies[-1].ts if replies else "",
            "repliers": list(dict.fromkeys(reply.user for reply in replies))[:5],
        }

    def _shown_file(self, name: str) -> Json:
        file = self.workspace.files.get(name)
        if file is None:
            return {"id": name, "title": name, "mimetype": "", "size": 0, "alt": ""}
        return {
            "id": file.id,
            "title": file.title,
            "mimetype": file.mimetype,
            "size": file.size,
            "alt": file.alt,
        }


class _Window:
    """What one browser window has been shown; it is told only of differences."""

    def __init__(self, page: Page, user: User | None, socket: WebSocket) -> None:
        self._page = page
        self._user = user
        self._socket = socket
        self._telling = asyncio.Lock()
        self._parts: dict[str, str] = {}
        self._lists: dict[str, _List] = {}
        self._follows = False  # is told of each change of anything
        self._journal = -1  # the newest entry that was shown; negative: nobody looks
        self._waiting: set[int] = set()  # entries that were shown without their answer

    async def listen(self) -> None:
        while True:
            said = json.loads(await self._socket.receive_text())
            if self._user and "read" in said:
                self._page.mark(self._user, said["read"], said["ts"])
            if self._user and "dismiss" in said:
                self._page.dismiss(self._user)
            for name in ("messages", "thread"):
                if name in said:
                    self._look(name, said[name])
            if "changes" in said:
                self._follows = bool(said["changes"])
            if "journal" in said:
                self._journal = 0 if said["journal"] else -1
                self._waiting.clear()
            await self._push()

    async def tell(self) -> None:
        while True:
            seen = self._page.changes.count(ANYWHERE)
            await self._push()
            await asyncio.sleep(_CALM)
            await self._page.changes.wait(ANYWHERE, seen, _IDLE)

    def _look(self, name: str, where: Json | None) -> None:
        if where is None:
            self._lists.pop(name, None)
            return
        known = self._lists.get(name)
        if known and (known.channel, known.thread) == (where["channel"], where.get("thread")):
            known.way = where.get("way", "")
        else:
            self._lists[name] = _List(where["channel"], where.get("thread"))

    async def _push(self) -> None:
        async with self._telling:
            await self._part("company", self._page.company())
            await self._part("sandbox", self._page.sandbox())
            if self._user:
                await self._part("screen", self._page.screen(self._user))
                for name, shown in list(self._lists.items()):
                    await self._list(name, shown, self._user)
            if self._journal >= 0:
                await self._entries()
            if self._follows:
                await self._part("changes", self._page.changes.count(ANYWHERE))

    async def _part(self, name: str, value: object) -> None:
        said = json.dumps(value, ensure_ascii=False)
        if self._parts.get(name) != said:
            self._parts[name] = said
            await self._socket.send_text(f'{{"part": "{name}", "value": {said}}}')

    async def _list(self, name: str, shown: "_List", user: User) -> None:
        page = self._page
        channel = page.workspace.channels.get(shown.channel)
        if channel is None or user.id not in channel.members:
            return
        threads: dict[str, list[Message]] = {}
        there: list[Message] = []
        for message in page.workspace.seen_by(user, channel):
            if message.thread_ts:
                threads.setdefault(message.thread_ts, []).append(message)
            if shown.holds(message):
                there.append(message)
        window = shown.window([m.ts for m in there])
        now = {
            m.ts: json.dumps(page.message(m, user, threads), ensure_ascii=False)
            for m in there[window]
        }
        changed = [said for ts, said in now.items() if shown.told.get(ts) != said]
        gone = [ts for ts in shown.told if ts not in now]
        beyond = {"older": window.start, "newer": len(there) - window.stop}
        if changed or gone or shown.beyond != beyond:
            shown.told, shown.beyond = now, beyond
            where = {"channel": shown.channel, "thread": shown.thread, "gone": gone, **beyond}
            await self._socket.send_text(
                f'{{"part": "{name}", "where": {json.dumps(where)},'
                f' "changed": [{", ".join(changed)}]}}'
            )

    async def _entries(self) -> None:
        first = max(self._journal, self._page.journal.last - _ENTRIES)
        fresh = self._page.journal.newest(first)
        late = [e for n in sorted(self._waiting) if (e := self._page.journal.entry(n))]
        told = [_summary(entry) for entry in (*late, *fresh)]
        self._journal = self._page.journal.last
        self._waiting = {e["n"] for e in told if e["seconds"] is None and not e["over"]}
        told = [e for e in told if e["n"] > first or e["seconds"] is not None or e["over"]]
        if told:
            await self._socket.send_text(json.dumps({"part": "journal", "value": told}))


@dataclass(slots=True)
class _List:
    """A channel or a thread as a window shows it: `count` messages up to `until`.

    Without `until` they are the newest, whatever comes. `way` is where somebody wants to go on:
    older, newer or newest.
    """

    channel: str
    thread: str | None = None
    count: int = _WINDOW
    until: str | None = None
    way: str = ""
    told: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, int] | None = None

    def window(self, stamps: list[str]) -> slice:
        """Go where somebody wants to, and return which of all messages to show."""
        end = len(stamps) if self.until is None else bisect_right(stamps, self.until)
        first = max(0, end - self.count)
        if self.way == "older":
            first = max(0, first - _WINDOW)
            end = min(end, first + _MOST)
        elif self.way == "newer":
            end = min(len(stamps), end + _WINDOW)
            first = max(first, end - _MOST)
        elif self.way == "newest":
            end = len(stamps)
            first = max(0, end - _WINDOW)
        if self.way:
            self.way, self.count = "", max(_WINDOW, end - first)
            self.until = None if end == len(stamps) else stamps[end - 1]
        return slice(first, end)

    def holds(self, message: Message) -> bool:
        if self.thread:
            return self.thread in {message.ts, message.thread_ts}
        return _in_channel(message)


def _in_channel(message: Message) -> bool:
    return message.broadcast or not message.is_reply


def _summary(entry: Any) -> Json:  # noqa: ANN401  (a call or a delivery)
    out = {"n": entry.n, "kind": entry.kind, "time": entry.time, "seconds": entry.seconds}
    if entry.kind == "call":
        over = entry.status is not None or bool(entry.fault)
        about = {"what": entry.method, "error": entry.error, "rule": entry.rule}
        concerns = {"whom": entry.whom, "request": request_in(entry.arguments)}
        return out | about | concerns | {"over": over, "status": entry.status, "fault": entry.fault}
    failed = "" if entry.outcome in {"acked", "waiting"} else entry.outcome
    about = {"what": entry.what, "error": entry.refused or failed, "rule": ""}
    about |= {"whom": actor(entry.payload), "request": request_in(entry.payload)}
    return out | about | {"over": entry.outcome != "waiting", "status": None, "retry": entry.retry}
