"""views.*: modals and the Home tab."""

from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.method import Method, Site
from bot.sandbox.methods.arguments import decoded, need_one_of

__all__ = ["METHODS"]

Json = dict[str, Any]


def _open(site: Site, args: Json) -> Json:
    view = site.views.open(site.views.trigger(_trigger_argument(args)), _view_argument(args))
    return {"view": site.views.as_json(view)}


def _push(site: Site, args: Json) -> Json:
    view = site.views.push(site.views.trigger(_trigger_argument(args)), _view_argument(args))
    return {"view": site.views.as_json(view)}


def _update(site: Site, args: Json) -> Json:
    need_one_of(args, "view_id", "external_id")
    view = site.views.update(
        _view_argument(args),
        view_id=str(args.get("view_id", "")),
        external_id=str(args.get("external_id", "")),
        expected_hash=str(args.get("hash") or ""),
    )
    return {"view": site.views.as_json(view)}


def _publish(site: Site, args: Json) -> Json:
    if not site.workspace.app.manifest.features.app_home.home_tab_enabled:
        raise SlackError("not_enabled")
    user = site.workspace.users.get(str(args["user_id"]))
    if user is None or user.is_bot:
        raise SlackError("invalid_arguments", ["[ERROR] user_id is invalid"])
    view = site.views.publish(user.id, _view_argument(args), str(args.get("hash") or ""))
    return {"view": site.views.as_json(view)}


def _trigger_argument(args: Json) -> object:
    need_one_of(args, "trigger_id", "interactivity_pointer")
    return args.get("trigger_id") or args.get("interactivity_pointer")


def _view_argument(args: Json) -> object:
    return decoded(args["view"], "invalid_arguments")


_TRIGGERED = ("exchanged_trigger_id", "expired_trigger_id", "invalid_trigger_id")
_JUDGED = ("duplicate_external_id", "view_too_large")

METHODS: dict[str, Method] = {
    "views.open": Method(_open, "tier 4", ("view",), errors=(*_TRIGGERED, *_JUDGED)),
    "views.publish": Method(
        _publish,
        "tier 4",
        ("user_id", "view"),
        errors=("hash_conflict", "not_enabled", *_JUDGED),
    ),
    "views.push": Method(
        _push,
        "tier 4",
        ("view",),
        errors=("not_found", "push_limit_reached", *_TRIGGERED, *_JUDGED),
    ),
    "views.update": Method(
        _update, "tier 4", ("view",), errors=("hash_conflict", "not_found", *_JUDGED)
    ),
}
