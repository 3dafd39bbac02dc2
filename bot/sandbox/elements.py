"""What Slack's own client does with interactive elements: it finds them, holds what a person
chose or typed, refuses a form that is not filled in, and says what an action carries.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from bot.sandbox import limits
from bot.sandbox.blocks import elements_of, every_block
from bot.sandbox.errors import NotPossible

__all__ = [
    "HELD",
    "Key",
    "Placed",
    "State",
    "action_of",
    "chosen",
    "complaint",
    "find",
    "initial_state",
    "offered",
    "pick",
    "placed_in",
    "state_values",
]

Json = dict[str, Any]
Key = tuple[str, str]  # block_id, action_id
State = dict[Key, Json]


class Sort(StrEnum):
    TEXT = "text"
    OPTION = "option"
    PERSON = "person"
    CHANNEL = "channel"
    FILE = "file"
    RAW = "raw"  # dates, times, rich text: taken as given


@dataclass(frozen=True, slots=True)
class Held:
    """How an element's value is called in state and in its definition."""

    field: str
    initial: str
    sort: Sort
    many: bool = False

    @property
    def empty(self) -> object:
        return [] if self.many else None


_TYPED = Held("value", "initial_value", Sort.TEXT)
_ONE = Held("selected_option", "initial_option", Sort.OPTION)
_MANY = Held("selected_options", "initial_options", Sort.OPTION, many=True)

HELD: dict[str, Held] = {
    "plain_text_input": _TYPED,
    "number_input": _TYPED,
    "email_text_input": _TYPED,
    "url_text_input": _TYPED,
    "rich_text_input": Held("rich_text_value", "initial_value", Sort.RAW),
    "static_select": _ONE,
    "external_select": _ONE,
    "radio_buttons": _ONE,
    "multi_static_select": _MANY,
    "multi_external_select": _MANY,
    "checkboxes": _MANY,
    "users_select": Held("selected_user", "initial_user", Sort.PERSON),
    "multi_users_select": Held("selected_users", "initial_users", Sort.PERSON, many=True),
    "channels_select": Held("selected_channel", "initial_channel", Sort.CHANNEL),
    "multi_channels_select": Held("selected_channels", "initial_channels", Sort.CHANNEL, many=True),
    "conversations_select": Held("selected_conversation", "initial_conversation", Sort.CHANNEL),
    "multi_conversations_select": Held(
        "selected_conversations", "initial_conversations", Sort.CHANNEL, many=True
    ),
    "datepicker": Held("selected_date", "initial_date", Sort.RAW),
    "timepicker": Held("selected_time", "initial_time", Sort.RAW),
    "file_input": Held("files", "initial_files", Sort.FILE, many=True),
    "datetimepicker": Held("selected_date_time", "initial_date_time", Sort.RAW),
}


@dataclass(frozen=True, slots=True)
class Placed:
    """An interactive element and the block that it stands in."""

    block: Json
    element: Json

    @property
    def key(self) -> Key:
        return self.block["block_id"], self.element["action_id"]

    @property
    def in_input(self) -> bool:
        return bool(self.block["type"] == "input")

    @property
    def dispatches(self) -> bool:
        """Whether using the element tells the app at once, not only when the view is sent."""
        return not self.in_input or bool(self.block.get("dispatch_action"))


def placed_in(blocks: list[Json]) -> Iterator[Placed]:
    for block in every_block(blocks):
        for element in elements_of(block):
            if "action_id" in element:
                yield Placed(block, element)


def find(blocks: list[Json], action_id: str, block_id: str | None = None) -> Placed:
    found = [
        placed
        for placed in placed_in(blocks)
        if placed.key[1] == action_id and block_id in {None, placed.key[0]}
    ]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{b}/{a}" for b, a in (p.key for p in placed_in(blocks))) or "nothing"
    trouble = "more than one" if found else "no"
    raise NotPossible(f"{trouble} element {action_id!r} here; there is: {there}")


def initial_state(blocks: list[Json]) -> State:
    return {
        placed.key: _entry(held, placed.element, placed.element.get(held.initial, held.empty))
        for placed in placed_in(blocks)
        if (held := HELD.get(placed.element["type"]))
    }


def state_values(state: State) -> dict[str, dict[str, Json]]:
    values: dict[str, dict[str, Json]] = {}
    for (block_id, action_id), entry in state.items():
        values.setdefault(block_id, {})[action_id] = entry
    return values


