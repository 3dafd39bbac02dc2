"""The company as files: people, administrators, connected systems, access flows.

`load` reads a folder and returns engine values, or raises with all that is wrong in it at once.
`revision_document` is the way back. docs/manifests.md describes the format for people.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from bot.marked_yaml import Fault, Place
from engine import duration
from engine.conditions import Comparator, Condition, ConditionGroup, Join
from engine.directory import Directory, Group, GroupId, Person, PersonId
from engine.duration import in_words
from engine.flow import (
    MAX_DURATION,
    MIN_DURATION,
    Approval,
    ApproverGroup,
    Escalation,
    Extension,
    Revision,
    Selector,
    TierCounts,
)
from engine.flow import Join as GroupJoin
from engine.inventory import IntegrationId
from engine.outcome import Refusal

__all__ = [
    "BadManifestsError",
    "FlowManifest",
    "IntegrationManifest",
    "Manifests",
    "flow_schema",
    "load",
    "revision_document",
]

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
HALF_HOUR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class IntegrationManifest:
    """One connected system. A secret in its settings is a reference, `env:NAME` or `file:PATH`."""

    id: IntegrationId
    name: str
    kind: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FlowManifest:
    revision: Revision
    active: bool


@dataclass(frozen=True, slots=True)
class Manifests:
    people: tuple[Person, ...]
    groups: tuple[Group, ...]
    admins: frozenset[PersonId]
    integrations: tuple[IntegrationManifest, ...]
    flows: tuple[FlowManifest, ...]

    @property
    def directory(self) -> Directory:
        return Directory.of(self.people, self.groups)


class BadManifestsError(Exception):
    """The files cannot be used. The text has every fault with its cure, one a line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.file, f.line)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


# --- What is known ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a kind of system has, as its connector discovers it."""

    types: frozenset[str]
    permissions: frozenset[str]


_KINDS = {
    "postgresql": _Kind(
        frozenset({"database", "schema", "table"}), frozenset({"connect", "read", "read-write"})
    )
}


@dataclass(frozen=True, slots=True)
class _House:
    """What flows may speak of. Not `whole`: parts were faulty, and what is not found may be there.

    Then an unknown name is no fault of its own.
    """

    directory: Directory = field(default_factory=lambda: Directory.of(()))
    kinds: Mapping[str, _Kind] = field(default_factory=dict[str, _Kind])
    whole: bool = True


_RESERVED = frozenset({"user", "group", "manager", "owner", "on_call", "all", "any"})
_NOT_YET = {
    "all_of": "All of several approver groups",
    "break_glass": "Break-glass",
    "bundle": "A bundle as target",
    "grantees": "Requests for others",
    "notify": "A channel for approvers",
    "on_call": "A condition on who is on call",
    "owner": "A condition on the owner",
    "query": "A query as target",
    "request_for": "Requests for others",
    "require_mfa": "MFA",
    "scope": "An access scope as target",
    "space": "A space",
    "when": "A time window",
}


