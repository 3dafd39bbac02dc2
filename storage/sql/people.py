"""Conditions on people as SQL: of each row of `person`, what `engine.conditions.matches` says.

It narrows; whoever decides asks the engine.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Boolean,
    ClauseElement,
    ColumnElement,
    Text,
    and_,
    exists,
    false,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal
from sqlmodel import col

from engine.conditions import (
    Comparator,
    Condition,
    ConditionGroup,
    Connective,
    compares,
    exact,
    is_sound,
)
from engine.directory import SLACK, Directory, PersonId, PersonStatus
from storage.database import Read
from storage.tables import GroupRow, PersonRow
from storage.types import position

__all__ = ["found", "selects"]

MOST_WORDS = 20  # of a search, that are looked for

Holds = ColumnElement[bool]

_MANAGER, _FORMER = aliased(PersonRow), aliased(PersonRow)


def selects(group: ConditionGroup, directory: Directory) -> Holds:
    """Return the condition that holds for the rows of those who fulfil the group.

    The directory, of the moment, says who is on call, and what is known of groups.
    """
    each = [_holds(condition, directory) for condition in group.conditions]
    joined = and_ if group.join is Connective.AND else or_
    return and_(_is_person(PersonRow), joined(*each)) if each else false()


def found(
    session: Read,
    groups: Iterable[ConditionGroup],
    directory: Directory,
    words: str,
    *,
    first: PersonId,
    most: int,
) -> list[PersonId]:
    """Return people who fulfil one of the groups, and have each word in address or name.

    Case does not count. Who has left is not among them. One of them goes `first`.
    """
    sought = [*dict.fromkeys(words.casefold().split())][:MOST_WORDS]
    those = [selects(group, directory) for group in groups]
    called = [position(col(PersonRow.called), literal(word)) > 0 for word in sought]
    there = col(PersonRow.status) != PersonStatus.INACTIVE.value
    query = (
        select(col(PersonRow.id))
        .where(_is_person(PersonRow), there, *called, or_(false(), *those))
        .order_by(col(PersonRow.id) != first, col(PersonRow.email), col(PersonRow.id))
        .limit(most)
    )
    return [PersonId(id_) for id_ in session.execute(query).scalars()]


def _holds(condition: Condition, directory: Directory) -> Holds:
    if not is_sound(condition, directory):
        return false()
    has, fits = _parts(condition, directory)
    return and_(has, ~fits) if condition.comparator.negative else fits


def _parts(condition: Condition, directory: Directory) -> tuple[Holds, Holds]:
    """Return that somebody has a value, without which they fail it; and that one of theirs fits."""
    attribute, values = condition.attribute, condition.values
    match attribute:
        case "user" if exact(condition):
            return true(), col(PersonRow.id).in_(values)
        case "group" if exact(condition):
            return true(), _Some(PersonRow, "group", _VALUE.in_(values))
        case "group":
            groups = [g for g in directory.groups.values() if g.source != SLACK]
            named = [g.id for g in groups if _is_called(g.name, condition)]
            return _groups_are_known(), _Some(PersonRow, "group", _VALUE.in_(named))
        case "manager" if exact(condition):
            before = [old for value in values for old in directory.had(PersonId(value))]
            fits = _Some(PersonRow, "manager", _VALUE.in_([*values, *before]))
            return _Some(PersonRow, "manager", true()), fits
        case "manager":
            texts = _Some(_MANAGER, "user", _fits(condition))
            return _has_manager(true()), _has_manager(texts)
        case "on_call":
            on_call = directory.on_call.items()
            these = [p for name, people in on_call if _is_called(name, condition) for p in people]
            anybody = [p for _, people in on_call for p in people]
            return col(PersonRow.id).in_(anybody), col(PersonRow.id).in_(these)
        case _:
            has = _Some(PersonRow, attribute, true())
            return has, _Some(PersonRow, attribute, _fits(condition))


def _is_called(name: str, condition: Condition) -> bool:
    return any(compares(condition.comparator, name, value) for value in condition.values)


def _is_person(row: Any) -> Holds:  # noqa: ANN401  (the table, or an alias of it)
    """Tell that it can be read, and is nobody's former id."""
    return and_(col(row.successor).is_(None), col(row.called).is_not(None))


def _groups_are_known() -> Holds:
    """Tell that each of somebody's groups is there, and so has a name."""
    there = exists().where(col(GroupRow.id) == _VALUE, ~col(GroupRow.gone))
    return ~_Some(PersonRow, "group", ~there)


def _has_manager(that: Holds) -> Holds:
    """Tell that this holds of somebody's manager, by whichever of the manager's ids."""
    old = and_(col(_FORMER.id) == _VALUE, col(_FORMER.successor) == col(_MANAGER.id))
    former = exists().where(old).correlate(_MANAGER)
    named = _Some(PersonRow, "manager", or_(col(_MANAGER.id) == _VALUE, former))
    return exists().where(_is_person(_MANAGER), named, that)


def _fits(condition: Condition) -> Holds:
    """Tell that a text is compared so with one of the values, or what is not wanted with it."""
    texts = [value.casefold() for value in condition.values]
    match condition.comparator:
        case Comparator.IS | Comparator.IS_NOT:
            return _VALUE.in_(texts)
        case Comparator.CONTAINS | Comparator.DOES_NOT_CONTAIN:
            return or_(*map(_contains, texts))
        case Comparator.STARTS_WITH:
            return or_(*(position(_VALUE, literal(text)) == 1 for text in texts))


def _contains(text: str) -> Holds:
    return position(_VALUE, literal(text)) > 0


_VALUE: ColumnElement[str] = literal_column("one.value", Text)  # of those that `_Some` looks at


class _Some(ColumnElement[bool]):
    """Hold where a row has a value under a key of what conditions compare of it, and it is so.

    What is no list of texts there has none: nothing that a hand has written stops the others.
    """

    type = Boolean()
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012  (SQLAlchemy's way)
        ("of", InternalTraversal.dp_clauseelement),
        ("under", InternalTraversal.dp_clauseelement),
        ("that", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, row: Any, key: str, that: Holds) -> None:  # noqa: ANN401  (see `_is_person`)
        self.of: Any = col(row.compared)
        self.under: ClauseElement = literal(key)
        self.that: ClauseElement = that

    def self_group(self, against: object = None) -> "_Some":
        del against
        return self


@compiles(_Some, "postgresql")
def _postgresql_some(element: _Some, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    parts = (compiler.process(part, **given) for part in (element.of, element.under, element.that))
    of, key, that = parts
    values = f"case when jsonb_typeof({of} -> {key}) = 'array' then {of} -> {key} end"
    return f"exists (select 1 from jsonb_array_elements_text({values}) as one(value) where {that})"  # noqa: S608  (the compiler's words)


@compiles(_Some, "sqlite")
def _sqlite_some(element: _Some, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401
    parts = (compiler.process(part, **given) for part in (element.of, element.under, element.that))
    of, key, that = parts
    values = f"json_each(case when json_valid({of}) then {of} end) as named, json_each(named.value)"
    return (
        f"exists (select 1 from {values} as one "  # noqa: S608  (the compiler's words)
        f"where named.key = {key} and named.type = 'array' and ({that}))"
    )
