"""Queries in AQL as they stand in a file: read, and what they name looked up."""

from collections.abc import Collection, Iterable, Iterator

from engine.aql.parser import MAX_LENGTH, parse
from engine.aql.query import Query, conditions
from engine.aql.tokens import Field, Operator
from manifests.parts import Notes, Vocabulary, nearest, shown

_WHOLE = {Operator.EQUALS, Operator.NOT_EQUALS, Operator.IN, Operator.NOT_IN}

__all__ = ["read_query", "refuse_fields", "refuse_systems", "refuse_unknown"]


def read_query(text: object) -> Query:
    """Read a query. Raises ValueError for what is none."""
    if not isinstance(text, str):
        raise ValueError(f"Write a query in AQL; found {shown(text)}.")  # noqa: TRY004
    query = parse(text)
    if (length := len(str(query))) > MAX_LENGTH:
        raise ValueError(f"Written plainly, it has {length:,} characters: at most {MAX_LENGTH:,}.")
    return query


def refuse_systems(query: Query, known: Vocabulary) -> None:
    """Raise ValueError for integrations that there are not."""
    _refuse(_systems(query, known), known)


def refuse_unknown(query: Query, known: Vocabulary) -> None:
    """Raise ValueError for integrations, and for types and permissions that no system has."""
    _refuse([*_systems(query, known), *_words(query, known)], known)


def _refuse(sentences: Iterable[str], known: Vocabulary) -> None:
    notes = Notes()
    for sentence in sentences if known.systems_known else ():
        notes.add(sentence)
    notes.settle()


def _systems(query: Query, known: Vocabulary) -> Iterator[str]:
    named = (c for c in conditions(query) if c.field is Field.INTEGRATION)
    for system in dict.fromkeys(value for c in named for value in c.values):
        if system not in known.kinds:
            yield f"There is no integration {shown(system)}. {nearest(system, known.kinds)}"


def _words(query: Query, known: Vocabulary) -> Iterator[str]:
    there = {
        Field.RESOURCE_TYPE: {t for kind in known.kinds.values() for t in kind.types},
        Field.PERMISSION_NAME: {p for kind in known.kinds.values() for p in kind.permissions},
    }
    for condition in conditions(query):
        words = there.get(condition.field)
        if words is None or condition.operator not in _WHOLE:
            continue
        keys = {word.casefold() for word in words}
        for value in condition.values:
            if value.casefold() not in keys:
                yield f"No system has {condition.field} {shown(value)}. {nearest(value, words)}"


def refuse_fields(query: Query, allowed: Collection[Field], why: str) -> None:
    """Raise ValueError where a query speaks of anything else."""
    notes = Notes()
    for field in dict.fromkeys(c.field for c in conditions(query)):
        if field not in allowed:
            notes.add(f"`{field}` cannot stand here: {why}.")
    notes.settle()
