"""Searches the inventory for what some flows offer: the flows' targets compiled to SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice

from sqlalchemy import JSON, ColumnElement, Select, and_, func, literal, or_, select
from sqlmodel import Session, col

from engine.flow import AccessFlow, Selector
from engine.inventory import Entitlement, IntegrationId, ResourceId, ResourceStatus
from storage import facts
from storage.company import Company, Line
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow

MOST_WORDS = 500  # characters; a database refuses conditions by the thousand


@dataclass(frozen=True, slots=True)
class Found:
    resource: ResourceId
    path: str
    type: str
    integration: str  # its name


def resources(
    session: Session, company: Company, flows: Sequence[AccessFlow], words: str, limit: int = 100
) -> list[Found]:
    """Return resources on which the flows offer something; every word is in the path or system.

    `%` and `_` are ordinary characters. Case does not count. More than `MOST_WORDS` name nothing.
    """
    if len(words) > MOST_WORDS:
        return []
    systems = session.execute(select(col(IntegrationRow.id), col(IntegrationRow.name))).all()
    targets = dict.fromkeys(s for flow in flows for s in flow.revision.targets)
    parts: list[Iterable[Line]] = []
    for system, name in systems:
        here = [selector for selector in targets if selector.integration == system]
        # The longest first: it is in the fewest paths.
        rest = sorted(set(words.casefold().split()), key=len, reverse=True)
        rest = [word for word in rest if word not in name.casefold()]
        parts += [_among_named(_named(session, company, s), rest) for s in here if s.names]
        parts.append(_among_all(session, system, [s for s in here if not s.names], rest, limit))
    names = dict(systems)
    lines = islice((line for line, _ in groupby(merge(*parts))), limit)
    return [Found(n.resource, n.path, n.type, names[n.system]) for n in lines]


def entitlements_on(session: Session, resource: ResourceId) -> list[Entitlement]:
    """Return what can be had on a resource, the least first."""
    query = (
        facts.entitlement_query()
        .where(col(ResourceRow.id) == resource)
        .order_by(col(EntitlementRow.risk), col(EntitlementRow.permission))
    )
    return [facts.to_entitlement(row) for row in session.execute(query)]


def _among_named(named: Iterable[Line], words: Sequence[str]) -> Iterable[Line]:
    """Look through what a flow names, which is in memory: SQL would look up each name."""
    return (line for line in named if all(word in line.key for word in words))


def _named(session: Session, company: Company, selector: Selector) -> tuple[Line, ...]:
    if selector not in company.named:
        query = _lines(selector.integration).where(_offers(selector))
        names = _listed(session, sorted(selector.names))
        keys = (col(ResourceRow.name_key), col(ResourceRow.path_key))
        rows = [row for key in keys for row in session.execute(query.where(key.in_(names)))]
        company.named[selector] = tuple(sorted({Line(*row) for row in rows}))
    return company.named[selector]


def _among_all(
    session: Session,
    system: IntegrationId,
    selectors: Sequence[Selector],
    words: Sequence[str],
    limit: int,
) -> Iterable[Line]:
    if not selectors:
        return []
    key = col(ResourceRow.path_key)
    query = (
        _lines(system)
        .where(*(key.contains(word, autoescape=True) for word in words))
        .where(or_(*(_offers(selector) for selector in selectors)))
        .order_by(key, col(ResourceRow.id))
        .limit(limit)
    )
    return [Line(*row) for row in session.execute(query)]


def _lines(system: IntegrationId) -> Select[str, int | None, str, str, str]:
    return select(
        col(ResourceRow.path_key),
        col(ResourceRow.id),
        col(ResourceRow.path),
        col(ResourceRow.type),
        col(ResourceRow.integration_id),
    ).where(
        col(ResourceRow.integration_id) == system,
        col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
    )


def _offers(selector: Selector) -> ColumnElement[bool]:
    """Hold for resources of the selector's system that it selects, if it does not name them."""
    offered = select(col(EntitlementRow.id)).where(
        col(EntitlementRow.resource_id) == col(ResourceRow.id)
    )
    if selector.permissions:
        offered = offered.where(col(EntitlementRow.permission).in_(sorted(selector.permissions)))
    if selector.types:
        return and_(col(ResourceRow.type).in_(sorted(selector.types)), offered.exists())
    return offered.exists()


def _listed(session: Session, values: Sequence[str]) -> Select[str]:
    """Return the values as rows. There may be thousands: they are bound as one value."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    each = func.json_each if sqlite else func.json_array_elements_text
    return select(each(literal(list(values), JSON)).table_valued("value").c.value)
