"""Basic filters: the rows of a form over AQL, joined by AND (docs/aql.md, *Basic filters*)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.aql.errors import BadQueryError, either
from engine.aql.parser import parse
from engine.aql.query import And, Condition, Query, all_of
from engine.aql.tokens import FIELDS, LISTS, Field, Operator

__all__ = [
    "OFFERED",
    "Filter",
    "condition_of",
    "to_filters",
    "to_query",
    "what_is_misplaced",
    "what_is_wrong",
]

_EQUALITY = (Operator.EQUALS, Operator.NOT_EQUALS)
_TEXT = (
    *_EQUALITY,
    Operator.CONTAINS,
    Operator.NOT_CONTAINS,
    Operator.STARTS_WITH,
    Operator.ENDS_WITH,
)

OFFERED: Mapping[Field, tuple[Operator, ...]] = {  # in the order of the form
    Field.INTEGRATION: _EQUALITY,
    Field.RESOURCE_TYPE: _EQUALITY,
    Field.RESOURCE_STATUS: _EQUALITY,
    Field.RESOURCE_RISK_LEVEL: _EQUALITY,
    Field.PERMISSION_RISK_LEVEL: _EQUALITY,
    Field.RESOURCE_NAME: _TEXT,
    Field.PERMISSION_NAME: _TEXT,
    Field.RESOURCE_PATH: _TEXT,
    Field.RESOURCE_TAG: _TEXT,
    Field.RESOURCE_SOURCE_ID: (*_TEXT, Operator.IN, Operator.NOT_IN),
}
_LISTED = {Operator.EQUALS: Operator.IN, Operator.NOT_EQUALS: Operator.NOT_IN}
_PLAIN = {listed: plain for plain, listed in _LISTED.items()}


@dataclass(frozen=True, slots=True)
class Filter:
    """One row. Several values with = mean any of them, with != none of them.

    `key` is the tag's.
    """

    field: Field
    operator: Operator
    values: tuple[str, ...]
    key: str = ""


def what_is_wrong(row: Filter) -> str:
    """Say what the row's author has to change; empty where nothing is wrong."""
    return what_is_misplaced(row) or _bad_values(row)


def what_is_misplaced(row: Filter) -> str:
    """Say what is wrong, whatever is compared with: the operator, or the key."""
    offered = OFFERED.get(row.field, ())
    if row.operator not in offered:
        return f"{row.field} takes {either(offered)} here." if offered else f"No {row.field} here."
    if FIELDS[row.field].keyed and not row.key:
        return "Say which tag."
    if row.key and not FIELDS[row.field].keyed:
        return f"{row.field} has no keys, as tags have. Leave `key` out, or compare a tag."
    return ""


def _bad_values(row: Filter) -> str:
    offered = OFFERED[row.field]
    if not row.values:
        return "Give a value."
    if len(row.values) > 1 and _operator(row) not in LISTS:
        several = either([o for o in offered if o in LISTS] or _EQUALITY)
        return f"{row.operator} takes one value; several go with {several}."
    try:
        to_query([row])
    except BadQueryError as wrong:
        return f"Found {wrong.found}, expected {wrong.expected}."
    return ""


def to_query(rows: Sequence[Filter]) -> Query:
    """Return the query that the form stands for.

    Raises BadQueryError without a row, with a wrong one, and where it is more than AQL allows.
    """
    return parse(str(all_of(*map(condition_of, rows))))


def condition_of(row: Filter) -> Condition:
    """Return the condition that a row stands for, be it right or wrong."""
    return Condition(row.field, _operator(row), row.values, row.key)


def to_filters(query: Query) -> tuple[Filter, ...] | None:
    """Return the rows that show the query; None: a form cannot."""
    rows = [_row(part) if isinstance(part, Condition) else None for part in _parts(query)]
    shown = tuple(row for row in rows if row and not what_is_wrong(row))
    return shown if len(shown) == len(rows) else None


def _operator(row: Filter) -> Operator:
    """Several values with = and != are a list, where the form has no operator for lists."""
    listed = _LISTED.get(row.operator, row.operator)
    several = len(row.values) > 1 and listed not in OFFERED.get(row.field, ())
    return listed if several else row.operator


def _row(condition: Condition) -> Filter:
    name, operator = condition.field, condition.operator
    if operator not in OFFERED.get(name, ()):
        operator = _PLAIN.get(operator, operator)
    return Filter(name, operator, condition.values, condition.key)


def _parts(query: Query) -> Iterator[Query]:
    if isinstance(query, And):
        for part in query.parts:
            yield from _parts(part)
    else:
        yield query
