"""Workspace objects in the JSON in which Slack's answers and payloads carry them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.sandbox.workspace import Channel, Kind, Message, User, Workspace

__all__ = ["channel", "message", "team_of", "user"]

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


def message(workspace: Workspace, shown: Message, *, metadata: bool = False) -> Json:
    app = workspace.app
    profile = {
        "id": app.bot_id,
        "app_id": app.id,
        "name": app.manifest.display_information.name,
        "deleted": False,
        "team_id": workspace.team.id,
    }
    out: Json = {
        "type": "message",
        "user": shown.user,
        "text": shown.text or (_NO_TEXT if shown.blocks else ""),
        "ts": shown.ts,
        "team": workspace.team.id,
        "bot_id": app.bot_id,
        "app_id": app.id,
        "bot_profile": profile,
    }
    if shown.blocks:
        out["blocks"] = shown.blocks
    if shown.attachments:
        out["attachments"] = shown.attachments
    if shown.thread_ts:
        out["thread_ts"] = shown.thread_ts
    if shown.edited:
        out["edited"] = {"user": shown.user, "ts": shown.edited}
    if metadata and shown.metadata:
        out["metadata"] = shown.metadata
    return out


def channel(workspace: Workspace, shown: Channel) -> Json:
    out: Json = {
        "id": shown.id,
        "created": shown.created,
        "is_archived": shown.archived,
        "is_im": shown.kind is Kind.DM,
        "is_channel": shown.kind is Kind.PUBLIC,
        "is_group": shown.kind is Kind.PRIVATE,
        "is_mpim": False,
        "is_private": shown.kind is not Kind.PUBLIC,
        "context_team_id": workspace.team.id,
    }
    if shown.kind is Kind.DM:
        partner = workspace.dm_partner(shown)
        return out | {"user": partner.id, "is_user_deleted": partner.deleted}
    return out | {
        "name": shown.name,
        "name_normalized": shown.name,
        "is_general": shown.name == "general",
        "is_member": workspace.app_is_in(shown),
    }


def team_of(workspace: Workspace, person: User) -> str:
    return _STRANGERS_TEAM if person.is_stranger else workspace.team.id


def _offset(zone: str) -> int:
    offset = datetime.now(ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds()) if offset else 0
