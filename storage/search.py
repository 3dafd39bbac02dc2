"""Searches the inventory for what some flows offer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any

from sqlalchemy import bindparam, literal, select
from sqlmodel import col

from engine.flow import AccessFlow
from engine.inventory import Entitlement, ResourceId
from storage.catalogue import Catalogues
from storage.database import Read
from storage.entitlements import entitlement_query, to_entitlement
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow
from storage.types import position

MOST_WORDS = 20  # of a search, that are looked for

_ON = (
    entitlement_query()
    .where(col(ResourceRow.id) == bindparam("resource"))
    .order_by(col(EntitlementRow.risk), col(EntitlementRow.permission))
)

_FOUND = (
    select(
        col(ResourceRow.id), col(ResourceRow.path), col(ResourceRow.type), col(IntegrationRow.name)
    )
    .join(IntegrationRow, col(IntegrationRow.id) == col(ResourceRow.integration_id))
    .order_by(col(ResourceRow.path_key), col(ResourceRow.id))
)
_CALLED = [
    _FOUND.where(column == bindparam("called")).limit(bindparam("limit"))
    for column in (col(ResourceRow.path_key), col(ResourceRow.name_key))
]


@dataclass(frozen=True, slots=True)
class FoundResource:
    resource: ResourceId
    path: str
    type: str
    integration: str  # its name


def resources(
    session: Read,
    catalogues: Catalogues,
    flows: Sequence[AccessFlow],
    words: str,
    limit: int = 100,
) -> list[FoundResource]:
    """Return resources on which the flows offer something; every word is in the path or system.

    Case does not count.
    """
    queries = list(dict.fromkeys(q for flow in flows if (q := flow.revision.offers)))
    sought = list(dict.fromkeys(words.casefold().split()))[:MOST_WORDS]
    parts = [
        part
        for catalogue in catalogues.current(session, queries)
        for part in catalogue.having(session, queries, sought)
    ]
    lines = islice((line for line, _ in groupby(merge(*parts))), limit)
    return [FoundResource(n.resource, n.path, n.type, n.system) for n in lines]


def anywhere(session: Read, words: str, limit: int = 100) -> list[FoundResource]:
    """Return resources of all systems, also what is gone; every word is in the path.

    It looks at all there is: for those who may know of everything, and are few.
    """
    sought = list(dict.fromkeys(words.casefold().split()))[:MOST_WORDS]
    words_in = (position(col(ResourceRow.path_key), literal(word)) > 0 for word in sought)
    return _found(session.execute(_FOUND.where(*words_in).limit(limit)))


def called(session: Read, name: str, limit: int = 20) -> list[FoundResource]:
    """Return resources that have just this path or, where none has, this name; of all systems.

    Case does not count.
    """
    given = {"called": name.casefold(), "limit": limit}
    return next(filter(None, (_found(session.ask(each, given)) for each in _CALLED)), [])


def _found(rows: Iterable[tuple[Any, ...]]) -> list[FoundResource]:
    return [FoundResource(ResourceId(id_), *of) for id_, *of in rows]


def entitlements_on(session: Read, resource: ResourceId) -> list[Entitlement]:
    """Return what can be had on a resource, the least first."""
    found = session.ask(_ON, {"resource": resource})
    return [to_entitlement(row) for row in found]
