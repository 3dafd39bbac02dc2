"""Queries in AQL as they stand in a file: read, and what they name looked up."""

from collections.abc import Collection

from engine.aql.parser import MAX_LENGTH, parse
from engine.aql.query import Query, conditions
from engine.aql.tokens import Field, Operator
from manifests.parts import Notes, Vocabulary, nearest, shown

_WHOLE = {Operator.EQUALS, Operator.NOT_EQUALS, Operator.IN, Operator.NOT_IN}

__all__ = ["read_query", "refuse_fields", "refuse_systems", "refuse_unknown"]


def read_query(text: object, known: Vocabulary) -> Query:
    """Read a query. Raises ValueError for what is none, and for systems that there are not."""
    if not isinstance(text, str):
        raise ValueError(f"Write a query in AQL; found {shown(text)}.")  # noqa: TRY004
    query = parse(text)
    if (length := len(str(query))) > MAX_LENGTH:
        raise ValueError(f"Written plainly, it has {length:,} characters: at most {MAX_LENGTH:,}.")
    refuse_systems(query, known)
    return query


def refuse_systems(query: Query, known: Vocabulary) -> None:
    """Raise ValueError for integrations that there are not."""
    notes = Notes()
    named = (c for c in conditions(query) if c.field is Field.INTEGRATION)
    for system in dict.fromkeys(value for c in named for value in c.values):
        if system not in known.kinds and known.systems_known:
            notes.add(f"There is no integration {shown(system)}. {nearest(system, known.kinds)}")
    notes.settle()


def refuse_unknown(query: Query, known: Vocabulary) -> None:
    """Raise ValueError for types of resource and permissions that no system has."""
    if not known.systems_known:
        return
    there = {
        Field.RESOURCE_TYPE: {t for kind in known.kinds.values() for t in kind.types},
        Field.PERMISSION_NAME: {p for kind in known.kinds.values() for p in kind.permissions},
    }
    notes = Notes()
    for condition in conditions(query):
        words = there.get(condition.field)
        if words is None or condition.operator not in _WHOLE:
            continue
        keys = {word.casefold() for word in words}
        for value in condition.values:
            if value.casefold() not in keys:
                notes.add(
                    f"No system has {condition.field} {shown(value)}. {nearest(value, words)}"
                )
    notes.settle()


def refuse_fields(query: Query, allowed: Collection[Field], why: str) -> None:
    """Raise ValueError where a query speaks of anything else."""
    notes = Notes()
    for field in dict.fromkeys(c.field for c in conditions(query)):
        if field not in allowed:
            notes.add(f"`{field}` cannot stand here: {why}.")
    notes.settle()
