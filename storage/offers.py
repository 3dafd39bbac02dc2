"""What flows offer of all there is, as sets: for questions about all flows at once."""

from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, Text, cast, literal, or_, select, tuple_
from sqlmodel import col

from engine import ownership
from engine.aql.query import Query, all_of
from engine.aql.tokens import Field
from engine.crowd import Bits, bits
from engine.flow import AccessFlow, FlowId
from engine.inventory import Entitlement, ResourceStatus
from engine.oddities.absent import keys_denied
from engine.oddities.findings import Offered
from engine.policy_size import MOST_NAMED
from engine.targets import NO_OBJECTS, Objects, Picked, Selector, naming_resources
from storage import inventory
from storage.codec import fields_of, tags_of
from storage.database import Read
from storage.sql import aql
from storage.tables import (
    EntitlementRow,
    IntegrationRow,
    PermissionTagRow,
    ResourceRow,
    ResourceTagRow,
)
from storage.types import together

__all__ = ["named_one_by_one", "offered"]

_MANY = 5_000
HIGH = 7  # the least risk that is called high

_THERE = (
    select(together(cast(col(EntitlementRow.id), Text), literal(",")))
    .select_from(EntitlementRow)
    .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
    .where(
        col(EntitlementRow.offered),
        col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
        col(ResourceRow.integration_id).in_(
            select(col(IntegrationRow.id)).where(col(IntegrationRow.listed))
        ),
    )
)
_OWNED = (
    select(
        col(ResourceRow.body),
        col(IntegrationRow.owner),
        col(IntegrationRow.owner_tag),
        select(together(cast(col(EntitlementRow.id), Text), literal(",")))
        .where(col(EntitlementRow.resource_id) == col(ResourceRow.id), col(EntitlementRow.offered))
        .correlate(ResourceRow)
        .scalar_subquery(),
    )
    .join(IntegrationRow, col(ResourceRow.integration_id) == col(IntegrationRow.id))
    .where(col(ResourceRow.status) == ResourceStatus.ACTIVE.value, col(IntegrationRow.listed))
)


def offered(
    session: Read,
    flows: Collection[AccessFlow],
    prod: Query,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    objects: Objects = NO_OBJECTS,
) -> Offered:
    """Return what open flows offer, by the entitlements' ids; what `prod` selects; what is risky.

    What several flows offer alike is asked for once. `objects`: what their targets speak of.
    """
    known: dict[Query | None, Bits] = {None: 0}
    by_flow: dict[FlowId, Bits] = {}
    these = [flow for flow in flows if flow.open]
    for done, flow in enumerate(these):
        progress(done, len(these))
        offers = flow.revision.offers
        if offers and offers not in known:
            known[offers] = _selected(session, aql.selected(offers, session.dialect))
        by_flow[flow.id] = known[offers]
    progress(len(these), len(these))
    risky = or_(col(EntitlementRow.risk) >= HIGH, col(ResourceRow.risk) >= HIGH)
    high = _selected(session, risky)
    production = _selected(session, aql.selected(prod, session.dialect))
    keys = {key for query in known for key in keys_denied(query)}
    having = {key: _selected(session, _has(*key)) for key in sorted(keys)}
    named = {
        flow.id: [those for target in naming if (those := named_one_by_one(session, target))]
        for flow in these
        if (naming := naming_resources(flow.revision.targets, objects))
    }
    owned = _owned(session) if any(flow.revision.asks_owners for flow in these) else {}
    return Offered(by_flow, high, production, having, named, owned)


def _owned(session: Read) -> dict[tuple[str, ...], Bits]:
    """Return what is there, by what is said of whose it is."""
    found: dict[tuple[str, ...], list[str]] = {}
    for body, owner, tag, ids in session.execute(_OWNED):
        said = ownership.said(
            str(fields_of(body).get("owner", "")), tags_of(body, "tags"), owner, tag
        )
        found.setdefault(said, []).extend((ids or "").split(","))
    return {said: bits(map(int, filter(None, ids))) for said, ids in found.items()}


def named_one_by_one(session: Read, target: Selector | Picked) -> list[Entitlement]:
    """Return what a target that names resources selects, if it is more than what may be named.

    Of very much it is the beginning.
    """
    there = all_of(inventory.ACTIVE, target.query)
    few = inventory.count(session, there) <= MOST_NAMED
    return [] if few else inventory.page(session, there, limit=_MANY)


def _has(field: Field, key: str) -> ColumnElement[bool]:
    if field in _OF_RESOURCES:
        of_things = select(col(ResourceTagRow.resource_id)).where(
            col(ResourceTagRow.context).is_(field is Field.RESOURCE_CONTEXT),
            col(ResourceTagRow.key) == key,
        )
        return col(ResourceRow.id).in_(of_things)
    of_permissions = select(
        col(PermissionTagRow.integration_id), col(PermissionTagRow.permission)
    ).where(
        col(PermissionTagRow.context).is_(field is Field.PERMISSION_CONTEXT),
        col(PermissionTagRow.key) == key,
    )
    its = tuple_(col(ResourceRow.integration_id), col(EntitlementRow.permission))
    return its.in_(of_permissions)


_OF_RESOURCES = frozenset({Field.RESOURCE_TAG, Field.RESOURCE_CONTEXT})


def _selected(session: Read, that: ColumnElement[bool]) -> Bits:
    query = _THERE.where(that)
    found = session.execute(query, execution_options={"compiled_cache": None}).scalar()
    return bits(map(int, found.split(","))) if found else 0
