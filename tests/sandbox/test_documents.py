"""A manifest that Slack would refuse starts no sandbox."""

import copy

import pytest
import yaml
from pydantic import ValidationError

from bot.sandbox.documents import AppManifest
from tests.sandbox.kit import MANIFEST


def command(length=7):
    return {"command": "/".ljust(length, "x"), "description": "Ask"}


def shortcut(length=3):
    about = {"type": "global", "callback_id": "ask", "description": "Ask"}
    return {"name": "x" * length, **about}


def scopes(count):
    return [f"scope{n}:read" for n in range(count)]


AT_MOST = {
    "name": (35, ("display_information", "name"), lambda n: "x" * n),
    "description": (140, ("display_information", "description"), lambda n: "x" * n),
    "long description": (4000, ("display_information", "long_description"), lambda n: "x" * n),
    "display name": (80, ("features", "bot_user", "display_name"), lambda n: "x" * n),
    "command": (32, ("features", "slash_commands"), lambda n: [command(n)]),
    "commands": (50, ("features", "slash_commands"), lambda n: [command()] * n),
    "shortcut": (24, ("features", "shortcuts"), lambda n: [shortcut(n)]),
    "shortcuts": (10, ("features", "shortcuts"), lambda n: [shortcut()] * n),
    "scopes": (255, ("oauth_config", "scopes", "bot"), scopes),
    "events": (100, ("settings", "event_subscriptions", "bot_events"), scopes),
}


def with_(path, value):
    manifest = copy.deepcopy(yaml.safe_load(MANIFEST.read_text()))
    *way, last = path
    place = manifest
    for name in way:
        place = place[name]
    place[last] = value
    return manifest


@pytest.mark.parametrize(("limit", "path", "made"), AT_MOST.values(), ids=AT_MOST)
def test_a_manifest_is_taken_up_to_the_limit(limit, path, made):
    AppManifest.model_validate(with_(path, made(limit)))

    with pytest.raises(ValidationError):
        AppManifest.model_validate(with_(path, made(limit + 1)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("display_information", "long_description"), "x" * 174),
        (("features", "slash_commands"), [{"command": "access", "description": "no slash"}]),
        (("features", "slash_commands"), [{**command(), "should_escape": True}]),
        (("features", "shortcuts"), [shortcut() | {"type": "channel"}]),
        (("features", "shortcuts"), [{"name": "Ask", "type": "global"}]),
    ],
    ids=["long description", "no slash", "escaping", "kind of shortcut", "no callback"],
)
def test_a_malformed_manifest_is_refused(path, value):
    with pytest.raises(ValidationError):
        AppManifest.model_validate(with_(path, value))
