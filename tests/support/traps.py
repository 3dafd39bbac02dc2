"""Traps for SQL that somebody else sends: what fits its names better than PostgreSQL's own.

A function or operator that fits exactly, in any schema of the path, is preferred to one of
`pg_catalog` that fits by a conversion; a schema before `pg_catalog` is preferred in any case.
`lay` plants both kinds, for all names that were heard. Each trap that is run leaves a line, and
then answers with nothing, so that whoever ran it hardly notices.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import psycopg
from psycopg import sql

__all__ = ["Heard", "lay", "sprung"]

Connection = psycopg.Connection[Any]

# What columns, bound values and the catalogs have.
TYPES = (
    *("boolean", "smallint", "integer", "bigint", "double precision", "numeric", "text"),
    *("character varying", "character", "name", "oid", "regclass", "regtype", '"char"', "bytea"),
    *("timestamp with time zone", "interval", "jsonb", "json"),
    *("text[]", "character varying[]", "integer[]", "smallint[]", "bigint[]", "oid[]"),
)
FEW = ("integer", "bigint", "text", "character varying", "name", "oid", "regclass", "jsonb")

# What the grammar makes operators of.
IMPLIED = {
    "in": ("=", "<>"),
    "any": ("=",),
    "case": ("=",),
    "nullif": ("=",),
    "between": (">=", "<="),
    "like": ("~~", "!~~"),
    "ilike": ("~~*", "!~~*"),
}

GROUND = """
create sequence {home}.function; create sequence {home}.operator;
create sequence {home}.type; create sequence {home}.relation;
create function {home}.spring(text) returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp
as 'begin perform nextval(''{home}.'' || $1); end';
create function {home}.attempt(text) returns int language plpgsql
as 'begin execute $1; return 1; exception when others then return 0; end';
grant usage on schema {home} to public;
"""
TRAP = (
    "language plpgsql as 'begin perform {home}.spring(''{what}''::pg_catalog.text); return{}; end'"
)
OVERLOADS = """
select proname, prokind, array(select format_type(t, null) from unnest(proargtypes) as t),
       case when proretset then 'setof ' else '' end || format_type(prorettype, null)
from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname = any(%s)
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """The names that statements use: rather too many than too few, for nothing is parsed."""

    functions: Collection[str]
    operators: Collection[str]
    types: Collection[str]
    relations: Collection[str]

    @classmethod
    def of(
        cls, statements: Iterable[str], connection: Connection, own: Collection[str] = ()
    ) -> "Heard":
        """`own`: relations that they speak of and the catalog does not know."""
        text = "\n".join(statements).lower()
        words = set(re.findall(r"[a-z_][a-z0-9_]*", text))
        signs = set(re.findall(r"[-+*/<>=~!@#%^&|`?]+", text))
        for word in words & IMPLIED.keys():
            signs |= set(IMPLIED[word])
        known = {
            "functions": ("proname", "pg_proc", words),
            "operators": ("oprname", "pg_operator", signs),
            "types": ("typname", "pg_type", words),
            "relations": ("relname", "pg_class", words),
        }
        found = {kind: _known(connection, *asked) for kind, asked in known.items()}
        found["relations"] |= set(own)
        return cls(**found)


def _known(connection: Connection, column: str, catalog: str, said: set[str]) -> set[str]:
    query = sql.SQL("select {} from {} where {} = any(%s)")
    names = map(sql.Identifier, (column, catalog, column))
    return {name for (name,) in connection.execute(query.format(*names), [list(said)])}


