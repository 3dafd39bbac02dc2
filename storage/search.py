"""Searches the inventory for what some flows offer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice

from sqlmodel import Session, col

from engine.flow import AccessFlow, Selector
from engine.inventory import Entitlement, IntegrationId, ResourceId
from storage import facts
from storage.catalogue import Catalogue, Catalogues, Line
from storage.tables import EntitlementRow, ResourceRow


@dataclass(frozen=True, slots=True)
class Found:
    resource: ResourceId
    path: str
    type: str
    integration: str  # its name


def resources(
    session: Session,
    catalogues: Catalogues,
    flows: Sequence[AccessFlow],
    words: str,
    limit: int = 100,
) -> list[Found]:
    """Return resources on which the flows offer something; every word is in the path or system.

    Case does not count.
    """
    targets: dict[IntegrationId, set[Selector]] = {}
    for selector in (s for flow in flows for s in flow.revision.targets):
        targets.setdefault(selector.integration, set()).add(selector)
    parts = [
        _with(words.casefold().split(), catalogue, catalogue.selected(selector))
        for system, catalogue in catalogues.current(session, targets).items()
        for selector in targets[system]
    ]
    lines = islice((line for line, _ in groupby(merge(*parts))), limit)
    return [Found(n.resource, n.path, n.type, n.system) for n in lines]


def entitlements_on(session: Session, resource: ResourceId) -> list[Entitlement]:
    """Return what can be had on a resource, the least first."""
    query = (
        facts.entitlement_query()
        .where(col(ResourceRow.id) == resource)
        .order_by(col(EntitlementRow.risk), col(EntitlementRow.permission))
    )
    return [facts.to_entitlement(row) for row in session.execute(query)]


def _with(words: Iterable[str], catalogue: Catalogue, lines: Sequence[Line]) -> Sequence[Line]:
    system = catalogue.name.casefold()
    # The longest first: it is in the fewest paths.
    for word in sorted((w for w in words if w not in system), key=len, reverse=True):
        lines = [line for line in lines if word in line.key]
    return lines
