"""Bundles, access scopes and spaces as written: the documents, and what they name of each other."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints, create_model, field_validator

from engine.targets import Bundle, Scope, Space, Target, key_of
from manifests.parts import Name, OneLine, Ours, Stated, Words, nearest, shown
from manifests.targets import Targets, Where, find_object

__all__ = [
    "GLOBAL",
    "BundleDocument",
    "Description",
    "ScopeDocument",
    "SpaceDocument",
    "find_slice",
    "find_space",
    "full_name",
    "object_schema",
    "short_name",
]

GLOBAL = "global"  # what is of no space

Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


def full_name(name: str, space: str) -> str:
    """Return what a thing of a space is called everywhere else."""
    return f"{space}/{name}" if space else name


def short_name(name: str, space: str) -> str:
    """Return what it is called within its space: the reverse of `full_name`."""
    return name.removeprefix(f"{space}/") if space else name


class _Ours(Stated):
    name: Name
    description: Description = ""


class _InSpace(_Ours):
    space: OneLine = Field(GLOBAL, description="The space that it belongs to.")


class ScopeDocument(_InSpace):
    """A query in AQL that is saved under a name."""

    query: Where

    def scope(self, space: str) -> Scope:
        return Scope(full_name(self.name, space), self.query, space, self.description)


class BundleDocument(_InSpace):
    """What is asked for as one thing."""

    targets: Targets

    def bundle(self, space: str, targets: tuple[Target, ...]) -> Bundle:
        return Bundle(full_name(self.name, space), targets, space, self.description)


class SpaceDocument(_Ours):
    """An area of its own: its flows offer what one of its scopes selects, and nothing else."""

    slice: Words = Field(description="Names of access scopes.")

    @field_validator("name")
    @classmethod
    def _is_one(cls, name: str) -> str:
        if key_of(name) == GLOBAL:
            raise ValueError("`global` is what belongs to no space. Choose another name.")
        if "/" in name:
            raise ValueError("A `/` stands between a space and what is in it. Leave it out.")
        return name

    def space(self) -> Space:
        return Space(self.name, tuple(self.slice), self.description)


def find_space(name: str, spaces: Mapping[str, Space]) -> str:
    """Return the name of a space as it is made; empty for what is of none. Raises ValueError."""
    if key_of(name) == GLOBAL:
        return ""
    if found := spaces.get(key_of(name)):
        return found.name
    near = nearest(name, (each.name for each in spaces.values()))
    raise ValueError(f"There is no space {shown(name)}. {near}")


def find_slice(name: str, scopes: Mapping[str, Scope]) -> str:
    """Return the whole name of a scope of a space's slice. Raises ValueError."""
    found = find_object(name, scopes, "", "access scope")
    if found.space:
        raise ValueError(
            f"{shown(found.name)} belongs to a space, whose people could widen what is theirs. "
            "Name one that belongs to none."
        )
    return found.name


def object_schema() -> dict[str, Any]:
    """Return the JSON Schema of scopes, bundles and spaces .yaml: manifests/object.schema.json."""
    lists: dict[str, Any] = {
        "scopes": (list[ScopeDocument] | None, None),
        "bundles": (list[BundleDocument] | None, None),
        "spaces": (list[SpaceDocument] | None, None),
    }
    model = create_model("Objects", __base__=Ours, **lists)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
        "title": "Latchkey's access scopes, bundles and spaces",
    }
