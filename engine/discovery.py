"""What is different in a system, by all that was found there; and where it has numbers of its own.

What is not found is gone, until its id comes back; where that is but a name, what comes back is
another thing. What could not be looked into stays as it is
known, and all that is below it. What another server has is found again by its name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine import alarms
from engine.errors import LatchkeyError
from engine.intake import is_too_much
from engine.inventory import IntegrationId, PermissionId, kept
from engine.port import Discovered, DiscoveredPermission

Thing = tuple[str, str]  # a type and a path


class OtherServerError(LatchkeyError):
    """Another server answers than the one whose numbers the inventory has. Nothing was changed."""

    def __init__(self, name: str, integration: IntegrationId, known: str, found: str) -> None:
        super().__init__(alarms.other_server(name, integration, known, found))


class KnownResource(NamedTuple):
    """A resource as it is known. `same`: it was found just so."""

    source_id: str
    path: str
    active: bool
    same: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """`other` is what was found that is new, or other than it was; `gone` are ids in the system.

    `came`, `went` and `changed` are the paths of what is new or there again, of what is gone, and
    of the rest. `large`: what went is so much of what was there that somebody should look.
    """

    other: Sequence[Discovered] = ()
    gone: Sequence[str] = ()
    came: Sequence[str] = ()
    went: Sequence[str] = ()
    changed: Sequence[str] = ()
    large: bool = False

    @property
    def named(self) -> dict[str, Sequence[str]]:
        """What is to be said of it, by a word; empty: nothing."""
        said = {"new": self.came, "gone": self.went, "changed": self.changed}
        return {word: paths for word, paths in said.items() if paths}


def open_ones(found: Iterable[Discovered]) -> dict[str, Discovered]:
    """Return what could be looked into, by its id in the system."""
    return {item.source_id: item for item in found if not item.closed}


def compare(known: Iterable[KnownResource], found: Sequence[Discovered]) -> Difference:
    """Compare all that was found in a system with what is known of it."""
    closed = tuple(f"{item.path}/" for item in found if item.closed)
    there = open_ones(found)
    other: list[Discovered] = []
    gone: list[KnownResource] = []
    came: list[str] = []
    changed: list[str] = []
    active = 0
    new = set(there)
    for one in known:
        active += one.active
        item = there.get(one.source_id)
        if item and is_another(one.active, item):
            continue
        new.discard(one.source_id)
        if item is None:
            if one.active and not f"{one.path}/".startswith(closed):
                gone.append(one)
        elif not one.same:
            other.append(item)
            (changed if one.active else came).append(item.path)
    fresh = [item for item in there.values() if item.source_id in new]
    return Difference(
        [*other, *fresh],
        [one.source_id for one in gone],
        sorted([*came, *(item.path for item in fresh)]),
        sorted(one.path for one in gone),
        sorted(changed),
        is_too_much(len(gone), active),
    )


def is_another(active: bool, found: Discovered) -> bool:  # noqa: FBT001  (of what is known)
    """Tell whether what was found is not what is known by its id: that is gone for good."""
    return found.named and not active


def compare_permissions(
    known: Mapping[PermissionId, DiscoveredPermission],
    found: Iterable[Discovered],
    described: Iterable[DiscoveredPermission],
) -> list[DiscoveredPermission]:
    """Return what is to be said anew of permissions. One that is not described is called by its id.

    Of those that can be had nowhere any more, what is known stays.
    """
    said = {one.id: one for one in described}
    ids = {PermissionId(id_) for item in found for id_ in item.permissions} | said.keys()
    wanted = (said.get(id_) or DiscoveredPermission(id_, id_) for id_ in sorted(ids))
    stored = [replace(one, tags=kept(one.tags), context=kept(one.context)) for one in wanted]
    return [one for one in stored if known.get(one.id) != one]


def is_other(known: str, server: str) -> bool:
    """Tell whether the numbers are another server's. The first that is taken in is known by it."""
    return known not in {"", server}


def shut(known: Iterable[str], found: Iterable[Discovered]) -> list[str]:
    """Name what could not be looked into although something is known there, and why."""
    paths = [f"{path}/" for path in known]
    return [
        f"{item.path} ({item.closed})"
        for item in found
        if item.closed and any(path.startswith(f"{item.path}/") for path in paths)
    ]


@dataclass(frozen=True, slots=True)
class Renumbered:
    """What another server has: the new numbers of what is found again, what is gone, what is new.

    Each thing is named by its path.
    """

    numbers: Mapping[int, str]  # by the id of what is known
    gone: tuple[str, ...]
    new: tuple[str, ...]


def renumber(known: Mapping[Thing, int], found: Collection[Discovered]) -> Renumbered:
    """Find again what is there, by its name."""
    there = {(item.type, item.path): item.source_id for item in found if not item.closed}
    return Renumbered(
        {id_: there[thing] for thing, id_ in known.items() if thing in there},
        tuple(sorted(path for _, path in known.keys() - there.keys())),
        tuple(sorted(path for _, path in there.keys() - known.keys())),
    )
