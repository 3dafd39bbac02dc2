"""Queries in AQL as they stand in a file: read, and what they name looked up."""

from collections.abc import Collection

from engine.aql.parser import parse
from engine.aql.query import Query, conditions
from engine.aql.tokens import Field
from manifests.parts import Notes, Vocabulary, nearest, shown

__all__ = ["read_query", "refuse_fields"]


def read_query(text: object, known: Vocabulary) -> Query:
    """Read a query. Raises ValueError for what is none, and for systems that there are not."""
    if not isinstance(text, str):
        raise ValueError(f"Write a query in AQL; found {shown(text)}.")  # noqa: TRY004
    query = parse(text)
    notes = Notes()
    named = (c for c in conditions(query) if c.field is Field.INTEGRATION)
    for system in dict.fromkeys(value for c in named for value in c.values):
        if system not in known.kinds and known.systems_known:
            notes.add(f"There is no integration {shown(system)}. {nearest(system, known.kinds)}")
    notes.settle()
    return query


def refuse_fields(query: Query, allowed: Collection[Field], why: str) -> None:
    """Raise ValueError where a query speaks of anything else."""
    notes = Notes()
    for field in dict.fromkeys(c.field for c in conditions(query)):
        if field not in allowed:
            notes.add(f"`{field}` cannot stand here: {why}.")
    notes.settle()
