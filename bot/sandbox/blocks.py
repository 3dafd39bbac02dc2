"""Judges Block Kit and views by the tables in `limits`, in the words of Slack's own errors.

`judge_*` return the faults found, each a sentence with the JSON pointer of its place; none means
accepted. `completed` gives blocks the ids and defaults that Slack fills in.
"""

import copy
import itertools
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from bot.sandbox import limits
from bot.sandbox.shapes import (
    Choice,
    Flag,
    Items,
    Number,
    Part,
    Shape,
    Spec,
    String,
    Text,
    Typed,
)

__all__ = [
    "completed",
    "elements_of",
    "every_block",
    "judge_blocks",
    "judge_options",
    "judge_view",
    "slack_files",
    "texts",
    "view_is_too_large",
]

Json = dict[str, Any]
Faults = list[str]


def judge_blocks(blocks: object, surface: str, at: str = "/blocks") -> Faults:
    faults: Faults = []
    if not isinstance(blocks, list):
        return [_fault("must provide an array", at)]
    if len(blocks) > limits.BLOCKS_ON[surface]:
        faults.append(_fault(f"no more than {limits.BLOCKS_ON[surface]} items allowed", at))
    for index, block in enumerate(blocks):
        _check_one_of(block, limits.SURFACES[surface], limits.BLOCKS, f"{at}/{index}", faults)
    if not faults:
        faults.extend(_across(blocks, surface, at))
    return faults


def judge_view(view: object, kind: str, at: str = "/view") -> Faults:
    faults: Faults = []
    if not isinstance(view, dict):
        return [_fault("must provide an object", at)]
    head = {key: value for key, value in view.items() if key != "blocks"}
    _check_one_of(head, frozenset({kind}), limits.VIEWS, at, faults)
    if "blocks" in view:
        faults.extend(judge_blocks(view["blocks"], kind, f"{at}/blocks"))
    else:
        faults.append(_fault("missing required field: blocks", at))
    if not faults and kind == "modal" and "submit" not in view:
        faults.extend(
            _fault("must define `submit` to use an `input` block in modals", f"{at}/blocks/{i}")
            for i, block in enumerate(view["blocks"])
            if block["type"] == "input"
        )
    return faults


def judge_options(answer: object) -> Faults:
    """Judge what an app answers when a person types into an external select."""
    if not isinstance(answer, dict):
        return [_fault("must provide an object", "")]
    given = [key for key in limits.OPTIONS_RESPONSE if key in answer]
    if len(given) != 1:
        return [_fault("must provide either options or option_groups", "")]
    faults: Faults = []
    _check(limits.OPTIONS_RESPONSE[given[0]], answer[given[0]], f"/{given[0]}", faults)
    return faults


def view_is_too_large(view: Json) -> bool:
    return len(json.dumps(view, ensure_ascii=False).encode()) > limits.VIEW_BYTES


def completed(blocks: list[Json]) -> list[Json]:
    """Copy the blocks with the ids and text defaults that Slack adds on its side."""
    done: list[Json] = copy.deepcopy(blocks)
    for block in every_block(done):
        block.setdefault("block_id", secrets.token_urlsafe(4))
        for element in elements_of(block):
            if element["type"] in _INTERACTIVE:
                element.setdefault("action_id", secrets.token_urlsafe(4))
    _fill_text_defaults(done)
    return done


def every_block(blocks: list[Json]) -> Iterator[Json]:
    """Yield the blocks, and those within a container, a carousel or a plan after their own."""
    for block in blocks:
        yield block
        for within in _WITHIN.get(block["type"], ()):
            yield from every_block(block.get(within, []))


def elements_of(block: Json) -> Iterator[Json]:
    """Yield the elements that a block itself carries, wherever it keeps them."""
    yield from block.get(_ELEMENTS.get(block["type"], ""), [])
    for key in ("accessory", "element"):
        if key in block:
            yield block[key]


def slack_files(blocks: list[Json]) -> Iterator[Json]:
    """Yield each reference to a file of Slack's, wherever an image shows one."""
    yield from _found_under(blocks, "slack_file")


def texts(node: object) -> Iterator[str]:
    """Yield every text that a person reads in blocks, options included."""
    if isinstance(node, list):
        for item in node:
            yield from texts(item)
    elif isinstance(node, dict):
        kind = node.get("type")
        if kind in _READ:
            yield str(node.get("text") or node.get("url", ""))
            return
        if "alt_text" in node:
            yield node["alt_text"]
        for value in node.values():
            if isinstance(value, (dict, list)):
                yield from texts(value)


_INTERACTIVE = frozenset(limits.ELEMENTS) - {"image", "plain_text", "mrkdwn", "url"}
_ELEMENTS = {
    "actions": "elements",
    "context": "elements",
    "context_actions": "elements",
    "card": "actions",
}
_WITHIN = {"container": ("child_blocks",), "carousel": ("elements",), "plan": ("tasks",)}


