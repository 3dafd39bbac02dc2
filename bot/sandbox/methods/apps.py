"""api.*, apps.*, auth.*, bots.*, team.*: who the app is, and its links."""

from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.method import Method, Site

__all__ = ["METHODS"]

Json = dict[str, Any]


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


def _auth_test_of_app(site: Site, _: Json) -> Json:
    """Tell the app's own token apart, by the fields that Slack's Java SDK keeps for it."""
    app = site.workspace.app
    return {"app_id": app.id, "app_name": app.manifest.display_information.name}


def _connections_open(site: Site, _: Json) -> Json:
    return {"url": site.new_link()}


def _bots_info(site: Site, args: Json) -> Json:
    app = site.workspace.app
    if args.get("bot", app.bot_id) != app.bot_id:
        raise SlackError("bot_not_found")
    name = app.manifest.display_information.name
    shown = {"id": app.bot_id, "app_id": app.id, "user_id": app.user_id, "name": name}
    return {"bot": shown | {"deleted": False}}


def _team_info(site: Site, args: Json) -> Json:
    team = site.workspace.team
    if args.get("team", team.id) != team.id:
        raise SlackError("team_not_found")
    return {"team": {"id": team.id, "name": team.name, "domain": team.domain, "email_domain": ""}}


METHODS: dict[str, Method] = {
    "api.test": Method(_api_test, "tier 4", caller="anyone"),
    "apps.connections.open": Method(_connections_open, "tier 1 with burst", caller="app"),
    "auth.test": Method(_auth_test, "special", for_app=_auth_test_of_app),
    "bots.info": Method(
        _bots_info, "tier 3", scopes=("users:read",), errors=("bot_not_found",), form_only=True
    ),
    "team.info": Method(_team_info, "tier 3", scopes=("team:read",), errors=("team_not_found",)),
}
