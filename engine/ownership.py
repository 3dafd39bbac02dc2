"""Whose a thing is, and whom a condition on its owner selects (docs/rules.md, *Who decides*)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from engine.conditions import OWNER, Comparator, Condition, ConditionGroup, Connective
from engine.directory import Directory, GroupId, Person, PersonId
from engine.inventory import Entitlement, Tags
from engine.request import GrantId

Owners = tuple[Condition, ...]  # whoever owns it fulfils one of these; none: nobody does


@dataclass(frozen=True, slots=True)
class Owned:
    """A thing that is asked for: what it is called, and whose it is."""

    name: str
    by: Owners


def owned(
    things: Mapping[GrantId, Entitlement | None], directory: Directory
) -> dict[GrantId, Owned]:
    """Return whose each thing is. What is not known is nobody's."""
    known: dict[tuple[str, ...], Owners] = {}
    found: dict[GrantId, Owned] = {}
    for grant, thing in things.items():
        names = said_of(thing) if thing else ()
        if names not in known:
            known[names] = owners(names, directory)
        found[grant] = Owned(thing.resource.path if thing else "what is not known", known[names])
    return found


def said_of(entitlement: Entitlement) -> tuple[str, ...]:
    """Return what names the owner of its resource, the system's own owner last."""
    resource, system = entitlement.resource, entitlement.integration
    return said(resource.owner, resource.tags, system.owner, system.owner_tag)


def said(listed: str, tags: Tags, systems: str, tag: str) -> tuple[str, ...]:
    """Return what names an owner: what is `listed`, else the tag; and the system's own at last."""
    return (*([listed] if listed else tags.get(tag, ())), systems)


def owners(names: tuple[str, ...], directory: Directory) -> Owners:
    """Return whom the tags name of those who can decide anything, else the system's own owner.

    A person is named by id or address, a group by its name or its id; what fits several is nobody.
    """
    return _named(names[:-1], directory) or _named(names[-1:], directory)


def _named(texts: Iterable[str], directory: Directory) -> Owners:
    people, groups = dict[str, None](), dict[str, None]()
    for text in filter(None, map(str.strip, texts)):
        if person := _person(text, directory):
            people |= {person.id: None} if person.may_ask else {}
        elif group := _group(text, directory):
            groups[group] = None
    both = (("user", tuple(people)), ("group", tuple(groups)))
    return tuple(Condition(who, Comparator.IS, ids) for who, ids in both if ids)


def _person(text: str, directory: Directory) -> Person | None:
    found = directory.by_email(text)
    if found:
        return found[0] if len(found) == 1 else None
    return directory.get(PersonId(text))


def _group(text: str, directory: Directory) -> GroupId | None:
    """Return the group, if somebody in it can decide anything."""
    found = (GroupId(text),) if text in directory.groups else directory.called(text)
    if len(found) != 1:
        return None
    able = (directory.people[id_].may_ask for id_ in directory.members(found[0]))
    return found[0] if any(able) else None


def each_selected(group: ConditionGroup, by: Owners) -> list[ConditionGroup]:
    """Return conditions of which those people fulfil one who are selected for what is owned so."""
    if not group.asks(OWNER):
        return [group]
    return [
        replace(
            group,
            conditions=tuple(
                dict.fromkeys(own if c.attribute == OWNER else c for c in group.conditions)
            ),
        )
        for own in by or (_NOBODY,)
    ]


_NOBODY = Condition(OWNER, Comparator.IS, ())


def is_owners_alone(group: ConditionGroup) -> bool:
    """Tell whether nobody but owners can be selected."""
    return group.asks(OWNER) and (group.join is Connective.AND or len(group.conditions) == 1)
