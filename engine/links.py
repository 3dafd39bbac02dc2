"""What rows that lead nowhere should say, by the live requests that speak of them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.account import is_login_name, login_name
from engine.directory import PersonId
from engine.inventory import EntitlementId, IntegrationId
from engine.request import AccessRequest, AccountId, Grant, GrantId, RequestId

__all__ = [
    "AccountLinks",
    "StoredGrant",
    "by_account",
    "contradicted",
    "is_odd_login",
    "mended",
    "strays",
]


class StoredGrant(NamedTuple):
    """What a grant's row says, beside the body of its request."""

    entitlement: EntitlementId
    account: AccountId
    state: str
    begun: bool
    open: bool


@dataclass(frozen=True, slots=True)
class AccountLinks:
    """Whose an account is, where, and under which login. `person` None: it cannot be read."""

    person: PersonId | None
    integration: IntegrationId
    login: str


def contradicted(
    requests: Iterable[AccessRequest], stored: Mapping[tuple[RequestId, GrantId], StoredGrant]
) -> list[tuple[RequestId, Grant]]:
    """Return the grants whose rows are not there, lead elsewhere, or do not say that they last.

    What is known of an unreadable request is what its rows say, but for where they lead.
    """
    found: list[tuple[RequestId, Grant]] = []
    for request in requests:
        for grant in request.grants:
            row = stored.get((request.id, grant.id))
            said = StoredGrant(
                grant.entitlement, grant.account, grant.state, grant.begun, grant.open
            )
            lasts = grant.open and request.readable
            if row is None or row[:2] != said[:2] or (lasts and row != said):
                found.append((request.id, grant))
    return found


def strays(
    requests: Iterable[AccessRequest], stored: Mapping[tuple[RequestId, GrantId], StoredGrant]
) -> list[tuple[RequestId, GrantId]]:
    """Return the rows of open grants that their requests never had."""
    had = {request.id: {grant.id for grant in request.grants} for request in requests}
    return [
        (of, number) for (of, number), row in stored.items() if row.open and number not in had[of]
    ]


def by_account(live: Iterable[AccessRequest]) -> Mapping[AccountId, Sequence[AccessRequest]]:
    """Return the requests that use each account."""
    found = defaultdict[AccountId, list[AccessRequest]](list)
    for request in live:
        for account in {grant.account for grant in request.grants if grant.open}:
            found[account].append(request)
    return found


def is_odd_login(login: str, person: PersonId, new_ids: Collection[PersonId]) -> bool:
    """Tell whether this is not what its person's login is called, as far as that can be told."""
    if not is_login_name(login):
        return True
    return login != login_name(person) and person not in new_ids


def mended(
    known: AccountLinks,
    requests: Sequence[AccessRequest],
    systems: Collection[IntegrationId],
    new_ids: Collection[PersonId],
    sealed: Collection[IntegrationId] = (),
) -> AccountLinks:
    """Return what an account should say, as far as the requests that use it tell.

    `systems` are those of what they ask for, `sealed` those for which its password was sealed: that
    decides, as no hand can write it. Of `new_ids`, people who had another id before, the
    login may have its name by that: then nothing tells it.
    """
    if not requests:
        return known
    person = requests[0].grantee if known.person is None else known.person
    links = replace(known, person=person)
    right = {login_name(person), login_name(requests[0].grantee)}
    if known.login not in right and person not in new_ids:
        links = replace(links, login=login_name(person))
    if len(told := sealed or systems) == 1:
        (system,) = told
        links = replace(links, integration=system)
    return links