def _not_yet(key: str) -> str:
    return f"{_NOT_YET[key]} is not supported yet. Leave `{key}` out."


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the cure for a word that is none of the known ones."""
    by_key = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(word.casefold(), by_key, 1)
    if near:
        return f"Did you mean `{by_key[near[0]]}`?"
    if not by_key or len(by_key) > 12:
        return "Check the spelling."
    return f"There is: {', '.join(sorted(by_key.values()))}."


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            line = " ".join(value.split())
            return f"“{line if len(line) <= 40 else line[:39] + '…'}”"
        case list():
            return "a list"
        case _:
            return "keys and values"


def _person(text: str, directory: Directory) -> PersonId:
    """Find a person by email, id, or a name that only one has. Raises ValueError."""
    found = directory.by_email.get(text.casefold(), ())
    if not found and text in directory.people:
        return PersonId(text)
    people = found or [p for p in directory.people.values() if p.name.casefold() == text.casefold()]
    if len(people) == 1:
        return people[0].id
    if people:
        emails = " or ".join(sorted(p.email for p in people))
        raise ValueError(f"{_shown(text)} fits {len(people)} people. Write {emails}.")
    attribute = "email" if "@" in text else "name"
    known = (getattr(p, attribute) for p in directory.people.values())
    raise ValueError(f"Nobody in the directory is {_shown(text)}. {_nearest(text, known)}")


def _group(text: str, directory: Directory) -> GroupId:
    """Find a group by `source:key`, or a name that only one has. Raises ValueError."""
    if text in directory.groups:
        return GroupId(text)
    key = text.casefold()
    found = [g for g in directory.groups.values() if g.name.casefold() == key]
    if len(found) == 1:
        return found[0].id
    if found:
        ids = " or ".join(sorted(g.id for g in found))
        raise ValueError(f"Several sources have a group {_shown(text)}. Write {ids}.")
    known = (g.name for g in directory.groups.values())
    raise ValueError(f"There is no group {_shown(text)}. {_nearest(text, known)}")


# --- Parts of every document -------------------------------------------------------------------


class _Ours(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Notes:
    """Several faults of one value, raised together by `settle`."""

    def __init__(self) -> None:
        self._faults: list[InitErrorDetails] = []

    def add(self, sentence: str, *place: str | int) -> None:
        error = PydanticCustomError("manifest", "{sentence}", {"sentence": sentence})
        self._faults.append(InitErrorDetails(type=error, loc=place, input=None))

    def settle(self) -> None:
        if self._faults:
            raise ValidationError.from_exception_data("manifest", self._faults)


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise ValueError("Write it on one line.")
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _distinct(words: list[str]) -> list[str]:
    notes, seen = _Notes(), set[str]()
    for i, word in enumerate(words):
        if word.casefold() in seen:
            notes.add(f"{_shown(word)} is here twice. Keep one.", i)
        seen.add(word.casefold())
    notes.settle()
    return words


def _duration(text: object, *, least: timedelta, most: timedelta) -> timedelta:
    if not isinstance(text, str):
        raise ValueError(f"Write a duration, such as 4 h; found {_shown(text)}.")  # noqa: TRY004
    found = duration.parse(text, least=least, most=most)
    if isinstance(found, Refusal):
        raise ValueError(found.sentence)
    return found


def _span(least: timedelta, most: timedelta) -> Any:  # noqa: ANN401  (an annotation)
    read_it = partial(_duration, least=least, most=most)
    limits = f"A duration, {in_words(least)} to {in_words(most)}: 90 min, 1.5 h, 2 days."
    return Annotated[
        timedelta,
        PlainValidator(
            read_it, json_schema_input_type=Annotated[str | int, Field(description=limits)]
        ),
    ]


def _or_end(text: object) -> timedelta | None:
    if isinstance(text, str) and text.strip().casefold() == "indefinite":
        return None
    return _duration(text, least=MIN_DURATION, most=MAX_DURATION)


def _off(*words: str) -> BeforeValidator:
    """Read words that mean “none of it” as None."""

    def read_it(value: object) -> object:
        said = isinstance(value, str) and value.strip().casefold() in words
        return None if said else value

    return BeforeValidator(read_it)


def _no(value: object) -> object:
    said = isinstance(value, str) and value.casefold() in {"no", "off", "false"}
    return False if said else value


_T = TypeVar("_T")
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Line = Annotated[_Text, AfterValidator(_one_line)]
_Name = Annotated[_Line, Field(max_length=80)]
_Label = Annotated[_Line, Field(max_length=40)]
_Some = Annotated[list[_T], BeforeValidator(_listed), Field(min_length=1)]
_Words = Annotated[
    list[_Line],
    BeforeValidator(_listed, json_schema_input_type=_Line | list[_Line]),
    Field(min_length=1),
]
_No = Annotated[Literal[False], BeforeValidator(_no)]

# --- Conditions --------------------------------------------------------------------------------

_Values = _Line | Annotated[list[_Line], Field(min_length=1)]
_Comparison = Annotated[
    dict[Literal["is", "is not", "contains", "does not contain", "starts with"], _Values],
    Field(min_length=1, max_length=1),
]
_Conditions = Annotated[dict[str, _Values | _Comparison | None], Field(min_length=1)]
_PeopleInput = (
    Annotated[dict[Literal["all", "any"], list[_Conditions]], Field(min_length=1, max_length=1)]
    | Annotated[list[_Conditions], Field(min_length=1)]
    | _Conditions
)


def _people(raw: object, info: ValidationInfo, *, approvers: bool) -> ConditionGroup:
    """Read a condition group: one mapping, a list (all hold), `all: …` or `any: …`."""
    reader = _ConditionReader(_house(info), approvers=approvers)
    group = reader.group(raw)
    reader.notes.settle()
    return group


def _requestors(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _people(raw, info, approvers=False)


def _approvers(raw: object, info: ValidationInfo) -> ConditionGroup:
    return _people(raw, info, approvers=True)


_Requestors = Annotated[
    ConditionGroup, PlainValidator(_requestors, json_schema_input_type=_PeopleInput)
]
_ApproverConditions = Annotated[
    ConditionGroup, PlainValidator(_approvers, json_schema_input_type=_PeopleInput)
]


def _house(info: ValidationInfo) -> _House:
    return info.context if isinstance(info.context, _House) else _House(whole=False)


class _ConditionReader:
    def __init__(self, house: _House, *, approvers: bool) -> None:
        self.notes = _Notes()
        self._house = house
        self._approvers = approvers

    def group(self, raw: object) -> ConditionGroup:
        join, place, items = _joined(raw)
        if not isinstance(items, list):
            self.notes.add(
                f"Write conditions, such as `group: DBA`; found {_shown(items)}.", *place
            )
            return ConditionGroup((), join)
        if not items:
            self.notes.add("Name at least one condition, such as `group: DBA`.", *place)
        conditions: list[Condition] = []
        for i, item in enumerate(items):
            at = (*place, i) if isinstance(raw, list) or place else place
            if not isinstance(item, dict) or not item:
                self.notes.add(f"Write a condition, `group: DBA`; found {_shown(item)}.", *at)
            elif join is Join.OR and len(item) > 1:
                self.notes.add("Write one condition in each item of `any`.", *at)
            else:
                read_items = (self._condition(str(k), v, (*at, str(k))) for k, v in item.items())
                conditions += [c for c in read_items if c]
        if self._approvers and conditions and not self._positive(conditions, join):
            self.notes.add(
                "Approvers need a condition that says who they are, not only who they are not"
                + (", on each side of an `any`." if join is Join.OR else "."),
                *place,
            )
        return ConditionGroup(tuple(conditions), join)

    def _positive(self, conditions: list[Condition], join: Join) -> bool:
        positive = (not c.comparator.negative for c in conditions)
        return all(positive) if join is Join.OR else any(positive)

    def _condition(self, attribute: str, raw: object, place: Place) -> Condition | None:
        if not self._known(attribute, place):
            return None
        comparator, values = Comparator.IS, raw
        if isinstance(raw, dict):
            words = ", ".join(c.value for c in Comparator)
            if len(raw) != 1:
                self.notes.add(f"Write one comparator: {words}.", *place)
                return None
            ((word, values),) = raw.items()
            if word not in set(Comparator):
                near = _nearest(str(word), (c.value for c in Comparator))
                self.notes.add(f"There is no comparator {_shown(word)}. {near}", *place, word)
                return None
            comparator, place = Comparator(word), (*place, word)
        if raw is None and attribute == "manager" and self._approvers:
            return Condition(attribute, comparator, ())  # the grantee's
        return Condition(attribute, comparator, self._values(attribute, comparator, values, place))

    def _known(self, attribute: str, place: Place) -> bool:
        if attribute in {"owner", "on_call"}:
            self.notes.add(_not_yet(attribute), *place)
            return False
        known = {"user", "group", "manager", *self._house.directory.attributes}
        if attribute not in known and self._house.whole:
            near = _nearest(attribute, known)
            self.notes.add(f"People have no attribute {_shown(attribute)}. {near}", *place)
            return False
        return True

    def _values(
        self, attribute: str, comparator: Comparator, raw: object, place: Place
    ) -> tuple[str, ...]:
        items = raw if isinstance(raw, list) else [raw]
        if not items:
            self.notes.add("Name at least one value.", *place)
        values: list[str] = []
        for i, item in enumerate(items):
            at = (*place, i) if isinstance(raw, list) else place
            if not isinstance(item, str) or not item.strip():
                empty = item is None or isinstance(item, str)
                found = "is empty" if empty else f"is {_shown(item)}"
                self.notes.add(f"The value {found}. Write text, or a list of texts.", *at)
                continue
            try:
                values.append(self._value(attribute, comparator, item.strip()))
            except ValueError as fault:
                if self._house.whole:
                    self.notes.add(str(fault), *at)
        return tuple(values)

    def _value(self, attribute: str, comparator: Comparator, text: str) -> str:
        if comparator not in {Comparator.IS, Comparator.IS_NOT}:
            return text
        match attribute:
            case "user" | "manager":
                return _person(text, self._house.directory)
            case "group":
                return _group(text, self._house.directory)
            case _:
                return text


def _joined(raw: object) -> tuple[Join, Place, object]:
    """Return how the conditions are joined, where they stand, and the list of them."""
    if isinstance(raw, dict):
        for word, join in (("all", Join.AND), ("any", Join.OR)):
            if set(raw) == {word}:
                return join, (word,), raw[word]
        return Join.AND, (), [raw]
    return Join.AND, (), raw


# --- Access flows --------------------------------------------------------------------------------


class _Target(_Ours):
    """Entitlements of one integration. What is left out selects all."""

    integration: _Line = Field(description="The id of an integration.")
    types: _Words | None = Field(None, description="Types of resource.")
    permissions: _Words | None = Field(None, description="What can be had.")
    names: _Words | None = Field(None, description="Names or paths of resources, without case.")

    @field_validator("integration")
    @classmethod
    def _connected(cls, value: str, info: ValidationInfo) -> str:
        house = _house(info)
        if value not in house.kinds and house.whole:
            near = _nearest(value, house.kinds)
            raise ValueError(f"There is no integration {_shown(value)}. {near}")
        return value

    @field_validator("types", "permissions")
    @classmethod
    def _had(cls, values: list[str] | None, info: ValidationInfo) -> list[str] | None:
        kind = _house(info).kinds.get(info.data.get("integration", ""))
        if kind is None or values is None:
            return values
        known = kind.types if info.field_name == "types" else kind.permissions
        notes = _Notes()
        for i, value in enumerate(values):
            if value not in known:
                notes.add(f"The system knows no {_shown(value)}. {_nearest(value, known)}", i)
        notes.settle()
        return values

    def selector(self) -> Selector:
        return Selector(
            integration=IntegrationId(self.integration),
            types=frozenset(self.types or ()),
            permissions=frozenset(self.permissions or ()),
            names=frozenset(name.casefold() for name in self.names or ()),
        )


class _Extension(_Ours):
    times: int = Field(ge=1, le=10, description="How often an access can be extended.")
    each: _span(MIN_DURATION, MAX_DURATION) | None = Field(  # type: ignore[valid-type]
        None, description="By how much; 30 min, or grant_for if less, unless said."
    )


class _ApproverGroup(_Ours):
    """People of whom one must approve."""

    name: _Name = Field(description="What people read: “any of: DBA on call”.")
    people: _ApproverConditions

    def group(self) -> ApproverGroup:
        return ApproverGroup(self.name, self.people)


class _Approval(_Ours):
    any_of: list[_ApproverGroup] | None = Field(None, min_length=1, max_length=10)
    all_of: list[_ApproverGroup] | None = Field(None, min_length=1, max_length=1)
    distinct: bool = Field(
        default=True, description="Nobody's approval counts for two groups of all_of."
    )

    @model_validator(mode="after")
    def _one(self) -> "_Approval":
        if (self.any_of is None) is (self.all_of is None):
            raise ValueError("Write either any_of or all_of, with a list of approver groups.")
        return self

    def approval(self) -> Approval:
        groups = tuple(group.group() for group in self.any_of or self.all_of or ())
        join = GroupJoin.ANY_OF if self.any_of else GroupJoin.ALL_OF
        return Approval(groups, join, self.distinct)


class _Escalation(_Ours):
    every: _span(timedelta(minutes=1), 7 * DAY) = Field(  # type: ignore[valid-type]
        HALF_HOUR, json_schema_extra={"default": "30 min"}
    )
    tiers: list[_ApproverGroup] = Field(min_length=1, max_length=5)
    counts: TierCounts = Field(
        TierCounts.WHOLE_REQUEST, description="What a tier's approval counts for."
    )


class _Flow(_Ours):
    """One access flow: who may request what, for how long, approved by whom."""

    name: _Name
    active: bool = True
    description: str = ""
    labels: Annotated[list[_Label], Field(max_length=20), AfterValidator(_distinct)] = []
    requestors: _Requestors = Field(description="Who may ask.")
    request_for: Annotated[
        list[Literal["self"]],
        BeforeValidator(_listed, json_schema_input_type=Literal["self"] | list[Literal["self"]]),
        Field(min_length=1),
    ] = ["self"]
    targets: list[_Target] = Field(min_length=1, description="What can be had.")
    grant_for: Annotated[
        timedelta | None, PlainValidator(_or_end, json_schema_input_type=str | int)
    ] = Field(
        HOUR,
        description="The longest time, 5 min to 365 days, or `indefinite`.",
        json_schema_extra={"default": "1 h"},
    )
    extension: Annotated[_Extension | None, _off("off", "no", "false")] = None
    approval: Annotated[_Approval | None, _off("automatic")] = Field(
        None, description="Left out: automatic."
    )
    lapses_after: _span(timedelta(minutes=15), 30 * DAY) = Field(  # type: ignore[valid-type]
        DAY,
        description="When a request that nobody decided ends.",
        json_schema_extra={"default": "1 day"},
    )
    escalation: Annotated[_Escalation | None, _off("off", "no", "false")] = None
    require_mfa: _No = False
    require_justification: bool = True
    require_reason: bool = Field(default=False, description="Of approvers.")
    self_approval: bool = Field(
        default=False, description="Whether requestor and grantee may approve their own request."
    )
    break_glass: _No = False
    when: Literal["always"] = "always"
    space: Literal["global"] = "global"
    notify: Literal["direct messages"] = "direct messages"

    @field_validator("extension")
    @classmethod
    def _within_grant(cls, value: _Extension | None, info: ValidationInfo) -> _Extension | None:
        if value is None or "grant_for" not in info.data:
            return value
        longest = info.data["grant_for"]
        if longest is None:
            raise ValueError("Access without end cannot be extended. Take the extension out.")
        if value.each and value.each > longest:
            limit = in_words(longest)
            raise ValueError(
                f"Each extension is {in_words(value.each)}, longer than grant_for. At most {limit}."
            )
        return value

    @field_validator("escalation")
    @classmethod
    def _within_lapse(cls, value: _Escalation | None, info: ValidationInfo) -> _Escalation | None:
        if value is None:
            return value
        if info.data.get("approval", value) is None:
            raise ValueError("An automatic flow has nothing to escalate. Add an approval.")
        lapse = info.data.get("lapses_after")
        whole = value.every * len(value.tiers)
        if lapse is not None and whole >= lapse:
            raise ValueError(
                f"{len(value.tiers)} × {in_words(value.every)} of escalation reach the lapse after "
                f"{in_words(lapse)}. Escalate sooner, or let requests lapse later."
            )
        return value

    def manifest(self) -> FlowManifest:
        grant_for, extension = self.grant_for, None
        if self.extension and grant_for:
            each = self.extension.each or min(HALF_HOUR, grant_for)
            extension = Extension(self.extension.times, each)
        escalation = self.escalation and Escalation(
            self.escalation.every,
            tuple(tier.group() for tier in self.escalation.tiers),
            self.escalation.counts,
        )
        revision = Revision(
            name=self.name,
            requestors=self.requestors,
            targets=tuple(target.selector() for target in self.targets),
            grant_for=grant_for,
            extension=extension,
            approval=self.approval and self.approval.approval(),
            escalation=escalation,
            lapses_after=self.lapses_after,
            require_justification=self.require_justification,
            require_reason=self.require_reason,
            self_approval=self.self_approval,
            labels=tuple(self.labels),
            description=self.description.strip(),
        )
        return FlowManifest(revision, self.active)


def flow_schema() -> dict[str, Any]:
    """Return the JSON Schema of flows.yaml, as published in manifests/flow.schema.json."""
    schema = _Flow.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Latchkey's access flows",
        "type": "object",
        "properties": {"flows": {"type": "array", "items": {"$ref": "#/$defs/Flow"}}},
        "required": ["flows"],
        "additionalProperties": False,
        "$defs": {"Flow": schema, **definitions},
    }
