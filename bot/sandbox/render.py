"""What a person reads: the visible text of messages and views, markup resolved as Slack's client
resolves it. Times are in UTC.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.sandbox.elements import HELD, Sort

__all__ = ["blocks_text", "message_text", "mrkdwn_text", "view_text"]

Json = dict[str, Any]
Names = Mapping[str, str]  # the names of people and channels, by id

_SPECIAL = re.compile(r"<([^<>\n]+)>")
_CODE = re.compile(r"(`[^`\n]+`)")
_STYLED = re.compile(r"(?<![\w*_~])([*_~])(?! )([^\n]+?)(?<! )\1(?![\w*_~])")
_DATE_TOKENS = {
    "date_num": "%Y-%m-%d",
    "date_slash": "%m/%d/%Y",
    "date_long": "%A, %B %-d, %Y",
    "date_long_full": "%B %-d, %Y",
    "date_long_pretty": "%A, %B %-d, %Y",
    "date": "%B %-d, %Y",
    "date_pretty": "%B %-d, %Y",
    "date_short": "%b %-d, %Y",
    "date_short_pretty": "%b %-d, %Y",
    "day_divider_pretty": "%A, %B %-d",
    "time": "%H:%M",
    "time_secs": "%H:%M:%S",
    "ago": "%Y-%m-%d %H:%M",
}


def message_text(message: Json, names: Names) -> str:
    """The blocks, where there are any: Slack shows `text` only in notifications then."""
    if message.get("blocks"):
        return blocks_text(message["blocks"], names)
    return mrkdwn_text(message.get("text", ""), names)


def view_text(view: Json, names: Names) -> str:
    heads = [view[key]["text"] for key in ("title", "submit", "close") if view.get(key)]
    title, *buttons = heads if view["type"] == "modal" else [""]
    body = blocks_text(view["blocks"], names, view.get("state", {}).get("values"))
    return "\n".join(part for part in (title, body, *buttons) if part)


def blocks_text(blocks: list[Json], names: Names, values: Json | None = None) -> str:
    """Read blocks from top to bottom, a line each. `values` are what fields hold by now."""
    return "\n".join(_block_lines(blocks, names, values or {}))


def mrkdwn_text(text: str, names: Names) -> str:
    resolved = _SPECIAL.sub(lambda found: _special(found[1], names), text)
    parts = _CODE.split(resolved)
    parts[::2] = [_unstyled(part) for part in parts[::2]]
    parts[1::2] = [part.strip("`") for part in parts[1::2]]
    return _unescaped("".join(parts))


def _unescaped(text: str) -> str:
    """Read the three entities that Slack knows, and no others."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _unstyled(text: str) -> str:
    while (plain := _STYLED.sub(r"\2", text)) != text:
        text = plain
    return text


def _special(inside: str, names: Names) -> str:
    body, _, label = inside.partition("|")
    match body[0]:
        case "@":
            return f"@{names.get(body[1:], label or body[1:])}"
        case "#":
            return f"#{names.get(body[1:], label or body[1:])}"
        case "!":
            return _command(body[1:], label, names)
    return label or body


def _command(body: str, label: str, names: Names) -> str:
    name, *rest = body.split("^")
    if name == "subteam":
        return f"@{names.get(rest[0], label or rest[0])}"
    if name == "date":
        return _date(*rest[:2], fallback=label)
    return label or f"@{name}"


def _date(stamp: str = "", form: str = "", *, fallback: str = "") -> str:
    if not stamp.isdecimal() or not form:
        return fallback
    when = datetime.fromtimestamp(int(stamp), UTC)

    def fill(found: re.Match[str]) -> str:
        token = _DATE_TOKENS.get(found[1])
        return when.strftime(token) if token else found[0]

    return re.sub(r"\{(\w+)\}", fill, form)


def _block_lines(blocks: list[Json], names: Names, values: Json) -> Iterator[str]:
    for block in blocks:
        yield from _lines(block, names, values.get(block["block_id"], {}))
        yield from _block_lines(block.get("child_blocks", []), names, values)


def _lines(node: object, names: Names, held: Json) -> Iterator[str]:
    """Yield the texts of a block or any part of it, in the order in which they are shown."""
    if isinstance(node, list):
        for item in node:
            yield from _lines(item, names, held)
    elif isinstance(node, dict):
        yield from _READERS.get(node.get("type", ""), _parts)(node, names, held)


