"""What Slack sends, made safe to read: of the shape that Bolt and the listeners count on, without
what no database keeps.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from engine.errors import LatchkeyError

Body = dict[str, Any]

DEEPEST = 100  # of what lies within each other; a view's blocks are a tenth of that

# PostgreSQL takes no NUL, and no encoding has halves of characters.
_UNKEPT = re.compile("[\x00\ud800-\udfff]")


class BadPayloadError(LatchkeyError):
    """This is nothing that Slack would send."""


def read(text: str) -> Body:
    """Read what Slack posts: JSON, or a form that holds JSON, or a form. Raises BadPayloadError."""
    try:
        if text.startswith("{"):
            return sound(json.loads(text))
        form = dict(parse_qsl(text, keep_blank_values=True))
        return sound(json.loads(form["payload"]) if "payload" in form else form)
    except (ValueError, RecursionError) as fault:
        raise BadPayloadError from fault


def sound(body: object) -> Body:
    """Return the body, its text without what cannot be kept. Raises BadPayloadError."""
    kept = body if _can_be_kept(body) else _kept(body)
    if not isinstance(kept, dict) or not _as_slack_sends_it(kept):
        raise BadPayloadError
    return kept


def _can_be_kept(body: object) -> bool:
    """Tell whether all text can, which it nearly always does. Raises BadPayloadError."""
    level, texts = [[body]], list[str]()
    for _ in range(DEEPEST + 1):
        below: list[list[object]] = []
        for values in level:
            for value in values:
                if isinstance(value, str):
                    texts.append(value)
                elif isinstance(value, dict):
                    texts += value
                    below.append(list(value.values()))
                elif isinstance(value, list):
                    below.append(value)
        if not below:
            text = "".join(texts)
            return "\x00" not in text and (text.isascii() or not _UNKEPT.search(text))
        level = below
    raise BadPayloadError


def _kept(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    match value:
        case str():
            return _UNKEPT.sub("", value)
        case dict():
            return {_kept(k): _kept(v) for k, v in value.items()}
        case list():
            return [_kept(item) for item in value]
    return value


def _as_slack_sends_it(body: Body) -> bool:
    """Tell whether there is what is read without looking. Fields of a modal are looked at."""
    match body:
        case {"command": str(), "user_id": str(), "trigger_id": str()}:
            return True
        case {"type": "block_actions", "user": user, "trigger_id": str(), "actions": [action, *_]}:
            named = isinstance(action, dict) and isinstance(action.get("action_id"), str)
            return named and _named(user) and (body.get("view") is None or _is_view(body["view"]))
        case {"type": "view_submission" | "view_closed", "user": user, "view": view}:
            return _named(user) and _is_view(view)
        case {"type": "block_suggestion", "user": user, "action_id": str()}:
            return _named(user)
        case {"type": "shortcut" | "message_action", "user": user, "trigger_id": str()}:
            return _named(user) and isinstance(body.get("callback_id"), str)
        case {"type": "event_callback", "event": {"type": "app_home_opened"} as event}:
            return isinstance(event.get("user"), str)
        case {"type": "event_callback", "event": {"type": "user_change" | "team_join"} as event}:
            return is_profile(event.get("user"))
        case {"type": "event_callback", "event": {"type": str()}}:
            return True
        case {"type": "url_verification"} | {"ssl_check": "1"}:
            return True
    return False


def _named(user: object) -> bool:
    return isinstance(user, dict) and isinstance(user.get("id"), str)


def is_profile(user: object) -> bool:
    """Tell whether this is a user as Slack describes them."""
    if not isinstance(user, dict) or not _named(user):
        return False
    return all(isinstance(user.get(part) or {}, dict) for part in ("profile", "enterprise_user"))


def _is_view(view: object) -> bool:
    match view:
        case {
            "id": str(),
            "type": str(),
            "hash": str(),
            "callback_id": str(),
            "blocks": list(all_),
        }:
            return all(isinstance(block, dict) for block in all_)
    return False
