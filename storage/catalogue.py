"""The inventory in memory, as the search looks at it: what has changed is read, the rest shared.

A million things that can be had are no Python objects: the resources of one kind (of one type, with
the same permissions) are texts, some hundred in each.
"""

import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, select, tuple_
from sqlmodel import col

from engine.flow import AccessFlow, Selector
from engine.inventory import IntegrationId, ResourceId, ResourceStatus
from storage.database import Database, Read
from storage.tables import EntitlementRow, IntegrationRow, PermissionRow, ResourceRow
from storage.types import among, together

PAGE = 20_000  # resources that are read at once: SQLite steps over those before them each time
NAMES = 2000  # that are looked up at once
TOGETHER = 500  # in one text
BEHIND = 2.0  # seconds that a search may be, while what is new is prepared

_APART = "\x1f"  # permissions
_OFFERED = (
    select(together(col(EntitlementRow.permission), _APART))
    .where(col(EntitlementRow.resource_id) == col(ResourceRow.id), col(EntitlementRow.offered))
    .scalar_subquery()
)
_RESOURCES = select(
    col(ResourceRow.epoch),
    col(ResourceRow.id),
    col(ResourceRow.path),
    col(ResourceRow.path_key),
    col(ResourceRow.name_key),
    col(ResourceRow.type),
    col(ResourceRow.status),
    _OFFERED,
).where(col(ResourceRow.integration_id) == bindparam("system"))
_CHANGED = (
    _RESOURCES.where(
        tuple_(col(ResourceRow.epoch), col(ResourceRow.id))
        > tuple_(bindparam("epoch"), bindparam("after")),
    )
    .order_by(col(ResourceRow.epoch), col(ResourceRow.id))
    .limit(PAGE)
)
_LAST = 2**31 - 1  # after each id
_NAMED = _RESOURCES.where(among(col(ResourceRow.name_key), "names"))
_AT = _RESOURCES.where(among(col(ResourceRow.path_key), "names"))
_CALLED = select(col(PermissionRow.id), col(PermissionRow.name)).where(
    col(PermissionRow.integration_id) == bindparam("system")
)
_SYSTEMS = select(
    col(IntegrationRow.id), col(IntegrationRow.name), col(IntegrationRow.epoch)
).where(col(IntegrationRow.listed))
_THESE = _SYSTEMS.where(among(col(IntegrationRow.id), "systems"))

Kind = tuple[str, frozenset[str]]  # type and permissions, by their ids


class CatalogueLine(NamedTuple):
    """A resource that something can be had on; in the order in which the search lists them."""

    key: str  # the path, casefolded
    resource: ResourceId
    path: str
    type: str
    system: str  # the integration's name


class _Entry(NamedTuple):
    key: str
    id: int
    path: str


class _Resource(NamedTuple):
    """`kind` None: nothing can be had on it."""

    entry: _Entry
    name: str  # casefolded
    kind: Kind | None


class _Text:
    """Some resources in order, and their keys as one text: it is searched as fast as there is."""

    __slots__ = ("_ends", "_ids", "_keys", "_path_ends", "_paths", "first")

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self.first = entries[0][:2]
        self._ids = array("q", (entry.id for entry in entries))
        self._keys, self._ends = _joined([entry.key for entry in entries])
        self._paths, self._path_ends = self._keys, self._ends
        if any(entry.path != entry.key for entry in entries):
            self._paths, self._path_ends = _joined([entry.path for entry in entries])

    def __iter__(self) -> Iterator[_Entry]:
        return map(self._entry, range(len(self._ids)))

    def has_any(self, ids: Collection[int]) -> bool:
        return bool(ids) and not set(ids).isdisjoint(self._ids)

    def having(self, words: Sequence[str]) -> Iterator[_Entry]:
        """Yield those that have every word in their key. There is no white space in a word."""
        if not words:
            yield from self
            return
        rarest = min(words, key=self._keys.count) if len(words) > 1 else words[0]
        at = self._keys.find(rarest)
        while at >= 0:
            number = bisect_right(self._ends, at)
            entry = self._entry(number)
            if all(word in entry.key for word in words):
                yield entry
            at = self._keys.find(rarest, self._ends[number])

    def _entry(self, number: int) -> _Entry:
        key = _cut(self._keys, self._ends, number)
        path = key if self._paths is self._keys else _cut(self._paths, self._path_ends, number)
        return _Entry(key, self._ids[number], path)


