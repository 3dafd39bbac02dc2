"""The words in which `limits` describes what Slack accepts: plain data, interpreted by `blocks`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Choice", "Flag", "Items", "Number", "Part", "Shape", "Spec", "String", "Text", "Typed"]


@dataclass(frozen=True, slots=True)
class String:
    most: int
    least: int = 0
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    least: int
    most: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Flag:
    pass


@dataclass(frozen=True, slots=True)
class Choice:
    among: frozenset[str]


@dataclass(frozen=True, slots=True)
class Text:
    """A text object: plain_text, and mrkdwn unless `plain`."""

    most: int
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """An object of one known shape, named in `limits.PARTS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Typed:
    """An object whose `type`, one of these, tells its shape in `limits.SHAPES`."""

    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Items:
    of: "Spec"
    most: int
    least: int = 0


Spec = String | Number | Flag | Choice | Text | Part | Typed | Items


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the fields `any_of`, at least one stands; of those in `one_of`, exactly one."""

    required: Mapping[str, Spec] = field(default_factory=dict)
    optional: Mapping[str, Spec] = field(default_factory=dict)
    any_of: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
