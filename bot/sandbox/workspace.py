"""The workspace: people, channels, messages, files. State and Slack's rules about it; no HTTP.

Time here is real time: timestamps, triggers and limits are Slack's, not the sandbox's clock.
"""

import itertools
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.sandbox.documents import AppManifest, ChannelDocument, UserDocument, WorkspaceDocument
from bot.sandbox.errors import NotPossible, SlackError

__all__ = ["App", "Channel", "File", "Kind", "Message", "User", "Usergroup", "Workspace"]

Json = dict[str, Any]


class Kind(StrEnum):
    PUBLIC = "channel"
    PRIVATE = "group"
    DM = "im"


@dataclass(slots=True)
class User:
    id: str
    handle: str
    name: str
    email: str
    title: str
    tz: str
    restricted: bool = False
    ultra_restricted: bool = False
    deleted: bool = False
    bot: bool = False
    email_confirmed: bool = True
    stranger: bool = False
    updated: int = field(default_factory=lambda: int(time.time()))


@dataclass(slots=True)
class Message:
    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    by_app: bool = False
    edited: str | None = None
    only_for: str | None = None  # an ephemeral message is seen by this one person
    files: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    kind: Kind
    members: set[str]
    archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    created: int = field(default_factory=lambda: int(time.time()))


@dataclass(slots=True)
class Usergroup:
    id: str
    handle: str
    name: str
    users: list[str]
    disabled: bool = False


@dataclass(slots=True)
class File:
    id: str
    name: str
    length: int
    content: bytes | None = None
    complete: bool = False
    deleted: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class App:
    manifest: AppManifest
    id: str = "A0SANDBOX"
    bot_id: str = "B0SANDBOX"
    user_id: str = "U0SANDBOX"
    bot_token: str = field(default_factory=lambda: f"xoxb-{_digits(12)}-{secrets.token_hex(12)}")
    app_token: str = field(
        default_factory=lambda: f"xapp-1-A0SANDBOX-{_digits(13)}-{secrets.token_hex(32)}"
    )
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    verification_token: str = field(default_factory=lambda: secrets.token_hex(12))


