"""What a change of facts touches: by which conditions the truth may be another."""

from collections.abc import Iterable, Iterator

from engine.conditions import OWNER, Comparator, Condition, ConditionGroup
from engine.directory import Person
from engine.flow import Revision

Key = tuple[str, str | None]  # an attribute and a value; None: whatever is in its text


def keys_between(before: Person | None, after: Person | None) -> set[Key]:
    """Return what people fulfil conditions by, as far as it differs for this one."""
    had, has = (_keys(person) if person else set() for person in (before, after))
    if stands_otherwise(before, after):
        return had | has
    different = had ^ has
    if before and after and (before.email, before.name) != (after.email, after.name):
        different |= {("user", None), ("manager", None)}
    return different


def stands_otherwise(before: Person | None, after: Person | None) -> bool:
    """Tell whether somebody may decide, or can be asked, who may not or cannot otherwise."""
    return _standing(before) != _standing(after)


def _standing(person: Person | None) -> tuple[bool, bool, bool]:
    """Return whether somebody may decide, can be asked, and hears of it."""
    if person is None:
        return False, False, False
    return person.may_ask, person.slack is not None, person.reachable


def _keys(person: Person) -> set[Key]:
    keys: set[Key] = {("user", person.id), ("manager", person.manager or "")}
    keys.update(("group", group) for group in person.groups or ("",))
    for name, values in person.attributes.items():
        keys.update((name, value.casefold()) for value in values)
    return keys


def depends_on(revision: Revision, keys: set[Key]) -> bool:
    """Tell whether who decides, or who may ask, may be another where these differ."""
    attributes = {attribute for attribute, _ in keys}
    return any(key in keys or (key[1] is None and key[0] in attributes) for key in _named(revision))


def asks_managers(revision: Revision) -> bool:
    """Tell whether somebody's manager is asked, whoever that is."""
    return any(
        condition.attribute == "manager" and not condition.values
        for group in _deciders(revision)
        for condition in group.conditions
    )


def _named(revision: Revision) -> Iterator[Key]:
    for group in _deciders(revision):
        yield from _of(group.conditions)
    # Whether somebody fulfils these depends on others by what those are called alone.
    for group in filter(None, (revision.requestors, revision.grantees)):
        yield from (key for key in _of(group.conditions) if key in _BY_NAME)


_BY_NAME = {("group", None), ("manager", None)}


def _deciders(revision: Revision) -> Iterator[ConditionGroup]:
    return (group.conditions for group in revision.deciders)


def _of(conditions: Iterable[Condition]) -> Iterator[Key]:
    for condition in conditions:
        if condition.attribute == OWNER:  # who that is, is said by an address, an id or a name
            yield "user", None
            yield "group", None
        if condition.comparator is not Comparator.IS:
            yield condition.attribute, None
            continue
        exact = condition.attribute in {"user", "group", "manager"}
        for value in condition.values:
            yield condition.attribute, value if exact else value.casefold()
