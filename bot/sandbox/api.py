"""The Web API's methods: one table that says what each needs, and one function for each effect.

Who calls, how often and with which bytes is the gateway's business; by the time a function here
runs, its required arguments are there.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from bot.sandbox import blocks as block_kit
from bot.sandbox import limits, objects
from bot.sandbox.errors import SlackError
from bot.sandbox.views import Views
from bot.sandbox.workspace import Kind, User, Workspace

__all__ = ["METHODS", "Method", "Site", "message_content"]

Json = dict[str, Any]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Site:
    """What the methods act on. `new_link` makes a one-use Socket Mode address."""

    workspace: Workspace
    views: Views
    new_link: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Method:
    """`scopes` are alternatives. `form_only` methods do not see a JSON body, as at Slack.

    `caller` is whose token it takes: the bot's, the app's own, or none at all.
    """

    run: Callable[[Site, Json], Json]
    tier: str
    required: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    caller: Literal["bot", "app", "anyone"] = "bot"
    per_channel: bool = False
    form_only: bool = False


# --- who am I, and links ----------------------------------------------------------------------


def _api_test(_: Site, args: Json) -> Json:
    if "error" in args:
        raise SlackError(str(args["error"]))
    return {"args": args}


def _auth_test(site: Site, _: Json) -> Json:
    team, app = site.workspace.team, site.workspace.app
    return {
        "url": f"https://{team.domain}.slack.com/",
        "team": team.name,
        "user": site.workspace.users[app.user_id].name,
        "team_id": team.id,
        "user_id": app.user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def _connections_open(site: Site, _: Json) -> Json:
    return {"url": site.new_link()}


# --- views ------------------------------------------------------------------------------------


def _views_open(site: Site, args: Json) -> Json:
    view = site.views.open(site.views.trigger(_trigger_argument(args)), _view_argument(args))
    return {"view": site.views.as_json(view)}


def _views_push(site: Site, args: Json) -> Json:
    view = site.views.push(site.views.trigger(_trigger_argument(args)), _view_argument(args))
    return {"view": site.views.as_json(view)}


def _views_update(site: Site, args: Json) -> Json:
    _need_one_of(args, "view_id", "external_id")
    view = site.views.update(
        _view_argument(args),
        view_id=str(args.get("view_id", "")),
        external_id=str(args.get("external_id", "")),
        expected_hash=str(args.get("hash") or ""),
    )
    return {"view": site.views.as_json(view)}


def _views_publish(site: Site, args: Json) -> Json:
    if not site.workspace.app.manifest.features.app_home.home_tab_enabled:
        raise SlackError("not_enabled")
    user = site.workspace.users.get(str(args["user_id"]))
    if user is None or user.is_bot:
        raise SlackError("invalid_arguments", ["[ERROR] user_id is invalid"])
    view = site.views.publish(user.id, _view_argument(args), str(args.get("hash") or ""))
    return {"view": site.views.as_json(view)}


def _trigger_argument(args: Json) -> object:
    _need_one_of(args, "trigger_id", "interactivity_pointer")
    return args.get("trigger_id") or args.get("interactivity_pointer")


def _view_argument(args: Json) -> object:
    return _decoded(args["view"], "invalid_arguments")


# --- messages ---------------------------------------------------------------------------------


def _post_message(site: Site, args: Json) -> Json:
    content, metadata = message_content(args), _metadata(args)
    channel = site.workspace.destination(str(args["channel"]))
    content["text"] = content["text"][: limits.MESSAGE_TEXT]
    message = site.workspace.post(
        channel, **content, metadata=metadata, thread_ts=args.get("thread_ts")
    )
    shown = objects.message(site.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def _post_ephemeral(site: Site, args: Json) -> Json:
    content = message_content(args)
    _refuse_long_text(content["text"])
    channel = site.workspace.destination(str(args["channel"]))
    user = str(args["user"])
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    return {"message_ts": site.workspace.post(channel, **content, only_for=user).ts}


def _update_message(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    message = site.workspace.own_message(channel, str(args["ts"]))
    content, metadata = message_content(args), _metadata(args)
    _refuse_long_text(content["text"])
    # Only the text is lost when a call does not name it: "previous blocks will be retained".
    message.text = content["text"]
    if "blocks" in args:
        message.blocks = content["blocks"]
    if "attachments" in args:
        message.attachments = content["attachments"]
    if "metadata" in args:
        message.metadata = metadata
    message.edited = site.workspace.next_ts()
    site.workspace.changed(channel)
    shown = objects.message(site.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def _delete_message(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    message = site.workspace.own_message(channel, str(args["ts"]))
    del channel.messages[message.ts]
    site.workspace.changed(channel)
    return {"channel": channel.id, "ts": message.ts}


def message_content(args: Json) -> Json:
    """Read and judge the text, blocks and attachments of a message."""
    text = str(args.get("text") or "")
    markdown = str(args.get("markdown_text") or "")
    blocks = _decoded(args.get("blocks") or [], "invalid_blocks_format")
    attachments = _decoded(args.get("attachments") or [], "invalid_attachments")
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    if len(attachments) > limits.ATTACHMENTS:
        raise SlackError("too_many_attachments")
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if not (text.strip() or markdown or blocks or attachments):
        raise SlackError("no_text")
    if faults := block_kit.judge_blocks(blocks, "message"):
        raise SlackError("invalid_blocks", [f"[ERROR] {fault}" for fault in faults])
    if sum(map(len, block_kit.texts(blocks))) > limits.BLOCKS_TEXT:
        raise SlackError("msg_blocks_too_long")
    return {
        "text": text or markdown,
        "blocks": block_kit.completed(blocks),
        "attachments": attachments,
    }


def _refuse_long_text(text: str) -> None:
    if len(text) > limits.SHORT_TEXT:
        raise SlackError("msg_too_long")


def _metadata(args: Json) -> Json | None:
    """Read `metadata`; an empty object takes it away."""
    if not args.get("metadata"):
        return None
    metadata = _decoded(args["metadata"], "invalid_metadata_format")
    if metadata == {}:
        return None
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise SlackError("invalid_metadata_format")
    event_type, payload = metadata["event_type"], metadata["event_payload"]
    if not isinstance(event_type, str) or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_format")
    if not re.match(limits.METADATA_EVENT_TYPE, event_type):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(metadata).encode()) > limits.METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata


# --- conversations ----------------------------------------------------------------------------


def _conversations_open(site: Site, args: Json) -> Json:
    if "channel" in args:
        channel = site.workspace.channel(str(args["channel"]))
        if channel.kind is not Kind.DM:
            raise SlackError("method_not_supported_for_channel_type")
    else:
        channel = site.workspace.dm(_only_user(site, args))
    if _flag(args.get("return_im")):
        return {"channel": objects.channel(site.workspace, channel)}
    return {"channel": {"id": channel.id}}


def _only_user(site: Site, args: Json) -> User:
    names = [name for name in _list(args.get("users")) if name]
    if not names:
        raise SlackError("users_list_not_supplied")
    if len(names) > limits.OPEN_USERS:
        raise SlackError("too_many_users")
    users = [site.workspace.user(name) for name in names]
    if any(user.deleted for user in users):
        raise SlackError("user_disabled")
    if any(user.is_bot for user in users):
        raise SlackError("cannot_dm_bot")
    if len(users) > 1:
        raise _missing_scope(site, "mpim:write")
    return users[0]


_HISTORY_SCOPES = {
    Kind.PUBLIC: "channels:history",
    Kind.PRIVATE: "groups:history",
    Kind.DM: "im:history",
}
_READ_SCOPES = {Kind.PUBLIC: "channels:read", Kind.PRIVATE: "groups:read", Kind.DM: "im:read"}


def _history(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    _need_scope(site, _HISTORY_SCOPES[channel.kind])
    if not site.workspace.app_is_in(channel):
        raise SlackError("not_in_channel")
    oldest = _timestamp(args.get("oldest"), "invalid_ts_oldest", 0.0)
    latest = _timestamp(args.get("latest"), "invalid_ts_latest", float("inf"))
    inclusive = _flag(args.get("inclusive"))

    def within(ts: float) -> bool:
        return oldest < ts < latest or (inclusive and ts in {oldest, latest})

    chosen = [m for m in site.workspace.history(channel) if within(float(m.ts))]
    page, cursor = _page(chosen, args, default=100)
    metadata = _flag(args.get("include_all_metadata"))
    return {
        "messages": [objects.message(site.workspace, m, metadata=metadata) for m in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def _conversations_info(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    _need_scope(site, _READ_SCOPES[channel.kind])
    return {"channel": objects.channel(site.workspace, channel)}


# --- people -----------------------------------------------------------------------------------


def _users_info(site: Site, args: Json) -> Json:
    return {"user": _shown_user(site, site.workspace.user(str(args["user"])))}


def _users_lookup(site: Site, args: Json) -> Json:
    return {"user": _shown_user(site, site.workspace.user_by_email(str(args["email"])))}


def _users_list(site: Site, args: Json) -> Json:
    page, cursor = _page(list(site.workspace.users.values()), args, default=1000)
    return {
        "members": [_shown_user(site, user) for user in page],
        "response_metadata": {"next_cursor": cursor},
    }


def _shown_user(site: Site, user: User) -> Json:
    email = "users:read.email" in site.workspace.app.manifest.scopes
    return objects.user(site.workspace, user, email=email)


# --- arguments --------------------------------------------------------------------------------


def _decoded(value: object, refusal: str) -> object:
    """A structured argument may come as JSON, or as JSON within a string."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise SlackError(refusal) from None


