"""What is known of a kind of system before one is connected."""

from dataclasses import dataclass

from pydantic import BaseModel

__all__ = ["Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of system: what manifests may say of it, and what connects it.

    `connector` is its class, as MODULE:NAME, which is imported when a system is connected. It is
    made with `installation` and what `settings` holds; of `secrets`, which are references there, it
    gets what returns them. `types` and `permissions` are those that it may discover. `page` of
    docs/ says which rights it needs and how access ends. What `latchkey doctor` looks at, the
    connector knows (`check`).
    """

    connector: str
    settings: type[BaseModel]
    secrets: tuple[str, ...]
    types: frozenset[str]
    permissions: frozenset[str]
    page: str
