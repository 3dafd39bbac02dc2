"""How entitlements are read: what is selected of them, and what a row of that means."""

from typing import Any, NamedTuple

from sqlalchemy import Select, and_, select
from sqlmodel import col

from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
    ResourceStatus,
)
from storage.codec import fields_of, policies_of, tags_of
from storage.tables import EntitlementRow, IntegrationRow, PermissionRow, ResourceRow

__all__ = ["ITS_PERMISSION", "EntitlementLine", "entitlement_query", "to_entitlement"]

# What the last discovery has seen. The rest follows from its system, and from what can be read.
_STORED = {ResourceStatus.ACTIVE.value, ResourceStatus.GONE.value}


class EntitlementLine(NamedTuple):
    """What `entitlement_query` selects. `called` None: the permission has no row of its own yet."""

    id: int | None
    permission: str
    risk: int
    offered: bool
    called: str | None
    described: object  # a body
    resource: int | None
    type: str
    name: str
    path: str
    source_id: str
    resource_risk: int
    status: str
    body: object
    integration: str
    system: str  # its name
    kind: str
    server: str
    listed: bool
    owner: str
    owner_tag: str

    @property
    def readable(self) -> bool:
        try:
            policies_of(self.body)
        except ValueError:
            return False
        return fields_of(self.body) is self.body and self.status in _STORED

    @property
    def permission_readable(self) -> bool:
        return self.called is None or fields_of(self.described) is self.described


ITS_PERMISSION = and_(
    col(PermissionRow.integration_id) == col(ResourceRow.integration_id),
    col(PermissionRow.id) == col(EntitlementRow.permission),
)


def entitlement_query() -> Select[*tuple[Any, ...]]:
    """Select what `to_entitlement` reads, of all entitlements."""
    return (
        select(
            col(EntitlementRow.id),
            col(EntitlementRow.permission),
            col(EntitlementRow.risk),
            col(EntitlementRow.offered),
            col(PermissionRow.name),
            col(PermissionRow.body),
            col(ResourceRow.id),
            col(ResourceRow.type),
            col(ResourceRow.name),
            col(ResourceRow.path),
            col(ResourceRow.source_id),
            col(ResourceRow.risk),
            col(ResourceRow.status),
            col(ResourceRow.body),
            col(IntegrationRow.id),
            col(IntegrationRow.name),
            col(IntegrationRow.kind),
            col(IntegrationRow.server),
            col(IntegrationRow.listed),
            col(IntegrationRow.owner),
            col(IntegrationRow.owner_tag),
        )
        .join(ResourceRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
        .join(IntegrationRow, col(ResourceRow.integration_id) == col(IntegrationRow.id))
        .outerjoin(PermissionRow, ITS_PERMISSION)
    )


def to_entitlement(row: tuple[Any, ...]) -> Entitlement:
    """Return what a row means. What cannot be read of it is not offered; it can end.

    So it is with what a system has that is listed no more.
    """
    of = EntitlementLine._make(row)
    said = fields_of(of.body)
    there = of.readable and of.listed
    return Entitlement(
        EntitlementId(of.id or 0),
        Integration(
            IntegrationId(of.integration),
            of.system,
            of.kind,
            of.server,
            of.owner,
            of.owner_tag,
        ),
        Resource(
            ResourceId(of.resource or 0),
            of.type,
            of.name,
            of.path,
            of.source_id,
            of.resource_risk,
            ResourceStatus(of.status) if there else ResourceStatus.DISCONNECTED,
            tags_of(said, "tags"),
            str(said.get("caveat", "")),
            tags_of(said, "context"),
            str(said.get("owner", "")),
            policies_of(said) if of.readable else None,
        ),
        Permission(
            PermissionId(of.permission),
            of.permission if of.called is None else of.called,
            of.risk,
            of.offered and of.permission_readable,
            tags_of(of.described, "tags"),
            tags_of(of.described, "context"),
        ),
    )
