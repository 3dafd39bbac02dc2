"""What is known of a kind of system before one is connected."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from manifests.marked_yaml import DocumentFault

__all__ = ["FoundSettings", "Kind"]


@dataclass(frozen=True, slots=True)
class FoundSettings:
    """The settings of one system that stand in files of their own, and what can be had there.

    `files`: which, from the folder of the manifests. With `faults`, the rest is not whole.
    """

    settings: dict[str, Any]
    types: frozenset[str]
    permissions: frozenset[str]
    faults: list[DocumentFault] = field(default_factory=list[DocumentFault])
    files: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of system: what manifests may say of it, and what connects it.

    `connector` is its class, as MODULE:NAME, which is imported when a system is connected. It is
    made with `installation` and what `settings` holds; of `secrets`, which are references there, it
    gets what returns them. `types` and `permissions` are those that it may discover. `page` of
    docs/ says which rights it needs and how access ends. What `latchkey doctor` looks at, the
    connector knows (`check`).

    Where settings stand in files of their own, manifests say what is `written`, and `find` reads
    them: given the folder of the manifests, what the system is called, and what is written.
    """

    connector: str
    settings: type[BaseModel]
    secrets: tuple[str, ...]
    types: frozenset[str]
    permissions: frozenset[str]
    page: str
    written: type[BaseModel] | None = None
    find: Callable[[Path, str, Any], FoundSettings] | None = None
