"""What can be had in the systems, by its names."""

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlmodel import col

from engine.inventory import IntegrationId, ResourceStatus
from storage.database import Read
from storage.facts import ITS_PERMISSION
from storage.tables import EntitlementRow, IntegrationRow, PermissionRow, ResourceRow

Offer = tuple[str, str]  # of a resource, and what can be had on it
Names = Mapping[IntegrationId, Mapping[Offer, set[str]]]


def names(session: Read, integration: IntegrationId | None = None) -> Names:
    """Return the names and paths of what can be had, by system: in all, or in one."""
    query = (
        select(
            col(IntegrationRow.id),
            col(ResourceRow.type),
            func.coalesce(col(PermissionRow.name), col(EntitlementRow.permission)),
            col(ResourceRow.name_key),
            col(ResourceRow.path_key),
        )
        .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
        .join(IntegrationRow, col(ResourceRow.integration_id) == col(IntegrationRow.id))
        .outerjoin(PermissionRow, ITS_PERMISSION)
        .where(
            col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
            col(EntitlementRow.offered),
            col(IntegrationRow.listed),
        )
    )
    if integration is not None:
        query = query.where(col(IntegrationRow.id) == integration)
    found: dict[IntegrationId, dict[Offer, set[str]]] = {}
    for system, type_, permission, *known_as in session.execute(query):
        of = found.setdefault(IntegrationId(system), defaultdict(set))
        of[type_, permission].update(known_as)
    return found
