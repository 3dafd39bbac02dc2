"""Workspace objects in the JSON in which Slack's answers and payloads carry them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.sandbox.workspace import Channel, File, Kind, Message, User, Usergroup, Workspace

__all__ = ["channel", "file", "message", "user", "usergroup"]

Json = dict[str, Any]
_NO_TEXT = "This content can't be displayed."
_STRANGERS_TEAM = "T0ELSEWHERE"


def user(workspace: Workspace, person: User, *, email: bool) -> Json:
    profile: Json = {
        "title": person.title,
        "real_name": person.name,
        "real_name_normalized": person.name,
        "display_name": person.handle,
        "display_name_normalized": person.handle,
        "first_name": person.name.partition(" ")[0],
        "last_name": person.name.partition(" ")[2],
        "team": _team_of(workspace, person),
    }
    if email and person.email:
        profile["email"] = person.email
    if person.bot:
        profile |= {"api_app_id": workspace.app.id, "bot_id": workspace.app.bot_id}
    shown: Json = {
        "id": person.id,
        "team_id": _team_of(workspace, person),
        "name": person.handle,
        "deleted": person.deleted,
        "profile": profile,
        "is_bot": person.bot,
        "is_app_user": False,
        "updated": person.updated,
    }
    if person.stranger:
        shown["is_stranger"] = True
    if person.deleted:
        return shown
    return shown | {
        "real_name": person.name,
        "tz": person.tz,
        "tz_label": person.tz,
        "tz_offset": _offset(person.tz),
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.restricted,
        "is_ultra_restricted": person.ultra_restricted,
        "is_email_confirmed": person.email_confirmed,
        "who_can_share_contact_card": "EVERYONE",
    }


def message(workspace: Workspace, shown: Message, *, metadata: bool = False) -> Json:
    out: Json = {
        "type": "message",
        "user": shown.user,
        "text": shown.text or (_NO_TEXT if shown.blocks and shown.by_app else ""),
        "ts": shown.ts,
        "team": workspace.team.id,
    }
    if shown.by_app:
        out |= {
            "bot_id": workspace.app.bot_id,
            "app_id": workspace.app.id,
            "bot_profile": {
                "id": workspace.app.bot_id,
                "app_id": workspace.app.id,
                "name": workspace.app.manifest.display_information.name,
                "deleted": False,
                "team_id": workspace.team.id,
            },
        }
    if shown.blocks:
        out["blocks"] = shown.blocks
    if shown.attachments:
        out["attachments"] = shown.attachments
    if shown.thread_ts:
        out["thread_ts"] = shown.thread_ts
    if shown.edited:
        out["edited"] = {"user": shown.user, "ts": shown.edited}
    if shown.files:
        out["files"] = [file(workspace.files[file_id]) for file_id in shown.files]
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
        "is_member": workspace.app.user_id in shown.members,
        "num_members": len(shown.members),
    }


def usergroup(workspace: Workspace, group: Usergroup, *, users: bool) -> Json:
    out: Json = {
        "id": group.id,
        "team_id": workspace.team.id,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "date_delete": int(group.disabled),
        "user_count": len(group.users),
    }
    return out | ({"users": group.users} if users else {})


def file(shown: File) -> Json:
    return {
        "id": shown.id,
        "name": shown.name,
        "title": shown.title or shown.name,
        "size": shown.length,
        "mode": "hosted",
    }


def _offset(zone: str) -> int:
    offset = datetime.now(ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _team_of(workspace: Workspace, person: User) -> str:
    return _STRANGERS_TEAM if person.stranger else workspace.team.id
