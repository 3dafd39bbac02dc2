"""response_url: an address that answers one interaction, five times within half an hour."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.sandbox import limits, objects
from bot.sandbox.api import message_content
from bot.sandbox.errors import SlackError
from bot.sandbox.events import Events
from bot.sandbox.files import Files
from bot.sandbox.journal import Call, Journal
from bot.sandbox.workspace import Channel, Message, User, Workspace

__all__ = ["Responses"]

Json = dict[str, Any]


@dataclass(slots=True)
class _Address:
    user: User
    channel: Channel
    message: Message | None  # the one that holds what was used
    born: float
    uses: int = 0


class Responses:
    """`base` is the sandbox's own address."""

    def __init__(
        self, workspace: Workspace, files: Files, events: Events, journal: Journal, base: str
    ) -> None:
        self._workspace = workspace
        self._files = files
        self._events = events
        self._journal = journal
        self._base = base
        self._addresses: dict[str, _Address] = {}

    def new(self, user: User, channel: Channel, message: Message | None = None) -> str:
        name = secrets.token_urlsafe(16)
        self._addresses[name] = _Address(user, channel, message, time.monotonic())
        return f"{self._base}/response/{name}"

    async def answer(self, request: Request) -> Response:
        call = self._journal.call("response_url")
        try:
            call.arguments = json.loads(await request.body())
            self._respond(self._address(request.path_params["name"]), call.arguments)
        except ValueError:
            return self._said(call, "invalid_payload", 400)
        except SlackError as refusal:
            return self._said(call, refusal.code, 404 if refusal.code == "expired_url" else 400)
        call.done = True
        return self._said(call, "", 200)

    def _address(self, name: str) -> _Address:
        address = self._addresses.get(name)
        if address is None or time.monotonic() - address.born > limits.RESPONSE_URL_SECONDS:
            raise SlackError("expired_url")
        address.uses += 1
        if address.uses > limits.RESPONSE_URL_USES:
            raise SlackError("expired_url")
        return address

    def _respond(self, address: _Address, args: Json) -> None:
        channel, old = address.channel, address.message
        if args.get("delete_original") and old:
            if channel.messages.pop(old.ts, None):
                self._events.deleted(old)
        else:
            content = message_content(args, self._files)
            if args.get("replace_original") and old:
                before = objects.message(self._workspace, old)
                old.text, old.blocks = content["text"], content["blocks"]
                self._events.changed(old, before)
            else:
                aloud = args.get("response_type") == "in_channel"
                only_for = None if aloud else address.user.id
                parent = self._workspace.thread(channel, args.get("thread_ts"))
                thread_ts = parent.ts if parent else None
                said = self._workspace.post(
                    channel, **content, only_for=only_for, thread_ts=thread_ts
                )
                self._events.posted(said)
        self._workspace.changed(channel)

    def _said(self, call: Call, error: str, status: int) -> Response:
        call.error, call.status = error, status
        call.seconds = time.perf_counter() - call.at
        self._journal.touch()
        return PlainTextResponse(error or "ok", status)
