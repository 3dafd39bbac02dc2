"""What every document is made of: texts, durations, names looked up, faults put into words."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from engine import duration
from engine.account import Logins
from engine.directory import SLACK, Directory, GroupId, Person, PersonId
from engine.flow import MAX_DURATION
from engine.outcome import Refusal
from engine.words import no_pattern, trimmed
from manifests.kind import Kind
from manifests.marked_yaml import Place

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*")

NOT_YET = {
    "break_glass": "Break-glass",
    "managers": "Managing a space",
    "on_call": "A condition on who is on call",
    "owners": "Owning a space",
    "require_code": "The approver's code",
    "require_mfa": "MFA",
    "was": "Another name for a flow",
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What flows may speak of: people, and what kind of system each integration is.

    Where parts were faulty, not all is known, and an unknown name is no fault of its own.
    """

    directory: Directory = field(default_factory=lambda: Directory.of(()))
    kinds: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    people_known: bool = True
    systems_known: bool = True
    schedules_known: bool = True


def house(info: ValidationInfo) -> Vocabulary:
    return info.context if isinstance(info.context, Vocabulary) else Vocabulary()


class Ours(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Notes:
    """Several faults of one value, raised together by `settle`."""

    def __init__(self) -> None:
        self._faults: list[InitErrorDetails] = []

    def add(self, sentence: str, *place: str | int) -> None:
        error = PydanticCustomError("manifest", "{sentence}", {"sentence": sentence})
        self._faults.append(InitErrorDetails(type=error, loc=place, input=None))

    def take(self, found: ValidationError) -> None:
        """Add what was found at what is inside."""
        for details in found.errors(include_url=False):
            kind, context = details["type"], details.get("ctx", {})
            type_ = PydanticCustomError(kind, "{sentence}", context) if kind == "manifest" else kind
            fault = InitErrorDetails(type=type_, loc=details["loc"], input=details["input"])
            self._faults.append(fault | {"ctx": context})

    def settle(self) -> None:
        if self._faults:
            raise ValidationError.from_exception_data("manifest", self._faults)


def _without_null(schema: dict[str, Any]) -> None:
    for each in schema.get("properties", {}).values():
        options = [one for one in each.pop("anyOf", ()) if one != {"type": "null"}]
        each.update(options[0] if len(options) == 1 else {"anyOf": options} if options else {})
        if each.get("default", "") is None:
            del each["default"]


class Judged(Ours):
    """A document whose keys are judged beside one another, whatever is wrong in one of them."""

    @model_validator(mode="wrap")
    @classmethod
    def _is_sound(
        cls, said: object, inner: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        notes, made, faulty = Notes(), None, set[str | int]()
        try:
            made = inner(said)
        except ValidationError as faults:
            notes.take(faults)
            faulty = {details["loc"][0] for details in faults.errors() if details["loc"]}
        if isinstance(said, dict):
            for key in sorted(cls._empty(said) - faulty):
                notes.add(f"Nothing stands here. Write what is meant, or leave `{key}` out.", key)
            cls.judge(said, house(info), notes)
        notes.settle()
        return cast("Self", made)

    @classmethod
    def _empty(cls, said: Mapping[str, object]) -> set[str]:  # noqa: ARG003  (see Stated)
        """Return the keys that have to say something, and do not."""
        return set()

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:
        """Note what of the keys, as they are written, does not go together."""


class Stated(Judged):
    """A document of which each key that stands there says something.

    Whoever comments out what is below a key would have taken the approval away, or the filter.
    """

    model_config = ConfigDict(json_schema_extra=_without_null)

    @classmethod
    def _empty(cls, said: Mapping[str, object]) -> set[str]:
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key for key in known & said.keys() if said[key] is None}


def stated(said: Mapping[str, object], *keys: str) -> list[str]:
    """Return those of the keys below which something stands."""
    return [key for key in keys if said.get(key) is not None]


# --- Words for people --------------------------------------------------------------------------


def shown(value: object) -> str:
    """Quote a value as it was found, cut short."""
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


def nearest(word: str, known: Iterable[str], key: Callable[[str], str] = str.casefold) -> str:
    """Return the cure for a word that is none of the known ones. `key`: in what they differ."""
    by_key = {key(k): k for k in known}
    near = difflib.get_close_matches(key(word), by_key, 1)
    if near:
        return f"Did you mean `{by_key[near[0]]}`?"
    if not by_key or len(by_key) > 24:
        return "Check the spelling."
    return f"Known here: {', '.join(sorted(by_key.values()))}."


def not_yet(key: str) -> str:
    return f"{NOT_YET[key]} is not in this version. Leave `{key}` out."


def faults_of(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Place, str]]:
    """Yield place and sentence of all that pydantic, and our validators, found."""
    for details in error.errors(include_url=False):
        place = tuple(step for step in details["loc"] if step != "[key]")
        yield place, _sentence(details, place, model)


