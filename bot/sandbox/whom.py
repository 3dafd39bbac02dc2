"""Whom an entry of the journal concerns, and which request."""

import json
import re
from typing import Any

from bot.sandbox.method import Site
from bot.sandbox.workspace import ConversationKind

__all__ = ["actor", "addressee", "request_in"]

Json = dict[str, Any]
_CODE = re.compile(r"\bAX-[0-9A-Z]{4,8}\b")


def addressee(site: Site, arguments: Json) -> str:
    """Return for whom a call is, a person's id or a channel's; empty: nobody in particular."""
    for name in ("user", "user_id", "channel", "channel_id"):
        if given := arguments.get(name):
            return _person(site, str(given))
    return site.views.whose(arguments.get("trigger_id"), arguments.get("view_id"))


def _person(site: Site, place: str) -> str:
    """Return whose direct messages with the app a place is; any other is what it is."""
    channel = site.workspace.channels.get(place)
    if channel is None or channel.kind is not ConversationKind.DM:
        return place
    return site.workspace.dm_partner(channel).id


def actor(payload: Json) -> str:
    """Return the id of who did what the app is told of; empty: nobody."""
    event = payload.get("event", {})
    who = payload.get("user_id") or payload.get("user") or event.get("user") or ""
    return str(who.get("id", "") if isinstance(who, dict) else who)


def request_in(said: Json) -> str:
    """Return the code of the one request that is spoken of; empty: of none, or of several."""
    codes = set(_CODE.findall(json.dumps(said)))
    return codes.pop() if len(codes) == 1 else ""
