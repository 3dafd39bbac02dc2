"""A query as a predicate on one entitlement. What SQL makes of a query must say the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from engine.aql.query import And, Condition, Not, Or, Query
from engine.aql.tokens import FIELDS, NEGATIVE, SCORES, Compared, Field, Operator
from engine.inventory import Entitlement, Tags

__all__ = ["Predicate", "matches", "predicate"]

Predicate = Callable[[Entitlement], bool]

_TEXTS: Mapping[Field, Callable[[Entitlement], str]] = {
    Field.INTEGRATION: lambda e: e.integration.id,
    Field.INTEGRATION_NAME: lambda e: e.integration.name,
    Field.RESOURCE: lambda e: str(e.resource.id),
    Field.RESOURCE_TYPE: lambda e: e.resource.type,
    Field.RESOURCE_NAME: lambda e: e.resource.name,
    Field.RESOURCE_PATH: lambda e: e.resource.path,
    Field.RESOURCE_SOURCE_ID: lambda e: e.resource.source_id,
    Field.RESOURCE_STATUS: lambda e: e.resource.status,
    Field.PERMISSION: lambda e: e.permission.id,
    Field.PERMISSION_NAME: lambda e: e.permission.name,
}
_RISKS: Mapping[Field, Callable[[Entitlement], int]] = {
    Field.RESOURCE_RISK_LEVEL: lambda e: e.resource.risk,
    Field.PERMISSION_RISK_LEVEL: lambda e: e.permission.risk,
}
_TAGS: Mapping[Field, Callable[[Entitlement], Tags]] = {
    Field.RESOURCE_TAG: lambda e: e.resource.tags,
    Field.RESOURCE_CONTEXT: lambda e: e.resource.context,
    Field.PERMISSION_TAG: lambda e: e.permission.tags,
    Field.PERMISSION_CONTEXT: lambda e: e.permission.context,
}


def matches(query: Query, entitlement: Entitlement) -> bool:
    """Tell whether the query selects it. Who asks for many makes the `predicate` once."""
    return predicate(query)(entitlement)


def predicate(query: Query) -> Predicate:
    """Return a function that tells whether the query selects an entitlement."""
    match query:
        case Condition():
            return _condition(query)
        case Not():
            return _not(predicate(query.part))
        case And():
            return _all([predicate(part) for part in query.parts])
        case Or():
            return _any([predicate(part) for part in query.parts])


# These are asked a million times: loops are twice as fast as all() and any() over a generator.


def _all(tests: Sequence[Predicate]) -> Predicate:
    def holds(entitlement: Entitlement) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(entitlement):
                return False
        return True

    return holds


def _any(tests: Sequence[Predicate]) -> Predicate:
    def holds(entitlement: Entitlement) -> bool:
        for test in tests:  # noqa: SIM110
            if test(entitlement):
                return True
        return False

    return holds


def _not(test: Predicate) -> Predicate:
    return lambda entitlement: not test(entitlement)


def _condition(condition: Condition) -> Predicate:
    name, operator, key = condition.field, condition.operator, condition.key
    if operator in NEGATIVE:
        return _not(_condition(replace(condition, operator=NEGATIVE[operator])))
    if name in _RISKS:
        risk, scores = _RISKS[name], frozenset[int]().union(*(SCORES[v] for v in condition.values))
        return lambda e: risk(e) in scores
    fits = _fits(condition)
    if name in _TEXTS:
        text = _TEXTS[name]
        return lambda e: fits(text(e))
    tags = _TAGS[name]

    def any_fits(entitlement: Entitlement) -> bool:
        for value in tags(entitlement).get(key, ()):  # noqa: SIM110
            if fits(value):
                return True
        return False

    return any_fits


def _fits(condition: Condition) -> Callable[[str], bool]:
    """Return a function that compares one text with the values of a positive operator."""
    folded = FIELDS[condition.field].compared is Compared.WITHOUT_CASE
    fold: Callable[[str], str] = str.casefold if folded else str
    values = frozenset(map(fold, condition.values))
    value = fold(condition.values[0])
    match condition.operator:
        case Operator.CONTAINS:
            return lambda text: value in fold(text)
        case Operator.STARTS_WITH:
            return lambda text: fold(text).startswith(value)
        case Operator.ENDS_WITH:
            return lambda text: fold(text).endswith(value)
        case _:
            return lambda text: fold(text) in values
