"""reactions.*: emoji under messages."""

from typing import Any

from bot.sandbox import objects
from bot.sandbox.errors import SlackError
from bot.sandbox.method import Method, Site
from bot.sandbox.workspace import Message

__all__ = ["METHODS"]

Json = dict[str, Any]


def _add(site: Site, args: Json) -> Json:
    message, name = _message(site, args, adding=True), str(args["name"])
    site.workspace.react(message, site.workspace.app.user_id, name)
    site.events.reacted(message, site.workspace.app.user_id, name)
    return {}


def _remove(site: Site, args: Json) -> Json:
    message, name = _message(site, args), str(args["name"])
    site.workspace.unreact(message, site.workspace.app.user_id, name)
    site.events.reacted(message, site.workspace.app.user_id, name, added=False)
    return {}


def _get(site: Site, args: Json) -> Json:
    message = _message(site, args)
    shown = objects.message(site.workspace, message)
    return {"type": "message", "channel": message.channel, "message": shown}


def _message(site: Site, args: Json, *, adding: bool = False) -> Message:
    if not args.get("channel") or not args.get("timestamp"):
        raise SlackError("no_item_specified")
    channel, stamp = site.workspace.channel(str(args["channel"])), str(args["timestamp"])
    if not site.workspace.app_is_in(channel):
        raise SlackError("no_access")
    if channel.archived and adding:
        raise SlackError("is_archived")
    if not stamp.replace(".", "", 1).isdecimal():
        raise SlackError("bad_timestamp")
    message = channel.messages.get(stamp)
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    return message


_ERRORS = (
    "bad_timestamp",
    "channel_not_found",
    "message_not_found",
    "no_access",
    "no_item_specified",
)

METHODS: dict[str, Method] = {
    "reactions.add": Method(
        _add,
        "tier 3",
        ("name",),
        ("reactions:write",),
        errors=(
            "already_reacted",
            "invalid_name",
            "is_archived",
            "too_many_emoji",
            "too_many_reactions",
            *_ERRORS,
        ),
    ),
    "reactions.get": Method(
        _get, "tier 3", scopes=("reactions:read",), errors=_ERRORS, form_only=True
    ),
    "reactions.remove": Method(
        _remove,
        "tier 2",
        ("name",),
        ("reactions:write",),
        errors=("invalid_name", "no_reaction", *_ERRORS),
    ),
}
