"""What one account should hold, from the live requests that touch it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.inventory import EntitlementId
from engine.request import AccessRequest, AccountId, Grant, GrantState


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


def held_elsewhere(
    request: AccessRequest, others: Iterable[AccessRequest]
) -> Mapping[EntitlementId, str]:
    """Map each entitlement that another live request wants, in the same account, to its code.

    Only one whose own grant is begun: the duty to take it away passes to that request.
    """
    return {
        grant.entitlement: other.code
        for mine in request.grants
        for other, grant in _grants(mine.account, others)
        if other.id != request.id
        and grant.entitlement == mine.entitlement
        and grant.begun
        and wants(other, grant)
    }


def _grants(
    account: AccountId, requests: Iterable[AccessRequest]
) -> Iterable[tuple[AccessRequest, Grant]]:
    for request in requests:
        for grant in request.grants:
            if grant.account == account:
                yield request, grant
