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
from bot.sandbox import limits, render
from bot.sandbox.errors import SlackError
from bot.sandbox.views import Views
from bot.sandbox.workspace import Channel, Kind, Message, User, Workspace

__all__ = ["METHODS", "Method", "Site"]

Json = dict[str, Any]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Site:
    """What the methods act on. `new_link` makes a one-use Socket Mode address."""

    workspace: Workspace
    views: Views
    new_link: Callable[[], str]
    upload_url: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Method:
    """`scopes` are alternatives. `form_only` methods do not see a JSON body, as at Slack."""

    run: Callable[[Site, Json], Json]
    tier: str
    required: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    token: Literal["bot", "app"] = "bot"
    per_channel: bool = False
    form_only: bool = False


# --- who am I, and links ----------------------------------------------------------------------


def _auth_test(site: Site, _: Json) -> Json:
    team, app = site.workspace.team, site.workspace.app
    return {
        "url": f"https://{team.domain}.slack.com/",
        "team": team.name,
        "user": site.workspace.users[app.user_id].handle,
        "team_id": team.id,
        "user_id": app.user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def _connections_open(site: Site, _: Json) -> Json:
    return {"url": site.new_link()}


def _team_info(site: Site, _: Json) -> Json:
    return {"team": site.workspace.team.model_dump() | {"email_domain": ""}}


def _bots_info(site: Site, args: Json) -> Json:
    app = site.workspace.app
    if args.get("bot", app.bot_id) != app.bot_id:
        raise SlackError("bot_not_found")
    name = app.manifest.display_information.name
    return {"bot": {"id": app.bot_id, "app_id": app.id, "user_id": app.user_id, "name": name}}


# --- views ------------------------------------------------------------------------------------


def _views_open(site: Site, args: Json) -> Json:
    body = _view_argument(args)
    _need_one_of(args, "trigger_id", "interactivity_pointer")
    view = site.views.open(site.views.trigger(_trigger_argument(args)), body)
    return {"view": site.views.as_json(view)}


def _views_push(site: Site, args: Json) -> Json:
    body = _view_argument(args)
    _need_one_of(args, "trigger_id", "interactivity_pointer")
    view = site.views.push(site.views.trigger(_trigger_argument(args)), body)
    return {"view": site.views.as_json(view)}


def _views_update(site: Site, args: Json) -> Json:
    body = _view_argument(args)
    _need_one_of(args, "view_id", "external_id")
    view = site.views.update(
        body,
        view_id=str(args.get("view_id", "")),
        external_id=str(args.get("external_id", "")),
        expected_hash=str(args.get("hash") or ""),
    )
    return {"view": site.views.as_json(view)}


def _views_publish(site: Site, args: Json) -> Json:
    body = _view_argument(args)
    if not site.workspace.app.manifest.features.app_home.home_tab_enabled:
        raise SlackError("not_enabled")
    user = site.workspace.users.get(str(args["user_id"]))
    if user is None or user.bot:
        raise SlackError("invalid_arguments", ["[ERROR] user_id is invalid"])
    view = site.views.publish(user.id, body, str(args.get("hash") or ""))
    return {"view": site.views.as_json(view)}


def _trigger_argument(args: Json) -> object:
    return args.get("trigger_id") or args.get("interactivity_pointer")


def _view_argument(args: Json) -> Json:
    view = _decoded(args["view"], "invalid_arguments")
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", ["[ERROR] must provide an object [json-pointer:/view]"])
    return view


# --- messages ---------------------------------------------------------------------------------


def _post_message(site: Site, args: Json) -> Json:
    content = _content(site, args)
    channel = site.workspace.destination(str(args["channel"]))
    message = site.workspace.post(
        Message(
            ts=site.workspace.next_ts(),
            channel=channel.id,
            user=site.workspace.app.user_id,
            by_app=True,
            thread_ts=args.get("thread_ts"),
            metadata=_metadata(args),
            text=content["text"][: limits.MESSAGE_TEXT],
            blocks=content["blocks"],
            attachments=content["attachments"],
        )
    )
    shown = render.message(site.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def _post_ephemeral(site: Site, args: Json) -> Json:
    content = _content(site, args)
    _refuse_long_text(content["text"])
    channel = site.workspace.destination(str(args["channel"]))
    if str(args["user"]) not in channel.members:
        raise SlackError("user_not_in_channel")
    message = site.workspace.post(
        Message(
            ts=site.workspace.next_ts(),
            channel=channel.id,
            user=site.workspace.app.user_id,
            by_app=True,
            only_for=str(args["user"]),
            **content,
        )
    )
    return {"message_ts": message.ts}


def _update_message(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    message = site.workspace.own_message(channel, str(args["ts"]), "cant_update_message")
    content = _content(site, args)
    _refuse_long_text(content["text"])
    # What a call does not name stays: "the message's previous blocks will be retained".
    message.text = content["text"]
    if "blocks" in args:
        message.blocks = content["blocks"]
    if "attachments" in args:
        message.attachments = content["attachments"]
    if "metadata" in args:
        message.metadata = _metadata(args)
    message.edited = site.workspace.next_ts()
    shown = render.message(site.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def _delete_message(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    message = site.workspace.own_message(channel, str(args["ts"]), "cant_delete_message")
    del channel.messages[message.ts]
    return {"channel": channel.id, "ts": message.ts}


def _permalink(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    ts = str(args["message_ts"])
    if ts not in channel.messages:
        raise SlackError("message_not_found")
    domain = site.workspace.team.domain
    link = f"https://{domain}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


def content_faults(site: Site, blocks: list[Json]) -> list[str]:
    """Everything that is wrong with a message's blocks, files included."""
    faults = block_kit.judge_blocks(blocks, "message")
    return faults or [f"invalid slack file: {f}" for f in site.workspace.missing_files(blocks)]


def _content(site: Site, args: Json) -> Json:
    """The text, blocks and attachments of a message, judged."""
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
    if faults := content_faults(site, blocks):
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
        return {"channel": render.channel(site.workspace, channel)}
    return {"channel": {"id": channel.id}}


def _only_user(site: Site, args: Json) -> User:
    names = _list(args.get("users"))
    if not names:
        raise SlackError("users_list_not_supplied")
    if len(names) > limits.OPEN_USERS:
        raise SlackError("too_many_users")
    users = [site.workspace.user(name) for name in names]
    if any(user.deleted for user in users):
        raise SlackError("user_disabled")
    if any(user.bot for user in users):
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
    channel = _readable(site, str(args["channel"]))
    return _messages(site, args, list(site.workspace.history(channel)))


def _replies(site: Site, args: Json) -> Json:
    channel = _readable(site, str(args["channel"]))
    ts = str(args["ts"])
    if ts not in channel.messages:
        raise SlackError("thread_not_found")
    thread = [m for m in site.workspace.history(channel) if ts in {m.ts, m.thread_ts}]
    return _messages(site, args, thread[::-1])


def _readable(site: Site, channel_id: str) -> Channel:
    channel = site.workspace.channel(channel_id)
    _need_scope(site, _HISTORY_SCOPES[channel.kind])
    if site.workspace.app.user_id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _messages(site: Site, args: Json, found: list[Message]) -> Json:
    oldest = _timestamp(args.get("oldest"), "invalid_ts_oldest", 0.0)
    latest = _timestamp(args.get("latest"), "invalid_ts_latest", float("inf"))
    inclusive = _flag(args.get("inclusive"))

    def within(ts: float) -> bool:
        return oldest < ts < latest or (inclusive and ts in {oldest, latest})

    chosen = [m for m in found if within(float(m.ts))]
    page, cursor = _page(chosen, args, default=100)
    metadata = _flag(args.get("include_all_metadata"))
    return {
        "messages": [render.message(site.workspace, m, metadata=metadata) for m in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def _conversations_info(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    _need_scope(site, _READ_SCOPES[channel.kind])
    return {"channel": render.channel(site.workspace, channel)}


def _conversations_list(site: Site, args: Json) -> Json:
    names = {"public_channel": Kind.PUBLIC, "private_channel": Kind.PRIVATE, "im": Kind.DM}
    kinds = [names.get(name) for name in _list(args.get("types") or "public_channel")]
    if None in kinds:
        raise SlackError("invalid_types")
    for kind in kinds:
        _need_scope(site, _READ_SCOPES[kind])  # type: ignore[index]
    me = site.workspace.app.user_id
    known = [
        c
        for c in site.workspace.channels.values()
        if c.kind in kinds
        and (c.kind is Kind.PUBLIC or me in c.members)
        and not (c.archived and _flag(args.get("exclude_archived")))
    ]
    page, cursor = _page(known, args, default=100)
    return {
        "channels": [render.channel(site.workspace, c) for c in page],
        "response_metadata": {"next_cursor": cursor},
    }


def _conversations_members(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    _need_scope(site, _READ_SCOPES[channel.kind])
    page, cursor = _page(sorted(channel.members), args, default=100)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


# --- people -----------------------------------------------------------------------------------


def _users_info(site: Site, args: Json) -> Json:
    return {"user": _shown_user(site, site.workspace.user(str(args["user"])))}


def _users_lookup(site: Site, args: Json) -> Json:
    return {"user": _shown_user(site, site.workspace.user_by_email(str(args["email"])))}


def _users_list(site: Site, args: Json) -> Json:
    users = [u for u in site.workspace.users.values() if not u.stranger]
    page, cursor = _page(users, args, default=1000)
    return {
        "members": [_shown_user(site, user) for user in page],
        "response_metadata": {"next_cursor": cursor},
    }


def _shown_user(site: Site, user: User) -> Json:
    email = "users:read.email" in site.workspace.app.manifest.scopes
    return render.user(site.workspace, user, email=email)


def _usergroups_list(site: Site, args: Json) -> Json:
    everyone = _flag(args.get("include_disabled"))
    users = _flag(args.get("include_users"))
    groups = [g for g in site.workspace.usergroups.values() if everyone or not g.disabled]
    return {"usergroups": [render.usergroup(site.workspace, g, users=users) for g in groups]}


def _usergroup_users(site: Site, args: Json) -> Json:
    group = site.workspace.usergroups.get(str(args["usergroup"]))
    if group is None or (group.disabled and not _flag(args.get("include_disabled"))):
        raise SlackError("no_such_subteam")
    return {"users": [u for u in group.users if not site.workspace.users[u].deleted]}


def _usergroup_set_users(site: Site, args: Json) -> Json:
    group = site.workspace.usergroups.get(str(args["usergroup"]))
    if group is None:
        raise SlackError("no_such_subteam")
    names = _list(args["users"])
    if not names:
        raise SlackError("no_users_provided")
    if any(name not in site.workspace.users for name in names):
        raise SlackError("invalid_users")
    group.users = names
    return {"usergroup": render.usergroup(site.workspace, group, users=True)}


# --- files ------------------------------------------------------------------------------------


def _upload_url(site: Site, args: Json) -> Json:
    length = _integer(args["length"], "invalid_arguments")
    if not 0 < length <= limits.UPLOAD_BYTES:
        raise SlackError("file_upload_size_restricted")
    file = site.workspace.new_file(str(args["filename"]), length)
    return {"upload_url": site.upload_url(file.id), "file_id": file.id}


def _complete_upload(site: Site, args: Json) -> Json:
    listed = _decoded(args["files"], "invalid_arguments")
    if not isinstance(listed, list) or not listed:
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: files"])
    files = [site.workspace.file(str(item.get("id"))) for item in listed]
    if any(file.content is None for file in files):
        raise SlackError("file_update_failed")
    if channel_id := args.get("channel_id"):
        channel = site.workspace.destination(str(channel_id))
        site.workspace.post(
            Message(
                ts=site.workspace.next_ts(),
                channel=channel.id,
                user=site.workspace.app.user_id,
                by_app=True,
                text=str(args.get("initial_comment") or ""),
                files=[file.id for file in files],
            )
        )
    for file, item in zip(files, listed, strict=True):
        file.complete, file.title = True, str(item.get("title") or file.name)
    return {"files": [render.file(file) for file in files]}


def _file_info(site: Site, args: Json) -> Json:
    return {"file": render.file(site.workspace.file(str(args["file"])))}


def _delete_file(site: Site, args: Json) -> Json:
    site.workspace.file(str(args["file"])).deleted = True
    return {}


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
    items = value.split(",") if isinstance(value, str) else value or []
    return [str(item).strip() for item in items if str(item).strip()]  # type: ignore[attr-defined]


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
    "apps.connections.open": Method(_connections_open, "tier 1 with burst", token="app"),
    "auth.test": Method(_auth_test, "special"),
    "bots.info": Method(_bots_info, "tier 3", scopes=("users:read",), form_only=True),
    "chat.delete": Method(_delete_message, "tier 3", ("channel", "ts"), _WRITE),
    "chat.getPermalink": Method(
        _permalink, "special", ("channel", "message_ts"), form_only=True
    ),
    "chat.postEphemeral": Method(_post_ephemeral, "tier 4", ("channel", "user"), _WRITE),
    "chat.postMessage": Method(
        _post_message, "special", ("channel",), _WRITE, per_channel=True
    ),
    "chat.update": Method(_update_message, "tier 3", ("channel", "ts"), _WRITE),
    "conversations.history": Method(_history, "tier 3", ("channel",), _HISTORY_ANY),
    "conversations.info": Method(
        _conversations_info, "tier 3", ("channel",), _READ_ANY, form_only=True
    ),
    "conversations.list": Method(
        _conversations_list, "tier 2", scopes=_READ_ANY, form_only=True
    ),
    "conversations.members": Method(
        _conversations_members, "tier 4", ("channel",), _READ_ANY, form_only=True
    ),
    "conversations.open": Method(
        _conversations_open, "tier 3", scopes=("im:write", "mpim:write")
    ),
    "conversations.replies": Method(_replies, "tier 3", ("channel", "ts"), _HISTORY_ANY),
    "files.completeUploadExternal": Method(
        _complete_upload, "tier 4", ("files",), ("files:write",)
    ),
    "files.delete": Method(_delete_file, "tier 3", ("file",), ("files:write",)),
    "files.getUploadURLExternal": Method(
        _upload_url, "tier 4", ("filename", "length"), ("files:write",), form_only=True
    ),
    "files.info": Method(_file_info, "tier 4", ("file",), ("files:read",), form_only=True),
    "team.info": Method(_team_info, "tier 3", scopes=("team:read",)),
    "usergroups.list": Method(
        _usergroups_list, "tier 2", scopes=("usergroups:read",), form_only=True
    ),
    "usergroups.users.list": Method(
        _usergroup_users, "tier 2", ("usergroup",), ("usergroups:read",), form_only=True
    ),
    "usergroups.users.update": Method(
        _usergroup_set_users, "tier 2", ("usergroup", "users"), ("usergroups:write",)
    ),
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
