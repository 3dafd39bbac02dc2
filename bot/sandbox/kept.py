"""Keeps the workspace in a file, so that a second start finds what was said: channels, messages,
files, Home tabs, people, and how far everybody has read. What is short-lived at Slack is not kept:
open modals, triggers, response addresses, the journal.
"""

import asyncio
import base64
import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bot.sandbox import elements
from bot.sandbox.changes import ANYWHERE, Changes
from bot.sandbox.documents import User
from bot.sandbox.file import File
from bot.sandbox.page import Marks
from bot.sandbox.views import View, Views
from bot.sandbox.workspace import Channel, ConversationKind, Message, UserGroup, Workspace
from storage import files

__all__ = ["Kept"]

Json = dict[str, Any]
_PAUSE = 1.0  # seconds between two writings, at least; more where writing takes long


@dataclass(slots=True)
class Kept:
    file: Path
    workspace: Workspace
    views: Views
    marks: Marks
    changes: Changes

    def load(self) -> None:
        if not self.file.exists():
            return
        found = json.loads(self.file.read_text("utf-8"))
        workspace = self.workspace
        for user in found["users"]:
            workspace.users[user["id"]] = User.model_validate(user)
        for group in found["groups"]:
            workspace.usergroups[group["id"]] = UserGroup(**group)
        for file in found["files"]:
            content = file.pop("content")
            decoded = None if content is None else base64.b64decode(content)
            done = file.pop("completed")
            # Its moment is on a clock that a restart has set anew; it was long ago.
            completed = None if done is None else time.monotonic() - 60
            workspace.files[file["id"]] = File(**file, content=decoded, completed=completed)
        for channel in found["channels"]:
            messages = {m["ts"]: Message(**m) for m in channel.pop("messages")}
            kind, members = ConversationKind(channel.pop("kind")), set(channel.pop("members"))
            known = Channel(**channel, kind=kind, members=members, messages=messages)
            workspace.channels[known.id] = known
        for home in found["homes"]:
            state = elements.initial_state(home["blocks"])
            self.views.homes[home["user"]] = View(**home, previous=None, state=state)
        self.marks.update(found["read"])

    async def keep(self) -> None:
        """Write whenever something has changed, until cancelled."""
        seen = -1
        while True:
            await self.changes.wait(ANYWHERE, seen, 3600)
            seen = self.changes.count(ANYWHERE)
            begun = time.perf_counter()
            self.save()
            await asyncio.sleep(max(_PAUSE, 10 * (time.perf_counter() - begun)))

    def save(self) -> None:
        files.replace(self.file, json.dumps(self._all(), ensure_ascii=False))

    def _all(self) -> Json:
        workspace = self.workspace
        app = workspace.app.user_id
        return {
            "users": [u.model_dump() for u in workspace.users.values() if u.id != app],
            "groups": [_flat(group) for group in workspace.usergroups.values()],
            "files": [
                _flat(file) | {"content": base64.b64encode(file.content or b"").decode()}
                for file in workspace.files.values()
            ],
            "channels": [
                _flat(channel)
                | {"members": sorted(channel.members)}
                | {"messages": [_flat(message) for message in channel.messages.values()]}
                for channel in workspace.channels.values()
            ],
            "homes": [
                {
                    key: getattr(home, key)
                    for key in ("id", "user", "body", "blocks", "root", "hash")
                }
                for home in self.views.homes.values()
            ],
            "read": self.marks,
        }


def _flat(thing: Any) -> Json:  # noqa: ANN401  (any dataclass)
    return {one.name: getattr(thing, one.name) for one in fields(thing)}
