"""users.* and usergroups.*: who there is, and in which groups."""

import re
from typing import Any

from bot.sandbox import limits, objects
from bot.sandbox.errors import SlackError
from bot.sandbox.method import Method, Site
from bot.sandbox.methods.arguments import flag, listed, paged
from bot.sandbox.workspace import User, UserGroup

__all__ = ["METHODS"]

Json = dict[str, Any]


# --- people -----------------------------------------------------------------------------------


def _info(site: Site, args: Json) -> Json:
    return {"user": _shown(site, site.workspace.user(str(args["user"])))}


def _lookup(site: Site, args: Json) -> Json:
    return {"user": _shown(site, site.workspace.user_by_email(str(args["email"])))}


def _list(site: Site, args: Json) -> Json:
    users = list(site.workspace.users.values())
    if not args.get("limit") and len(users) > limits.USERS_UNPAGED:
        raise SlackError("limit_required")
    page, cursor = paged(users, args, default=limits.USERS_UNPAGED)
    return {
        "members": [_shown(site, user) for user in page],
        "response_metadata": {"next_cursor": cursor},
    }


def _shown(site: Site, user: User) -> Json:
    email = "users:read.email" in site.workspace.app.manifest.scopes
    return objects.user(site.workspace, user, email=email)


# --- groups -----------------------------------------------------------------------------------


def _groups(site: Site, args: Json) -> Json:
    _need_plan(site)
    disabled, users = flag(args.get("include_disabled")), flag(args.get("include_users"))
    count = flag(args.get("include_count"))
    return {
        "usergroups": [
            objects.usergroup(site.workspace, group, users=users, count=count)
            for group in site.workspace.usergroups.values()
            if disabled or not group.disabled
        ]
    }


def _group_users(site: Site, args: Json) -> Json:
    group = _group(site, args)
    if group.disabled and not flag(args.get("include_disabled")):
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def _group_create(site: Site, args: Json) -> Json:
    _need_plan(site)
    handle = str(args.get("handle") or _handle(str(args["name"])))
    _refuse_taken(site, str(args["name"]), handle, None)
    group = site.workspace.new_usergroup(
        name=str(args["name"]), handle=handle, description=str(args.get("description") or "")
    )
    return _told(site, group, "subteam_created")


def _group_update(site: Site, args: Json) -> Json:
    group = _group(site, args)
    name, handle = str(args.get("name") or group.name), str(args.get("handle") or group.handle)
    _refuse_taken(site, name, handle, group)
    group.name, group.handle = name, handle
    group.description = str(args.get("description", group.description))
    return _told(site, group, "subteam_updated")


def _group_set_users(site: Site, args: Json) -> Json:
    group = _group(site, args)
    names = list(dict.fromkeys(listed(args["users"])))
    if not names:
        raise SlackError("no_users_provided")
    users = [site.workspace.users.get(name) for name in names]
    if any(user is None or user.deleted or user.is_bot for user in users):
        raise SlackError("invalid_users")
    before, group.users = set(group.users), names
    group.disabled = False
    site.events.group_members(group, before)
    return {"usergroup": objects.usergroup(site.workspace, group, users=True, count=True)}


def _group_disable(site: Site, args: Json) -> Json:
    group = _group(site, args)
    group.disabled = True
    return _told(site, group, "subteam_updated")


def _group_enable(site: Site, args: Json) -> Json:
    group = _group(site, args)
    group.disabled = False
    return _told(site, group, "subteam_updated")


def _group(site: Site, args: Json) -> UserGroup:
    _need_plan(site)
    group = site.workspace.usergroups.get(str(args["usergroup"]))
    if group is None:
        raise SlackError("no_such_subteam")
    return group


def _told(site: Site, group: UserGroup, event: str) -> Json:
    site.events.group(group, event)
    return {"usergroup": objects.usergroup(site.workspace, group, count=True)}


def _need_plan(site: Site) -> None:
    if site.workspace.team.plan == "free":
        raise SlackError("plan_upgrade_required")


def _refuse_taken(site: Site, name: str, handle: str, own: UserGroup | None) -> None:
    for group in site.workspace.usergroups.values():
        if group is not own and group.name.lower() == name.lower():
            raise SlackError("name_already_exists")
        if group is not own and group.handle == handle:
            raise SlackError("handle_already_exists")


def _handle(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-")


_READ, _WRITE = ("usergroups:read",), ("usergroups:write",)
_PLAN = "plan_upgrade_required"
_ONE = (_PLAN, "no_such_subteam")
_TAKEN = ("handle_already_exists", "name_already_exists")

METHODS: dict[str, Method] = {
    "usergroups.create": Method(
        _group_create, "tier 2", ("name",), _WRITE, errors=(_PLAN, *_TAKEN)
    ),
    "usergroups.disable": Method(_group_disable, "tier 2", ("usergroup",), _WRITE, errors=_ONE),
    "usergroups.enable": Method(_group_enable, "tier 2", ("usergroup",), _WRITE, errors=_ONE),
    "usergroups.list": Method(_groups, "tier 2", scopes=_READ, errors=(_PLAN,), form_only=True),
    "usergroups.update": Method(
        _group_update, "tier 2", ("usergroup",), _WRITE, errors=(*_ONE, *_TAKEN)
    ),
    "usergroups.users.list": Method(
        _group_users, "tier 2", ("usergroup",), _READ, errors=_ONE, form_only=True
    ),
    "usergroups.users.update": Method(
        _group_set_users,
        "tier 2",
        ("usergroup", "users"),
        _WRITE,
        errors=("invalid_users", "no_users_provided", *_ONE),
    ),
    "users.info": Method(
        _info, "tier 4", ("user",), ("users:read",), errors=("user_not_found",), form_only=True
    ),
    "users.list": Method(
        _list,
        "tier 2",
        scopes=("users:read",),
        errors=("invalid_cursor", "invalid_limit", "limit_required"),
        form_only=True,
    ),
    "users.lookupByEmail": Method(
        _lookup,
        "tier 3",
        ("email",),
        ("users:read.email",),
        errors=("users_not_found",),
        form_only=True,
    ),
}
