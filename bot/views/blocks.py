"""Block Kit's building blocks, each within Slack's limits whatever it is given.

Arguments called `text` are mrkdwn, already escaped; `label`, `title` and `hint` are plain text.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Literal

from bot.views.text import cut, dead_emoji, plain
from bot.views.values import Block, Message, View

__all__ = [
    "actions",
    "button",
    "confirm",
    "context",
    "divider",
    "fields",
    "header",
    "input_",
    "message",
    "modal",
    "mrkdwn",
    "option",
    "plain_text",
    "section",
    "weight",
]


def plain_text(text: str, limit: int) -> Block:
    return _plain_text(plain(text, limit))


def mrkdwn(text: str, limit: int = 3000) -> Block:
    # Verbatim: else Slack itself looks for names of channels and people in what somebody typed.
    return {"type": "mrkdwn", "text": cut(text, limit) or "…", "verbatim": True}


def header(title: str) -> Block:
    return {"type": "header", "text": plain_text(title, 150)}


def section(text: str, accessory: Block | None = None) -> Block:
    block: Block = {"type": "section", "text": mrkdwn(text)}
    return block | {"accessory": accessory} if accessory else block


def fields(facts: Iterable[tuple[str, str]]) -> Block:
    """Short facts in two columns: what it is in bold, and under it what it says."""
    said = [mrkdwn(f"*{name}*\n{value}", 500) for name, value in facts]
    return {"type": "section", "fields": said[:10]}


def context(*texts: str) -> Block:
    return {"type": "context", "elements": [mrkdwn(" · ".join(filter(None, texts)), 1000)]}


def divider() -> Block:
    return {"type": "divider"}


def actions(buttons: Sequence[Block]) -> list[Block]:
    """Return the row of buttons, or nothing where there are none."""
    return [{"type": "actions", "elements": list(buttons[:25])}] if buttons else []


def button(
    label: str,
    action: str,
    value: str,
    *,
    says: str = "",
    style: Literal["primary", "danger"] | None = None,
    asks: Block | None = None,
) -> Block:
    """`says` is for screen readers, where the label alone does not tell what is meant."""
    block: Block = {
        "type": "button",
        "text": plain_text(label, 75),
        "action_id": action,
        "value": value,
        "accessibility_label": plain(says or label, 75),
    }
    if style:
        block["style"] = style
    return block | {"confirm": asks} if asks else block


def confirm(title: str, text: str, yes: str, no: str) -> Block:
    return {
        "title": plain_text(title, 100),
        "text": mrkdwn(text, 300),
        "confirm": plain_text(yes, 30),
        "deny": plain_text(no, 30),
        "style": "danger",
    }


def option(label: str, value: str, description: str = "") -> Block:
    """Of a long label the end stays, which tells a path apart from its neighbours."""
    chosen: Block = {"text": _plain_text(plain(label, 75, keep_end=True)), "value": value}
    return chosen | {"description": plain_text(description, 75)} if description.strip() else chosen


def _plain_text(text: str) -> Block:
    return {"type": "plain_text", "text": dead_emoji(text), "emoji": True}


def input_(
    block_id: str,
    label: str,
    element: Block,
    *,
    hint: str = "",
    optional: bool = False,
    dispatch: bool = False,
) -> Block:
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain_text(label, 150),
        "element": element,
        "optional": optional,
    }
    if hint:
        block["hint"] = plain_text(hint, 500)
    return block | {"dispatch_action": True} if dispatch else block


def modal(
    title: str,
    blocks: Sequence[Block],
    *,
    submit: str = "",
    close: str = "Close",
    callback: str = "",
    metadata: str = "",
) -> View:
    view: View = {
        "type": "modal",
        "title": plain_text(title, 24),
        "close": plain_text(close, 24),
        "blocks": list(blocks[:100]),
    }
    if submit:
        view["submit"] = plain_text(submit, 24)
    if callback:
        view["callback_id"] = callback
    return view | {"private_metadata": metadata} if metadata else view


def message(text: str, blocks: Sequence[Block]) -> Message:
    return Message(cut(text, 1000), list(blocks))


def weight(blocks: Sequence[Block]) -> int:
    """Count what Slack counts of a message's blocks together."""
    return len(json.dumps(blocks, ensure_ascii=False))
