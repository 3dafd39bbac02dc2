"""Many queries, indexed: those that cannot select an entitlement are not asked.

The index only leaves out; the queries themselves decide on what is left.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from engine.aql.predicate import predicate
from engine.aql.query import And, Condition, Or, Query
from engine.aql.tokens import FIELDS, Compared, Field, Operator
from engine.inventory import Entitlement

__all__ = ["Index", "Key", "Queries", "keys_of_entitlement", "keys_of_query"]

Key = tuple[str, ...]  # attribute and value of a person; or a field of AQL, its key, and a value


class Index:
    """Numbers by key. A set of numbers is an integer with these bits: quick to unite and to cut."""

    def __init__(self) -> None:
        self._of: dict[Key, int] = {}
        self._any = 0

    def copy(self) -> "Index":
        made = Index()
        made._of, made._any = dict(self._of), self._any
        return made

    def drop(self, number: int, keys: Iterable[Key] | None) -> None:
        """Forget what was added under these keys."""
        if keys is None:
            self._any &= ~(1 << number)
            return
        for key in keys:
            left = self._of.pop(key, 0) & ~(1 << number)
            if left:
                self._of[key] = left

    def add(self, number: int, keys: Iterable[Key] | None) -> None:
        """`keys` None: it may be meant by any."""
        if keys is None:
            self._any |= 1 << number
            return
        for key in keys:
            self._of[key] = self._of.get(key, 0) | 1 << number

    def find(self, keys: Iterable[Key]) -> int:
        found = self._any
        for key in keys:
            found |= self._of.get(key, 0)
        return found


class Queries:
    """Tells which of many queries select an entitlement."""

    def __init__(self, queries: Iterable[Query]) -> None:
        self._queries = [(query, predicate(query)) for query in queries]
        self._index = Index()
        for number, (query, _) in enumerate(self._queries):
            self._index.add(number, keys_of_query(query))

    def selecting(self, entitlement: Entitlement) -> Iterator[Query]:
        numbers = self._index.find(keys_of_entitlement(entitlement))
        while numbers:
            lowest = numbers & -numbers
            query, selects = self._queries[lowest.bit_length() - 1]
            if selects(entitlement):
                yield query
            numbers ^= lowest


# By what a query is found, the rarest first: what many things share leaves out little.
_RAREST = (
    Field.RESOURCE,
    Field.RESOURCE_PATH,
    Field.RESOURCE_NAME,
    Field.RESOURCE_TAG,
    Field.RESOURCE_TYPE,
    Field.INTEGRATION,
)
_RANKS = {field: rank for rank, field in enumerate(_RAREST)}
_FOUND = {Operator.EQUALS, Operator.IN}


def keys_of_query(query: Query | None) -> Collection[Key] | None:
    """Return keys of which whatever the query selects has one; None: it may have none."""
    if query is None:
        return ()
    found = _ranked(query)
    return found and found[1]


def _ranked(query: Query) -> tuple[int, Collection[Key]] | None:
    """Return its keys, and how common the most common of them is; None: it may have none."""
    match query:
        case And():
            return min(filter(None, map(_ranked, query.parts)), key=_rank, default=None)
        case Or():
            each = [*map(_ranked, query.parts)]
            known = [found for found in each if found]
            if len(known) < len(each):
                return None
            return max(map(_rank, known)), {*chain.from_iterable(keys for _, keys in known)}
        case Condition() if query.field in _RANKS and query.operator in _FOUND:
            folded = FIELDS[query.field].compared is Compared.WITHOUT_CASE
            values = (value.casefold() if folded else value for value in query.values)
            return _RANKS[query.field], {(query.field, query.key, value) for value in values}
        case _:
            return None


def _rank(found: tuple[int, object]) -> int:
    return found[0]


def keys_of_entitlement(entitlement: Entitlement) -> Iterator[Key]:
    resource = entitlement.resource
    yield Field.INTEGRATION, "", entitlement.integration.id
    yield Field.RESOURCE, "", str(resource.id)
    yield Field.RESOURCE_TYPE, "", resource.type.casefold()
    yield Field.RESOURCE_NAME, "", resource.name.casefold()
    yield Field.RESOURCE_PATH, "", resource.path.casefold()
    for key, values in resource.tags.items():
        for value in values:
            yield Field.RESOURCE_TAG, key, value.casefold()