def _list(value: object) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    return [str(item).strip() for item in items] if isinstance(items, list) else []


def _flag(value: object) -> bool:
    return str(value).lower() in {"1", "true"}


def _integer(value: object, refusal: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise SlackError(refusal) from None


def _timestamp(value: object, refusal: str, default: float) -> float:
    if value is None or value == "":
        return default
    try:
        return float(str(value))
    except ValueError:
        raise SlackError(refusal) from None


def _page(items: list[_Item], args: Json, default: int) -> tuple[list[_Item], str]:
    limit = _integer(args.get("limit") or default, "invalid_limit")
    if not 1 <= limit <= 1000:
        raise SlackError("invalid_limit")
    start = _integer(str(args.get("cursor") or "0").removeprefix("next:"), "invalid_cursor")
    if start < 0:
        raise SlackError("invalid_cursor")
    end = start + limit
    return items[start:end], f"next:{end}" if end < len(items) else ""


def _need_one_of(args: Json, *names: str) -> None:
    if not any(args.get(name) for name in names):
        raise SlackError(
            "invalid_arguments", [f"[ERROR] missing required field: {' or '.join(names)}"]
        )


def _need_scope(site: Site, scope: str) -> None:
    if scope not in site.workspace.app.manifest.scopes:
        raise _missing_scope(site, scope)


def _missing_scope(site: Site, needed: str) -> SlackError:
    provided = ",".join(sorted(site.workspace.app.manifest.scopes))
    return SlackError("missing_scope", needed=needed, provided=provided)


_READ_ANY = tuple(_READ_SCOPES.values())
_HISTORY_ANY = tuple(_HISTORY_SCOPES.values())
_WRITE = ("chat:write",)

METHODS: dict[str, Method] = {
    "api.test": Method(_api_test, "tier 4", caller="anyone"),
    "apps.connections.open": Method(_connections_open, "tier 1 with burst", caller="app"),
    "auth.test": Method(_auth_test, "special"),
    "chat.delete": Method(_delete_message, "tier 3", ("channel", "ts"), _WRITE),
    "chat.postEphemeral": Method(_post_ephemeral, "tier 4", ("channel", "user"), _WRITE),
    "chat.postMessage": Method(_post_message, "special", ("channel",), _WRITE, per_channel=True),
    "chat.update": Method(_update_message, "tier 3", ("channel", "ts"), _WRITE),
    "conversations.history": Method(_history, "tier 3", ("channel",), _HISTORY_ANY),
    "conversations.info": Method(
        _conversations_info, "tier 3", ("channel",), _READ_ANY, form_only=True
    ),
    "conversations.open": Method(_conversations_open, "tier 3", scopes=("im:write", "mpim:write")),
    "users.info": Method(_users_info, "tier 4", ("user",), ("users:read",), form_only=True),
    "users.list": Method(_users_list, "tier 2", scopes=("users:read",), form_only=True),
    "users.lookupByEmail": Method(
        _users_lookup, "tier 3", ("email",), ("users:read.email",), form_only=True
    ),
    "views.open": Method(_views_open, "tier 4", ("view",)),
    "views.publish": Method(_views_publish, "tier 4", ("user_id", "view")),
    "views.push": Method(_views_push, "tier 4", ("view",)),
    "views.update": Method(_views_update, "tier 4", ("view",)),
}
