"""Which people count as one: a delegate and who they act for, and all delegates of one person.

Each person stands for some: themselves, and those whose delegate they are. Two who stand for the
same one count as one person. So whoever acts for two does not count beside either, but these two
count for two: whether the delegate is left out is a matter of what is more.
"""

from collections.abc import Collection, Iterator, Mapping

from engine.directory import PersonId

__all__ = ["Roles", "divided", "in_place_of"]

Roles = Mapping[PersonId, Collection[PersonId]]  # whom each stands for, themselves among them
Units = list[list[PersonId]]


def divided(roles: Roles) -> Iterator[Units]:
    """Yield in which ways people can be divided, so that nobody counts as one with another unit.

    All who are connected together; and, where that may be more, as many units as can be, without
    those who would connect some of them.
    """
    if all(len(stands_for) == 1 for stands_for in roles.values()):
        yield [[person] for person in roles]
        return
    alike = _alike(roles)
    yield _joined(roles, alike)
    yield _apart(roles, alike)


def in_place_of(roles: Roles, person: PersonId) -> frozenset[PersonId]:
    """Return who counts as one with this person, and beside whoever this person counts beside."""
    alike = _alike(roles)
    mine = {person, *alike[person]}
    return frozenset(p for p in mine if {p, *alike[p]} <= mine)


def _alike(roles: Roles) -> Mapping[PersonId, list[PersonId]]:
    """Return with whom each counts as one person."""
    standing: dict[PersonId, list[PersonId]] = {}
    for person, stands_for in roles.items():
        for whom in stands_for:
            standing.setdefault(whom, []).append(person)
    return {
        person: [p for p in dict.fromkeys(p for w in of for p in standing[w]) if p != person]
        for person, of in roles.items()
    }


def _joined(roles: Roles, alike: Mapping[PersonId, list[PersonId]]) -> Units:
    left, units = dict.fromkeys(roles), Units()
    while left:
        unit = [left.popitem()[0]]
        for person in unit:  # it grows meanwhile
            near = [p for p in alike[person] if p in left]
            for one in near:
                del left[one]
            unit += near
        units.append(unit)
    return units


def _apart(roles: Roles, alike: Mapping[PersonId, list[PersonId]]) -> Units:
    """Place first who counts as one with the fewest; leave out who would connect two units."""
    units, placed = Units(), dict[PersonId, int]()
    for person in sorted(roles, key=lambda p: len(alike[p])):
        near = {placed[p] for p in alike[person] if p in placed}
        if not near:
            placed[person] = len(units)
            units.append([person])
        elif len(near) == 1:
            placed[person] = near.pop()
            units[placed[person]].append(person)
    return units
