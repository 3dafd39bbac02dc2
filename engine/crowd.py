"""Everybody at once: people as the bits of a number, and who of them fulfils conditions.

It says of all what `conditions.matches` says of one: for questions about a whole company, where one
person after another would take minutes. The hour does not matter to them: who is on call at some
time fulfils what asks for it.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, reduce
from operator import and_, or_

from engine.conditions import (
    Comparator,
    Condition,
    ConditionGroup,
    Connective,
    compares,
    exact,
    is_sound,
)
from engine.directory import SLACK, Directory, GroupId, Person, PersonId

__all__ = ["Bits", "Crowd", "bits", "each"]

Bits = int  # a set of numbers, each a bit


def bits(numbers: Iterable[int]) -> Bits:
    """Return the set of these numbers."""
    known = list(numbers)
    made = bytearray((max(known, default=0) >> 3) + 1)
    for number in known:
        made[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(made, "little")


def each(these: Bits) -> Iterator[int]:
    """Yield the numbers of a set, the least first."""
    written = these.to_bytes((these.bit_length() + 7) >> 3, "little")
    for at, byte in enumerate(written):
        while byte:
            lowest = byte & -byte
            yield (at << 3) + lowest.bit_length() - 1
            byte ^= lowest  # noqa: PLW2901  (one bit after the other)


class Crowd:
    """The people of a directory. Bit n is `people[n]`."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.people: tuple[Person, ...] = tuple(directory.people.values())
        self.numbers = {person.id: n for n, person in enumerate(self.people)}
        self._known: dict[Condition, Bits] = {}
        self._texts: dict[str, dict[str, Bits]] = {}
        self._managed: dict[Bits, Bits] = {}

    @cached_property
    def able(self) -> Bits:
        """Whoever may ask, and approve."""
        return self._where(lambda person: person.may_ask)

    @cached_property
    def receiving(self) -> Bits:
        """Whoever may be given something."""
        return self._where(lambda person: person.may_receive)

    @cached_property
    def leading(self) -> Bits:
        """Whoever has somebody who reports to them, and may be given something."""
        return self.managing(self.receiving)

    def of(self, ids: Iterable[PersonId]) -> Bits:
        """Return the set of those of these people who are here."""
        return bits(self.numbers[id_] for id_ in ids if id_ in self.numbers)

    def fulfilling(self, group: ConditionGroup) -> Bits:
        """Return whoever fulfils the group. One without conditions selects nobody."""
        joined = and_ if group.join is Connective.AND else or_
        found = [self._holding(condition) for condition in group.conditions]
        return reduce(joined, found) & self._readable if found else 0

    def without(self, attribute: str) -> Bits:
        """Return whoever has no value for an attribute, and so fails each condition on it."""
        return self._everybody & ~self._having(attribute)

    def managed_by(self, managers: Bits) -> Bits:
        """Return whose manager is one of these, and not they themselves."""
        found = self._managed.get(managers)
        if found is None:
            these = {*each(managers)}
            known = ((self._known_as(id_), of) for id_, of in self._values("manager").items())
            numbers = ((self.numbers[manager.id], of) for manager, of in known if manager)
            theirs = (of & ~(1 << number) for number, of in numbers if number in these)
            found = self._managed[managers] = reduce(or_, theirs, 0)
        return found

    def managing(self, these: Bits) -> Bits:
        """Return who is the manager of one of these, and not they themselves."""
        found = (self.people[n] for n in each(these))
        return self.of(p.manager for p in found if p.manager and p.manager != p.id)

    @cached_property
    def _everybody(self) -> Bits:
        return (1 << len(self.people)) - 1

    @cached_property
    def _readable(self) -> Bits:
        return self._where(lambda person: person.readable)

    @cached_property
    def _strange(self) -> Bits:
        """Whoever is in a group that is not known."""
        known = self.directory.groups
        return self._where(lambda person: any(group not in known for group in person.groups))

    def _where(self, holds: Callable[[Person], bool]) -> Bits:
        return bits(n for n, person in enumerate(self.people) if holds(person))

    def _holding(self, condition: Condition) -> Bits:
        found = self._known.get(condition)
        if found is None:
            sound = is_sound(condition, self.directory)
            found = self._known[condition] = self._look(condition) if sound else 0
        return found

    def _look(self, condition: Condition) -> Bits:
        if condition.attribute == "on_call":
            return self._on_call(condition)
        fits = self._fitting(condition)
        if not condition.comparator.negative:
            return fits
        has = self._everybody if condition.attribute == "user" else self._having_for(condition)
        return has & ~fits

    def _on_call(self, condition: Condition) -> Bits:
        """Return who is on call at some time, by a schedule that is wanted."""
        wanted = not condition.comparator.negative
        named = (s for s in self.directory.schedules if _fits(condition, s.name) is wanted)
        known = (self._known_as(id_) for schedule in named for id_ in schedule.people)
        return self.of(person.id for person in known if person)

    def _having_for(self, condition: Condition) -> Bits:
        """Return who has what a negative condition looks at."""
        if condition.attribute == "group":
            return self._everybody if exact(condition) else self._everybody & ~self._strange
        if condition.attribute == "manager" and not exact(condition):
            here = (m for m in self._values("manager") if self._known_as(m))
            return reduce(or_, (self._values("manager")[m] for m in here), 0)
        return self._having(condition.attribute)

    def _having(self, attribute: str) -> Bits:
        return reduce(or_, self._values(attribute).values(), 0)

    def _fitting(self, condition: Condition) -> Bits:
        """Return who has a value that is compared so, or what a negative one does not want."""
        attribute = condition.attribute
        if attribute == "user" and exact(condition):
            return self.of(map(PersonId, condition.values))
        if attribute == "user":
            return reduce(or_, (self._called(condition, v.casefold()) for v in condition.values))
        known = self._values(attribute)
        if exact(condition) or (attribute not in _BY_ID and _is_whole(condition)):
            wanted = condition.values if exact(condition) else map(str.casefold, condition.values)
            return reduce(or_, (known.get(value, 0) for value in wanted), 0)
        fitting = {"group": self._group_fits, "manager": self._manager_fits}.get(attribute, _fits)
        return reduce(or_, (of for value, of in known.items() if fitting(condition, value)), 0)

    def _called(self, condition: Condition, value: str) -> Bits:
        """Return whose address or name has the value, or begins with it. All is without case.

        One person after the other, as quickly as can be: others are looked up by what they have.
        """
        texts = self._addresses_and_names
        if condition.comparator is Comparator.STARTS_WITH:
            begin = (n for n, two in enumerate(texts) if any(t.startswith(value) for t in two))
            return bits(begin)
        return bits(
            n for n, (address, name) in enumerate(texts) if value in address or value in name
        )

    @cached_property
    def _addresses_and_names(self) -> list[tuple[str, str]]:
        return [(p.email.casefold(), p.name.casefold()) for p in self.people]

    def _group_fits(self, condition: Condition, id_: str) -> bool:
        group = self.directory.groups.get(GroupId(id_))
        return bool(group and group.source != SLACK and _fits(condition, group.name))

    def _manager_fits(self, condition: Condition, id_: str) -> bool:
        found = self._known_as(id_)
        return bool(found and (_fits(condition, found.email) or _fits(condition, found.name)))

    def _known_as(self, id_: str) -> Person | None:
        return self.directory.get(PersonId(id_))

    def _values(self, attribute: str) -> dict[str, Bits]:
        """Return who has each value: ids as they are, texts without case."""
        found = self._texts.get(attribute)
        if found is None:
            listed: dict[str, list[int]] = {}
            for number, person in enumerate(self.people):
                for value in _values_of(person, attribute):
                    listed.setdefault(value, []).append(number)
            found = self._texts[attribute] = {v: bits(numbers) for v, numbers in listed.items()}
        return found


_BY_ID = frozenset({"group", "manager"})


def _values_of(person: Person, attribute: str) -> Iterable[str]:
    match attribute:
        case "group":
            return person.groups
        case "manager":
            return () if person.manager is None else (person.manager,)
        case _:
            return map(str.casefold, person.attributes.get(attribute, ()))


def _is_whole(condition: Condition) -> bool:
    return condition.comparator in {Comparator.IS, Comparator.IS_NOT}


def _fits(condition: Condition, text: str) -> bool:
    return any(compares(condition.comparator, text, value) for value in condition.values)
