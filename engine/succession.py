"""The same person under a new directory id: found by the address, carried over by an admin.

Until then the person goes on under the id that is known, whatever the sources call them: nothing
is taken away because a system of record was replaced. An id never passes to another person.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count, takewhile

from engine.alarms import MOST_NAMED, Said, digest
from engine.directory import KnownPerson, Person, PersonId, address, newest_id


class SuccessionStatus(StrEnum):
    """What becomes of somebody who is listed under another id than the one known."""

    WAITS = "waits"  # goes on under the old id, until it is carried over
    LEFT = "left"  # has left under the old id already, and is there under the new one
    KEPT = "kept"  # goes on under the old id: the new one is, or was, somebody else's
    HELD = "held"  # who it is cannot be told: what is known stays as it is


_TOLD = {
    frozenset({SuccessionStatus.WAITS, SuccessionStatus.LEFT}): (
        "listed under a new id, with the address of somebody known: {names}. Nothing is taken from "
        "them for it. Look at the list: latchkey people carry. If they are the same people, carry "
        "all that is theirs over: latchkey people carry --yes."
    ),
    frozenset({SuccessionStatus.KEPT}): (
        "listed under an id that is, or was, somebody else's: {names}. They go on under the id "
        "named first, and nothing of the other's is theirs. To give them another, list them under "
        "one that nobody has had; then: latchkey people carry."
    ),
    frozenset({SuccessionStatus.HELD}): (
        "listed so that it cannot be told who is who: the address of somebody known is there under "
        "another id and name, and their own id with another address: {names}. What is known of "
        "them stays as it is. If who had the address has left: latchkey people carry --not EMAIL. "
        "Else list first the one who is known, with the new address, and confirm it; then the "
        "other."
    ),
}


@dataclass(frozen=True, slots=True)
class Succession:
    """Two ids of one address: the person that was, and who is listed now.

    `known` are those who stay as they are known while nobody can tell who is who.
    """

    old: PersonId
    new: PersonId
    email: str
    was: str  # the names
    name: str
    status: SuccessionStatus
    known: tuple[Person, ...] = ()

    @property
    def waits(self) -> bool:
        return self.status is SuccessionStatus.WAITS

    @property
    def carries(self) -> bool:
        """Whether all that is theirs can be carried over."""
        return self.status in {SuccessionStatus.WAITS, SuccessionStatus.LEFT}

    def fits(
        self, old: KnownPerson | None, new: KnownPerson | None, newest: Mapping[PersonId, PersonId]
    ) -> bool:
        """Tell whether it can be carried over, by what is known of both ids.

        `newest` names who has a new id, by the old one.
        """
        if not self.carries or old is None or old.successor or not _same(old.email, self.email):
            return False
        if new is None:
            return True
        if new.successor:
            return newest[self.new] == self.old
        return self.status is SuccessionStatus.LEFT and _same(new.email, self.email)

    def __str__(self) -> str:
        names = self.name if self.name == self.was else f"{self.was}, now {self.name}"
        return f"{names} ({self.old} → {self.new})"


def find(
    known: Iterable[KnownPerson], listed: Sequence[Person], known_of: Callable[[PersonId], Person]
) -> list[Succession]:
    """Return who is listed under another id than the one known; two of one address are nobody.

    Who is listed under an id that is or was somebody else's goes on under their own, or, if they
    are new, under one that is made for them. `known_of` returns somebody as they are known.
    """
    found = _Search(known, listed, known_of).found()
    return sorted(found, key=lambda s: (s.old, s.new))


def known_as(found: Sequence[Succession]) -> dict[PersonId, PersonId]:
    """Return by which id people go on, by the one that is listed."""
    return {
        s.new: s.old for s in found if s.status in {SuccessionStatus.WAITS, SuccessionStatus.KEPT}
    }


def as_known(listed: Sequence[Person], found: Sequence[Succession]) -> list[Person]:
    """Return the people by the ids by which they go on."""
    ids = known_as(found)
    held = {id_ for s in found if s.status is SuccessionStatus.HELD for id_ in (s.old, s.new)}
    others = held.union(ids.values())  # a source may list the old id, too, as inactive
    people = [_renamed(p, ids) for p in listed if p.id in ids or p.id not in others]
    return [*people, *{p.id: p for s in found for p in s.known}.values()]


def own_id(listed: PersonId, used: Container[str]) -> PersonId:
    """Return the id under which somebody goes on who is listed under one that was another's."""
    return next(id_ for id_ in _made_of(listed.partition("~")[0]) if id_ not in used)


def told(found: Sequence[Succession]) -> list[Said]:
    """Tell the admins, once for each list, who seems to be the same person, and what to do."""
    some = {what: [s for s in found if s.status in of] for of, what in _TOLD.items()}
    return [_said(these, what) for what, these in some.items() if these]


