"""The workspace: people, channels, messages. State and Slack's rules about it; no HTTP.

Time here is real time: timestamps, triggers and limits are Slack's, not the product's clock.
"""

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.sandbox import limits
from bot.sandbox.changes import Changes
from bot.sandbox.documents import (
    AppManifest,
    ChannelDocument,
    User,
    UserGroupDocument,
    WorkspaceDocument,
)
from bot.sandbox.errors import NotPossible, SlackError
from bot.sandbox.file import File

__all__ = ["App", "Channel", "ConversationKind", "Message", "User", "UserGroup", "Workspace"]

Json = dict[str, Any]


class ConversationKind(StrEnum):
    PUBLIC = "channel"
    PRIVATE = "group"
    DM = "im"
    GROUP_DM = "mpim"


@dataclass(slots=True)
class Message:
    """`only_for` is the one person who sees an ephemeral message.

    `broadcast` replies stand in the channel too. `reactions` are the people by emoji, `files` ids.
    """

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
    broadcast: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    kind: ConversationKind
    members: set[str]
    archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, list[str]] = field(default_factory=dict)  # ts of replies, by first message
    created: int = field(default_factory=lambda: int(time.time()))


@dataclass(slots=True)
class UserGroup:
    id: str
    name: str
    handle: str
    description: str = ""
    users: list[str] = field(default_factory=list)
    disabled: bool = False
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
    """`base` is the sandbox's own address."""

    def __init__(self, document: WorkspaceDocument, app: App, changes: Changes, base: str) -> None:
        self._changes = changes
        self.base = base
        self.files: dict[str, File] = {}
        self.team = document.team
        self.guide = document.guide
        self.app = app
        self.users = {user.id: user for user in document.users}
        self.users[app.user_id] = User(
            id=app.user_id, name=app.name.lower(), real_name=app.name, is_bot=True
        )
        self.channels = {channel.id: self._channel(channel) for channel in document.channels}
        self.usergroups = {group.id: self._usergroup(group) for group in document.usergroups}
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

    def put_user(self, user: User) -> None:
        """Add a person, or change one. Who leaves the workspace leaves its channels."""
        self.users[user.id] = user
        for channel in self.channels.values():
            if user.deleted and channel.kind in {ConversationKind.PUBLIC, ConversationKind.PRIVATE}:
                channel.members.discard(user.id)
        self._changes.touch(user.id)

    def new_usergroup(self, *, name: str, handle: str, description: str) -> UserGroup:
        group = UserGroup(f"S{secrets.token_hex(5).upper()}", name, handle, description)
        self.usergroups[group.id] = group
        return group

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
        if channel is None or (
            channel.kind is not ConversationKind.PUBLIC and not self.app_is_in(channel)
        ):
            raise SlackError("channel_not_found")
        return channel

    def app_is_in(self, channel: Channel) -> bool:
        return self.app.user_id in channel.members

    def dm(self, user: User) -> Channel:
        """The app's direct messages with a person, opened when first needed."""
        channel_id = f"D{user.id[1:]}"
        if channel_id not in self.channels:
            self.channels[channel_id] = Channel(
                channel_id, "directmessage", ConversationKind.DM, {user.id, self.app.user_id}
            )
        return self.channels[channel_id]

    def group_dm(self, users: list[User]) -> Channel:
        """The app's direct messages with several people, opened when first needed."""
        members = {self.app.user_id, *(user.id for user in users)}
        for channel in self.channels.values():
            if channel.kind is ConversationKind.GROUP_DM and channel.members == members:
                return channel
        handles = sorted(self.users[member].name for member in members)
        return self.new_channel(f"mpdm-{'--'.join(handles)}-1", ConversationKind.GROUP_DM, members)

    def new_channel(self, name: str, kind: ConversationKind, members: set[str]) -> Channel:
        channel = Channel(f"C{secrets.token_hex(5).upper()}", name, kind, members)
        self.channels[channel.id] = channel
        self.changed(channel)
        return channel

    def channels_of(self, user: User) -> list[Channel]:
        return [channel for channel in self.channels.values() if user.id in channel.members]

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
        return self._open_for_app(channel)

    def shared_channel(self, channel_id: str) -> Channel:
        """Where files go: as `destination`, but a person's id is none."""
        return self._open_for_app(self.channel(channel_id))

    def _open_for_app(self, channel: Channel) -> Channel:
        if channel.archived or (
            channel.kind is ConversationKind.DM and self.dm_partner(channel).deleted
        ):
            raise SlackError("is_archived")
        if not self.app_is_in(channel):
            raise SlackError("not_in_channel")
        if (
            channel.kind is ConversationKind.DM
            and not self.app.manifest.features.app_home.messages_tab_enabled
        ):
            raise SlackError("messages_tab_disabled")
        return channel

    def is_shared(self, channel: Channel) -> bool:
        """Tell whether people of another workspace are in it."""
        people = (self.users.get(member) for member in channel.members)
        return any(person.is_stranger for person in people if person)

    def rate_key(self, channel_id: str) -> str:
        """One person's DM is one channel, whichever of its two ids a call names."""
        return f"D{channel_id[1:]}" if channel_id in self.users else channel_id

    # --- messages -------------------------------------------------------------------------

    def next_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def post(
        self,
        channel: Channel,
        text: str,
        user: str | None = None,
        **more: Any,  # noqa: ANN401
    ) -> Message:
        """Add a message: the app's own, unless it is said to be a person's."""
        author = user or self.app.user_id
        message = Message(self.next_ts(), channel.id, author, text, **more)
        channel.messages[message.ts] = message
        if message.thread_ts:
            channel.threads.setdefault(message.thread_ts, []).append(message.ts)
        self.changed(channel)
        return message

    def changed(self, channel: Channel) -> None:
        for member in channel.members:
            self._changes.touch(member)

    def own_message(self, channel: Channel, ts: str, refusal: str) -> Message:
        """The app's own message, as chat.update and chat.delete find it: never an ephemeral one.

        `refusal` is the code for somebody else's.
        """
        message = channel.messages.get(ts)
        if message is None or message.only_for:
            raise SlackError("message_not_found")
        if message.user != self.app.user_id:
            raise SlackError(refusal)
        return message

    def thread(self, channel: Channel, ts: object) -> Message | None:
        """The message that a new one replies to; None when it names none."""
        if not ts:
            return None
        parent = channel.messages.get(str(ts))
        if parent is None or parent.only_for or parent.is_reply:
            raise SlackError("cannot_reply_to_message")
        return parent

    def replies(self, channel: Channel, ts: str) -> list[Message]:
        """A thread, oldest first, its first message before its replies; empty if there is none."""
        stamps = [ts, *channel.threads.get(ts, [])] if ts in channel.messages else []
        known = (channel.messages.get(stamp) for stamp in stamps)
        return [message for message in known if message and not message.only_for]

    def react(self, message: Message, user: str, name: str) -> None:
        self._need_emoji(name)
        if user in message.reactions.get(name, []):
            raise SlackError("already_reacted")
        if name not in message.reactions and len(message.reactions) >= limits.EMOJI_OF_ALL:
            raise SlackError("too_many_emoji")
        if sum(user in users for users in message.reactions.values()) >= limits.EMOJI_OF_ONE:
            raise SlackError("too_many_reactions")
        message.reactions.setdefault(name, []).append(user)
        self.changed(self.channels[message.channel])

    def unreact(self, message: Message, user: str, name: str) -> None:
        self._need_emoji(name)
        if user not in message.reactions.get(name, []):
            raise SlackError("no_reaction")
        message.reactions[name].remove(user)
        if not message.reactions[name]:
            del message.reactions[name]
        self.changed(self.channels[message.channel])

    @staticmethod
    def _need_emoji(name: str) -> None:
        if not re.fullmatch(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?", name):
            raise SlackError("invalid_name")

    def history(self, channel: Channel) -> Iterator[Message]:
        """Yield what conversations.history would, newest first."""
        newest = time.time() - self.history_lag
        for message in reversed(channel.messages.values()):
            hidden = message.only_for or (message.is_reply and not message.broadcast)
            if not hidden and float(message.ts) <= newest:
                yield message

    def seen_by(self, user: User, channel: Channel) -> Iterator[Message]:
        """Yield everything that stands there for a person, replies in threads too."""
        return (m for m in channel.messages.values() if m.only_for in {None, user.id})

    def _usergroup(self, document: UserGroupDocument) -> UserGroup:
        users = [self.find_user(name).id for name in document.members]
        about = (document.id, document.name, document.handle, document.description)
        return UserGroup(*about, users, document.is_disabled)

    def _channel(self, document: ChannelDocument) -> Channel:
        members = {
            self.app.user_id if name == "app" else self.find_user(name).id
            for name in document.members
        }
        kind = ConversationKind.PRIVATE if document.is_private else ConversationKind.PUBLIC
        return Channel(document.id, document.name, kind, members, document.is_archived)


def _digits(count: int) -> str:
    return "".join(str(secrets.randbelow(10)) for _ in range(count))