def _joined(texts: Sequence[str]) -> tuple[str, "array[int]"]:
    """Return them as lines, and where the line after each begins."""
    return "\n".join(texts), array("L", accumulate(len(text) + 1 for text in texts))


def _cut(text: str, ends: "array[int]", number: int) -> str:
    return text[ends[number - 1] if number else 0 : ends[number] - 1]


class Lines:
    """The resources of one kind, in order."""

    def __init__(self, texts: Sequence[_Text] = ()) -> None:
        self._texts = texts

    def changed(self, gone: Collection[int], come: Iterable[_Entry]) -> "Lines":
        """Return the lines without some, by their ids, and with others: the rest is shared."""
        if not self._texts:
            return Lines([_Text(some) for some in _cut_up(sorted(come))])
        firsts = [text.first for text in self._texts]
        at: dict[int, list[_Entry]] = {}
        for entry in come:
            at.setdefault(max(0, bisect_right(firsts, entry[:2]) - 1), []).append(entry)
        texts: list[_Text] = []
        for number, text in enumerate(self._texts):
            mine = at.get(number, [])
            if not mine and not text.has_any(gone):
                texts.append(text)
                continue
            entries = sorted([*(e for e in text if e.id not in gone), *mine])
            texts += [_Text(some) for some in _cut_up(entries)]
        return Lines(texts)

    def having(self, words: Sequence[str]) -> Iterator[_Entry]:
        return (entry for text in self._texts for entry in text.having(words))

    def __bool__(self) -> bool:
        return bool(self._texts)


