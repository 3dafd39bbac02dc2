"""What a decision on one request depends on besides the request itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.directory import Directory, PersonId
from engine.flow import AccessFlow, Revision
from engine.inventory import Entitlement, EntitlementId


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is true now and bears on one request.

    `entitlements` are the request's, as the inventory has them; `held_elsewhere` maps those that
    another live request of the grantee wants in the same account to that request's code.
    """

    directory: Directory
    flow: AccessFlow
    revision: Revision  # the one that the request was made under
    admins: frozenset[PersonId]
    entitlements: Mapping[EntitlementId, Entitlement] = field(
        default_factory=dict[EntitlementId, Entitlement]
    )
    held_elsewhere: Mapping[EntitlementId, str] = field(default_factory=dict[EntitlementId, str])
