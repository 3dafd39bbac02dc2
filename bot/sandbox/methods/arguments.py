"""Reads arguments as Slack does: JSON within a string, lists with commas, flags, pages."""

import base64
import binascii
import json
from typing import Any, TypeVar

from bot.sandbox import limits
from bot.sandbox.errors import SlackError
from bot.sandbox.method import Site

__all__ = [
    "decoded",
    "flag",
    "integer",
    "listed",
    "need_one_of",
    "need_scope",
    "paged",
    "timestamp",
]

Json = dict[str, Any]
_Item = TypeVar("_Item")


def decoded(value: object, refusal: str) -> object:
    """A structured argument may come as JSON, or as JSON within a string."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise SlackError(refusal) from None


def listed(value: object) -> list[str]:
    """A list may come as one, as JSON within a string, or with commas."""
    if isinstance(value, str):
        value = decoded(value, "invalid_arguments") if value[:1] == "[" else value.split(",")
    items = [str(item).strip() for item in value] if isinstance(value, list) else []
    return [item for item in items if item]


def flag(value: object) -> bool:
    return str(value).lower() in {"1", "true"}


def integer(value: object, refusal: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise SlackError(refusal) from None


def timestamp(value: object, refusal: str, default: float) -> float:
    if value is None or value == "":
        return default
    try:
        return float(str(value))
    except ValueError:
        raise SlackError(refusal) from None


def paged(items: list[_Item], args: Json, default: int) -> tuple[list[_Item], str]:
    """Return the page that is asked for, and the cursor of the next one: empty if it is the last.

    A cursor ends with = often enough that a client has to encode it in a query.
    """
    limit = integer(args.get("limit") or default, "invalid_limit")
    if not 1 <= limit <= limits.PAGE:
        raise SlackError("invalid_limit")
    start = _start(str(args.get("cursor") or ""))
    end = start + limit
    more = base64.b64encode(f"next:{end}".encode()).decode() if end < len(items) else ""
    return items[start:end], more


def _start(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        name, _, start = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise SlackError("invalid_cursor") from None
    if name != "next" or not start.isdecimal():
        raise SlackError("invalid_cursor")
    return int(start)


def need_one_of(args: Json, *names: str) -> None:
    if not any(args.get(name) for name in names):
        raise SlackError(
            "invalid_arguments", [f"[ERROR] missing required field: {' or '.join(names)}"]
        )


def need_scope(site: Site, *scopes: str) -> None:
    """Refuse an app that has none of these scopes."""
    if site.workspace.app.manifest.scopes.isdisjoint(scopes):
        provided = ",".join(sorted(site.workspace.app.manifest.scopes))
        raise SlackError("missing_scope", needed=",".join(scopes), provided=provided)
