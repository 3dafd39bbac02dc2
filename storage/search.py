"""Searches the inventory for what some flows offer: the flows' targets compiled to SQL."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    SQLColumnExpression,
    Text,
    and_,
    any_,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlmodel import Session, col

from engine.flow import AccessFlow, Selector
from engine.inventory import Entitlement, ResourceId, ResourceStatus
from storage import facts
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow

MOST_WORDS = 500  # characters; a database refuses conditions by the thousand


@dataclass(frozen=True, slots=True)
class Found:
    resource: ResourceId
    path: str
    type: str
    integration: str  # its name


def resources(
    session: Session, flows: Sequence[AccessFlow], words: str, limit: int = 100
) -> list[Found]:
    """Return resources on which the flows offer something; every word is in the path or system.

    `%` and `_` are ordinary characters. Case does not count. More than `MOST_WORDS` name nothing.
    """
    if len(words) > MOST_WORDS:
        return []
    systems = session.execute(select(col(IntegrationRow.id), col(IntegrationRow.name))).all()
    query = (
        select(
            col(ResourceRow.id),
            col(ResourceRow.path),
            col(ResourceRow.type),
            col(IntegrationRow.name),
        )
        .join(IntegrationRow, col(ResourceRow.integration_id) == col(IntegrationRow.id))
        .where(col(ResourceRow.status) == ResourceStatus.ACTIVE.value, _offered(session, flows))
        .order_by(col(ResourceRow.path_key), col(ResourceRow.id))
        .limit(limit)
    )
    for word in words.casefold().split():
        named = [id_ for id_, name in systems if word in name.casefold()]
        query = query.where(
            or_(
                col(ResourceRow.path_key).contains(word, autoescape=True),
                col(ResourceRow.integration_id).in_(named),
            )
        )
    return [
        Found(ResourceId(id_ or 0), path, type_, name)
        for id_, path, type_, name in session.execute(query)
    ]


def entitlements_on(session: Session, resource: ResourceId) -> list[Entitlement]:
    """Return what can be had on a resource, the least first."""
    query = (
        facts.entitlement_query()
        .where(col(ResourceRow.id) == resource)
        .order_by(col(EntitlementRow.risk), col(EntitlementRow.permission))
    )
    return [facts.to_entitlement(row) for row in session.execute(query)]


def _offered(session: Session, flows: Sequence[AccessFlow]) -> ColumnElement[bool]:
    return or_(false(), *(_selects(session, s) for s in _merged(flows)))


def _merged(flows: Sequence[AccessFlow]) -> list[Selector]:
    """Return the flows' selectors, those that differ in their names only as one.

    One look-up in all names a resource, where there might be one for each of many flows.
    """
    named: dict[Selector, set[str]] = {}
    for selector in dict.fromkeys(s for flow in flows for s in flow.revision.targets):
        alike = replace(selector, names=frozenset())
        if not selector.names:
            named[alike] = set()  # it selects all that the others name
        elif named.get(alike) != set():
            named.setdefault(alike, set()).update(selector.names)
    return [replace(alike, names=frozenset(names)) for alike, names in named.items()]


def _selects(session: Session, selector: Selector) -> ColumnElement[bool]:
    conditions = [col(ResourceRow.integration_id) == selector.integration]
    if selector.types:
        conditions.append(col(ResourceRow.type).in_(sorted(selector.types)))
    if selector.names:
        names = sorted(selector.names)
        keys = (col(ResourceRow.name_key), col(ResourceRow.path_key))
        conditions.append(or_(*(_among(session, key, names) for key in keys)))
    offered = select(col(EntitlementRow.id)).where(
        col(EntitlementRow.resource_id) == col(ResourceRow.id)
    )
    if selector.permissions:
        offered = offered.where(col(EntitlementRow.permission).in_(sorted(selector.permissions)))
    conditions.append(offered.exists())
    return and_(*conditions)


def _among(
    session: Session, column: SQLColumnExpression[str], names: Sequence[str]
) -> ColumnElement[bool]:
    """Hold for any of the names, which may be thousands: they are bound as one value."""
    if session.get_bind().dialect.name == "sqlite":
        listed = func.json_each(json.dumps(names)).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(literal(list(names), ARRAY(Text)))
