"""The size of the policies that somebody carries in an AWS account, and what AWS allows.

What runs counts, and what waits: approved, it would be attached, too. What several requests want
counts once, and white space not at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.directory import Person
from engine.facts import Facts
from engine.inventory import Entitlement, EntitlementId, Principal
from engine.outcome import Code, Refusal
from engine.request import AccessRequest, Grant, GrantId, GrantState

LIMITS = {Principal.USER: 2_048, Principal.ROLE: 10_240, Principal.PERMISSION_SET: 32_768}
MOST_NAMED = 100  # resources, before it is warned of naming them one by one
_SAID = 5  # of what is to be returned, in a sentence


@dataclass(frozen=True, slots=True)
class Carried:
    """What somebody has of a request, or waits for. Not `running`: it is not attached yet."""

    entitlement: Entitlement
    request: str  # as people say it
    running: bool

    def __str__(self) -> str:
        if self.running:
            return f"return {self.entitlement} ({self.request})"
        return f"cancel {self.request} ({self.entitlement})"


def size(document: str) -> int:
    """Return the characters of a policy, as AWS counts them."""
    return len("".join(document.split()))


def carried(
    requests: Iterable[AccessRequest],
    known: Mapping[EntitlementId, Entitlement],
    *,
    before: AccessRequest | None = None,
) -> list[Carried]:
    """Return what requests come to. `before`: of what waits, what was asked for before this one."""
    return [
        Carried(known[grant.entitlement], request.code, _runs(grant))
        for request in requests
        for grant in request.grants
        if grant.open
        and not grant.standing  # nothing is attached for it
        and grant.entitlement in known
        and (_runs(grant) or before is None or request.id < before.id)
    ]


def _runs(grant: Grant) -> bool:
    return grant.begun or grant.state is GrantState.HELD


def too_large(
    grantee: Person, wanted: Iterable[Entitlement], carried: Sequence[Carried]
) -> Refusal | None:
    """Return why there is no room for the policies of what is wanted; None: there is."""
    adding = [entitlement for entitlement in wanted if entitlement.document]
    for account in dict.fromkeys(map(_account, adding)):
        new = [entitlement for entitlement in adding if _account(entitlement) == account]
        there = [c for c in carried if _account(c.entitlement) == account]
        if sentence := _no_room(grantee, new, there):
            return Refusal(Code.POLICIES_TOO_LARGE, sentence, about="entitlement")
    return None


def without_room(
    request: AccessRequest, grants: Sequence[Grant], facts: Facts
) -> dict[GrantId, str]:
    """Return why there is no room for the policies of which grants. They come in their order."""
    grantee = facts.directory.get(request.grantee)
    asked = [(grant, facts.entitlements[grant.entitlement]) for grant in grants]
    adding = [(grant, entitlement) for grant, entitlement in asked if entitlement.document]
    if grantee is None or not adding:
        return {}
    there = carried([*facts.others, request], facts.entitlements, before=request)
    found: dict[GrantId, str] = {}
    for grant, entitlement in adding:
        if refusal := too_large(grantee, [entitlement], there):
            found[grant.id] = refusal.sentence
        else:
            there.append(Carried(entitlement, request.code, running=True))
    return found


def warning(named: Iterable[Entitlement]) -> str:
    """Return what is to be said of resources that a selector names one by one; empty: nothing.

    Only those count whose policies have to list them.
    """
    listed = {e.resource.id for e in named if e.document and e.resource.source_id in e.document}
    if len(listed) <= MOST_NAMED:
        return ""
    return (
        f"{len(listed):,} resources are named here, and the policies in AWS have to list each: "
        "whoever asks for many of them comes to what AWS allows. Offer any resource, or choose "
        "them by tags or by an access scope."
    )


def _account(entitlement: Entitlement) -> tuple[str, Principal] | None:
    """Return in which account, by what: one account may be listed in several integrations."""
    policies = entitlement.resource.policies
    return (policies.account, policies.principal) if policies else None


def _no_room(grantee: Person, wanted: Sequence[Entitlement], carried: Sequence[Carried]) -> str:
    policies = wanted[0].resource.policies
    sizes = {e.id: size(e.document) for e in (*(c.entitlement for c in carried), *wanted)}
    would = sum(sizes.values())
    if policies is None or would <= (limit := LIMITS[policies.principal]):
        return ""
    known = (
        f"{grantee.name}'s {policies.principal} in the AWS account {policies.account} would carry "
        f"policies of {would:,} characters; AWS allows {limit:,}."
    )
    new = {entitlement.id for entitlement in wanted}
    if (alone := sum(sizes[id_] for id_ in new)) > limit:
        return f"{known} What is asked for comes to {alone:,} by itself: ask for less at once."
    chosen = _least({id_: sizes[id_] for id_ in sizes if id_ not in new}, would - limit)
    said = [str(one) for id_ in chosen for one in carried if one.entitlement.id == id_]
    more = f", and {len(said) - _SAID} more" if len(said) > _SAID else ""
    return f"{known} First {', '.join(said[:_SAID])}{more}."


def _least(sizes: Mapping[EntitlementId, int], excess: int) -> list[EntitlementId]:
    """Choose as few as make room, and of those the smallest that do."""
    left, chosen = sorted(sizes, key=lambda id_: (sizes[id_], id_)), list[EntitlementId]()
    while excess > 0:
        one = next((id_ for id_ in left if sizes[id_] >= excess), left[-1])
        left.remove(one)
        chosen.append(one)
        excess -= sizes[one]
    return chosen