def _parts(node: Json, names: Names, held: Json) -> Iterator[str]:
    if "alt_text" in node:
        yield node["alt_text"]
    for key in _SHOWN:
        if isinstance(node.get(key), str):
            yield _unescaped(node[key])
        elif key in node:
            yield from _lines(node[key], names, held)


def _mrkdwn(node: Json, names: Names, _: Json) -> Iterator[str]:
    yield mrkdwn_text(node["text"], names)


def _plain(node: Json, _: Names, __: Json) -> Iterator[str]:
    yield _unescaped(node["text"])


def _pie(node: Json, _: Names, __: Json) -> Iterator[str]:
    yield from (f"{segment['label']}: {segment['value']}" for segment in node["segments"])


def _plot(node: Json, _: Names, __: Json) -> Iterator[str]:
    for series in node["series"]:
        points = ", ".join(f"{point['label']} {point['value']}" for point in series["data"])
        yield f"{series['name']}: {points}"


def _rich(node: Json, names: Names, _: Json) -> Iterator[str]:
    yield "".join(_leaf(leaf, names) for leaf in node["elements"])


def _quote(node: Json, names: Names, _: Json) -> Iterator[str]:
    """Each line with the mark that it would have in mrkdwn: on a screen it has a bar beside it."""
    said = "".join(_leaf(leaf, names) for leaf in node["elements"])
    yield "\n".join(f"> {line}" for line in said.split("\n"))


def _icon(node: Json, names: Names, _: Json) -> Iterator[str]:
    yield from _lines(node["text"], names, {})


def _boxes(node: Json, names: Names, held: Json) -> Iterator[str]:
    yield from _lines(node["options"], names, held)


def _field(element: Json, names: Names, held: Json) -> Iterator[str]:
    """What a field holds, or else its placeholder."""
    how = HELD[element["type"]]
    value = held.get(element["action_id"], {}).get(how.field, element.get(how.initial))
    if value in (None, "", []):
        yield from _lines(element.get("placeholder"), names, {})
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and how.sort is Sort.FILE:
            yield item["name"]
        elif isinstance(item, dict):
            yield from _lines(item.get("text", item.get("elements")), names, {})
        else:
            yield str(names.get(item, item))


def _closed_menu(_: Json, __: Names, ___: Json) -> Iterator[str]:
    return iter(())


_SHOWN = (
    "hero_image",
    "icon",
    "label",
    "caption",
    "rich_text_title",
    "title",
    "subtitle",
    "text",
    "body",
    "fields",
    "description",
    "author_name",
    "provider_name",
    "elements",
    "element",
    "accessory",
    "actions",
    "positive_button",
    "negative_button",
    "rows",
    "chart",
    "tasks",
    "details",
    "output",
    "sources",
    "hint",
)
_READERS: dict[str, Callable[[Json, Names, Json], Iterator[str]]] = {
    **dict.fromkeys(HELD, _field),
    **dict.fromkeys(("plain_text", "raw_text", "raw_number", "markdown"), _plain),
    **dict.fromkeys(("bar", "line", "area"), _plot),
    "pie": _pie,
    "icon_button": _icon,
    **dict.fromkeys(("rich_text_section", "rich_text_preformatted"), _rich),
    "rich_text_quote": _quote,
    **dict.fromkeys(("radio_buttons", "checkboxes"), _boxes),
    "mrkdwn": _mrkdwn,
    "overflow": _closed_menu,
}


def _leaf(leaf: Json, names: Names) -> str:
    match leaf["type"]:
        case "text":
            return str(leaf["text"])
        case "link":
            return str(leaf.get("text") or leaf["url"])
        case "user":
            return f"@{names.get(leaf['user_id'], leaf['user_id'])}"
        case "channel":
            return f"#{names.get(leaf['channel_id'], leaf['channel_id'])}"
        case "usergroup":
            return f"@{names.get(leaf['usergroup_id'], leaf['usergroup_id'])}"
        case "broadcast":
            return f"@{leaf['range']}"
        case "emoji":
            return f":{leaf['name']}:"
        case "date":
            return _date(str(leaf["timestamp"]), leaf["format"], fallback=leaf.get("fallback", ""))
    return str(leaf.get("value", ""))
