"""A query in an administrator's words: a short sentence for each condition."""

from collections.abc import Iterator

from engine.aql.query import And, Condition, Not, Or, Query
from engine.aql.tokens import FIELDS, NEGATIVE, RISKS, Compared, Field, Operator, quoted

__all__ = ["explain"]

_VERBS = {
    Operator.EQUALS: "is",
    Operator.NOT_EQUALS: "is not",
    Operator.IN: "is one of",
    Operator.NOT_IN: "is none of",
    Operator.CONTAINS: "contains",
    Operator.NOT_CONTAINS: "does not contain",
    Operator.STARTS_WITH: "starts with",
    Operator.ENDS_WITH: "ends with",
}


def explain(query: Query) -> str:
    """Say what a query selects: a line for each condition, further in below what joins it."""
    return "\n".join(f"{'  ' * depth}- {line}" for depth, line in _lines(query, 0))


def _lines(query: Query, depth: int) -> Iterator[tuple[int, str]]:
    match query:
        case Condition():
            yield depth, _sentence(query)
            return
        case Not():
            yield depth, "this does not hold:"
            parts: tuple[Query, ...] = (query.part,)
        case And():
            yield depth, "all of these hold:"
            parts = query.parts
        case Or():
            yield depth, "at least one of these holds:"
            parts = query.parts
    for part in parts:
        yield from _lines(part, depth + 1)


def _sentence(condition: Condition) -> str:
    name, operator = condition.field, condition.operator
    whose, kind = name.partition("_")[0], FIELDS[name]
    values = ", ".join(_value(name, value) for value in condition.values)
    if not kind.keyed:
        return f"the {whose}'s {kind.says} {_VERBS[operator]} {values}"
    # A key may have several values, or none: “is not” would be true of more than it says.
    has, verb = "a", operator
    if operator in NEGATIVE:
        has, verb = "no", NEGATIVE[operator]
    return f"the {whose} has {has} {kind.says} {quoted(condition.key)} that {_VERBS[verb]} {values}"


def _value(name: Field, value: str) -> str:
    if FIELDS[name].compared is not Compared.AS_RISK:
        return quoted(value)
    if value not in RISKS:
        return value
    least, most = RISKS[value]
    return f"{value} ({least})" if least == most else f"{value} ({least}–{most})"
