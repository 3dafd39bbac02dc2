"""Conditions on people, joined into groups by AND or OR (docs/rules.md, *Conditions*)."""

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.directory import ON_CALL, SLACK, Directory, GroupId, Person, PersonId


class Comparator(StrEnum):
    IS = "is"
    IS_NOT = "is not"
    CONTAINS = "contains"
    DOES_NOT_CONTAIN = "does not contain"
    STARTS_WITH = "starts with"

    @property
    def negative(self) -> bool:
        return self in _NEGATIVE


# Tuples: to hash a member takes longer than to compare it with two.
_NEGATIVE = (Comparator.IS_NOT, Comparator.DOES_NOT_CONTAIN)
_EQUALITY = (Comparator.IS, Comparator.IS_NOT)


class Connective(StrEnum):
    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. For `user`, `group` and `manager`, *is* and *is not* compare stable ids."""

    attribute: str
    comparator: Comparator
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.attribute} {self.comparator} {' or '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class ConditionGroup:
    conditions: tuple[Condition, ...]
    join: Connective = Connective.AND

    def __str__(self) -> str:
        return f" {self.join} ".join(str(c) for c in self.conditions)

    def asks(self, attribute: str) -> bool:
        """Tell whether one of the conditions is on this attribute."""
        return any(condition.attribute == attribute for condition in self.conditions)

    def names(self, ids: Container[str]) -> bool:
        """Tell whether one of these people is named, by the id."""
        named = (v for c in self.conditions if _names_people(c) for v in c.values)
        return any(value in ids for value in named)

    def renamed(self, ids: Mapping[PersonId, PersonId]) -> "ConditionGroup":
        """Return the group with people named by other ids."""
        return replace(self, conditions=tuple(_renamed(c, ids) for c in self.conditions))


OWNER = "owner"  # an attribute that is one of a thing and a person: `engine.ownership`
_IDENTIFIED = frozenset({"user", "group", "manager"})


def matches(group: ConditionGroup, person: Person, directory: Directory) -> bool:
    """Tell whether the person fulfils the group. A group without conditions selects nobody."""
    if not group.conditions or not person.readable:
        return False
    decides = group.join is Connective.OR  # a condition of which this is true, for the group
    for condition in group.conditions:
        if _holds(condition, person, directory) is decides:
            return decides
    return not decides


def select(group: ConditionGroup, directory: Directory) -> list[Person]:
    """Return everybody who fulfils the group, once each."""
    return [p for p in _candidates(group, directory) if matches(group, p, directory)]


def _candidates(group: ConditionGroup, directory: Directory) -> Collection[Person]:
    """Narrow the people to look at: most conditions name what somebody has."""
    narrowed = [_named(condition, directory) for condition in group.conditions]
    if group.join is Connective.AND:
        known = [people for people in narrowed if people is not None]
        return min(known, key=len) if known else directory.people.values()
    union: dict[PersonId, Person] = {}
    for people in narrowed:
        if people is None:
            return directory.people.values()
        union.update((p.id, p) for p in people)
    return union.values()


def _named(condition: Condition, directory: Directory) -> Sequence[Person] | None:
    if condition.comparator is not Comparator.IS:
        return None
    values = dict.fromkeys(condition.values)
    match condition.attribute:
        case "user":
            return [p for v in values if (p := directory.get(PersonId(v)))]
        case "group":
            ids = dict.fromkeys(id_ for v in values for id_ in directory.members(GroupId(v)))
        case "manager":
            return None
        case "on_call":
            names = _schedules(condition, directory)
            on_call = dict.fromkeys(p for n in names for p in sorted(directory.on_call[n]))
            return [p for id_ in on_call if (p := directory.people.get(PersonId(id_)))]
        case attribute:
            ids = dict.fromkeys(id_ for v in values for id_ in directory.having(attribute, v))
    return [directory.people[id_] for id_ in ids]


def exact(condition: Condition) -> bool:
    """Tell whether it compares ids, as they are; else text, without case."""
    return condition.attribute in _IDENTIFIED and condition.comparator in _EQUALITY


def _names_people(condition: Condition) -> bool:
    return condition.attribute != "group" and exact(condition)


def _renamed(condition: Condition, ids: Mapping[PersonId, PersonId]) -> Condition:
    if not _names_people(condition):
        return condition
    values = tuple(ids.get(PersonId(value), value) for value in condition.values)
    return replace(condition, values=values)


def _holds(condition: Condition, person: Person, directory: Directory) -> bool:
    if not is_sound(condition, directory):
        return False
    texts = _texts(condition, person, directory)
    if texts is None:
        return False
    if exact(condition):
        found = any(text in condition.values for text in texts)
    else:
        found = _is_found(condition, texts)
    return found is not condition.comparator.negative


def _is_found(condition: Condition, texts: Sequence[str]) -> bool:
    """Tell whether one of the texts compares to one of the values."""
    for text in texts:
        for value in condition.values:
            if compares(condition.comparator, text, value):
                return True
    return False


def is_sound(condition: Condition, directory: Directory) -> bool:
    """Tell whether anybody at all may fulfil it: a look-up that fails selects nobody.

    Not being in a group means nothing where not all is known of groups.
    """
    if not condition.values or not all(condition.values):
        return False
    if condition.attribute != "group" or not condition.comparator.negative:
        return True
    if not exact(condition):
        return not directory.failing.keys() - {SLACK, ON_CALL}
    groups = [directory.groups.get(GroupId(value)) for value in condition.values]
    return all(group and group.source not in directory.failing for group in groups)


def _texts(condition: Condition, person: Person, directory: Directory) -> list[str] | None:
    """Return what the condition looks at; None where the person has no value and so fails it."""
    by_id = condition.comparator in _EQUALITY
    match condition.attribute:
        case "user":
            return [person.id] if by_id else [person.email, person.name]
        case "group":
            return [*person.groups] if by_id else _group_names(condition, person, directory)
        case "manager":
            if person.manager is None:
                return None
            if by_id:
                return [person.manager]
            manager = directory.get(person.manager)
            return [manager.email, manager.name] if manager else None
        case "on_call":
            names = _schedules(condition, directory)
            return [n for n in names if person.id in directory.on_call[n]] or None
        case attribute:
            return list(person.attributes.get(attribute, ())) or None


def _schedules(condition: Condition, directory: Directory) -> list[str]:
    """Return the schedules that bear on it: of *is*, those that it names."""
    if condition.comparator is not Comparator.IS:
        return [*directory.on_call]
    called = {value.casefold() for value in condition.values}
    return [name for name in directory.on_call if name.casefold() in called]


def _group_names(condition: Condition, person: Person, directory: Directory) -> list[str] | None:
    """Return what their groups are called. Slack's own count only where a condition names one.

    None: one has no name that is known, which may be the one that is not wanted.
    """
    groups = [directory.groups.get(id_) for id_ in person.groups]
    if condition.comparator.negative and not all(groups):
        return None
    return [group.name for group in groups if group and group.source != SLACK]


def compares(comparator: Comparator, text: str, value: str) -> bool:
    """Compare texts without case. A negative comparator is told what it does not want by this."""
    text, value = text.casefold(), value.casefold()
    if comparator in _EQUALITY:
        return text == value
    if comparator is Comparator.STARTS_WITH:
        return text.startswith(value)
    return value in text