_KEYS = "Write keys and values, such as `name: …`; found {found}."
_WHOLE = "Write a whole number; found {found}."
_TRUTH = "Write true or false; found {found}."
_CHOICE = "Write {expected}; found {found}."
_SENTENCES = {
    "manifest": "{sentence}",
    "value_error": "{error}",
    "missing": "`{key}` is missing.",
    "extra_forbidden": "There is no `{key}` here. {cure}",
    "string_type": "Write text; found {found}.",
    "list_type": "Write a list, each item after a dash; found {found}.",
    "dict_type": _KEYS,
    "model_type": _KEYS,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "greater_than_equal": "At least {ge}; found {found}.",
    "less_than_equal": "At most {le}; found {found}.",
    "string_too_short": "The text is empty.",
    "string_too_long": "At most {max_length} characters; this has {length}.",
    "too_short": "The list is empty. Name at least one.",
    "too_long": "At most {max_length}; this has {length}.",
    "enum": _CHOICE,
    "literal_error": _CHOICE,
}


def _sentence(details: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    kind, value = details["type"], details["input"]
    key = next((step for step in reversed(place) if isinstance(step, str)), "")
    if key in NOT_YET and kind in {"extra_forbidden", "literal_error", "too_long"}:
        return not_yet(key)
    words = {
        "key": key,
        "found": shown(value),
        "length": len(value.strip() if isinstance(value, str) else value or ()),
        "cure": nearest(key, _keys_at(model, place)) if kind == "extra_forbidden" else "",
    }
    template = _SENTENCES.get(kind, details["msg"].replace("{", "{{").replace("}", "}}"))
    return template.format(**words, **details.get("ctx", {}))


def _keys_at(model: type[BaseModel], place: Place) -> list[str]:
    """Return the keys that are known beside the last step of the place."""
    for step in place[:-1]:
        if isinstance(step, str) and step in model.model_fields:
            model = next(_models(model.model_fields[step].annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401  (any annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


# --- People and groups by name -----------------------------------------------------------------


def find_person(text: str, directory: Directory) -> PersonId:
    """Find a person by email, id, or a name that only one has. Raises ValueError."""
    found = directory.by_email(text)
    if not found and text in directory.people:
        return PersonId(text)
    everybody = directory.people.values()
    people = found or [p for p in everybody if p.name.casefold() == text.casefold()]
    if len(people) == 1:
        return people[0].id
    if people:
        each = " or ".join(sorted(_unmistakable(p, directory) for p in people))
        raise ValueError(f"{shown(text)} fits {len(people)} people. Write {each}.")
    known = (p.email if "@" in text else p.name for p in everybody)
    cure = _no_pattern(text) or nearest(text, known)
    raise ValueError(f"Nobody in the directory is {shown(text)}. {cure}")


def _unmistakable(person: Person, directory: Directory) -> str:
    """Return the address, or the id where the address is another's, too."""
    return person.email if directory.by_email(person.email) == (person,) else person.id


def find_group(text: str, directory: Directory) -> GroupId:
    """Find a group by `source:key`, or a name that only one has. Raises ValueError.

    Slack's own are found with their source alone.
    """
    if text in directory.groups:
        return GroupId(text)
    everyone = [group for group in directory.groups.values() if group.source != SLACK]
    found = [g.id for g in everyone if g.name.casefold() == text.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{shown(text)} fits several groups. Write {' or '.join(sorted(found))}.")
    cure = _no_pattern(text) or nearest(text, (g.name for g in everyone))
    raise ValueError(f"There is no group {shown(text)}. {cure}")


def find_schedule(text: str, directory: Directory) -> str:
    """Find a schedule of who is on call by its name. Raises ValueError."""
    known = {schedule.name.casefold(): schedule.name for schedule in directory.schedules}
    if name := known.get(text.casefold()):
        return name
    cure = _no_pattern(text) or nearest(text, known.values())
    raise ValueError(f"There is no on-call schedule {shown(text)}. {cure}")


def _no_pattern(text: str) -> str:
    hint = no_pattern(text, "contains", "starts with")
    return f"{hint.capitalize()}." if hint else ""


# --- Texts and durations -------------------------------------------------------------------------


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("A secret does not stand in a file. Write `env:NAME` or `file:PATH`.")
    return text


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise ValueError("Write it on one line.")
    return text


def _seen(text: str) -> str:
    if text and not trimmed(text):
        raise ValueError("There is nothing to see in it. Write a word.")
    return text


def listed(value: object) -> object:
    """Let one text stand for a list of one."""
    return [value] if isinstance(value, str) else value


def read_duration(value: object, *, least: timedelta, most: timedelta) -> timedelta:
    if not isinstance(value, str):
        raise ValueError(f"Write a duration, such as 4 h; found {shown(value)}.")  # noqa: TRY004
    found = duration.parse(value, least=least, most=most)
    if isinstance(found, Refusal):
        raise ValueError(found.sentence)  # noqa: TRY004
    return found


def between(least: timedelta, most: timedelta) -> PlainValidator:
    """Read a duration within limits."""
    words = f"{duration.in_words(least)} to {duration.in_words(most)}: 90 min, 1.5 h, 2 days."
    written = Annotated[str | int, Field(description=words)]
    reader = partial(read_duration, least=least, most=most)
    return PlainValidator(reader, json_schema_input_type=written)


def beside(judge: Callable[[list[object], Notes], None]) -> WrapValidator:
    """Note what is wrong with a list as it is written, beside whatever is wrong in its items."""

    def check(items: object, inner: ValidatorFunctionWrapHandler) -> object:
        notes, found = Notes(), None
        if isinstance(items, list):
            judge(items, notes)
        try:
            found = inner(items)
        except ValidationError as faults:
            notes.take(faults)
        notes.settle()
        return found

    return WrapValidator(check)


def at_most(most: int, advice: str = "") -> WrapValidator:
    """Refuse longer lists, with what to do instead."""

    def judge(items: list[object], notes: Notes) -> None:
        if len(items) > most:
            notes.add(f"At most {most}; this has {len(items)}. {advice}".rstrip())

    return beside(judge)


def none_for(document: type[BaseModel], *words: str) -> BeforeValidator:
    """Read words that mean “none of it” as None, beside a document."""

    def read(value: object) -> object:
        said = isinstance(value, str) and value.strip().casefold() in words
        return None if said else value

    said = tuple(False if word == "false" else word for word in words)  # as editors read it
    return BeforeValidator(read, json_schema_input_type=document | Literal[said])


ONE_LINE = AfterValidator(_one_line)
NEVER = "never"
A_DAY = timedelta(days=1)


def _age(value: object) -> str:
    """Read how old something may get, as it is kept: a duration of days, or “never”."""
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004
            f"Write a duration, such as 90 days, or “{NEVER}”; found {shown(value)}."
        )
    if value.strip().casefold() == NEVER:
        return NEVER
    return duration.in_words(read_duration(value, least=A_DAY, most=MAX_DURATION))


Age = Annotated[
    str,
    PlainValidator(
        _age,
        json_schema_input_type=Annotated[str, Field(description="1 day to 365 days, or never.")],
    ),
]


class LoginsDocument(Ours):
    """How old the logins that Latchkey makes may get."""

    rotate_after: Age | None = None
    clean_up_after: Age | None = None

    def logins(self) -> Logins:
        """Return what it says; what it does not say is as it is for all."""
        said = self.model_dump(exclude_none=True)
        return Logins(**{name: _time_of(age) for name, age in said.items()})


def _time_of(age: str) -> timedelta | None:
    return None if age == NEVER else read_duration(age, least=A_DAY, most=MAX_DURATION)


SEEN = AfterValidator(_seen)  # of what people tell things apart by

OneLine = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), ONE_LINE]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), ONE_LINE, SEEN
]
Reference = Annotated[OneLine, AfterValidator(_reference)]
Words = Annotated[
    list[OneLine],
    BeforeValidator(listed, json_schema_input_type=OneLine | list[OneLine]),
    Field(min_length=1),
]
