"""People and groups, as the identity sources know them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NewType

PersonId = NewType("PersonId", str)
GroupId = NewType("GroupId", str)


class PersonStatus(StrEnum):
    ACTIVE = "active"
    PRE_BOARDING = "pre-boarding"  # may receive access, may not ask or approve
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in the directory. `slack` is the Slack user id, once tied to the person."""

    id: PersonId
    email: str
    name: str
    status: PersonStatus = PersonStatus.ACTIVE
    manager: PersonId | None = None
    groups: frozenset[GroupId] = frozenset()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    slack: str | None = None
    guest: bool = False

    @property
    def active(self) -> bool:
        return self.status is PersonStatus.ACTIVE

    @property
    def may_ask(self) -> bool:
        """Whether this person may be a requestor or approver at all."""
        return self.active and not self.guest

    @property
    def may_receive(self) -> bool:
        return self.status is not PersonStatus.INACTIVE


@dataclass(frozen=True, slots=True)
class Group:
    """A group of one identity source. `id` is `source:key`, `name` is what people see."""

    id: GroupId
    source: str
    name: str


@dataclass(frozen=True)
class Directory:
    """Everybody, as of one moment.

    `attributes` names what the sources supply besides user, group and manager.
    """

    people: Mapping[PersonId, Person]
    groups: Mapping[GroupId, Group] = field(default_factory=dict[GroupId, Group])

    @classmethod
    def of(cls, people: Iterable[Person], groups: Iterable[Group] = ()) -> "Directory":
        return cls({p.id: p for p in people}, {g.id: g for g in groups})

    @cached_property
    def attributes(self) -> frozenset[str]:
        return frozenset(name for p in self.people.values() for name in p.attributes)

    @cached_property
    def by_slack(self) -> Mapping[str, Person]:
        return {p.slack: p for p in self.people.values() if p.slack}

    @cached_property
    def by_email(self) -> Mapping[str, tuple[Person, ...]]:
        found: dict[str, tuple[Person, ...]] = {}
        for person in self.people.values():
            key = person.email.casefold()
            found[key] = (*found.get(key, ()), person)
        return found

    @cached_property
    def members(self) -> Mapping[GroupId, tuple[Person, ...]]:
        found: dict[GroupId, list[Person]] = {}
        for person in self.people.values():
            for group in person.groups:
                found.setdefault(group, []).append(person)
        return {group: tuple(people) for group, people in found.items()}

    def get(self, person: PersonId) -> Person | None:
        return self.people.get(person)
