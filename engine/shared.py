"""A mapping that never changes: what differs from it in a little shares the rest with it."""

from collections.abc import Iterator, Mapping, ValuesView
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Shared(Mapping[K, V]):
    """To make one that differs costs what differs, and now and then, for many such, one copy."""

    __slots__ = ("_above", "_below", "_size")

    def __init__(self, of: Mapping[K, V] | None = None) -> None:
        self._below: dict[K, V] = dict(of or {})
        self._above: dict[K, V | None] = {}
        self._size = len(self._below)

    def with_(self, changes: Mapping[K, V | None]) -> "Shared[K, V]":
        """Return one that has these values; None: it has none under that key."""
        if not changes:
            return self
        if not self._size:
            return Shared({k: v for k, v in changes.items() if v is not None})
        made = Shared[K, V]()
        made._size = self._size + sum((v is not None) - (k in self) for k, v in changes.items())
        above = {**self._above, **changes}
        if len(above) ** 2 <= len(self._below):  # then they are seldom copied, and never many
            made._below, made._above = self._below, above
            return made
        made._below = dict(self._below)
        for key, value in above.items():
            if value is None:
                made._below.pop(key, None)
            else:
                made._below[key] = value
        return made

    def __getitem__(self, key: K) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: K, default: D | None = None) -> V | D | None:  # type: ignore[override]
        above = self._above
        found = above[key] if above and key in above else self._below.get(key)
        return default if found is None else found

    def __contains__(self, key: object) -> bool:
        if key in self._above:
            return self._above[key] is not None
        return key in self._below

    def __iter__(self) -> Iterator[K]:
        above = self._above
        yield from (k for k in self._below if k not in above or above[k] is not None)
        yield from (k for k, v in above.items() if v is not None and k not in self._below)

    def values(self) -> ValuesView[V]:
        return super().values() if self._above else self._below.values()

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"
