"""What a decision on one request depends on besides the request itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.channel import Channel
from engine.directory import Directory, PersonId
from engine.flow import AccessFlow, Revision
from engine.inventory import Entitlement, EntitlementId
from engine.request import AccessRequest, GrantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is true now and bears on one request.

    `entitlements` are the request's, and those of the `others`, as the inventory has them. The
    `others` are live requests that share an account with it. `held_elsewhere` maps its grants
    of which one of them wants the same there to that one's code. `channel` is the one in which the
    flow has its approvers asked, as it was last seen; None: it has none, or it was never seen.
    """

    directory: Directory
    flow: AccessFlow
    revision: Revision  # the one that the request was made under
    admins: frozenset[PersonId]
    entitlements: Mapping[EntitlementId, Entitlement] = field(
        default_factory=dict[EntitlementId, Entitlement]
    )
    held_elsewhere: Mapping[GrantId, str] = field(default_factory=dict[GrantId, str])
    others: Sequence[AccessRequest] = ()
    channel: Channel | None = None

    def at(self, moment: datetime) -> "Facts":
        """Return the facts as of a moment: others may be on call, or act for somebody, by then."""
        here = self.directory.at(moment)
        return self if here is self.directory else replace(self, directory=here)
