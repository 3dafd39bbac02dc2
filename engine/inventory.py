"""The inventory: connected systems, the things inside them, and what can be had on each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

IntegrationId = NewType("IntegrationId", str)
ResourceId = NewType("ResourceId", int)
PermissionId = NewType("PermissionId", str)
EntitlementId = NewType("EntitlementId", int)

Tags = Mapping[str, tuple[str, ...]]  # a key may have several values

OWNER_TAG = "owner"  # the tag that says whose a resource is, unless its system has another
UNKNOWN_RISK = 5  # of what nobody has said a risk of, and no rule
MOST_BYTES = 1000  # of a key, and of a value without case: PostgreSQL has no index of longer ones
SHORT = 160  # characters, which always fit into that


class ResourceStatus(StrEnum):
    ACTIVE = "active"  # offered
    GONE = "gone"  # the last discovery did not find it any more
    DISCONNECTED = (
        "disconnected"  # its system is listed no more, or what is stored of it unreadable
    )


@dataclass(frozen=True, slots=True)
class Integration:
    """One connected system. `server` is the one that gave the numbers of its resources.

    `owner`, a person's or a group's id, is whose those of its resources are of which nobody is said
    to be the owner, by the `owner_tag` or otherwise; empty: nobody's.
    """

    id: IntegrationId
    name: str
    kind: str
    server: str = ""
    owner: str = ""
    owner_tag: str = OWNER_TAG


class Principal(StrEnum):
    """What carries somebody's policies in an AWS account."""

    USER = "user"
    ROLE = "role"
    PERMISSION_SET = "permission set"


@dataclass(frozen=True, slots=True)
class Policies:
    """By what somebody is given what can be had on a resource in an AWS account.

    `documents`: the policy that is attached for each permission, as JSON.
    """

    account: str
    principal: Principal
    documents: Mapping[PermissionId, str]


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing inside an integration. `source_id` is the system's own name for it.

    `owner`: whose it is, as the system says it. `caveat`: what those who get it cannot use of it
    all the same, a sentence. `policies` None: it is given by none.
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
    owner: str = ""
    policies: Policies | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """What can be had on a resource while it is `offered`. Risk is 1 (low) to 10 (critical).

    `id` is its system's own, which stays while its name changes. Its risk may be another on another
    resource: to read salaries is riskier than to read a log.
    """

    id: PermissionId
    name: str
    risk: int
    offered: bool = True
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

    @property
    def document(self) -> str:
        """The policy that is attached to give it; empty: none is."""
        policies = self.resource.policies
        return policies.documents.get(self.permission.id, "") if policies else ""

    def __str__(self) -> str:
        return f"{self.permission.name} on {self.resource.path}"


def highest_risk(entitlements: Iterable[Entitlement]) -> int:
    """Return how risky a request for these is: as the riskiest of its resources and permissions."""
    return max((entitlement.risk for entitlement in entitlements), default=UNKNOWN_RISK)


def kept(tags: Tags) -> dict[str, tuple[str, ...]]:
    """Return tags as they are stored: sorted, each value once; of what is too long, the beginning.

    A key without a value is none.
    """
    if all(len(values) == 1 and len(values[0]) <= SHORT for values in tags.values()) and all(
        len(key) <= SHORT for key in tags
    ):  # so it mostly is, a million times
        return {key: (tags[key][0],) for key in sorted(tags)}
    found: dict[str, set[str]] = {}
    for key, values in tags.items():
        if values:
            found.setdefault(_cut(key), set()).update(map(_cut, values))
    return {key: tuple(sorted(found[key])) for key in sorted(found)}


def _cut(text: str) -> str:
    if len(text) <= SHORT or len(text.casefold().encode(errors="replace")) <= MOST_BYTES:
        return text
    return text[:SHORT]
