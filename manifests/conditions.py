"""Conditions on people as written: `group: DBA`, lists of them, `any: …`, and the way back."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo

from engine.conditions import Comparator, Condition, ConditionGroup, Connective
from engine.directory import Directory, GroupId, PersonId
from manifests.marked_yaml import Place
from manifests.parts import (
    Notes,
    OneLine,
    Vocabulary,
    find_group,
    find_person,
    house,
    nearest,
    not_yet,
    shown,
)

RESERVED = frozenset({"user", "group", "manager", "owner", "on_call", "all", "any"})
_IDENTIFIED = {"user", "group", "manager"}
_EQUALITY = {Comparator.IS, Comparator.IS_NOT}
_EXAMPLE = "Write conditions, such as `group: DBA`"

# How it is written, for the JSON Schema.
_Values = OneLine | Annotated[list[OneLine], Field(min_length=1)]
_Comparison = Annotated[
    dict[Literal["is", "is not", "contains", "does not contain", "starts with"], _Values],
    Field(min_length=1, max_length=1),
]
_Conditions = Annotated[dict[str, _Values | _Comparison | None], Field(min_length=1)]
_Joined = Annotated[
    dict[Literal["all", "any"], list[_Conditions]], Field(min_length=1, max_length=1)
]
_Written = _Joined | Annotated[list[_Conditions], Field(min_length=1)] | _Conditions


def _requestors(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _Reader(house(info), approvers=False).read(raw)


def _approvers(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _Reader(house(info), approvers=True).read(raw)


Requestors = Annotated[ConditionGroup, PlainValidator(_requestors, json_schema_input_type=_Written)]
Approvers = Annotated[ConditionGroup, PlainValidator(_approvers, json_schema_input_type=_Written)]


class _Reader:
    def __init__(self, house: Vocabulary, *, approvers: bool) -> None:
        self._notes = Notes()
        self._house = house
        self._approvers = approvers

    def read(self, raw: object) -> ConditionGroup:
        join, place, items = _joined(raw)
        conditions: list[Condition] = []
        if not isinstance(items, list):
            self._notes.add(f"{_EXAMPLE}; found {shown(items)}.", *place)
        elif not items:
            self._notes.add(f"{_EXAMPLE}; found an empty list.", *place)
        else:
            for i, item in enumerate(items):
                alone = isinstance(raw, dict) and not place
                conditions += self._item(item, join, () if alone else (*place, i))
        self._notes.settle()
        if self._approvers and not _says_who(conditions, join):
            self._notes.add(
                "Say who approves, not only who does not"
                + (", in every item of `any`." if join is Connective.OR else ".")
            )
        self._notes.settle()
        return ConditionGroup(tuple(conditions), join)

    def _item(self, item: object, join: Connective, place: Place) -> list[Condition]:
        if not isinstance(item, dict) or not item:
            self._notes.add(f"{_EXAMPLE}; found {shown(item or None)}.", *place)
            return []
        if join is Connective.OR and len(item) > 1:
            self._notes.add("Write one condition in each item of `any`.", *place)
            return []
        found = (self._condition(key, raw, (*place, key)) for key, raw in item.items())
        return [condition for condition in found if condition]

    def _condition(self, attribute: str, raw: object, place: Place) -> Condition | None:
        if not self._known(attribute, place):
            return None
        if raw is None and attribute == "manager" and self._approvers:
            return Condition(attribute, Comparator.IS, ())  # the grantee's own
        comparator = Comparator.IS
        if isinstance(raw, dict):
            if len(raw) != 1:
                words = ", ".join(Comparator)
                self._notes.add(f"Write one of: {words}; found {len(raw)} keys.", *place)
                return None
            ((word, raw),) = raw.items()
            place = (*place, word)
            if word not in set(Comparator):
                near = nearest(word, Comparator)
                self._notes.add(f"There is no comparator {shown(word)}. {near}", *place)
                return None
            comparator = Comparator(word)
        return Condition(attribute, comparator, self._values(attribute, comparator, raw, place))

    def _known(self, attribute: str, place: Place) -> bool:
        known = {"user", "group", "manager", *self._house.directory.attributes}
        if attribute in {"owner", "on_call"}:
            self._notes.add(not_yet(attribute), *place)
        elif attribute not in known and self._house.people_known:
            near = nearest(attribute, known)
            self._notes.add(f"People have no attribute {shown(attribute)}. {near}", *place)
        else:
            return True
        return False

    def _values(
        self, attribute: str, comparator: Comparator, raw: object, place: Place
    ) -> tuple[str, ...]:
        items = raw if isinstance(raw, list) else [raw]
        if not items:
            self._notes.add("The list of values is empty. Name at least one.", *place)
        values: list[str] = []
        for i, item in enumerate(items):
            at = (*place, i) if items is raw else place
            if not isinstance(item, str | None):
                self._notes.add(f"Write text, or a list of texts; found {shown(item)}.", *at)
            elif not item or not item.strip():
                self._notes.add("The value is empty.", *at)
            else:
                values.append(self._value(attribute, comparator, item.strip(), at))
        return tuple(values)

    def _value(self, attribute: str, comparator: Comparator, text: str, place: Place) -> str:
        if comparator not in _EQUALITY or attribute not in _IDENTIFIED:
            return text
        find = find_group if attribute == "group" else find_person
        try:
            return find(text, self._house.directory)
        except ValueError as fault:
            if self._house.people_known:
                self._notes.add(str(fault), *place)
        return text


def _joined(raw: object) -> tuple[Connective, Place, object]:
    """Return how the conditions are joined, where they stand, and the list of them."""
    if isinstance(raw, dict):
        for word, join in (("all", Connective.AND), ("any", Connective.OR)):
            if set(raw) == {word}:
                return join, (word,), raw[word]
        return Connective.AND, (), [raw]
    return Connective.AND, (), raw


def _says_who(conditions: list[Condition], join: Connective) -> bool:
    positive = [not c.comparator.negative for c in conditions]
    return all(positive) if join is Connective.OR else any(positive)


def written(group: ConditionGroup, directory: Directory) -> Any:  # noqa: ANN401  (YAML)
    """Return the group as the files write it, people by email and groups by name."""
    items = [_written(condition, directory) for condition in group.conditions]
    if group.join is Connective.OR:
        return {"any": items}
    return items[0] if len(items) == 1 else items


def _written(condition: Condition, directory: Directory) -> dict[str, Any]:
    if not condition.values:
        return {condition.attribute: None}
    named = condition.comparator in _EQUALITY and condition.attribute in _IDENTIFIED
    values = [
        _name(condition.attribute, value, directory) if named else value
        for value in condition.values
    ]
    value = values if len(values) > 1 else values[0]
    if condition.comparator is Comparator.IS:
        return {condition.attribute: value}
    return {condition.attribute: {condition.comparator.value: value}}


def _name(attribute: str, id_: str, directory: Directory) -> str:
    """Return what people call it, where that is read back as the same."""
    find = find_group if attribute == "group" else find_person
    group, person = directory.groups.get(GroupId(id_)), directory.get(PersonId(id_))
    name = (group.name if group else "") if attribute == "group" else person.email if person else ""
    try:
        return name if find(name, directory) == id_ else id_
    except ValueError:
        return id_