def chosen(
    placed: Placed,
    value: object,
    *,
    suggested: list[Json],
    person: Callable[[str], str],
    channel: Callable[[str], str],
    file: Callable[[Json], Json],
) -> Json:
    """Turn what a test says was entered into the entry that the client holds for it."""
    held = HELD.get(placed.element["type"])
    if held is None:
        raise NotPossible(f"a {placed.element['type']} holds no value")

    readers: dict[Sort, Callable[[object], object]] = {
        Sort.OPTION: lambda item: _option(placed.element, str(item), suggested),
        Sort.PERSON: lambda item: person(str(item)),
        Sort.CHANNEL: lambda item: channel(str(item)),
        Sort.FILE: lambda item: file(_acceptable(placed.element, item)),
        Sort.TEXT: str,
        Sort.RAW: lambda item: item,
    }
    one = readers[held.sort]
    if held.many:
        items = value if isinstance(value, list) else [] if value is None else [value]
        files = limits.INPUT_FILES if held.sort is Sort.FILE else None
        most = placed.element.get("max_selected_items", placed.element.get("max_files", files))
        if most is not None and len(items) > most:
            raise NotPossible(f"{placed.key[1]} takes at most {most} items")
        return _entry(held, placed.element, [one(item) for item in items])
    return _entry(held, placed.element, None if value is None or value == "" else one(value))


def action_of(placed: Placed, entry: Json | None, option: str | None, ts: str) -> Json:
    """What `actions[0]` of a block_actions payload says about a use of this element."""
    element = placed.element
    block_id, action_id = placed.key
    action: Json = {"type": element["type"], "action_id": action_id, "block_id": block_id}
    if element["type"] == "feedback_buttons":
        action |= _feedback(element, option)
    elif element["type"] in {"button", "icon_button"}:
        action["text"] = element["text"]
        action |= {key: element[key] for key in ("value", "style", "url") if key in element}
    elif element["type"] == "overflow":
        if option is None:
            raise NotPossible(f"say which option of {action_id} is chosen")
        action["selected_option"] = _option(element, option, [])
    elif entry is not None:
        action |= entry
        for key in ("placeholder", HELD[element["type"]].initial):
            if key in element:
                action[key] = element[key]
    return {**action, "action_ts": ts}


def complaint(placed: Placed, entry: Json) -> str | None:
    """What the client writes under a field that keeps the view from being sent."""
    held = HELD[placed.element["type"]]
    value = entry[held.field]
    if value in (None, "", []):
        return None if placed.block.get("optional") else "Please complete this required field."
    check = _CHECKS.get(placed.element["type"])
    return check(placed.element, value) if check else None


def _entry(held: Held, element: Json, value: object) -> Json:
    return {"type": element["type"], held.field: value}


def offered(element: Json, suggested: list[Json]) -> list[Json]:
    """The options of a menu, groups flattened; `suggested` are those that the app sent for it."""
    options: list[Json] = [*element.get("options", []), *suggested]
    for group in element.get("option_groups", []):
        options += group["options"]
    options += [element["initial_option"]] if "initial_option" in element else []
    return options + list(element.get("initial_options", []))


def pick(options: list[Json], wanted: str) -> Json | None:
    """Choose by value, or by the text that a person sees."""
    by_value = (option for option in options if option["value"] == wanted)
    by_text = (option for option in options if option["text"]["text"] == wanted)
    return next(by_value, None) or next(by_text, None)


def _acceptable(element: Json, item: object) -> Json:
    """Take a file as Slack's client would: of a kind that the field accepts, and not too large."""
    if not isinstance(item, dict):
        raise NotPossible("a file has a name and content")
    kinds = element.get("filetypes")
    if kinds and str(item["name"]).rpartition(".")[2].lower() not in kinds:
        raise NotPossible(f"only {', '.join(kinds)} can be chosen")
    if len(item["content"]) > limits.INPUT_FILE_BYTES:
        raise NotPossible(f"a file has at most {limits.INPUT_FILE_BYTES} bytes")
    return item


def _feedback(element: Json, wanted: str | None) -> Json:
    for button in (element["positive_button"], element["negative_button"]):
        if wanted in {button["value"], button["text"]["text"]}:
            return {"text": button["text"], "value": button["value"]}
    raise NotPossible(f"say which button of {element['action_id']} is clicked")


def _option(element: Json, wanted: str, suggested: list[Json]) -> Json:
    options = offered(element, suggested)
    if option := pick(options, wanted):
        return option
    known = ", ".join(f"{o['value']} ({o['text']['text']})" for o in options) or "nothing"
    raise NotPossible(f"{wanted!r} is not offered by {element['action_id']}; it offers: {known}")


def _text_complaint(element: Json, value: str) -> str | None:
    if len(value) < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    most = element.get("max_length", 3000)
    if len(value) > most:
        return f"Please enter no more than {most} characters."
    return None


def _number_complaint(element: Json, value: str) -> str | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return "Please enter a number."
    if not element["is_decimal_allowed"] and number != number.to_integral_value():
        return "Please enter a whole number."
    if "min_value" in element and number < Decimal(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and number > Decimal(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return None


def _format_complaint(pattern: str, sentence: str) -> Callable[[Json, str], str | None]:
    return lambda _, value: None if re.fullmatch(pattern, value) else sentence


_CHECKS: dict[str, Callable[[Json, str], str | None]] = {
    "plain_text_input": _text_complaint,
    "number_input": _number_complaint,
    "email_text_input": _format_complaint(
        r"[^@\s]+@[^@\s]+\.[^@\s]+", "Please enter a valid email address."
    ),
    "url_text_input": _format_complaint(r"https?://\S+", "Please enter a valid URL."),
}
