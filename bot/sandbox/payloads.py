"""What Slack sends an app: slash commands, interactions and events, field by field."""

import time
import uuid
from typing import Any

from bot.sandbox import elements, objects
from bot.sandbox.views import View, Views
from bot.sandbox.workspace import Channel, ConversationKind, Message, User, Workspace

__all__ = ["Payloads"]

Json = dict[str, Any]


class Payloads:
    def __init__(self, workspace: Workspace, views: Views) -> None:
        self._workspace = workspace
        self._views = views

    def command(
        self, user: User, channel: Channel, command: str, text: str, response_url: str
    ) -> Json:
        app, team = self._workspace.app, self._workspace.team
        return {
            "token": app.verification_token,
            "team_id": team.id,
            "team_domain": team.domain,
            "channel_id": channel.id,
            "channel_name": _shown_name(channel),
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": text,
            "api_app_id": app.id,
            "is_enterprise_install": "false",
            "response_url": response_url,
            "trigger_id": self._views.new_trigger(user.id),
        }

    def message_action(
        self,
        user: User,
        message: Message,
        action: Json,
        state: elements.State,
        response_url: str,
    ) -> Json:
        payload: Json = {
            **self._interaction("block_actions", user),
            **self._in_message(message),
            "trigger_id": self._views.new_trigger(user.id),
            "state": {"values": elements.state_values(state)},
            "response_url": response_url,
            "actions": [action],
        }
        if message.only_for:  # Slack does not repeat an ephemeral message
            del payload["message"]
        return payload

    def bare_action(self, user: User) -> Json:
        """A block_actions of nothing in particular, in the person's direct messages."""
        channel = self._workspace.dm(user)
        return {
            **self._interaction("block_actions", user),
            "container": {"type": "message", "message_ts": "", "channel_id": channel.id},
            "channel": {"id": channel.id, "name": _shown_name(channel)},
            "trigger_id": self._views.new_trigger(user.id),
            "state": {"values": {}},
            "response_url": "",
            "actions": [],
        }

    def view_action(self, user: User, view: View, action: Json) -> Json:
        shown = self._views.as_json(view)
        return {
            **self._interaction("block_actions", user),
            "container": {"type": "view", "view_id": view.id},
            "trigger_id": self._views.new_trigger(user.id, view.id),
            "view": shown,
            "state": shown["state"],
            "actions": [action],
        }

    def view_submission(self, user: User, view: View, response_urls: list[Json]) -> Json:
        return {
            **self._interaction("view_submission", user),
            "trigger_id": self._views.new_trigger(user.id, view.id),
            "view": self._views.as_json(view),
            "response_urls": response_urls,
        }

    def view_closed(self, user: User, view: View, *, cleared: bool) -> Json:
        return {
            **self._interaction("view_closed", user),
            "view": self._views.as_json(view),
            "is_cleared": cleared,
        }

    def suggestion(
        self, user: User, source: View | Message, placed: elements.Placed, query: str
    ) -> Json:
        block_id, action_id = placed.key
        if isinstance(source, View):
            where: Json = {
                "container": {"type": "view", "view_id": source.id},
                "view": self._views.as_json(source),
            }
        else:
            where = self._in_message(source)
        return {
            **self._interaction("block_suggestion", user),
            **where,
            "action_id": action_id,
            "block_id": block_id,
            "value": query,
        }

    def home_opened(self, user: User, channel: Channel, home: View | None, tab: str) -> Json:
        event = {
            "type": "app_home_opened",
            "user": user.id,
            "channel": channel.id,
            "tab": tab,
            "event_ts": self._workspace.next_ts(),
        }
        return self.event(event | ({"view": self._views.as_json(home)} if home else {}))

    def event(self, event: Json) -> Json:
        app, team = self._workspace.app, self._workspace.team
        return {
            "token": app.verification_token,
            "team_id": team.id,
            "api_app_id": app.id,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{uuid.uuid4().hex[:10].upper()}",
            "event_time": int(time.time()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": team.id,
                    "user_id": app.user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
        }

    def shortcut(self, user: User, callback_id: str) -> Json:
        return {
            **self._interaction("shortcut", user),
            "callback_id": callback_id,
            "trigger_id": self._views.new_trigger(user.id),
            "action_ts": self._workspace.next_ts(),
        }

    def message_shortcut(
        self, user: User, callback_id: str, message: Message, response_url: str
    ) -> Json:
        where = self._in_message(message)
        return {
            **self._interaction("message_action", user),
            "callback_id": callback_id,
            "trigger_id": self._views.new_trigger(user.id),
            "action_ts": self._workspace.next_ts(),
            "message_ts": message.ts,
            "channel": where["channel"],
            "message": where["message"],
            "response_url": response_url,
        }

    def _interaction(self, kind: str, user: User) -> Json:
        app, team = self._workspace.app, self._workspace.team
        return {
            "type": kind,
            "user": {
                "id": user.id,
                "username": user.name,
                "name": user.name,
                "team_id": objects.team_of(self._workspace, user),
            },
            "api_app_id": app.id,
            "token": app.verification_token,
            "team": {"id": team.id, "domain": team.domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _in_message(self, message: Message) -> Json:
        channel = self._workspace.channels[message.channel]
        return {
            "container": {
                "type": "message",
                "message_ts": message.ts,
                "channel_id": channel.id,
                "is_ephemeral": message.only_for is not None,
            },
            "channel": {"id": channel.id, "name": _shown_name(channel)},
            "message": objects.message(self._workspace, message),
        }


def _shown_name(channel: Channel) -> str:
    return (
        "privategroup"
        if channel.kind in {ConversationKind.PRIVATE, ConversationKind.GROUP_DM}
        else channel.name
    )