def _found_under(node: object, key: str) -> Iterator[Json]:
    if isinstance(node, list):
        for item in node:
            yield from _found_under(item, key)
    elif isinstance(node, dict):
        if isinstance(node.get(key), dict):
            yield node[key]
        for value in node.values():
            yield from _found_under(value, key)


_READ = frozenset(
    {"plain_text", "mrkdwn", "markdown", "text", "raw_text", "raw_number", "link", "url"}
)


def _fault(sentence: str, at: str) -> str:
    return f"{sentence} [json-pointer:{at}]"


def _check_one_of(
    value: object, allowed: frozenset[str], shapes: dict[str, Shape], at: str, faults: Faults
) -> None:
    """Check an object by the shape that its `type` names."""
    if not isinstance(value, dict):
        faults.append(_fault("must provide an object", at))
        return
    kind = value.get("type")
    if kind is None:
        faults.append(_fault("missing required field: type", at))
    elif not isinstance(kind, str) or kind not in allowed:
        faults.append(_fault(f"unsupported type: {kind}", f"{at}/type"))
    else:
        _check_shape(shapes[kind], value, at, faults)


def _check_shape(shape: Shape, value: Json, at: str, faults: Faults) -> None:
    for key, item in value.items():
        spec = shape.required.get(key) or shape.optional.get(key)
        if spec is not None:
            _check(spec, item, f"{at}/{key}", faults)
        elif key != "type":
            faults.append(_fault(f"invalid additional property: {key}", at))
    faults.extend(
        _fault(f"missing required field: {key}", at) for key in shape.required if key not in value
    )
    either = shape.any_of or shape.one_of
    if either and not any(key in value for key in either):
        faults.append(_fault(f"missing required field: {' or '.join(either)}", at))
    if sum(key in value for key in shape.one_of) > 1:
        faults.append(_fault(f"only one of {', '.join(shape.one_of)} is allowed", at))


def _check(spec: Spec, value: object, at: str, faults: Faults) -> None:
    _CHECKS[type(spec)](spec, value, at, faults)


def _check_string(spec: String, value: object, at: str, faults: Faults) -> None:
    if not isinstance(value, str):
        faults.append(_fault("must be a string", at))
        return
    _check_length(value, spec.least, spec.most, at, faults)
    if spec.pattern and value and not _pattern(spec.pattern).search(value):
        faults.append(_fault("failed to match the expected format", at))


def _check_length(value: str, least: int, most: int, at: str, faults: Faults) -> None:
    if len(value) > most:
        faults.append(_fault(f"must be less than {most + 1} characters", at))
    elif len(value) < least:
        faults.append(_fault(f"must be more than {least - 1} characters", at))


def _check_number(spec: Number, value: object, at: str, faults: Faults) -> None:
    if isinstance(value, bool) or not isinstance(value, int if spec.whole else (int, float)):
        faults.append(_fault("must be an integer" if spec.whole else "must be a number", at))
    elif not spec.least <= value <= spec.most:
        faults.append(_fault(f"must be between {spec.least} and {spec.most}", at))


def _check_flag(_: Flag, value: object, at: str, faults: Faults) -> None:
    if not isinstance(value, bool):
        faults.append(_fault("must be a boolean", at))


def _check_choice(spec: Choice, value: object, at: str, faults: Faults) -> None:
    if not isinstance(value, str) or value not in spec.among:
        faults.append(_fault(f"must be one of {', '.join(sorted(spec.among))}", at))


def _check_text(spec: Text, value: object, at: str, faults: Faults) -> None:
    before = len(faults)
    _check_one_of(value, _PLAIN if spec.plain else _BOTH, limits.ELEMENTS, at, faults)
    if len(faults) == before and isinstance(value, dict):
        _check_length(value["text"], 1, spec.most, f"{at}/text", faults)


def _check_part(spec: Part, value: object, at: str, faults: Faults) -> None:
    if isinstance(value, dict):
        _check_shape(limits.PARTS[spec.name], value, at, faults)
    else:
        faults.append(_fault("must provide an object", at))


def _check_typed(spec: Typed, value: object, at: str, faults: Faults) -> None:
    _check_one_of(value, spec.types, limits.SHAPES, at, faults)


def _check_items(spec: Items, value: object, at: str, faults: Faults) -> None:
    if not isinstance(value, list):
        faults.append(_fault("must provide an array", at))
        return
    if len(value) > spec.most:
        faults.append(_fault(f"no more than {spec.most} items allowed", at))
    elif len(value) < spec.least:
        faults.append(_fault(f"must provide at least {spec.least} items", at))
    for index, item in enumerate(value):
        _check(spec.of, item, f"{at}/{index}", faults)


_PLAIN = frozenset({"plain_text"})
_BOTH = frozenset({"plain_text", "mrkdwn"})
_CHECKS: dict[type, Callable[[Any, object, str, Faults], None]] = {
    String: _check_string,
    Number: _check_number,
    Flag: _check_flag,
    Choice: _check_choice,
    Text: _check_text,
    Part: _check_part,
    Typed: _check_typed,
    Items: _check_items,
}


