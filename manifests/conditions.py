"""Conditions on people as written: `group: DBA`, lists of them, `any: …`, and the way back."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo

from engine.conditions import OWNER, Comparator, Condition, ConditionGroup, Connective
from engine.directory import Directory, GroupId, PersonId
from manifests.marked_yaml import Place
from manifests.parts import (
    Notes,
    OneLine,
    Vocabulary,
    find_group,
    find_person,
    find_schedule,
    house,
    nearest,
    not_yet,
    shown,
)

_JOINS = {"all": Connective.AND, "any": Connective.OR}
RESERVED = frozenset({"user", "group", "manager", "owner", "on_call", *_JOINS})
MOST_CONDITIONS = 20
MOST_VALUES = 100
_NAMED = {"user", "group", "manager", "on_call"}
_THEIRS = {"manager", OWNER}  # which need no value, of approvers
_ADVICE = "Put these people into a group, and name that."
_EQUALITY = {Comparator.IS, Comparator.IS_NOT}
_EXAMPLE = "Write conditions, such as `group: DBA`"

# How it is written, for the JSON Schema.
_Values = OneLine | Annotated[list[OneLine], Field(min_length=1, max_length=MOST_VALUES)]
_Comparison = Annotated[
    dict[Literal["is", "is not", "contains", "does not contain", "starts with"], _Values],
    Field(min_length=1, max_length=1),
]
_Conditions = Annotated[dict[str, _Values | _Comparison | None], Field(min_length=1)]
_Several = Annotated[list[_Conditions], Field(min_length=1, max_length=MOST_CONDITIONS)]
_Joined = Annotated[dict[Literal["all", "any"], _Several], Field(min_length=1, max_length=1)]
_Written = _Joined | _Several | _Conditions


def _people(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _Reader(house(info)).read(raw)


def _administrators(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _Reader(house(info), but=frozenset({"on_call"})).read(raw)


def _approvers(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _Reader(house(info), approvers=True).read(raw)


People = Annotated[ConditionGroup, PlainValidator(_people, json_schema_input_type=_Written)]
Administrators = Annotated[
    ConditionGroup, PlainValidator(_administrators, json_schema_input_type=_Written)
]
Approvers = Annotated[ConditionGroup, PlainValidator(_approvers, json_schema_input_type=_Written)]


class _Reader:
    """Reads conditions on anything but some attributes, which are not offered here."""

    def __init__(
        self, house: Vocabulary, *, but: frozenset[str] = frozenset(), approvers: bool = False
    ) -> None:
        self._notes = Notes()
        self._house = house
        self._but = but
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
            if (many := sum(_size(item) for item in items)) > MOST_CONDITIONS:
                said = f"At most {MOST_CONDITIONS} conditions; this has {many}. {_ADVICE}"
                self._notes.add(said, *place)
            if self._approvers and not _says_who(items, join):
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
        if raw is None and attribute in _THEIRS and self._approvers:
            return Condition(attribute, Comparator.IS, ())  # of the grantee, of what is asked for
        if attribute == OWNER:
            self._notes.add(
                "`owner` takes no comparator and no value. Write `owner: null`.", *place
            )
            return None
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
        known = {*_NAMED, *self._house.directory.attributes} - self._but
        known |= {OWNER} if self._approvers else set()
        if attribute in _JOINS:
            self._notes.add(
                f"`{attribute}` stands alone: it holds all conditions, and nothing stands beside "
                "or around it.",
                *place,
            )
        elif attribute in self._but:
            self._notes.add(not_yet(attribute), *place)
        elif attribute == OWNER and not self._approvers:
            self._notes.add(
                "`owner` is for approvers alone: whose it is depends on what is asked for.", *place
            )
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
        if len(items) > MOST_VALUES:
            said = f"At most {MOST_VALUES} values; this has {len(items)}. {_ADVICE}"
            self._notes.add(said, *place)
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
        if comparator not in _EQUALITY or attribute not in _NAMED:
            return text
        house = self._house
        try:
            return _finder(attribute)(text, house.directory)
        except ValueError as fault:
            known = house.schedules_known if attribute == "on_call" else house.people_known
            if known:
                self._notes.add(str(fault), *place)
        return text


def _finder(attribute: str) -> Callable[[str, Directory], str]:
    """Return what finds the value that is stored by what people call it."""
    return {"group": find_group, "on_call": find_schedule}.get(attribute, find_person)


def _size(item: object) -> int:
    return len(item) if isinstance(item, dict) else 1


def _joined(raw: object) -> tuple[Connective, Place, object]:
    """Return how the conditions are joined, where they stand, and the list of them."""
    if isinstance(raw, dict):
        for word, join in _JOINS.items():
            if set(raw) == {word}:
                return join, (word,), raw[word]
        return Connective.AND, (), [raw]
    return Connective.AND, (), raw


def _says_who(items: list[Any], join: Connective) -> bool:
    """Tell whether it says who is meant, as far as what is written can be read."""
    each = [v for item in items for v in (item.values() if isinstance(item, dict) else [item])]
    positive = [not _is_negative(raw) for raw in each]
    return all(positive) if join is Connective.OR else any(positive)


def _is_negative(raw: object) -> bool:
    words = [*raw] if isinstance(raw, dict) else []
    return len(words) == 1 and words[0] in {*Comparator} and Comparator(words[0]).negative


def written(group: ConditionGroup, directory: Directory) -> Any:  # noqa: ANN401  (YAML)
    """Return the group as the files write it, people by email and groups by name."""
    items = [_written(condition, directory) for condition in group.conditions]
    if group.join is Connective.OR:
        return {"any": items}
    return items[0] if len(items) == 1 else items


def _written(condition: Condition, directory: Directory) -> dict[str, Any]:
    if not condition.values:
        return {condition.attribute: None}
    named = condition.comparator in _EQUALITY and condition.attribute in _NAMED
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
    group, person = directory.groups.get(GroupId(id_)), directory.get(PersonId(id_))
    called = {"group": group.name if group else "", "on_call": id_}
    name = called.get(attribute, person.email if person else "")
    try:
        return name if _finder(attribute)(name, directory) == id_ else id_
    except ValueError:
        return id_
