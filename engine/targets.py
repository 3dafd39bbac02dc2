"""What a flow offers: selectors, each of which comes to one query in AQL (docs/flows.md)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NewType

from engine.aql.predicate import matches
from engine.aql.query import And, Condition, Not, Or, Query, all_of, any_of, conditions
from engine.aql.tokens import Field, Operator
from engine.inventory import Entitlement, IntegrationId, ResourceId

__all__ = [
    "NO_OBJECTS",
    "Bundle",
    "ByBundle",
    "ByScope",
    "Except",
    "Key",
    "Match",
    "Object",
    "ObjectId",
    "ObjectKind",
    "Objects",
    "Picked",
    "Scope",
    "Selector",
    "Space",
    "Tagged",
    "Target",
    "circle_of",
    "compare",
    "key_of",
    "kind_of",
    "mixes",
    "named_in",
    "naming",
    "naming_resources",
    "query_of",
    "refers",
    "slice_of",
    "systems_of",
]

ObjectId = NewType("ObjectId", int)

Pair = tuple[str, str]  # a tag's key and value


class Match(StrEnum):
    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Tagged:
    """Tags that a resource has: all of the pairs, or any."""

    pairs: frozenset[Pair]
    match: Match = Match.ALL

    @property
    def query(self) -> Query:
        each = [
            Condition(Field.RESOURCE_TAG, Operator.EQUALS, (value,), key)
            for key, value in sorted(self.pairs)
        ]
        return all_of(*each) if self.match is Match.ALL else any_of(*each)


@dataclass(frozen=True, slots=True)
class Except:
    """Resources that are left out: each that one of the parts names."""

    names: frozenset[str] = frozenset()
    resources: frozenset[ResourceId] = frozenset()
    tagged: Tagged | None = None


@dataclass(frozen=True)
class Selector:
    """Selects entitlements of one integration; an empty part selects all.

    Of the parts that name resources (`names`, `resources`) one has to fit.
    """

    integration: IntegrationId
    types: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # a resource's name or path, compared without case
    resources: frozenset[ResourceId] = frozenset()
    tagged: Tagged | None = None
    without: Except | None = None

    @cached_property
    def query(self) -> Query:
        parts = [_is(Field.INTEGRATION, {self.integration})]
        if self.types:
            parts.append(_is(Field.RESOURCE_TYPE, self.types))
        if self.permissions:
            parts.append(_is(Field.PERMISSION_NAME, self.permissions))
        if self.tagged:
            parts.append(self.tagged.query)
        if self.without and (left_out := [*_these(self.without)]):
            parts.append(Not(any_of(*left_out)))
        if named := [*_named(self.names, self.resources)]:
            parts.append(any_of(*named))
        return all_of(*parts)

    def selects(self, entitlement: Entitlement) -> bool:
        return matches(self.query, entitlement)


@dataclass(frozen=True)
class Picked:
    """Selects what a query selects; with `resources`, on these alone.

    Resources that were picked by hand stay, whatever becomes of the tags and names by which they
    were found: of the query what speaks of permissions is kept.
    """

    where: Query
    resources: frozenset[ResourceId] = frozenset()

    @cached_property
    def query(self) -> Query:
        if not self.resources:
            return self.where
        kept = [one for one in _joined(self.where) if not _OF_RESOURCES.issuperset(_fields(one))]
        return all_of(_is(Field.RESOURCE, map(str, self.resources)), *kept)


@dataclass(frozen=True, slots=True)
class ByScope:
    """Selects what an access scope selects at that moment."""

    scope: str  # its whole name

    def __str__(self) -> str:
        return f"the scope “{self.scope}”"


@dataclass(frozen=True, slots=True)
class ByBundle:
    """Selects what a bundle has at that moment."""

    bundle: str  # its whole name

    def __str__(self) -> str:
        return f"the bundle “{self.bundle}”"


Target = Selector | Picked | ByScope | ByBundle


# --- Objects: what has a name and is shared by flows ---------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """An access scope: a query that is saved under a name. `space` empty: it is nobody's own."""

    name: str  # with its space: `space/name`
    where: Query
    space: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Selectors under a name, which can be asked for as one thing."""

    name: str
    targets: tuple[Target, ...]
    space: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Space:
    """An administrative area: its flows offer what is in one of its scopes, and nothing else."""

    name: str
    slice: tuple[str, ...]  # whole names of scopes
    description: str = ""


Object = Scope | Bundle | Space
Key = tuple["ObjectKind", str]


class ObjectKind(StrEnum):
    SCOPE = "scope"
    BUNDLE = "bundle"
    SPACE = "space"


def kind_of(object_: Object) -> ObjectKind:
    match object_:
        case Scope():
            return ObjectKind.SCOPE
        case Bundle():
            return ObjectKind.BUNDLE
        case Space():
            return ObjectKind.SPACE


@dataclass(frozen=True, slots=True)
class Objects:
    """All of them as they are at one moment, by their keys."""

    scopes: Mapping[str, Scope] = field(default_factory=dict[str, Scope])
    bundles: Mapping[str, Bundle] = field(default_factory=dict[str, Bundle])
    spaces: Mapping[str, Space] = field(default_factory=dict[str, Space])

    @classmethod
    def of(cls, objects: Iterable[Object]) -> "Objects":
        by_kind: dict[ObjectKind, dict[str, Any]] = {kind: {} for kind in ObjectKind}
        for each in objects:
            by_kind[kind_of(each)][key_of(each.name)] = each
        return cls(*by_kind.values())

    def __iter__(self) -> Iterator[Object]:
        for each in (self.scopes, self.bundles, self.spaces):
            yield from each.values()


NO_OBJECTS = Objects()


def circle_of(bundle: Bundle, objects: Objects) -> tuple[str, ...]:
    """Return the bundles by which it leads back to itself, itself first and last; or nothing."""
    ways: list[tuple[Bundle, ...]] = [(bundle,)]
    seen = set[str]()
    while ways:
        way = ways.pop()
        for inner in (t.bundle for t in way[-1].targets if isinstance(t, ByBundle)):
            key = key_of(inner)
            if key == key_of(bundle.name):
                return (*(b.name for b in way), bundle.name)
            if key in objects.bundles and key not in seen:
                seen.add(key)
                ways.append((*way, objects.bundles[key]))
    return ()


def compare(
    known: Mapping[Key, Object | None], listed: Iterable[Object]
) -> tuple[list[Object], list[Key]]:
    """Compare all objects that are listed with those that are there; None: it cannot be read.

    Return those of which something is new, and which are listed no more.
    """
    wanted = {(kind_of(each), key_of(each.name)): each for each in listed}
    other = [each for key, each in wanted.items() if known.get(key) != each]
    return other, sorted(known.keys() - wanted.keys())


def key_of(name: str) -> str:
    """Return what tells names apart: their case does not."""
    return name.casefold()


def refers(target: Target) -> bool:
    """Tell whether what it selects stands elsewhere, under a name."""
    return isinstance(target, ByScope | ByBundle)


def query_of(targets: Iterable[Target], objects: Objects) -> Query | None:
    """Return what the targets select, together; None: nothing.

    A scope or a bundle that there is not, or that cannot be read, selects nothing.
    """
    found = list(dict.fromkeys(_queries(targets, objects)))
    return any_of(*found) if found else None


def _queries(targets: Iterable[Target], objects: Objects) -> Iterator[Query]:
    for target in _spelled_out(targets, objects, set()):
        if isinstance(target, Selector | Picked):
            yield target.query
        elif scope := objects.scopes.get(key_of(target.scope)):
            yield scope.where


def _spelled_out(
    targets: Iterable[Target], objects: Objects, seen: set[str]
) -> Iterator[Selector | Picked | ByScope]:
    """Yield each, and instead of bundles what is in them; `seen` are those looked into already."""
    for target in targets:
        if not isinstance(target, ByBundle):
            yield target
            continue
        key = key_of(target.bundle)
        bundle = objects.bundles.get(key)
        if bundle and key not in seen:
            seen.add(key)
            yield from _spelled_out(bundle.targets, objects, seen)


def naming_resources(targets: Iterable[Target], objects: Objects) -> list[Selector | Picked]:
    """Return those of the targets, and of what is in their bundles, that name resources."""
    return [
        target
        for target in _spelled_out(targets, objects, set())
        if not isinstance(target, ByScope) and _names_each(target.query)
    ]


def slice_of(space: str, objects: Objects) -> Query | None:
    """Return what belongs to a space; None: nothing."""
    found = objects.spaces.get(key_of(space))
    return query_of(map(ByScope, found.slice), objects) if found else None


# --- What selectors come to ----------------------------------------------------------------------

_OF_RESOURCES = frozenset(f for f in Field if f.startswith(("integration", "resource")))


_OF_ONE = {Field.RESOURCE, Field.RESOURCE_SOURCE_ID, Field.RESOURCE_NAME, Field.RESOURCE_PATH}
_ONE_OF = {Operator.EQUALS, Operator.IN}


def mixes(query: Query) -> bool:
    """Tell whether something in it speaks of resources and of permissions at once."""
    each = [_fields(one) for one in _joined(query)]
    return any(fields & _OF_RESOURCES and not _OF_RESOURCES.issuperset(fields) for fields in each)


def _joined(query: Query) -> Iterator[Query]:
    """Yield all that has to hold, whatever brackets stand around it."""
    for part in query.parts if isinstance(query, And) else ():
        yield from _joined(part)
    if not isinstance(query, And):
        yield query


def _fields(query: Query) -> set[Field]:
    return {condition.field for condition in conditions(query)}


def _these(left_out: Except) -> Iterator[Query]:
    yield from _named(left_out.names, left_out.resources)
    if left_out.tagged:
        yield left_out.tagged.query


def _named(names: frozenset[str], resources: frozenset[ResourceId]) -> Iterator[Query]:
    if resources:
        yield _is(Field.RESOURCE, map(str, resources))
    if names:
        yield from _naming(names)


def _naming(names: Iterable[str]) -> tuple[Query, ...]:
    values = sorted(names)
    return _is(Field.RESOURCE_NAME, values), _is(Field.RESOURCE_PATH, values)


def named_in(query: Query) -> tuple[Query, frozenset[str]] | None:
    """Return what holds besides the names or paths that resources have; None: it names none.

    So it is with what is listed by name in one system, as it mostly is.
    """
    match query:
        case And(parts=(*rest, Or(parts=(Condition(values=names), _) as last))) if rest:
            return (all_of(*rest), frozenset(names)) if last == _naming(names) else None
        case _:
            return None


def _names_each(query: Query) -> bool:
    """Tell whether it says of each resource which one it is: of what is left out it may."""
    match query:
        case Condition():
            return query.field in _OF_ONE and query.operator in _ONE_OF
        case And():
            return any(map(_names_each, query.parts))
        case Or():
            return all(map(_names_each, query.parts))
        case Not():
            return False


def naming(query: Query, names: Iterable[str]) -> Query:
    """Return what holds besides names, with them: the reverse of `named_in`."""
    rest = query.parts if isinstance(query, And) else (query,)
    return all_of(*rest, any_of(*_naming(names)))


def systems_of(query: Query) -> frozenset[str] | None:
    """Return the integrations outside of which it selects nothing; None: it may be all."""
    match query:
        case Condition(field=Field.INTEGRATION, operator=Operator.EQUALS | Operator.IN):
            return frozenset(query.values)
        case And():
            known = [of for part in query.parts if (of := systems_of(part)) is not None]
            return frozenset.intersection(*known) if known else None
        case Or():
            each = [systems_of(part) for part in query.parts]
            known = [of for of in each if of is not None]
            return frozenset().union(*known) if len(known) == len(each) else None
        case _:
            return None


def _is(name: Field, values: Iterable[str]) -> Query:
    each = tuple(sorted(values))
    return Condition(name, Operator.EQUALS if len(each) == 1 else Operator.IN, each)
