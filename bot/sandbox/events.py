"""Events: what an app is told that it did not ask for, if its manifest subscribes to it and its
scopes allow it.
"""

from typing import Any

from bot.sandbox import limits, objects
from bot.sandbox.delivery import Courier
from bot.sandbox.payloads import Payloads
from bot.sandbox.workspace import Channel, Message, User, UserGroup, Workspace

__all__ = ["Events"]

Json = dict[str, Any]


class Events:
    def __init__(self, workspace: Workspace, payloads: Payloads, courier: Courier) -> None:
        self._workspace = workspace
        self._payloads = payloads
        self._courier = courier

    def wants(self, name: str) -> bool:
        """Whether the app subscribes to this, with a scope for it."""
        manifest, scopes = self._workspace.app.manifest, limits.EVENTS[name]
        return name in manifest.events and (not scopes or not manifest.scopes.isdisjoint(scopes))

    # --- messages -------------------------------------------------------------------------

    def posted(self, message: Message) -> None:
        shown = objects.message(self._workspace, message)
        self._in_channel(message, shown)
        if f"<@{self._workspace.app.user_id}>" in message.text:
            stamps = {"channel": message.channel, "event_ts": message.ts}
            self._tell("app_mention", shown | stamps | {"type": "app_mention"})

    def changed(self, message: Message, before: Json) -> None:
        now = objects.message(self._workspace, message)
        shown = {"message": now, "previous_message": before}
        self._in_channel(message, self._hidden("message_changed", **shown))

    def deleted(self, message: Message) -> None:
        before = objects.message(self._workspace, message)
        shown = {"previous_message": before, "deleted_ts": message.ts}
        self._in_channel(message, self._hidden("message_deleted", **shown))

    def reacted(self, message: Message, user: str, name: str, *, added: bool = True) -> None:
        kind = "reaction_added" if added else "reaction_removed"
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        author = {"item_user": message.user, "event_ts": self._workspace.next_ts()}
        if self._workspace.app_is_in(self._workspace.channels[message.channel]):
            self._tell(kind, {"user": user, "reaction": name, "item": item, **author})

    def _hidden(self, subtype: str, **shown: object) -> Json:
        return {"subtype": subtype, "hidden": True, "ts": self._workspace.next_ts(), **shown}

    def _in_channel(self, message: Message, shown: Json) -> None:
        channel = self._workspace.channels[message.channel]
        if message.only_for or not self._workspace.app_is_in(channel):
            return
        where = {"channel": channel.id, "channel_type": channel.kind.value}
        stamp = {"type": "message", "event_ts": shown["ts"]}
        self._tell(limits.MESSAGE_EVENTS[channel.kind], shown | where | stamp)

    # --- channels and people --------------------------------------------------------------

    def joined(self, user_id: str, channel: Channel, inviter: str = "") -> None:
        invited = {"inviter": inviter} if inviter else {}
        self._moved("member_joined_channel", user_id, channel, **invited)

    def left(self, user_id: str, channel: Channel) -> None:
        self._moved("member_left_channel", user_id, channel)

    def _moved(self, kind: str, user_id: str, channel: Channel, **more: str) -> None:
        if self._workspace.app_is_in(channel):
            initial = "C" if channel.id.startswith("C") else "G"
            team = self._workspace.team.id
            where = {"channel": channel.id, "channel_type": initial, "team": team}
            stamp = {"event_ts": self._workspace.next_ts()}
            self._tell(kind, {"user": user_id, **where, **more, **stamp})

    def person(self, user: User, kind: str) -> None:
        """Tell of a person who came (team_join) or changed (user_change)."""
        email = "users:read.email" in self._workspace.app.manifest.scopes
        shown = objects.user(self._workspace, user, email=email)
        self._tell(kind, {"user": shown, "event_ts": self._workspace.next_ts()})

    def group(self, group: UserGroup, kind: str) -> None:
        shown = objects.usergroup(self._workspace, group, users=True, count=True)
        self._tell(kind, {"subteam": shown, "event_ts": self._workspace.next_ts()})

    def group_members(self, group: UserGroup, before: set[str]) -> None:
        added, removed = sorted(set(group.users) - before), sorted(before - set(group.users))
        moved = {
            "subteam_id": group.id,
            "team_id": self._workspace.team.id,
            "added_users": added,
            "added_users_count": len(added),
            "removed_users": removed,
            "removed_users_count": len(removed),
        }
        stamp = {"event_ts": self._workspace.next_ts()}
        self._tell("subteam_members_changed", moved | stamp)

    def _tell(self, name: str, event: Json) -> None:
        if self.wants(name):
            kind = name.partition(".")[0]
            self._courier.announce(self._payloads.event({"type": kind, **event}))
