"""Words of a query that nothing has, as people are told of them."""

from dataclasses import dataclass

from engine.aql.query import Condition
from engine.aql.tokens import FIELDS, Field, Operator, quoted
from engine.words import no_pattern

__all__ = ["Unheard", "is_pattern"]


@dataclass(frozen=True, slots=True)
class Unheard:
    """A value that nothing has in this field, or a key that nothing has at all: `value` None.

    `near` is what could be meant; empty: nothing is near.
    """

    field: Field
    key: str
    value: str | None
    near: str = ""

    def __str__(self) -> str:
        key = f"[{quoted(self.key)}]" if FIELDS[self.field].keyed else ""
        value = "" if self.value is None else f" {quoted(self.value)}"
        said = f"Nothing has {self.field}{key}{value}."
        if self.near:
            return f"{said} Did you mean {quoted(self.near)}?"
        if self.value is not None and is_pattern(self.field, self.value):
            cure = no_pattern(self.value, "contains", "starts_with", "ends_with")
            return f"{said} {cure.capitalize()}."
        return said

    @classmethod
    def of(cls, condition: Condition, value: str | None, near: str = "") -> "Unheard":
        return cls(condition.field, condition.key, value, near)


def is_pattern(field: Field, value: str) -> bool:
    """Tell whether it looks like a pattern, where parts of a text can be compared."""
    return "*" in value and Operator.CONTAINS in FIELDS[field].operators