class Workspace:
    def __init__(self, document: WorkspaceDocument, app: App) -> None:
        self.team = document.team
        self.app = app
        self.users = {u.id: _user(u) for u in document.users}
        self.users[app.user_id] = User(
            id=app.user_id,
            handle=app.manifest.features.bot_user.display_name.lower(),
            name=app.manifest.features.bot_user.display_name,
            email="",
            title="",
            tz="Etc/UTC",
            bot=True,
        )
        self.channels = {c.id: self._channel(c) for c in document.channels}
        self.usergroups = {
            g.id: Usergroup(
                g.id, g.handle, g.name or g.handle, [self.find_user(u).id for u in g.users],
                g.disabled,
            )
            for g in document.usergroups
        }
        self.files: dict[str, File] = {}
        self.history_lag = 0.0  # seconds that conversations.history is behind
        self._last_ts = 0
        self._file_numbers = itertools.count(1)

    # --- people ---------------------------------------------------------------------------

    def find_user(self, who: str) -> User:
        """Find a person by id, handle or email, as a test names them."""
        for user in self.users.values():
            if who == user.id or who.lower() in {user.handle.lower(), user.email.lower() or None}:
                return user
        raise NotPossible(f"nobody here is called {who!r}")

    def user(self, user_id: str) -> User:
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def user_by_email(self, email: str) -> User:
        """Find as users.lookupByEmail does: without case, never a deactivated person or a bot."""
        wanted = email.lower()
        for user in self.users.values():
            if wanted and user.email.lower() == wanted and not user.deleted and not user.bot:
                return user
        raise SlackError("users_not_found")

    # --- conversations --------------------------------------------------------------------

    def find_channel(self, name: str) -> Channel:
        """Find a channel by id or name, as a test names it."""
        for channel in self.channels.values():
            if name.lstrip("#") in {channel.id, channel.name}:
                return channel
        raise NotPossible(f"there is no channel {name!r}")

    def channel(self, channel_id: str) -> Channel:
        """The channel as the app may know it: private ones only from inside."""
        channel = self.channels.get(channel_id)
        if channel is None:
            raise SlackError("channel_not_found")
        if channel.kind is not Kind.PUBLIC and self.app.user_id not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    def dm(self, user: User) -> Channel:
        """The app's direct messages with a person, opened when first needed."""
        channel_id = f"D{user.id[1:]}"
        if channel_id not in self.channels:
            self.channels[channel_id] = Channel(
                channel_id, "directmessage", Kind.DM, {user.id, self.app.user_id}
            )
        return self.channels[channel_id]

    def dm_partner(self, channel: Channel) -> User:
        return self.users[next(iter(channel.members - {self.app.user_id}))]

    def destination(self, channel_id: str) -> Channel:
        """Where chat.* posts: a channel that the app is in, or a person, meaning their DM."""
        if channel_id in self.users:
            user = self.users[channel_id]
            if user.deleted or user.bot:
                raise SlackError("channel_not_found")
            channel = self.dm(user)
        else:
            channel = self.channel(channel_id)
        if channel.archived or (channel.kind is Kind.DM and self.dm_partner(channel).deleted):
            raise SlackError("is_archived")
        if self.app.user_id not in channel.members:
            raise SlackError("not_in_channel")
        if channel.kind is Kind.DM and not self.app.manifest.features.app_home.messages_tab_enabled:
            raise SlackError("messages_tab_disabled")
        return channel

    def rate_key(self, channel_id: str) -> str:
        """One person's DM is one channel, whichever of its two ids a call names."""
        return f"D{channel_id[1:]}" if channel_id in self.users else channel_id

    # --- messages -------------------------------------------------------------------------

    def next_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def post(self, message: Message) -> Message:
        self.channels[message.channel].messages[message.ts] = message
        return message

    def own_message(self, channel: Channel, ts: str, refusal: str) -> Message:
        """The app's own message, or the refusal that the method has for another's."""
        message = channel.messages.get(ts)
        if message is None or message.only_for:
            raise SlackError("message_not_found")
        if not message.by_app:
            raise SlackError(refusal)
        return message

    def history(self, channel: Channel) -> Iterator[Message]:
        """Yield what conversations.history would, newest first."""
        newest = time.time() - self.history_lag
        for message in reversed(channel.messages.values()):
            if message.only_for is None and float(message.ts) <= newest:
                yield message

    def seen_by(self, user: User, channel: Channel) -> list[Message]:
        return [m for m in channel.messages.values() if m.only_for in {None, user.id}]

    # --- files ----------------------------------------------------------------------------

    def new_file(self, name: str, length: int) -> File:
        file = File(f"F0SANDBOX{next(self._file_numbers):04d}", name, length)
        self.files[file.id] = file
        return file

    def file(self, file_id: str) -> File:
        file = self.files.get(file_id)
        if file is None:
            raise SlackError("file_not_found")
        if file.deleted:
            raise SlackError("file_deleted")
        return file

    def missing_files(self, node: object) -> Iterator[str]:
        """Yield the ids of slack_file images that no finished upload backs."""
        if isinstance(node, dict):
            if isinstance(named := node.get("slack_file"), dict) and "id" in named:
                file = self.files.get(named["id"])
                if file is None or not file.complete or file.deleted:
                    yield named["id"]
            for value in node.values():
                yield from self.missing_files(value)
        elif isinstance(node, list):
            for item in node:
                yield from self.missing_files(item)

    def _channel(self, document: ChannelDocument) -> Channel:
        people: Iterable[str] = (
            (u.id for u in self.users.values() if not u.bot and not u.deleted)
            if document.members == "all"
            else (self.find_user(m).id for m in document.members)
        )
        members = set(people) | ({self.app.user_id} if document.bot else set())
        kind = Kind.PRIVATE if document.private else Kind.PUBLIC
        return Channel(document.id, document.name, kind, members, document.archived)


def _user(document: UserDocument) -> User:
    return User(**document.model_dump())


def _digits(count: int) -> str:
    return "".join(str(secrets.randbelow(10)) for _ in range(count))