def _said(some: Sequence[Succession], what: str) -> Said:
    named = [str(s) for s in some[:MOST_NAMED]]
    more = [f"and {len(some) - len(named)} more"] if len(some) > len(named) else []
    how_many = "1 person is" if len(some) == 1 else f"{len(some)} people are"
    key = f"new_ids/{digest([f'{s.old}/{s.new}' for s in some])}"
    return Said(key, f"{how_many} {what.format(names='; '.join([*named, *more]))}")


class _Search:
    def __init__(
        self,
        known: Iterable[KnownPerson],
        listed: Sequence[Person],
        known_of: Callable[[PersonId], Person],
    ) -> None:
        self._known = {one.id: one for one in known}
        self._known_of = known_of
        self._here = {p.id: p for p in listed if p.may_receive}
        self._before = defaultdict[str, list[KnownPerson]](list)
        for one in self._known.values():
            if one.email and not one.successor:
                self._before[address(one.email)].append(one)
        self._found: list[Succession] = []
        self._settled = {id_ for id_, p in self._here.items() if self._is(id_, p)}
        self._claimed: set[PersonId] = set()
        self._held: set[PersonId] = set()

    def found(self) -> list[Succession]:
        listed = defaultdict[str, list[Person]](list)
        for person in self._here.values():
            listed[address(person.email)].append(person)
        for people in listed.values():
            if len(people) == 1:
                self._by_address(people[0])
        for person in self._here.values():
            if person.id not in self._settled and person.id not in self._held:
                self._by_id(person)
        return [replace(s, known=self._stay(s)) for s in self._found]

    def _is(self, id_: PersonId, person: Person) -> bool:
        known = self._known.get(id_)
        return known is not None and not known.successor and _same(known.email, person.email)

    def _by_address(self, new: Person) -> None:
        before = [one for one in self._before[address(new.email)] if one.id != new.id]
        before = [one for one in before if one.active] or before
        if len(before) != 1:
            return
        (old,) = before
        listed = {old.id, PersonId(old.id.partition("~")[0])} - {new.id}
        overlaps = not listed.isdisjoint(self._here)
        if new.id in self._settled or not old.active:
            if not overlaps and self._may_be(new.id, old):
                self._add(old, new, SuccessionStatus.LEFT)
        elif overlaps and old.name.casefold() != new.name.casefold():
            self._held |= {old.id, new.id}
            self._add(old, new, SuccessionStatus.HELD)
        else:
            self._claimed.add(old.id)
            fits = new.id not in self._known or self._newest(new.id) == old.id
            self._add(old, new, SuccessionStatus.WAITS if fits else SuccessionStatus.KEPT)

    def _by_id(self, new: Person) -> None:
        """Find by which id somebody goes on whose address is not known."""
        used = list(takewhile(self._known.__contains__, _made_of(new.id)))
        if not used:
            return
        last = self._known[used[-1]]
        if last.id in self._held:
            self._add(last, new, SuccessionStatus.HELD)
            return
        theirs = last.email and not last.successor and last.id not in self._claimed
        id_ = last.id if theirs else next(i for i in _made_of(new.id) if i not in self._known)
        if id_ != new.id:
            was = last.name if theirs else new.name
            self._found.append(
                Succession(id_, new.id, new.email, was, new.name, SuccessionStatus.KEPT)
            )

    def _may_be(self, new: PersonId, old: KnownPerson) -> bool:
        """Tell whether the new id has never been another's than who had the old one."""
        known = self._known.get(new)
        return known is None or new in self._settled or self._newest(new) == old.id

    def _newest(self, id_: PersonId) -> PersonId:
        return newest_id(id_, self._successor)

    def _successor(self, id_: PersonId) -> PersonId | None:
        successor = self._known[id_].successor if id_ in self._known else None
        return PersonId(successor) if successor else None

    def _add(self, old: KnownPerson, new: Person, status: SuccessionStatus) -> None:
        if status is not SuccessionStatus.HELD:
            self._settled.add(new.id)
        self._found.append(Succession(old.id, new.id, new.email, old.name, new.name, status))

    def _stay(self, found: Succession) -> tuple[Person, ...]:
        ids = (found.old, found.new) if found.status is SuccessionStatus.HELD else ()
        known = (self._known.get(id_) for id_ in ids if id_ not in self._claimed)
        return tuple(self._known_of(one.id) for one in known if one and not one.successor)


def _same(email: str, other: str) -> bool:
    return address(email) == address(other)


def _made_of(id_: str) -> Iterator[PersonId]:
    """Yield an id, and those that are made of it for who has it next: no source lists them."""
    yield PersonId(id_)
    yield from (PersonId(f"{id_}~{number}") for number in count(2))


def _renamed(person: Person, ids: Mapping[PersonId, PersonId]) -> Person:
    manager = ids.get(person.manager, person.manager) if person.manager else None
    return replace(person, id=ids.get(person.id, person.id), manager=manager)
