"""Workspace objects in the JSON in which Slack's answers and payloads carry them."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.sandbox.file import File
from bot.sandbox.workspace import Channel, ConversationKind, Message, User, UserGroup, Workspace

__all__ = ["channel", "escaped", "file", "message", "team_of", "user", "usergroup"]

Json = dict[str, Any]
_NO_TEXT = "This content can't be displayed."
_STRANGERS_TEAM = "T0ELSEWHERE"


def user(workspace: Workspace, person: User, *, email: bool) -> Json:
    profile: Json = {
        "title": person.title,
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": person.name,
        "display_name_normalized": person.name,
        "first_name": person.real_name.partition(" ")[0],
        "last_name": person.real_name.partition(" ")[2],
        "team": team_of(workspace, person),
    }
    if email and person.email:
        profile["email"] = person.email
    if person.id == workspace.app.user_id:
        profile |= {"api_app_id": workspace.app.id, "bot_id": workspace.app.bot_id}
    shown: Json = {
        "id": person.id,
        "team_id": team_of(workspace, person),
        "name": person.name,
        "deleted": person.deleted,
        "profile": profile,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 0,
    }
    if person.is_stranger:
        shown["is_stranger"] = True
    if person.deleted:  # Slack tells little more of who has left
        return shown
    return shown | {
        "real_name": person.real_name,
        "tz": person.tz,
        "tz_label": person.tz,
        "tz_offset": _offset(person.tz),
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.is_restricted,
        "is_ultra_restricted": person.is_ultra_restricted,
        "is_email_confirmed": person.is_email_confirmed,
        "who_can_share_contact_card": "EVERYONE",
    }


def message(
    workspace: Workspace, shown: Message, *, metadata: bool = False, as_written: bool = False
) -> Json:
    """A message as the app gets it: Slack escapes & < > in the copy, unless it is `as_written`."""
    text = shown.text or (_NO_TEXT if shown.blocks else "")
    out: Json = {"type": "message", "user": shown.user, "text": text, "ts": shown.ts}
    out["team"] = workspace.team.id
    if shown.user == workspace.app.user_id:
        out |= _author(workspace)
    if shown.blocks:
        out["blocks"] = shown.blocks
    if shown.attachments:
        out["attachments"] = shown.attachments
    if shown.files:
        out["files"] = [_attached(workspace, file_id) for file_id in shown.files]
    if shown.edited:
        out["edited"] = {"user": shown.user, "ts": shown.edited}
    if metadata and shown.metadata:
        out["metadata"] = shown.metadata
    if shown.reactions:
        out["reactions"] = [
            {"name": name, "users": users, "count": len(users)}
            for name, users in shown.reactions.items()
        ]
    out |= _threaded(workspace, shown)
    return (
        out
        if as_written
        else out
        | {
            "text": escaped(text),
            **({"blocks": _escaped_within(out["blocks"])} if shown.blocks else {}),
        }
    )


def _author(workspace: Workspace) -> Json:
    app = workspace.app
    profile = {
        "id": app.bot_id,
        "app_id": app.id,
        "name": app.manifest.display_information.name,
        "deleted": False,
        "team_id": workspace.team.id,
    }
    return {"bot_id": app.bot_id, "app_id": app.id, "bot_profile": profile}


def _attached(workspace: Workspace, file_id: str) -> Json:
    shown = workspace.files[file_id]
    return {"id": file_id, "mode": "tombstone"} if shown.deleted else file(workspace, shown)


def _threaded(workspace: Workspace, shown: Message) -> Json:
    """What a message says of its thread: a reply where it belongs, a first message its replies."""
    if shown.thread_ts:
        broadcast = {"subtype": "thread_broadcast"} if shown.broadcast else {}
        return {"thread_ts": shown.thread_ts, **broadcast}
    replies = workspace.replies(workspace.channels[shown.channel], shown.ts)[1:]
    if not replies:
        return {}
    users = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": shown.ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
        "reply_users": users[:5],
        "is_locked": False,
        "subscribed": False,
    }


_LOOSE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt);)")
_MARKUP = re.compile(r"(<(?:[@#!]|https?:|mailto:|tel:|slack:)[^<>\n]*>)")


def escaped(text: str, *, plain: bool = False) -> str:
    """Escape & < > as Slack does in what it stores; markup stays where it has a meaning."""
    parts = [text] if plain else _MARKUP.split(text)
    for index in range(0, len(parts), 2):
        safe = _LOOSE_AMPERSAND.sub("&amp;", parts[index])
        parts[index] = safe.replace("<", "&lt;").replace(">", "&gt;")
    return "".join(parts)


def _escaped_within(node: Any) -> Any:  # noqa: ANN401
    if isinstance(node, list):
        return [_escaped_within(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") in {"plain_text", "mrkdwn"} and isinstance(node.get("text"), str):
        return node | {"text": escaped(node["text"], plain=node["type"] == "plain_text")}
    return {key: _escaped_within(value) for key, value in node.items()}


def file(workspace: Workspace, shown: "File") -> Json:
    kind = shown.mimetype
    address = f"{workspace.base}/files-pri/{workspace.team.id}-{shown.id}"
    places: dict[ConversationKind, list[str]] = {one: [] for one in ConversationKind}
    for channel_id in shown.channels:
        places[workspace.channels[channel_id].kind].append(channel_id)
    site = f"https://{workspace.team.domain}.slack.com"
    out = {
        "id": shown.id,
        "created": shown.created,
        "timestamp": shown.created,
        "name": shown.name,
        "title": shown.title,
        "mimetype": kind,
        "filetype": kind.rpartition("/")[2].replace("jpeg", "jpg"),
        "user": shown.user,
        "user_team": workspace.team.id,
        "editable": False,
        "size": shown.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": bool(places[ConversationKind.PUBLIC]),
        "public_url_shared": False,
        "url_private": f"{address}/{shown.name}",
        "url_private_download": f"{address}/download/{shown.name}",
        "permalink": f"{site}/files/{shown.user}/{shown.id}/{shown.name}",
        "channels": places[ConversationKind.PUBLIC],
        "groups": places[ConversationKind.PRIVATE] + places[ConversationKind.GROUP_DM],
        "ims": places[ConversationKind.DM],
    }
    return out | ({"alt_txt": shown.alt} if shown.alt else {})


def usergroup(
    workspace: Workspace, shown: UserGroup, *, users: bool = False, count: bool = False
) -> Json:
    out: Json = {
        "id": shown.id,
        "team_id": workspace.team.id,
        "is_usergroup": True,
        "is_subteam": True,
        "name": shown.name,
        "description": shown.description,
        "handle": shown.handle,
        "is_external": False,
        "date_create": shown.created,
        "date_update": shown.created,
        "date_delete": shown.created if shown.disabled else 0,
        "auto_type": None,
        "prefs": {"channels": [], "groups": []},
    }
    if users:
        out["users"] = list(shown.users)
    if count:
        out["user_count"] = len(shown.users)
    return out


def channel(workspace: Workspace, shown: Channel) -> Json:
    out: Json = {
        "id": shown.id,
        "created": shown.created,
        "is_archived": shown.archived,
        "is_im": shown.kind is ConversationKind.DM,
        "is_channel": shown.kind is ConversationKind.PUBLIC,
        "is_group": shown.kind is ConversationKind.PRIVATE,
        "is_mpim": shown.kind is ConversationKind.GROUP_DM,
        "is_private": shown.kind is not ConversationKind.PUBLIC,
        "context_team_id": workspace.team.id,
    }
    if shown.kind is ConversationKind.DM:
        partner = workspace.dm_partner(shown)
        return out | {"user": partner.id, "is_user_deleted": partner.deleted}
    return out | {
        "name": shown.name,
        "name_normalized": shown.name,
        "is_general": shown.name == "general",
        "is_member": workspace.app_is_in(shown),
        "is_ext_shared": workspace.is_shared(shown),
        "is_pending_ext_shared": False,
    }


def team_of(workspace: Workspace, person: User) -> str:
    return _STRANGERS_TEAM if person.is_stranger else workspace.team.id


def _offset(zone: str) -> int:
    offset = datetime.now(ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds()) if offset else 0
