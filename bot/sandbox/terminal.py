"""Messages and views for a terminal, as lines in rich's markup: laid out as Slack lays them out."""

from collections.abc import Iterator
from typing import Any

from rich.markup import escape

from bot.sandbox.render import Names, blocks_text, mrkdwn_text

__all__ = ["message_lines", "view_lines"]

Json = dict[str, Any]


def message_lines(message: Json, names: Names) -> str:
    if not message.get("blocks"):
        return escape(mrkdwn_text(message.get("text", ""), names))
    return "\n".join(_lines(message["blocks"], names, {}))


def view_lines(view: Json, names: Names) -> str:
    """A modal: its title, what is in it, its buttons."""
    held = view.get("state", {}).get("values", {})
    buttons = [view[key] for key in ("submit", "close") if view.get(key)]
    lines = _lines(view["blocks"], names, held)
    return "\n".join((_bold(view["title"]["text"]), *lines, _buttons(buttons)))


def _lines(blocks: list[Json], names: Names, held: Json) -> Iterator[str]:
    for block in blocks:
        match block["type"]:
            case "header":
                yield _bold(block["text"]["text"])
            case "section" if "fields" in block:
                yield from _facts([mrkdwn_text(f["text"], names) for f in block["fields"]])
            case "actions":
                yield _buttons([element["text"] for element in block["elements"]])
            case "input":
                yield from _input(block, names, held)
            case "context":
                yield f"[dim]{escape(blocks_text([block], names))}[/]"
            case "divider":
                yield ""
            case _:
                yield escape(blocks_text([block], names))


def _facts(fields: list[str]) -> Iterator[str]:
    """One fact a line, what they say one under the other."""
    facts = [(name, said) for name, _, said in (field.partition("\n") for field in fields)]
    width = max(len(name) for name, _ in facts)
    for name, said in facts:
        yield f"[dim]{escape(name.ljust(width))}[/]  {escape(said)}"


def _input(block: Json, names: Names, held: Json) -> Iterator[str]:
    bare = {"type": "input", "block_id": block["block_id"], "element": block["element"]}
    values = {block["block_id"]: held.get(block["block_id"], {})}
    yield f"[dim]{escape(block['label']['text'])}[/]  {escape(blocks_text([bare], names, values))}"
    if hint := block.get("hint"):
        yield f"  [dim italic]{escape(hint['text'])}[/]"


def _buttons(labels: list[Json]) -> str:
    return "  ".join(f"[reverse] {escape(label['text'])} [/]" for label in labels)


def _bold(text: str) -> str:
    return f"[bold]{escape(text)}[/]"
