"""What one account should hold, from the live requests that touch it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.inventory import Entitlement, EntitlementId, IntegrationId
from engine.port import Target
from engine.request import AccessRequest, AccountId, Grant, GrantId, GrantState

LOST = "lost"  # no server is called so
_TOLD_END = timedelta(seconds=1)  # an end that moved by less is not worth a call


@dataclass(frozen=True, slots=True)
class Wish:
    """What the account should and should not hold. `until` None with something wanted: no end.

    Wanted is only what is begun: the ledger says so before the system does.
    """

    wanted: frozenset[EntitlementId]
    unwanted: frozenset[EntitlementId]
    until: datetime | None


def wish(account: AccountId, requests: Iterable[AccessRequest]) -> Wish:
    """Add up the requests: a holding should be while any of them wants it.

    What was there before Latchkey is in neither set: it is not ours to touch.
    """
    wanted: set[EntitlementId] = set()
    begun: set[EntitlementId] = set()
    ends: list[datetime | None] = []
    for request, grant in _grants(account, requests):
        if not grant.begun or grant.standing:
            continue
        begun.add(grant.entitlement)
        if wants(request, grant):
            wanted.add(grant.entitlement)
            ends.append(request.ends_at)
    until = None if None in ends else max((e for e in ends if e), default=None)
    return Wish(frozenset(wanted), frozenset(begun - wanted), until)


@dataclass(frozen=True, slots=True)
class Wishes:
    """The requests that have a grant on one account, and the inventory of what they name."""

    account: AccountId
    requests: Sequence[AccessRequest] = ()
    inventory: Mapping[EntitlementId, Entitlement] = field(
        default_factory=dict[EntitlementId, Entitlement]
    )

    @property
    def sum(self) -> Wish:
        return wish(self.account, self.requests)

    @property
    def grants(self) -> list[tuple[AccessRequest, Grant]]:
        return list(_grants(self.account, self.requests))

    @property
    def open(self) -> bool:
        """Whether anything is held, or is to be."""
        return any(grant.open for _, grant in self.grants)

    @property
    def waiting(self) -> bool:
        """Whether there is something new that could be begun."""
        return any(g.state is GrantState.WANTED and wants(r, g) for r, g in self.grants)

    @property
    def standing(self) -> list[EntitlementId]:
        """What was there before Latchkey."""
        return sorted({grant.entitlement for _, grant in self.grants if grant.standing})

    def astray(self, system: IntegrationId) -> bool:
        """Tell whether something that is begun is said to be of another system than this."""
        begun = (grant.entitlement for _, grant in self.grants if grant.begun)
        found = (self.inventory.get(entitlement) for entitlement in begun)
        return any(one is not None and one.integration.id != system for one in found)

    def target(self, entitlement: EntitlementId, system: IntegrationId) -> Target:
        """Return an entitlement as its system knows it, or what stands for one that is lost.

        What is said to be of another `system` is lost.
        """
        found = self.inventory.get(entitlement)
        here = found is not None and found.integration.id == system
        return target_of(found) if found and here else lost(entitlement)


def lost(entitlement: EntitlementId) -> Target:
    """Return what stands for an entitlement of which nothing is known any more.

    No server has given its number: what it came to ends by the login's name (`port.Connector`).
    """
    return Target("", f"lost:{entitlement}", f"what was entitlement {entitlement}", "access", LOST)


def target_of(entitlement: Entitlement) -> Target:
    """Return an entitlement as its system knows it."""
    resource, server = entitlement.resource, entitlement.integration.server
    permission = entitlement.permission.id
    return Target(resource.type, resource.source_id, resource.path, permission, server)


def unlooked(
    account: AccountId, requests: Iterable[AccessRequest]
) -> tuple[frozenset[EntitlementId], frozenset[EntitlementId]]:
    """Return what is wanted and was never looked at: what Latchkey gave already, and the rest.

    Of the first kind it is known that it is ours. The rest has to be looked at before it is begun.
    """
    ours: set[EntitlementId] = set()
    new: set[EntitlementId] = set()
    for request, grant in _grants(account, requests):
        if grant.begun and grant.standing is False:
            ours.add(grant.entitlement)
        if wants(request, grant) and grant.standing is None:
            new.add(grant.entitlement)
    return frozenset(new & ours), frozenset(new - ours)


def wants(request: AccessRequest, grant: Grant) -> bool:
    """Tell whether this grant is to be held, by Latchkey's doing, now."""
    return (
        request.state.wants_access
        and grant.state in {GrantState.WANTED, GrantState.HELD}
        and not grant.standing
    )


def calls(before: AccessRequest, after: AccessRequest) -> Mapping[AccountId, bool]:
    """Map the accounts whose system must be called after a decision to whether something ends."""
    called: dict[AccountId, bool] = {}
    for old, new in zip(before.grants, after.grants, strict=True):
        if _needs_a_call(before, old, after, new):
            called[new.account] = called.get(new.account, False) or not wants(after, new)
    return called


def _needs_a_call(before: AccessRequest, old: Grant, after: AccessRequest, new: Grant) -> bool:
    wanted, wants_now = wants(before, old), wants(after, new)
    if wants_now != wanted:
        return wants_now or new.begun
    if not wants_now:
        return new.begun and not old.begun
    if before.ends_at is None or after.ends_at is None:
        return before.ends_at is not after.ends_at
    return abs(after.ends_at - before.ends_at) > _TOLD_END and after.confirmed_at is not None


def held_elsewhere(
    request: AccessRequest, others: Iterable[AccessRequest]
) -> Mapping[GrantId, str]:
    """Map each grant of which another live request wants the same in the same account to its code.

    Only one whose own grant is begun: the duty to take it away passes to that request.
    """
    return {
        mine.id: other.code
        for mine in request.grants
        for other, grant in _grants(mine.account, others)
        if other.id != request.id
        and grant.entitlement == mine.entitlement
        and grant.begun
        and wants(other, grant)
    }


def kept_by(request: AccessRequest, others: Iterable[AccessRequest]) -> list[AccessRequest]:
    """Return the other requests by which some of what this one gives would stay, or come anew."""
    mine = {(g.account, g.entitlement) for g in request.grants if wants(request, g)}
    return [
        other
        for other in others
        if other.id != request.id
        and any((g.account, g.entitlement) in mine and wants(other, g) for g in other.grants)
    ]


def _grants(
    account: AccountId, requests: Iterable[AccessRequest]
) -> Iterable[tuple[AccessRequest, Grant]]:
    for request in requests:
        for grant in request.grants:
            if grant.account == account:
                yield request, grant
