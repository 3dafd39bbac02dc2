"""The inventory: connected systems, the things inside them, and what can be had on each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

IntegrationId = NewType("IntegrationId", str)
ResourceId = NewType("ResourceId", int)
PermissionId = NewType("PermissionId", str)
EntitlementId = NewType("EntitlementId", int)

Tags = Mapping[str, tuple[str, ...]]


class ResourceStatus(StrEnum):
    ACTIVE = "active"  # offered
    GONE = "gone"  # the last discovery did not find it any more


@dataclass(frozen=True, slots=True)
class Integration:
    """One connected system. `server` is the one that gave the numbers of its resources."""

    id: IntegrationId
    name: str
    kind: str
    server: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing inside an integration. `source_id` is the system's own name for it.

    `caveat`: what those who get it cannot use of it all the same, a sentence.
    """

    id: ResourceId
    type: str
    name: str
    path: str
    source_id: str
    risk: int
    status: ResourceStatus = ResourceStatus.ACTIVE
    tags: Tags = field(default_factory=dict[str, tuple[str, ...]])
    caveat: str = ""
    context: Tags = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Permission:
    """What can be had on a resource while it is `offered`. Risk is 1 (low) to 10 (critical).

    `id` stays while its name changes.
    """

    name: str
    risk: int
    offered: bool = True
    id: PermissionId = PermissionId("")
    tags: Tags = field(default_factory=dict[str, tuple[str, ...]])
    context: Tags = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One (resource, permission) pair: what is requested, granted and revoked."""

    id: EntitlementId
    integration: Integration
    resource: Resource
    permission: Permission

    @property
    def available(self) -> bool:
        return self.resource.status is ResourceStatus.ACTIVE and self.permission.offered

    @property
    def risk(self) -> int:
        return max(self.resource.risk, self.permission.risk)

    def __str__(self) -> str:
        return f"{self.permission.name} on {self.resource.path}"
