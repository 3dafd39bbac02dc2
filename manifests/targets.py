"""What can be had, as written: targets of flows and of bundles (docs/flows.md)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from engine.aql import tokens
from engine.aql.filters import (
    OFFERED,
    Filter,
    condition_of,
    to_query,
    what_is_misplaced,
    what_is_wrong,
)
from engine.aql.query import Query
from engine.inventory import IntegrationId, ResourceId
from engine.request import LARGEST_ID
from engine.targets import (
    Bundle,
    ByBundle,
    ByScope,
    Except,
    Match,
    Objects,
    Picked,
    Scope,
    Selector,
    Tagged,
    Target,
    key_of,
    mixes,
)
from manifests.parts import (
    Notes,
    OneLine,
    Stated,
    Vocabulary,
    Words,
    at_most,
    house,
    listed,
    nearest,
    shown,
    stated,
)
from manifests.queries import read_query, refuse_unknown

__all__ = ["TargetDocument", "Targets", "Where", "find_object", "shared", "whole", "written"]

MOST_TARGETS = 20
MOST_PICKED = 100


def _where(text: object, info: ValidationInfo) -> Query:
    query = read_query(text)
    refuse_unknown(query, house(info))
    return query


Where = Annotated[Any, PlainValidator(_where, json_schema_input_type=str)]  # a query
_Ids = Annotated[
    list[Annotated[int, Field(ge=1, le=LARGEST_ID)]],
    Field(min_length=1, json_schema_extra={"maxItems": MOST_PICKED}),
    at_most(MOST_PICKED, "Say by a query, or by tags, which are meant."),
]
_Tags = Annotated[dict[str, Words], Field(min_length=1)]
_Match = Literal["all", "any"]


def _names_alone(value: object) -> object:
    return {"names": value} if isinstance(value, str | list) else value


class ExceptDocument(Stated):
    """Resources that are left out: those that any of the parts names."""

    names: Words | None = Field(None, description="Names or paths of resources, without case.")
    resources: _Ids | None = Field(None, description="Ids of resources, as AQL's `resource`.")
    tags: _Tags | None = None
    match: _Match = Field("all", description="Whether a resource has all of the tags, or any.")

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:  # noqa: ARG003
        if not said.keys() & {"names", "resources", "tags"}:
            notes.add("Say which are left out: `names`, `resources` or `tags`.")
        elif "match" in said and "tags" not in said:
            notes.add("`match` says how many of the `tags` a resource has: name them.")

    def left_out(self) -> Except:
        return Except(_casefolded(self.names), _ids(self.resources), _tagged(self.tags, self.match))


class FilterDocument(Stated):
    """One basic filter. Several values with `=` mean any of them, with `!=` none of them."""

    field: Literal[tuple(map(str, OFFERED))] = Field(description="A field of AQL.")  # type: ignore[valid-type]
    operator: Literal[tuple(map(str, tokens.Operator))] = "="  # type: ignore[valid-type]
    values: Words
    key: str = Field("", description="Of a tag.")

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:
        row = _row(said)
        if row is None:
            return
        if wrong := what_is_wrong(row) if row.values else what_is_misplaced(row):
            notes.add(wrong)
        try:
            refuse_unknown(condition_of(row), known)
        except ValidationError as faults:
            notes.take(faults)

    def filter(self) -> Filter:
        field, operator = tokens.Field(self.field), tokens.Operator(self.operator)
        return Filter(field, operator, tuple(self.values), self.key)


def _row(said: Mapping[str, Any]) -> Filter | None:
    """Read a filter as far as it can be; without values if one is faulty."""
    field, operator, key = said.get("field"), said.get("operator", "="), said.get("key", "")
    values = listed(said.get("values"))
    if field not in [*OFFERED] or operator not in [*tokens.Operator] or not isinstance(key, str):
        return None
    sound = isinstance(values, list) and all(isinstance(v, str) and v.strip() for v in values)
    texts = tuple(map(str.strip, values)) if isinstance(values, list) and sound else ()
    return Filter(tokens.Field(field), tokens.Operator(operator), texts, key)


_KINDS: Mapping[str, tuple[str, ...]] = {  # what goes with each
    "integration": ("types", "permissions", "names", "resources", "tags", "match", "except"),
    "query": ("resources",),
    "filters": ("resources",),
    "bundle": (),
    "scope": (),
}


_WITH = ("types", "permissions", "names", "tags", "match", "except", "resources")


def _mixed(text: object) -> bool:
    try:
        return mixes(read_query(text))
    except ValueError:
        return False


class TargetDocument(Stated):
    """What can be had: of one integration, or what a query, filters, a bundle or a scope selects.

    Of an integration, what is left out selects all.
    """

    integration: OneLine | None = Field(None, description="The id of an integration.")
    types: Words | None = Field(None, description="Types of resource.")
    permissions: Words | None = Field(None, description="What can be had.")
    names: Words | None = Field(None, description="Names or paths of resources, without case.")
    tags: _Tags | None = Field(None, description="Tags of resources: keys and values.")
    match: _Match | None = Field(
        None, description="Whether a resource has all of the tags, or any; all, unless said."
    )
    left_out: Annotated[
        ExceptDocument | None,
        BeforeValidator(_names_alone, json_schema_input_type=ExceptDocument | Words),
    ] = Field(None, alias="except", description="Resources that are left out.")
    query: Where | None = Field(None, description="A query in AQL.")
    filters: Annotated[list[FilterDocument] | None, Field(min_length=1, max_length=100)] = Field(
        None, description="Basic filters, all of which hold."
    )
    resources: _Ids | None = Field(
        None, description="Ids of resources, picked by hand out of what was found."
    )
    bundle: OneLine | None = Field(None, description="The name of a bundle.")
    scope: OneLine | None = Field(None, description="The name of an access scope.")

    @field_validator("integration")
    @classmethod
    def _connected(cls, value: str | None, info: ValidationInfo) -> str | None:
        known = house(info)
        if value is not None and value not in known.kinds and known.systems_known:
            near = nearest(value, known.kinds)
            raise ValueError(f"There is no integration {shown(value)}. {near}")
        return value

    @field_validator("types", "permissions")
    @classmethod
    def _had(cls, values: list[str] | None, info: ValidationInfo) -> list[str] | None:
        kind = house(info).kinds.get(info.data.get("integration") or "")
        if kind is None or values is None:
            return values
        known = kind.types if info.field_name == "types" else kind.permissions
        notes = Notes()
        for i, value in enumerate(values):
            if value not in known:
                notes.add(f"The system knows no {shown(value)}. {nearest(value, known)}", i)
        notes.settle()
        return values

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:  # noqa: ARG003
        kinds = stated(said, *_KINDS)
        if len(kinds) > 1:
            several = " and ".join(f"`{kind}`" for kind in kinds)
            notes.add(f"{several} are several targets. Make each an item of its own: they add up.")
        elif not said.keys() & _KINDS.keys():
            notes.add(
                "Say what can be had: `integration`, `query`, `filters`, `bundle` or `scope`."
            )
        goes = {key for kind in kinds for key in _KINDS[kind]}
        for key in stated(said, *_WITH) if kinds else ():
            if key not in goes:
                with_ = " or ".join(f"`{kind}`" for kind, keys in _KINDS.items() if key in keys)
                notes.add(f"`{key}` goes with {with_}.", key)
        if "match" in goes & {*stated(said, "match")} and "tags" not in said:
            notes.add("Say of which tags: `tags`.", "match")
        if said.get("resources") and _mixed(said.get("query")):
            apart = "Beside `resources`, say of permissions apart from the rest, joined by `and`."
            notes.add(f"{apart} What is picked stays, whatever becomes of its tags.", "query")

    def target(self) -> Target:
        """Return the target; what it names is called as it is written."""
        if self.bundle is not None:
            return ByBundle(self.bundle)
        if self.scope is not None:
            return ByScope(self.scope)
        if self.integration is None:
            filters = [row.filter() for row in self.filters or ()]
            where = cast("Query", to_query(filters) if filters else self.query)
            return Picked(where, _ids(self.resources))
        return Selector(
            integration=IntegrationId(self.integration),
            types=frozenset(self.types or ()),
            permissions=frozenset(self.permissions or ()),
            names=_casefolded(self.names),
            resources=_ids(self.resources),
            tagged=_tagged(self.tags, self.match or "all"),
            without=self.left_out.left_out() if self.left_out else None,
        )


Targets = Annotated[
    list[TargetDocument],
    Field(min_length=1, json_schema_extra={"maxItems": MOST_TARGETS}),
    at_most(MOST_TARGETS, "Let one target name several types, permissions or names."),
]


def _casefolded(names: list[str] | None) -> frozenset[str]:
    return frozenset(name.casefold() for name in names or ())


def _ids(resources: list[int] | None) -> frozenset[ResourceId]:
    return frozenset(map(ResourceId, resources or ()))


def _tagged(tags: dict[str, list[str]] | None, match: str) -> Tagged | None:
    pairs = frozenset((key, value) for key, values in (tags or {}).items() for value in values)
    return Tagged(pairs, Match(match)) if pairs else None


# --- What targets name ---------------------------------------------------------------------------


def find_object(
    name: str, known: Mapping[str, Scope] | Mapping[str, Bundle], space: str, what: str
) -> Scope | Bundle:
    """Find a scope or a bundle by its name. Raises ValueError.

    Whoever belongs to a space finds what is its own by the short name, and what is nobody's.
    """
    for called in (f"{space}/{name}", name) if space else (name,):
        found = known.get(key_of(called))
        if found and space and found.space and key_of(found.space) != key_of(space):
            raise ValueError(f"The {what} {shown(found.name)} belongs to another space.")
        if found:
            return found
    near = nearest(name, (each.name for each in known.values()))
    raise ValueError(f"There is no {what} {shown(name)}. {near}")


def shared(target: Target, objects: Objects) -> Target:
    """Return a target of a bundle that each space may use, as `whole` does. Raises ValueError.

    What is a space's own would come to the others by it, and be what its people make of it.
    """
    found = whole(target, objects, "")
    match found:
        case ByScope():
            space = objects.scopes[key_of(found.scope)].space
        case ByBundle():
            space = objects.bundles[key_of(found.bundle)].space
        case _:
            space = ""
    if space:
        raise ValueError(f"This is {found}, which belongs to a space, and the bundle to all.")
    return found


def whole(target: Target, objects: Objects, space: str) -> Target:
    """Return the target with the whole name of what it names. Raises ValueError."""
    match target:
        case ByScope():
            return ByScope(find_object(target.scope, objects.scopes, space, "access scope").name)
        case ByBundle():
            return ByBundle(find_object(target.bundle, objects.bundles, space, "bundle").name)
        case _:
            return target


# --- The way back --------------------------------------------------------------------------------


def written(target: Target) -> dict[str, Any]:
    """Return the target as flows.yaml writes it."""
    match target:
        case ByScope():
            return {"scope": target.scope}
        case ByBundle():
            return {"bundle": target.bundle}
        case Picked():
            return {"query": str(target.where), **_said(resources=sorted(target.resources))}
        case Selector():
            without = target.without
            left_out = without and {
                **_said(names=sorted(without.names), resources=sorted(without.resources)),
                **_written_tags(without.tagged),
            }
            return {
                "integration": target.integration,
                **_said(
                    types=sorted(target.types),
                    permissions=sorted(target.permissions),
                    names=sorted(target.names),
                    resources=sorted(target.resources),
                ),
                **_written_tags(target.tagged),
                **({"except": left_out} if left_out else {}),
            }


def _said(**parts: list[Any]) -> dict[str, Any]:
    return {key: values for key, values in parts.items() if values}


def _written_tags(tagged: Tagged | None) -> dict[str, Any]:
    if tagged is None:
        return {}
    tags: dict[str, list[str]] = {}
    for key, value in sorted(tagged.pairs):
        tags.setdefault(key, []).append(value)
    said: dict[str, Any] = {"tags": tags}
    return said if tagged.match is Match.ALL else said | {"match": tagged.match.value}
