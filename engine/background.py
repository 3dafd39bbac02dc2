"""What helps to decide on a request: what its grantee had, and holds, and who of theirs has it.

It is of the grantee, and of what is asked for. It decides nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.directory import SLACK, Directory, Person
from engine.inventory import Entitlement, EntitlementId
from engine.request import AccessRequest, Grant, GrantState, State

__all__ = ["Background", "Holding", "Share", "background"]

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held now. `ends_at` None: without end. `asked`: it is what the request asks for."""

    entitlement: Entitlement
    ends_at: datetime | None
    asked: bool


@dataclass(frozen=True, slots=True)
class Share:
    """Of a group's people, how many have any of what is asked for."""

    group: str
    have: int
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """`last_had`: when they last ceased to have any of it; None: they never had, or have it.

    `holds`: in the systems concerned, what is asked for first. `shares`: the smallest group first.
    `past`: their last requests of any of it, the newest first.
    """

    last_had: datetime | None
    holds: tuple[Holding, ...]
    shares: tuple[Share, ...]
    past: tuple[AccessRequest, ...]


def background(
    request: AccessRequest,
    *,
    past: Iterable[AccessRequest],
    running: Iterable[AccessRequest],
    inventory: Mapping[EntitlementId, Entitlement],
    holders: Iterable[Person] | None,
    directory: Directory,
    most: int,
) -> Background:
    """Return the background of a request: at most so many requests, and groups.

    `past` are the grantee's requests of any of it, `running` what they have in its systems, and
    `holders` all who have any of it; None: they were not counted.
    """
    past = sorted((r for r in past if r.id != request.id), key=lambda r: r.id, reverse=True)
    holds = _holds(request, running, inventory)
    had = [_until(r) for r in past if _had(r, request) and not r.state.wants_access]
    has = any(holding.asked for holding in holds)
    return Background(
        last_had=None if has else max(filter(None, had), default=None),
        holds=holds,
        shares=()
        if holders is None
        else _shares(directory.get(request.grantee), holders, directory, most),
        past=tuple(past[:most]),
    )


def _had(past: AccessRequest, request: AccessRequest) -> bool:
    wanted = set(request.entitlements)
    return past.confirmed_at is not None and any(
        g.entitlement in wanted and (g.ever_begun or g.standing) for g in past.grants
    )


def _until(past: AccessRequest) -> datetime | None:
    if past.state is State.EXPIRED and past.ends_at:
        return past.ends_at  # that was due, whenever the clock got round
    return past.ended.at if past.ended else None


def _holds(
    request: AccessRequest,
    running: Iterable[AccessRequest],
    inventory: Mapping[EntitlementId, Entitlement],
) -> tuple[Holding, ...]:
    """Return what is held there, each once: as long as the request that ends last has it."""
    accounts, wanted = {g.account for g in request.grants}, set(request.entitlements)
    ends: dict[EntitlementId, datetime | None] = {}
    for other in running:
        for grant in other.grants:
            if grant.account in accounts and _is_held(other, grant):
                known = ends.get(grant.entitlement, other.ends_at)
                ends[grant.entitlement] = _later(known, other.ends_at)
    found = [
        Holding(inventory[id_], until, id_ in wanted)
        for id_, until in ends.items()
        if id_ in inventory
    ]
    found.sort(key=lambda h: (not h.asked, -(h.ends_at or _NEVER).timestamp(), str(h.entitlement)))
    return tuple(found)


def _is_held(request: AccessRequest, grant: Grant) -> bool:
    return request.state.wants_access and grant.state is GrantState.HELD


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else max(one, other)


def _shares(
    grantee: Person | None, holders: Iterable[Person], directory: Directory, most: int
) -> tuple[Share, ...]:
    """Count in the smallest groups of the grantee's directory: they say most. One alone is none."""
    if grantee is None:
        return ()
    groups = [directory.groups[id_] for id_ in grantee.groups if id_ in directory.groups]
    theirs = [g for g in groups if g.source != SLACK and len(directory.members(g.id)) > 1]
    theirs.sort(key=lambda g: (len(directory.members(g.id)), g.name))
    have = list(holders)
    return tuple(
        Share(
            group.name,
            sum(group.id in p.groups and p.may_receive for p in have),
            sum(directory.people[id_].may_receive for id_ in directory.members(group.id)),
        )
        for group in theirs[:most]
    )