@lru_cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _across(blocks: list[Json], surface: str, at: str) -> Iterator[str]:
    """Find what no single object shows: ids used twice, choices outside the options, totals."""
    everything = list(every_block(blocks))
    for block_id in _twice(block.get("block_id") for block in everything):
        yield _fault(f'`block_id` "{block_id}" already exists', at)
    for index, top in enumerate(blocks):
        place = f"{at}/{index}"
        for block in every_block([top]):
            yield from _in_block(block, surface, place)
        if top["type"] == "task_card" and top["status"] == "pending":
            yield _fault("a task_card outside a plan must not be pending", f"{place}/status")
    elements = itertools.chain.from_iterable(elements_of(block) for block in everything)
    if sum(element.get("focus_on_load", False) for element in elements) > 1:
        yield _fault("only one element can have focus_on_load", at)
    for kind, most in limits.PER_MESSAGE.items():
        if surface == "message" and sum(block["type"] == kind for block in everything) > most:
            yield _fault(f"no more than {most} {kind} blocks are allowed", at)
    written = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if written > limits.MARKDOWN_TEXT:
        yield _fault(f"markdown blocks must be less than {limits.MARKDOWN_TEXT + 1} characters", at)


def _in_block(block: Json, surface: str, place: str) -> Iterator[str]:
    for action_id in _twice(element.get("action_id") for element in elements_of(block)):
        yield _fault(f'`action_id` "{action_id}" already exists', f"{place}/elements")
    for element in elements_of(block):
        if element["type"] in limits.MODAL_ONLY and surface != "modal":
            yield _fault(f"unsupported type: {element['type']}", f"{place}/element/type")
        if element.get("response_url_enabled") and (surface, block["type"]) != ("modal", "input"):
            yield _fault("response_url_enabled needs an input block of a modal", place)
        yield from _within(element, place)
    if check := _BLOCK_RULES.get(block["type"]):
        yield from (_fault(sentence, place) for sentence in check(block))


def _table_rules(block: Json) -> Iterator[str]:
    if len({len(row) for row in block["rows"]}) > 1:
        yield "rows must all have the same number of cells"


def _data_table_rules(block: Json) -> Iterator[str]:
    yield from _table_rules(block)
    if sum(map(len, texts(block["rows"]))) > limits.DATA_TABLE_TEXT:
        yield f"cells must be less than {limits.DATA_TABLE_TEXT + 1} characters together"
    if block.get("row_header_column_index", 0) >= len(block["rows"][0]):
        yield "row_header_column_index must be a column"


def _chart_rules(block: Json) -> Iterator[str]:
    chart = block["chart"]
    names = [series["name"] for series in chart.get("series", [])]
    if any(_twice(names)):
        yield "series must have different names"
    categories = chart.get("axis_config", {}).get("categories")
    for series in chart.get("series", []):
        if [point["label"] for point in series["data"]] != categories:
            yield f"labels of series {series['name']} must be the categories"


def _container_rules(block: Json) -> Iterator[str]:
    if block.get("default_collapsed") and not block.get("is_collapsible"):
        yield "default_collapsed needs is_collapsible"


_BLOCK_RULES: dict[str, Callable[[Json], Iterator[str]]] = {
    "table": _table_rules,
    "data_table": _data_table_rules,
    "data_visualization": _chart_rules,
    "container": _container_rules,
}


def _twice(ids: Iterable[str | None]) -> Iterator[str]:
    return (name for name, times in Counter(ids).items() if name is not None and times > 1)


def _within(element: Json, place: str) -> Iterator[str]:
    offered = element.get("options", []) + list(
        itertools.chain.from_iterable(g["options"] for g in element.get("option_groups", []))
    )
    if offered:
        chosen = element.get("initial_options", [])
        if "initial_option" in element:
            chosen = [element["initial_option"]]
        known = [_bare(option) for option in offered]
        if any(_bare(option) not in known for option in chosen):
            yield _fault("initial option is not among the options", place)
    if len(element.get("initial_options", [])) > element.get("max_selected_items", limits.OPTIONS):
        yield _fault("more initial options than max_selected_items", place)
    if element.get("min_length", 0) > element.get("max_length", 3000):
        yield _fault("min_length must not be greater than max_length", place)


def _bare(option: Json) -> tuple[str, str]:
    return option["text"]["text"], option["value"]


def _fill_text_defaults(node: object) -> None:
    if isinstance(node, list):
        for item in node:
            _fill_text_defaults(item)
    elif isinstance(node, dict):
        if node.get("type") == "plain_text":
            node.setdefault("emoji", True)
        elif node.get("type") == "mrkdwn":
            node.setdefault("verbatim", False)
        else:
            for value in node.values():
                if isinstance(value, (dict, list)):
                    _fill_text_defaults(value)
