"""A query as a tree: conditions joined by NOT, AND and OR. `str` writes it as AQL."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.aql.tokens import FIELDS, LISTS, Field, Operator, quoted

__all__ = ["And", "Condition", "Not", "Or", "Query", "all_of", "any_of", "conditions"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: with one value, or with one or more where the operator takes a list.

    `key` is for a field that has keys. Values are as they are meant, without escapes.
    """

    field: Field
    operator: Operator
    values: tuple[str, ...]
    key: str = ""

    def __str__(self) -> str:
        field = f"{self.field}[{quoted(self.key)}]" if FIELDS[self.field].keyed else self.field
        values = ", ".join(map(quoted, self.values))
        return f"{field} {self.operator} {f'({values})' if self.operator in LISTS else values}"


@dataclass(frozen=True, slots=True)
class Not:
    part: "Query"

    def __str__(self) -> str:
        return f"not {self.part if isinstance(self.part, Condition) else f'({self.part})'}"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more."""

    parts: tuple["Query", ...]

    def __str__(self) -> str:
        return " and ".join(f"({p})" if isinstance(p, And | Or) else str(p) for p in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more."""

    parts: tuple["Query", ...]

    def __str__(self) -> str:
        return " or ".join(f"({p})" if isinstance(p, Or) else str(p) for p in self.parts)


Query = Condition | Not | And | Or


def all_of(*parts: Query) -> Query:
    """Join one or more by AND."""
    return parts[0] if len(parts) == 1 else And(parts)


def any_of(*parts: Query) -> Query:
    """Join one or more by OR."""
    return parts[0] if len(parts) == 1 else Or(parts)


def conditions(query: Query) -> Iterator[Condition]:
    """Yield all conditions of a query, in the order in which they are written."""
    match query:
        case Condition():
            yield query
        case Not():
            yield from conditions(query.part)
        case And() | Or():
            for part in query.parts:
                yield from conditions(part)
