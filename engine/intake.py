"""What is different where everybody is listed anew: who has changed, who is listed no more.

Who would lose something, and whether that is too much to be taken away without an admin's word.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine import alarms
from engine.directory import Group, KnownPerson, Person, PersonId, PersonStatus, address
from engine.errors import LatchkeyError

MANY = 5  # people, who may lose something at once
SHARE = 20  # and one in so many of those who are there

KnownGroups = Mapping[str, tuple[str, str]]  # source and name, by id


class TooMuchError(LatchkeyError):
    """A sync would take away too much at once: more than 5 people and more than 5 %.

    It is held; nothing was changed. `losing` are those concerned.
    """

    def __init__(self, losing: Sequence[str], active: int) -> None:
        self.losing = tuple(losing)
        super().__init__(alarms.too_much(len(losing), active))


@dataclass(frozen=True, slots=True)
class Difference:
    """What is new in a reading of everybody. Who loses something is the first among `changed`."""

    changed: Sequence[Person]
    returned: Collection[PersonId]  # those of them whose id had given way to another
    left: Sequence[PersonId]
    moved: Mapping[PersonId, str]  # the new addresses
    freed: Mapping[PersonId, str]  # those of them that people who have left still had
    groups: KnownGroups  # that are new, or called otherwise
    gone: Collection[str]  # groups
    regrouped: bool

    @property
    def size(self) -> int:
        """Of how many people something is new."""
        return len(self.changed) + len(self.left)


def compare(
    known: Mapping[PersonId, KnownPerson],
    listed: Sequence[Person],
    known_groups: KnownGroups,
    groups: Iterable[Group],
    *,
    held: bool,
) -> Difference:
    """Compare everybody who is listed, and their groups, with what is known.

    Raises TooMuchError, unless `held` is False: an admin has confirmed.
    """
    stays = {p.id for p in listed}
    active = [one for one in known.values() if one.active]
    leaving = [one.id for one in active if one.id not in stays]
    dropped = {p.id for p in listed if p.id in known and loses(known[p.id], p)}
    losing = sorted([*leaving, *dropped])
    if held and is_too_much(len(losing), len(active)):
        raise TooMuchError(losing, len(active))
    changed = [p for p in listed if is_new(known.get(p.id), p)]
    moved = {p.id: p.email for p in changed if p.id in known and has_moved(known[p.id].email, p)}
    wanted = {str(g.id): (g.source, g.name) for g in groups}
    return Difference(
        sorted(changed, key=lambda p: p.id not in dropped),
        {p.id for p in changed if p.id in known and known[p.id].successor is not None},
        leaving,
        moved,
        freed(known.values(), moved),
        {id_: group for id_, group in wanted.items() if known_groups.get(id_) != group},
        known_groups.keys() - wanted.keys(),
        regrouped=known_groups != wanted,
    )


def is_too_much(losing: int, active: int) -> bool:
    """Tell whether so many of those who are there lose so much that an admin has to confirm it."""
    return losing > MANY and losing * SHARE > active


def loses(known: KnownPerson, person: Person) -> bool:
    """Tell whether somebody is let go by what is listed, or leaves a group."""
    if not known.active:
        return False
    return person.status is PersonStatus.INACTIVE or not person.groups.issuperset(known.groups)


def is_new(known: KnownPerson | None, person: Person) -> bool:
    """Tell whether something of somebody is to be stored."""
    if known is None:
        return True
    superseded = known.successor is not None
    if not person.may_receive and (superseded or has_moved(known.email, person)):
        return False  # it only says that they have left: all that is known stays so
    return superseded or not known.same


def has_moved(email: str, person: Person) -> bool:
    """Tell whether somebody is listed with another address than the one known."""
    return address(email) != address(person.email)


def freed(known: Iterable[KnownPerson], moved: Mapping[PersonId, str]) -> dict[PersonId, str]:
    """Return who has left, and still has an address that somebody else has by now.

    Both ids were known at one time: they are two people.
    """
    taken = {address(email) for email in moved.values()}
    return {
        one.id: one.email
        for one in known
        if not one.active and one.id not in moved and address(one.email) in taken
    }


def voids(before: Person | None, after: Person) -> bool:
    """Tell whether what somebody approved, and is not decided yet, counts no more."""
    if before is None or not before.may_ask:
        return False
    return not replace(after, account=before.account).may_ask