def lay(
    connection: Connection,
    heard: Heard,
    home: str,
    places: Collection[str],
    operators_in: Collection[str],
) -> int:
    """Plant in all places, as whoever this connection is; return how many traps there are.

    `home` is a schema of theirs, where what was sprung is noted. Of operators there are so many
    that they have places of their own: of several in one path the first alone is run.
    """
    connection.execute("set search_path = pg_catalog")
    connection.execute(GROUND.format(home=home).encode())
    overloads = list(connection.execute(OVERLOADS, [list(heard.functions)]))
    surely, perhaps = list(_bodies(home)), list[str]()
    for place in places:
        there = sql.Identifier(place).as_string()
        perhaps += _functions(there, home, overloads)
        perhaps += _types(there, home, heard.types)
        surely += _relations(there, home, heard.relations)
    for place in operators_in:
        surely += _operators(sql.Identifier(place).as_string(), home, heard.operators)
    connection.execute("; ".join(surely).encode())
    attempt = sql.SQL("select sum({}.attempt(one)) from unnest(%s::text[]) as one")
    done = connection.execute(attempt.format(sql.Identifier(home)), [perhaps]).fetchone()
    return len(surely) + int(done[0] or 0) if done else 0


def sprung(connection: Connection, home: str) -> set[str]:
    """Return which kinds of traps have been run since this was last asked.

    Sequences remember it though the transaction was undone.
    """
    connection.execute("set search_path = pg_catalog")
    query = "select sequencename from pg_sequences where schemaname = %s and last_value is not null"
    found = {name for (name,) in connection.execute(query, [home])}
    for name in found:
        connection.execute(sql.SQL("alter sequence {} restart").format(sql.Identifier(home, name)))
    return found


def _trap(home: str, what: str, answer: str = " null") -> str:
    return TRAP.format(answer, home=home, what=what)


def _bodies(home: str) -> Iterator[str]:
    """Yield what operators, aggregates, types and views are made of: one each for its types."""
    for left, right in product(TYPES, repeat=2):
        trap = _trap(home, "operator")
        yield f"create function {home}.pair({left}, {right}) returns boolean {trap}"
    for type_ in TYPES:
        fold, check = _trap(home, "function"), _trap(home, "type", " true")
        yield f"create function {home}.fold(bigint, {type_}) returns bigint {fold}"
        yield f"create function {home}.checked({type_}) returns boolean {check}"
    yield f"create function {home}.fold(bigint) returns bigint {_trap(home, 'function')}"
    yield f"create function {home}.seen() returns int {_trap(home, 'relation')}"


def _functions(
    there: str, home: str, overloads: Iterable[tuple[str, str, list[str], str]]
) -> Iterator[str]:
    for name, kind, given, returned in overloads:
        called = f"{there}.{sql.Identifier(name).as_string()}"
        if kind == "a":
            yield f"create aggregate {called}(*) (sfunc = {home}.fold, stype = bigint)"
            for type_ in TYPES:
                yield f"create aggregate {called}({type_}) (sfunc = {home}.fold, stype = bigint)"
            continue
        nothing = "" if returned.startswith("setof") or returned == "void" else " null"
        trap = _trap(home, "function", nothing)
        for arguments in _better(given):
            yield f"create function {called}({', '.join(arguments)}) returns {returned} {trap}"


def _better(given: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the same arguments, and what values may fit better than these."""
    yield tuple(given)
    if len(given) == 1:
        yield from product(TYPES)
    elif len(given) == 2:
        yield from product(FEW, repeat=2)
    else:
        yield tuple({"text": "character varying", "bigint": "integer"}.get(t, t) for t in given)


def _operators(there: str, home: str, operators: Iterable[str]) -> Iterator[str]:
    for name in operators:
        for left, right in product(TYPES, repeat=2):
            yield (
                f"create operator {there}.{name} "
                f"(leftarg = {left}, rightarg = {right}, function = {home}.pair)"
            )


def _types(there: str, home: str, types: Iterable[str]) -> Iterator[str]:
    for name in types:
        called = sql.Identifier(name).as_string()
        yield (
            f"create domain {there}.{called} as pg_catalog.{called} check ({home}.checked(value))"
        )


def _relations(there: str, home: str, relations: Iterable[str]) -> Iterator[str]:
    for name in relations:
        called = f"{there}.{sql.Identifier(name).as_string()}"
        yield f"create view {called} as select {home}.seen() as id"
        yield f"grant select on {called} to public"
