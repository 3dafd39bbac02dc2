"""conversations.*: which channels there are, who is in them, and what was said."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bot.sandbox import limits, objects
from bot.sandbox.errors import SlackError
from bot.sandbox.method import Method, Site
from bot.sandbox.methods.arguments import (
    flag,
    listed,
    need_scope,
    paged,
    timestamp,
)
from bot.sandbox.workspace import Channel, ConversationKind, Message, User

__all__ = ["METHODS", "kinds_asked_for"]

Json = dict[str, Any]

_HISTORY = {
    ConversationKind.PUBLIC: "channels:history",
    ConversationKind.PRIVATE: "groups:history",
    ConversationKind.DM: "im:history",
    ConversationKind.GROUP_DM: "mpim:history",
}
_READ = {
    ConversationKind.PUBLIC: "channels:read",
    ConversationKind.PRIVATE: "groups:read",
    ConversationKind.DM: "im:read",
    ConversationKind.GROUP_DM: "mpim:read",
}
_INVITE = {
    ConversationKind.PUBLIC: ("channels:manage", "channels:write.invites"),
    ConversationKind.PRIVATE: ("groups:write", "groups:write.invites"),
}
_MANAGE = {
    ConversationKind.PUBLIC: ("channels:manage",),
    ConversationKind.PRIVATE: ("groups:write",),
}
_TYPES = {
    "public_channel": ConversationKind.PUBLIC,
    "private_channel": ConversationKind.PRIVATE,
    "im": ConversationKind.DM,
    "mpim": ConversationKind.GROUP_DM,
}


def kinds_asked_for(site: Site, args: Json) -> set[ConversationKind]:
    """Read `types`; each of them needs its own scope."""
    names = listed(args.get("types")) or ["public_channel"]
    if not _TYPES.keys() >= set(names):
        raise SlackError("invalid_types")
    kinds = {_TYPES[name] for name in names}
    for kind in kinds:
        need_scope(site, _READ[kind])
    return kinds


# --- which there are --------------------------------------------------------------------------


def _list(site: Site, args: Json) -> Json:
    kinds = kinds_asked_for(site, args)
    known = [
        channel
        for channel in site.workspace.channels.values()
        if channel.kind in kinds
        and (channel.kind is ConversationKind.PUBLIC or site.workspace.app_is_in(channel))
        and not (channel.archived and flag(args.get("exclude_archived")))
    ]
    page, cursor = paged(known, args, default=100)
    return {
        "channels": [_shown(site, channel, members=True) for channel in page],
        "response_metadata": {"next_cursor": cursor},
    }


def _info(site: Site, args: Json) -> Json:
    channel = _readable(site, args)
    return {"channel": _shown(site, channel, members=flag(args.get("include_num_members")))}


def _members(site: Site, args: Json) -> Json:
    channel = _readable(site, args)
    page, cursor = paged(sorted(channel.members), args, default=100)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def _readable(site: Site, args: Json) -> Channel:
    channel = site.workspace.channel(str(args["channel"]))
    need_scope(site, _READ[channel.kind])
    return channel


def _shown(site: Site, channel: Channel, *, members: bool = False) -> Json:
    shown = objects.channel(site.workspace, channel)
    many = members and channel.kind in {ConversationKind.PUBLIC, ConversationKind.PRIVATE}
    return shown | ({"num_members": len(channel.members)} if many else {})


# --- what was said ----------------------------------------------------------------------------


def _history(site: Site, args: Json) -> Json:
    channel = _from_inside(site, args)
    return _messages(site, args, site.workspace.history(channel))


def _replies(site: Site, args: Json) -> Json:
    channel, ts = _from_inside(site, args), str(args["ts"])
    thread = site.workspace.replies(channel, ts)
    if not thread:
        raise SlackError("thread_not_found")
    return _messages(site, args, thread)


def _from_inside(site: Site, args: Json) -> Channel:
    channel = site.workspace.channel(str(args["channel"]))
    need_scope(site, _HISTORY[channel.kind])
    if not site.workspace.app_is_in(channel):
        raise SlackError("not_in_channel")
    return channel


def _messages(site: Site, args: Json, found: Iterable[Message]) -> Json:
    oldest = timestamp(args.get("oldest"), "invalid_ts_oldest", 0.0)
    latest = timestamp(args.get("latest"), "invalid_ts_latest", float("inf"))
    inclusive = flag(args.get("inclusive"))

    def within(ts: float) -> bool:
        return oldest < ts < latest or (inclusive and ts in {oldest, latest})

    page, cursor = paged([m for m in found if within(float(m.ts))], args, default=100)
    metadata = flag(args.get("include_all_metadata"))
    return {
        "messages": [objects.message(site.workspace, m, metadata=metadata) for m in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


# --- direct messages --------------------------------------------------------------------------


def _open(site: Site, args: Json) -> Json:
    if args.get("channel"):
        channel = site.workspace.channel(str(args["channel"]))
        if channel.kind not in {ConversationKind.DM, ConversationKind.GROUP_DM}:
            raise SlackError("method_not_supported_for_channel_type")
    else:
        users = _partners(site, args)
        channel = _with(site, users)
    if flag(args.get("return_im")):
        return {"channel": objects.channel(site.workspace, channel)}
    return {"channel": {"id": channel.id}}


def _with(site: Site, users: list[User]) -> Channel:
    needed = "im:write" if len(users) == 1 else "mpim:write"
    need_scope(site, needed)
    return site.workspace.dm(users[0]) if len(users) == 1 else site.workspace.group_dm(users)


def _partners(site: Site, args: Json) -> list[User]:
    names = listed(args.get("users"))
    if not names:
        raise SlackError("not_enough_users" if args.get("users") else "users_list_not_supplied")
    if len(names) > limits.OPEN_USERS:
        raise SlackError("too_many_users")
    users = [site.workspace.user(name) for name in dict.fromkeys(names)]
    if any(user.deleted for user in users):
        raise SlackError("user_disabled")
    if any(user.is_bot for user in users):
        raise SlackError("cannot_dm_bot")
    return users


# --- who is in --------------------------------------------------------------------------------


def _create(site: Site, args: Json) -> Json:
    kind = ConversationKind.PRIVATE if flag(args.get("is_private")) else ConversationKind.PUBLIC
    need_scope(site, *_MANAGE[kind])
    name = str(args.get("name") or "").strip()
    if not name:
        raise SlackError("invalid_name_required")
    if len(name) > limits.CHANNEL_NAME:
        raise SlackError("invalid_name_maxlength")
    if not re.search(r"\w", name):
        raise SlackError("invalid_name_punctuation")
    if name != name.lower() or not re.fullmatch(r"[\w-]+", name):
        raise SlackError("invalid_name_specials")
    if any(channel.name == name for channel in site.workspace.channels.values()):
        raise SlackError("name_taken")
    channel = site.workspace.new_channel(name, kind, {site.workspace.app.user_id})
    return {"channel": _shown(site, channel)}


def _join(site: Site, args: Json) -> Json:
    channel = site.workspace.channel(str(args["channel"]))
    if channel.kind is not ConversationKind.PUBLIC:
        raise SlackError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackError("is_archived")
    if site.workspace.app_is_in(channel):
        said = {"warnings": ["already_in_channel"]}
        shown = _shown(site, channel)
        return {"channel": shown, "warning": "already_in_channel", "response_metadata": said}
    _let_in(site, channel, site.workspace.app.user_id, inviter="")
    return {"channel": _shown(site, channel)}


def _invite(site: Site, args: Json) -> Json:
    channel = _manageable(site, args, _INVITE)
    names = listed(args["users"])
    if not names:
        raise SlackError("no_user")
    if len(names) > limits.INVITE_USERS:
        raise SlackError("too_many_users")
    faults = {name: fault for name in names if (fault := _cannot_invite(site, channel, name))}
    if faults and (not flag(args.get("force")) or len(faults) == len(names)):
        told = [{"user": name, "ok": False, "error": code} for name, code in faults.items()]
        raise SlackError(next(iter(faults.values())), errors=told)
    for name in names:
        if name not in faults:
            _let_in(site, channel, name, inviter=site.workspace.app.user_id)
    return {"channel": _shown(site, channel)}


def _cannot_invite(site: Site, channel: Channel, name: str) -> str:
    user = site.workspace.users.get(name)
    if user is None or user.deleted:
        return "user_not_found"
    if user.id == site.workspace.app.user_id:
        return "cant_invite_self"
    if user.id in channel.members:
        return "already_in_channel"
    if user.is_ultra_restricted and site.workspace.channels_of(user):
        return "ura_max_channels"
    return "no_external_invite_permission" if user.is_stranger else ""


def _kick(site: Site, args: Json) -> Json:
    channel = _manageable(site, args, _MANAGE)
    user = site.workspace.user(str(args["user"]))
    if user.id == site.workspace.app.user_id:
        raise SlackError("cant_kick_self")
    if channel.name == limits.GENERAL:
        raise SlackError("cant_kick_from_general")
    if user.id not in channel.members:
        raise SlackError("not_in_channel")
    site.workspace.changed(channel)
    channel.members.discard(user.id)
    site.events.left(user.id, channel)
    return {}


def _manageable(
    site: Site, args: Json, scopes: Mapping[ConversationKind, tuple[str, ...]]
) -> Channel:
    channel = site.workspace.channel(str(args["channel"]))
    if channel.kind not in scopes:
        raise SlackError("method_not_supported_for_channel_type")
    need_scope(site, *scopes[channel.kind])
    if channel.archived:
        raise SlackError("is_archived")
    if not site.workspace.app_is_in(channel):
        raise SlackError("not_in_channel")
    return channel


def _let_in(site: Site, channel: Channel, user_id: str, inviter: str) -> None:
    channel.members.add(user_id)
    site.workspace.changed(channel)
    site.events.joined(user_id, channel, inviter)


def _users_conversations(site: Site, args: Json) -> Json:
    kinds = kinds_asked_for(site, args)
    user = site.workspace.user(str(args.get("user") or site.workspace.app.user_id))
    known = [
        channel
        for channel in site.workspace.channels_of(user)
        if channel.kind in kinds
        and (channel.kind is ConversationKind.PUBLIC or site.workspace.app_is_in(channel))
        and not (channel.archived and flag(args.get("exclude_archived")))
    ]
    page, cursor = paged(known, args, default=100)
    return {
        "channels": [_shown(site, channel) for channel in page],
        "response_metadata": {"next_cursor": cursor},
    }


_READ_ANY = tuple(_READ.values())
_HISTORY_ANY = tuple(_HISTORY.values())
_MANAGE_ANY = ("channels:manage", "groups:write")
_PAGING = ("invalid_cursor", "invalid_limit")
_SPAN = ("invalid_ts_latest", "invalid_ts_oldest")
_KIND = "method_not_supported_for_channel_type"
_INSIDE = ("channel_not_found", "not_in_channel")

METHODS: dict[str, Method] = {
    "conversations.create": Method(
        _create,
        "tier 2",
        scopes=_MANAGE_ANY,
        errors=(
            "invalid_name_maxlength",
            "invalid_name_punctuation",
            "invalid_name_required",
            "invalid_name_specials",
            "name_taken",
        ),
    ),
    "conversations.history": Method(
        _history, "tier 3", ("channel",), _HISTORY_ANY, errors=(*_INSIDE, *_PAGING, *_SPAN)
    ),
    "conversations.info": Method(
        _info, "tier 3", ("channel",), _READ_ANY, errors=("channel_not_found",), form_only=True
    ),
    "conversations.invite": Method(
        _invite,
        "tier 3",
        ("channel", "users"),
        (*_MANAGE_ANY, "channels:write.invites", "groups:write.invites"),
        errors=(
            "already_in_channel",
            "cant_invite_self",
            "is_archived",
            "no_external_invite_permission",
            "no_user",
            "too_many_users",
            "ura_max_channels",
            "user_not_found",
            _KIND,
            *_INSIDE,
        ),
    ),
    "conversations.join": Method(
        _join,
        "tier 3",
        ("channel",),
        ("channels:join",),
        errors=("channel_not_found", "is_archived", _KIND),
    ),
    "conversations.kick": Method(
        _kick,
        "tier 3",
        ("channel", "user"),
        _MANAGE_ANY,
        errors=(
            "cant_kick_from_general",
            "cant_kick_self",
            "is_archived",
            "user_not_found",
            _KIND,
            *_INSIDE,
        ),
    ),
    "conversations.list": Method(
        _list, "tier 2", scopes=_READ_ANY, errors=("invalid_types", *_PAGING), form_only=True
    ),
    "conversations.members": Method(
        _members,
        "tier 4",
        ("channel",),
        _READ_ANY,
        errors=("channel_not_found", *_PAGING),
        form_only=True,
    ),
    "conversations.open": Method(
        _open,
        "tier 3",
        scopes=("im:write", "mpim:write"),
        errors=(
            "cannot_dm_bot",
            "channel_not_found",
            "not_enough_users",
            "too_many_users",
            "user_disabled",
            "user_not_found",
            "users_list_not_supplied",
            _KIND,
        ),
    ),
    "conversations.replies": Method(
        _replies,
        "tier 3",
        ("channel", "ts"),
        _HISTORY_ANY,
        errors=("thread_not_found", *_INSIDE, *_PAGING, *_SPAN),
        form_only=True,
    ),
    "users.conversations": Method(
        _users_conversations,
        "tier 3",
        scopes=_READ_ANY,
        errors=("invalid_types", "user_not_found", *_PAGING),
        form_only=True,
    ),
}
