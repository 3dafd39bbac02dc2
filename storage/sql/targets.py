"""What several queries select together, as SQL over entitlements and their resources."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, false, or_, true

from engine.aql.query import Query
from engine.targets import named_in, naming
from storage.sql import aql

__all__ = ["selected"]

Sql = ColumnElement[bool]

_TOGETHER = 100  # in one bracket: SQLite goes down a level for each of a row


def selected(queries: Iterable[Query], dialect: str) -> Sql:
    """Return what holds for the entitlements that one of them selects."""
    each = [aql.selected(query, dialect) for query in _merged(queries)]
    if len(each) <= _TOGETHER:
        return or_(false(), *each)
    some = (each[at : at + _TOGETHER] for at in range(0, len(each), _TOGETHER))
    return or_(*(or_(*part).is_(true()) for part in some))  # brackets alone would be dissolved


def _merged(queries: Iterable[Query]) -> list[Query]:
    """Make one of those that differ in nothing but how resources are called."""
    names: dict[Query, set[str]] = {}
    others: dict[Query, None] = {}
    for query in dict.fromkeys(queries):
        if found := named_in(query):
            names.setdefault(found[0], set()).update(found[1])
        else:
            others[query] = None
    # Where one has no names, all are selected, whatever they are called.
    return [*others, *(naming(rest, of) for rest, of in names.items() if rest not in others)]
