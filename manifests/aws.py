"""Policies of AWS as they stand in files: a whole one, or its statements, as YAML or as JSON."""

import json
from typing import Annotated, Any

from pydantic import PlainValidator

from manifests.parts import Notes, nearest, shown

__all__ = ["Policy"]

_VERSION = "2012-10-17"  # the newest of the language
_STATEMENT = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
_WHOLE = ("Version", "Id", "Statement")
_EITHER = (("Action", "NotAction"), ("Resource", "NotResource"))


def _policy(value: object) -> str:
    """Return the policy as JSON, without white space between its parts."""
    said = _from_json(value) if isinstance(value, str) else value
    notes = Notes()
    whole: dict[Any, Any] = {"Version": _VERSION, "Statement": said}
    if isinstance(said, dict) and "Statement" in said:
        whole = said
        _keys(notes, said, _WHOLE)
        place: tuple[str, ...] = ("Statement",)
    else:
        place = ()
    listed = whole["Statement"]
    if listed == [] or listed is None:
        notes.add("A policy has at least one statement.", *place)
    for number, statement in enumerate(listed if isinstance(listed, list) else [listed]):
        _statement(notes, statement, *place, *((number,) if isinstance(listed, list) else ()))
    notes.settle()
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def _from_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"This is no JSON: {error}.") from None
    except RecursionError:
        raise ValueError("This is no policy: it is nested too deep.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A key stands here twice. Keep one.")
    return found


def _statement(notes: Notes, said: object, *place: str | int) -> None:
    if not isinstance(said, dict):
        notes.add(f"Write a statement, with `Effect`, `Action`; found {shown(said)}.", *place)
        return
    _keys(notes, said, _STATEMENT, *place)
    if said.get("Effect") not in {"Allow", "Deny"}:
        found = shown(said.get("Effect"))
        notes.add(f"`Effect` is Allow or Deny; found {found}.", *place, "Effect")
    for one, other in _EITHER:
        if (one in said) is (other in said):
            notes.add(f"Write either `{one}` or `{other}`.", *place)
        for key in (one, other):
            if key in said and not _is_text(said[key]):
                notes.add(
                    f"Write a text, or a list of texts; found {shown(said[key])}.", *place, key
                )


def _keys(notes: Notes, said: dict[Any, Any], known: tuple[str, ...], *place: str | int) -> None:
    for key in said:
        if key not in known:
            notes.add(f"There is no `{key}` here. {nearest(str(key), known)}", *place, str(key))


def _is_text(said: object) -> bool:
    texts = said if isinstance(said, list) else [said]
    return bool(texts) and all(isinstance(text, str) and text for text in texts)


Policy = Annotated[
    str, PlainValidator(_policy, json_schema_input_type=dict[str, Any] | list[Any] | str)
]
