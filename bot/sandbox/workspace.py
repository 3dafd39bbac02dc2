"""The workspace: people, channels, messages. State and Slack's rules about it; no HTTP.

Time here is real time: timestamps, triggers and limits are Slack's, not the product's clock.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.sandbox.changes import Changes
from bot.sandbox.documents import AppManifest, ChannelDocument, User, WorkspaceDocument
from bot.sandbox.errors import NotPossible, SlackError

__all__ = ["App", "Channel", "Kind", "Message", "User", "Workspace"]

Json = dict[str, Any]


class Kind(StrEnum):
    PUBLIC = "channel"
    PRIVATE = "group"
    DM = "im"


@dataclass(slots=True)
class Message:
    """`only_for` is the one person who sees an ephemeral message."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    edited: str | None = None
    only_for: str | None = None


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    kind: Kind
    members: set[str]
    archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    created: int = field(default_factory=lambda: int(time.time()))


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

    @property
    def name(self) -> str:
        return self.manifest.features.bot_user.display_name


class Workspace:
    def __init__(self, document: WorkspaceDocument, app: App, changes: Changes) -> None:
        self._changes = changes
        self.team = document.team
        self.app = app
        self.users = {user.id: user for user in document.users}
        self.users[app.user_id] = User(
            id=app.user_id, name=app.name.lower(), real_name=app.name, is_bot=True
        )
        self.channels = {channel.id: self._channel(channel) for channel in document.channels}
        self.history_lag = 0.0  # seconds that conversations.history is behind
        self._last_ts = 0

    # --- people ---------------------------------------------------------------------------

    def find_user(self, who: str) -> User:
        """Find a person by id, handle or email, as a test names them."""
        wanted = who.lower()
        for user in self.users.values():
            if who == user.id or (wanted and wanted in (user.name.lower(), user.email.lower())):
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
            if wanted and user.email.lower() == wanted and not user.deleted and not user.is_bot:
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
        if channel is None or (channel.kind is not Kind.PUBLIC and not self.app_is_in(channel)):
            raise SlackError("channel_not_found")
        return channel

    def app_is_in(self, channel: Channel) -> bool:
        return self.app.user_id in channel.members

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
            if user.deleted or user.is_bot:
                raise SlackError("channel_not_found")
            channel = self.dm(user)
        else:
            channel = self.channel(channel_id)
        if channel.archived or (channel.kind is Kind.DM and self.dm_partner(channel).deleted):
            raise SlackError("is_archived")
        if not self.app_is_in(channel):
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

    def post(self, channel: Channel, text: str, **more: Any) -> Message:  # noqa: ANN401
        """Add a message of the app's."""
        message = Message(self.next_ts(), channel.id, self.app.user_id, text, **more)
        channel.messages[message.ts] = message
        self.changed(channel)
        return message

    def changed(self, channel: Channel) -> None:
        for member in channel.members:
            self._changes.touch(member)

    def own_message(self, channel: Channel, ts: str) -> Message:
        """The app's own message, as chat.update and chat.delete find it: never an ephemeral one."""
        message = channel.messages.get(ts)
        if message is None or message.only_for:
            raise SlackError("message_not_found")
        return message

    def history(self, channel: Channel) -> Iterator[Message]:
        """Yield what conversations.history would, newest first."""
        newest = time.time() - self.history_lag
        for message in reversed(channel.messages.values()):
            if message.only_for is None and float(message.ts) <= newest:
                yield message

    def seen_by(self, user: User, channel: Channel) -> Iterator[Message]:
        return (m for m in channel.messages.values() if m.only_for in {None, user.id})

    def _channel(self, document: ChannelDocument) -> Channel:
        members = {
            self.app.user_id if name == "app" else self.find_user(name).id
            for name in document.members
        }
        kind = Kind.PRIVATE if document.is_private else Kind.PUBLIC
        return Channel(document.id, document.name, kind, members, document.is_archived)


def _digits(count: int) -> str:
    return "".join(str(secrets.randbelow(10)) for _ in range(count))