def _cut_up(entries: Sequence[_Entry]) -> Iterator[Sequence[_Entry]]:
    parts = -(-len(entries) // TOGETHER) if len(entries) > 2 * TOGETHER else 1
    size = -(-len(entries) // parts)
    return (entries[n : n + size] for n in range(0, len(entries), size)) if entries else iter(())


class Catalogue:
    """What one system has, as of one change, and what selectors select of it."""

    def __init__(
        self,
        system: IntegrationId,
        name: str,
        epoch: int,
        lines: Mapping[Kind, Lines],
        named: Mapping[str, tuple[_Resource, ...]],
        *,
        called: Mapping[str, str],
    ) -> None:
        self.system, self.name, self.epoch = system, name, epoch
        self._lines, self._named = lines, dict(named)
        self._called = called  # permissions, by their ids

    def brought_up(self, session: Read, name: str, epoch: int) -> "Catalogue":
        """Return it as of a later change, of which it reads what is new."""
        found = {resource.entry.id: resource for resource in _changed(session, self)}
        come: dict[Kind, list[_Entry]] = {}
        for resource in found.values():
            if resource.kind:
                come.setdefault(resource.kind, []).append(resource.entry)
        gone = found.keys()
        lines = {
            kind: made
            for kind in {**self._lines, **come}
            if (made := self._lines.get(kind, Lines()).changed(gone, come.get(kind, ())))
        }
        called: dict[str, str] = dict(session.ask(_CALLED, {"system": self.system}))
        return Catalogue(self.system, name, epoch, lines, self._named_but(found), called=called)

    def _named_but(self, found: Mapping[int, _Resource]) -> Mapping[str, tuple[_Resource, ...]]:
        """Return what names stand for, but for those that may stand for something else by now."""
        if not self._named:
            return {}
        others = {key for r in found.values() for key in (r.name, r.entry.key)}
        return {
            key: resources
            for key, resources in self._named.items()
            if key not in others and found.keys().isdisjoint(r.entry.id for r in resources)
        }

    def look_up(self, session: Read, names: Iterable[str]) -> None:
        """Read once what these names and paths, casefolded, stand for."""
        unknown = list({*names} - self._named.keys())
        found: dict[str, dict[int, _Resource]] = {name: {} for name in unknown}
        for at in range(0, len(unknown), NAMES):
            given = {"system": self.system, "names": unknown[at : at + NAMES]}
            for resource in (*_read(session, _NAMED, given), *_read(session, _AT, given)):
                for key in {resource.name, resource.entry.key} & found.keys():
                    found[key][resource.entry.id] = resource
        self._named.update({name: tuple(r.values()) for name, r in found.items()})

    def having(
        self, session: Read, selectors: Collection[Selector], words: Sequence[str]
    ) -> list[Iterator[CatalogueLine]]:
        """Return lines that one of the selectors selects something on, each part in order."""
        name = self.name.casefold()
        words = [word for word in words if word not in name]
        kinds = {k for k in self._lines for s in selectors if not s.names and self._of(s, k)}
        self.look_up(session, (name for s in selectors for name in s.names))
        named = {
            resource.entry: resource.kind[0]
            for selector in selectors
            for name in selector.names
            for resource in self._named[name]
            if resource.kind and self._of(selector, resource.kind)
        }
        called = sorted(entry for entry in named if all(word in entry.key for word in words))
        parts = [self._typed(self._lines[kind].having(words), kind[0]) for kind in kinds]
        return [*parts, (self._line(entry, named[entry]) for entry in called)]

    def _of(self, selector: Selector, kind: Kind) -> bool:
        """Tell whether it selects something on resources of the kind, whatever they are named."""
        type_, permissions = kind
        return (not selector.types or type_ in selector.types) and (
            not selector.permissions
            or any(self._called.get(id_, id_) in selector.permissions for id_ in permissions)
        )

    def _typed(self, entries: Iterable[_Entry], type_: str) -> Iterator[CatalogueLine]:
        return (self._line(entry, type_) for entry in entries)

    def _line(self, entry: _Entry, type_: str) -> CatalogueLine:
        return CatalogueLine(entry.key, ResourceId(entry.id), entry.path, type_, self.name)


def _changed(session: Read, since: Catalogue) -> Iterator[_Resource]:
    """Yield what has changed; of a resource that is changed meanwhile, the newest last."""
    given: dict[str, Any] = {"system": since.system, "epoch": since.epoch, "after": _LAST}
    while rows := session.ask(_CHANGED, given):
        yield from _resources(rows)
        given["epoch"], given["after"] = rows[-1][:2]


def _read(session: Read, query: Select[Any], given: Mapping[str, Any]) -> Iterator[_Resource]:
    return _resources(session.ask(query, given))


def _resources(rows: Iterable[tuple[Any, ...]]) -> Iterator[_Resource]:
    same: dict[tuple[str, str], Kind] = {}
    for _, id_, path, key, name, type_, status, offered in rows:
        kind = None
        if offered is not None and status == ResourceStatus.ACTIVE.value:
            kind = same.get((type_, offered))
            if kind is None:
                kind = same[type_, offered] = type_, frozenset(offered.split(_APART))
        yield _Resource(_Entry(key, id_, path), name, kind)


class Catalogues:
    """Keeps each system's newest catalogue. One small statement tells whether it still is.

    While somebody calls `prepare` every second or so, that is not asked: the search is as far
    behind as that is.
    """

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._newest: dict[IntegrationId, Catalogue] = {}
        self._prepared = float("-inf")
        self.looked = False  # at what there is, once, whatever came of it: a search need not wait

    def prepare(self, database: Database, flows: Iterable[AccessFlow]) -> None:
        """Read what is new of all systems, and what the flows name there."""
        names: dict[IntegrationId, set[str]] = {}
        for selector in (s for flow in flows for s in flow.revision.targets):
            names.setdefault(selector.integration, set()).update(selector.names)
        begun = time.monotonic()
        try:
            with database.read() as session:
                for catalogue in self._brought_up(session, session.ask(_SYSTEMS)).values():
                    catalogue.look_up(session, names.get(catalogue.system, ()))
            self._prepared = begun
        finally:
            self.looked = True

    def current(
        self, session: Read, systems: Collection[IntegrationId]
    ) -> dict[IntegrationId, Catalogue]:
        """Return the catalogues of those of the systems that there are."""
        if time.monotonic() - self._prepared < BEHIND:
            return {id_: self._newest[id_] for id_ in systems if id_ in self._newest}
        return self._brought_up(session, session.ask(_THESE, {"systems": list(systems)}))

    def _brought_up(
        self, session: Read, known: Iterable[tuple[str, str, int]]
    ) -> dict[IntegrationId, Catalogue]:
        found = {IntegrationId(id_): (name, epoch) for id_, name, epoch in known}
        return {id_: self._catalogue(session, id_, *of) for id_, of in found.items()}

    def _catalogue(self, session: Read, system: IntegrationId, name: str, epoch: int) -> Catalogue:
        kept = self._newest.get(system)
        if kept and kept.epoch >= epoch:
            return kept
        with self._loading:  # one reads it, the others wait for that
            kept = self._newest.get(system) or Catalogue(system, name, -1, {}, {}, called={})
            if kept.epoch < epoch:
                kept = self._newest[system] = kept.brought_up(session, name, epoch)
        return kept
