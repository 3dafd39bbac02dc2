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

from sqlalchemy import Select, bindparam, select, true, tuple_
from sqlmodel import col

from engine.aql.predicate import matches
from engine.aql.query import And, Condition, Not, Or, Query
from engine.aql.tokens import Field
from engine.flow import AccessFlow
from engine.indexed import Queries
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
    ResourceStatus,
)
from engine.targets import named_in, systems_of
from storage.database import Database, Read
from storage.entitlements import EntitlementLine, entitlement_query, to_entitlement
from storage.sql import aql
from storage.tables import EntitlementRow, IntegrationRow, PermissionRow, ResourceRow
from storage.types import among, together

PAGE = 20_000  # resources that are read at once: SQLite steps over those before them each time
NAMES = 2000  # that are looked up at once
TOGETHER = 500  # in one text
FEW = 500  # resources that have changed, of which queries are asked once more
SEVERAL = 20  # queries: for more it is quicker to go through all resources once
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
_CALLED = select(col(PermissionRow.id), col(PermissionRow.name), col(PermissionRow.epoch)).where(
    col(PermissionRow.integration_id) == bindparam("system")
)
_SELECTED = (
    select(
        col(ResourceRow.path_key), col(ResourceRow.id), col(ResourceRow.path), col(ResourceRow.type)
    )
    .join(EntitlementRow, col(EntitlementRow.resource_id) == col(ResourceRow.id))
    .where(
        col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
        col(EntitlementRow.offered).is_(true()),
    )
    .distinct()
)
_SYSTEMS = select(
    col(IntegrationRow.id), col(IntegrationRow.name), col(IntegrationRow.epoch)
).where(col(IntegrationRow.listed))
_OF_SYSTEM = (
    entitlement_query()
    .where(
        col(ResourceRow.integration_id) == bindparam("system"),
        col(ResourceRow.id) > bindparam("after"),
        col(EntitlementRow.offered).is_(true()),
    )
    .order_by(col(ResourceRow.id))
    .limit(bindparam("most"))
)
_OF_RESOURCES = entitlement_query().where(
    among(col(ResourceRow.id), "ids"), col(EntitlementRow.offered).is_(true())
)
_RESOURCE = EntitlementLine._fields.index("resource")
_THESE = _SYSTEMS.where(among(col(IntegrationRow.id), "systems"))
# What all resources of a kind have alike: what is asked of these alone is answered in memory.
_ALIKE = {
    Field.INTEGRATION,
    Field.INTEGRATION_NAME,
    Field.RESOURCE_TYPE,
    Field.RESOURCE_STATUS,
    Field.PERMISSION,
    Field.PERMISSION_NAME,
}

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


class _Sought(NamedTuple):
    """Where a query finds something in one system.

    On all resources of these kinds; on those of `named` that have one of these `names`; `asked`:
    on what the database says.
    """

    kinds: frozenset[Kind] = frozenset()
    named: frozenset[Kind] = frozenset()
    names: frozenset[str] = frozenset()
    asked: bool = False


_Found = Mapping[str, Lines]  # by the type


class Catalogue:
    """What one system has, as of one change, and what queries select of it."""

    def __init__(
        self,
        system: IntegrationId,
        name: str,
        epoch: int,
        lines: Mapping[Kind, Lines],
        named: Mapping[str, tuple[_Resource, ...]],
        *,
        found: Mapping[Query, _Found],
        called: Mapping[str, tuple[str, int]],
    ) -> None:
        self.system, self.name, self.epoch = system, name, epoch
        self._lines, self._named, self._found = lines, dict(named), dict(found)
        self._called = called  # permissions, by their ids, and when they were last changed
        self._sought: dict[Query, _Sought] = {}

    def brought_up(self, session: Read, name: str, epoch: int) -> "Catalogue":
        """Return it as of a later change, of which it reads what is new."""
        changed = {resource.entry.id: resource for resource in _changed(session, self)}
        come: dict[Kind, list[_Entry]] = {}
        for resource in changed.values():
            if resource.kind:
                come.setdefault(resource.kind, []).append(resource.entry)
        gone = changed.keys()
        lines = {
            kind: made
            for kind in {**self._lines, **come}
            if (made := self._lines.get(kind, Lines()).changed(gone, come.get(kind, ())))
        }
        rows = session.ask(_CALLED, {"system": self.system})
        called = {id_: (name_, since) for id_, name_, since in rows}
        same = (name, called) == (self.name, self._called) and len(changed) <= FEW
        found = self._found_but(session, [*gone]) if same else {}
        return Catalogue(
            self.system, name, epoch, lines, self._named_but(changed), found=found, called=called
        )

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

    def look_up(self, session: Read, queries: Iterable[Query]) -> list[tuple[_Sought, _Found]]:
        """Return where each finds something. What is not known in memory is read once."""
        sought = [(query, self._seek(query)) for query in queries]
        self._look_up_names(session, (name for _, of in sought for name in of.names))
        unknown = [query for query, of in sought if of.asked and query not in self._found]
        if len(unknown) > SEVERAL:
            come = _selected(Queries(unknown), self._everything(session))
            self._found.update({query: _with({}, (), come.get(query, {})) for query in unknown})
        return [(of, self._finds(session, query) if of.asked else {}) for query, of in sought]

    def _finds(self, session: Read, query: Query) -> _Found:
        found = self._found.get(query)
        if found is None:
            found = self._found[query] = self._asked(session, query)
        return found

    def _found_but(self, session: Read, changed: Sequence[int]) -> Mapping[Query, _Found]:
        """Return what is known of queries, with what these resources are now."""
        known = dict(self._found)
        if not changed or not known:
            return known
        rows = session.ask(_OF_RESOURCES, {"ids": changed})
        come = _selected(Queries(known), map(to_entitlement, rows))
        return {query: _with(of, changed, come.get(query, {})) for query, of in known.items()}

    def keep(self, queries: Collection[Query]) -> None:
        """Forget what others select: nobody asks for them any more."""
        for query in self._found.keys() - queries:
            del self._found[query]

    def _look_up_names(self, session: Read, names: Iterable[str]) -> None:
        """Read once what these names and paths, casefolded, stand for."""
        unknown = list({*names} - self._named.keys())
        found: dict[str, dict[int, _Resource]] = {name: {} for name in unknown}
        for at in range(0, len(unknown), NAMES):
            given = {"system": self.system, "names": unknown[at : at + NAMES]}
            for resource in (*_read(session, _NAMED, given), *_read(session, _AT, given)):
                for key in {resource.name, resource.entry.key} & found.keys():
                    found[key][resource.entry.id] = resource
        self._named.update({name: tuple(r.values()) for name, r in found.items()})

    def _everything(self, session: Read) -> Iterator[Entitlement]:
        """Yield all that can be had here; some may be yielded twice."""
        given: dict[str, Any] = {"system": self.system, "after": 0, "most": PAGE}
        while rows := session.ask(_OF_SYSTEM, given):
            yield from map(to_entitlement, rows)
            if len(rows) < PAGE:
                return
            # Of the last one, something may be on the next page.
            given["after"] = max(rows[-1][_RESOURCE] - 1, given["after"] + 1)

    def _asked(self, session: Read, query: Query) -> _Found:
        """Ask the database what a query selects."""
        selected = _SELECTED.where(
            col(ResourceRow.integration_id) == self.system, aql.selected(query, session.dialect)
        )
        come: dict[str, set[_Entry]] = {}
        once = {"compiled_cache": None}  # how a query is written is not kept
        for key, id_, path, type_ in session.execute(selected, execution_options=once):
            come.setdefault(type_, set()).add(_Entry(key, id_ or 0, path))
        return _with({}, (), come)

    def having(
        self, session: Read, queries: Collection[Query], words: Sequence[str]
    ) -> list[Iterator[CatalogueLine]]:
        """Return lines that one of the queries selects something on, each part in order."""
        name = self.name.casefold()
        words = [word for word in words if word not in name]
        sought = self.look_up(session, queries)
        kinds = {kind for of, _ in sought for kind in of.kinds}
        named = {
            resource.entry: resource.kind[0]
            for of, _ in sought
            for known_as in of.names
            for resource in self._named[known_as]
            if resource.kind in of.named and resource.kind
        }
        called = sorted(entry for entry in named if all(word in entry.key for word in words))
        asked = [each for _, found in sought for each in found.items()]
        return [
            *(self._typed(self._lines[kind].having(words), kind[0]) for kind in kinds),
            *(self._typed(lines.having(words), type_) for type_, lines in asked),
            (self._line(entry, named[entry]) for entry in called),
        ]

    def _seek(self, query: Query) -> _Sought:
        sought = self._sought.get(query)
        if sought is None:
            sought = self._sought[query] = self._seeking(query)
        return sought

    def _seeking(self, query: Query) -> _Sought:
        kinds = {kind: self._on(query, kind) for kind in self._lines}
        if None not in kinds.values():
            return _Sought(kinds=frozenset(kind for kind, holds in kinds.items() if holds))
        if found := named_in(query):
            rest, names = found
            named = {kind: self._on(rest, kind) for kind in self._lines}
            if None not in named.values():
                of = frozenset(kind for kind, holds in named.items() if holds)
                return _Sought(named=of, names=names)
        return _Sought(asked=True)

    def _on(self, query: Query, kind: Kind) -> bool | None:
        """Tell whether it selects something on resources of the kind; None: on some, maybe."""
        type_, permissions = kind
        found = {_holds(query, self._thing(type_, permission)) for permission in permissions}
        return True if True in found else None if None in found else False

    def _thing(self, type_: str, permission: str) -> Entitlement:
        """Return one of a kind: what is not alike is left empty."""
        name, _ = self._called.get(permission, (permission, 0))
        return Entitlement(
            EntitlementId(0),
            Integration(self.system, self.name, ""),
            Resource(ResourceId(0), type_, "", "", "", 1),
            Permission(PermissionId(permission), name, 1),
        )

    def _typed(self, entries: Iterable[_Entry], type_: str) -> Iterator[CatalogueLine]:
        return (self._line(entry, type_) for entry in entries)

    def _line(self, entry: _Entry, type_: str) -> CatalogueLine:
        return CatalogueLine(entry.key, ResourceId(entry.id), entry.path, type_, self.name)


def _selected(
    queries: Queries, entitlements: Iterable[Entitlement]
) -> dict[Query, dict[str, set[_Entry]]]:
    """Return the resources that each of the queries selects something on, by their types."""
    found: dict[Query, dict[str, set[_Entry]]] = {}
    for one in entitlements:
        if one.available:
            thing = one.resource
            entry = _Entry(thing.path.casefold(), thing.id, thing.path)
            for query in queries.selecting(one):
                found.setdefault(query, {}).setdefault(thing.type, set()).add(entry)
    return found


def _with(known: _Found, gone: Collection[int], come: Mapping[str, Iterable[_Entry]]) -> _Found:
    """Return what is known without some resources, and with others."""
    return {
        type_: made
        for type_ in {**known, **come}
        if (made := known.get(type_, Lines()).changed(gone, come.get(type_, ())))
    }


def _holds(query: Query, thing: Entitlement) -> bool | None:
    """Tell whether it selects all that is alike; None: that is not all that it asks of."""
    match query:
        case Condition():
            return matches(query, thing) if query.field in _ALIKE else None
        case Not():
            found = _holds(query.part, thing)
            return None if found is None else not found
        case And():
            each = {_holds(part, thing) for part in query.parts}
            return False if False in each else None if None in each else True
        case Or():
            each = {_holds(part, thing) for part in query.parts}
            return True if True in each else None if None in each else False


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
        self._listed: list[IntegrationId] = []
        self._prepared = float("-inf")
        self.looked = False  # at what there is, once, whatever came of it: a search need not wait

    def prepare(self, database: Database, flows: Iterable[AccessFlow]) -> None:
        """Read what is new of all systems, and what the flows offer there."""
        queries = {query for flow in flows if (query := flow.revision.offers)}
        begun = time.monotonic()
        try:
            with database.read() as session:
                found = self._brought_up(session, session.ask(_SYSTEMS))
                for catalogue in found:
                    catalogue.keep(queries)
                    catalogue.look_up(session, queries)
            self._listed = [catalogue.system for catalogue in found]
            self._prepared = begun
        finally:
            self.looked = True

    def current(self, session: Read, queries: Iterable[Query]) -> list[Catalogue]:
        """Return the catalogues of those systems where one of the queries may find something."""
        each = [systems_of(query) for query in queries]
        systems = {IntegrationId(id_) for of in each for id_ in of or ()}
        everywhere = None in each
        if time.monotonic() - self._prepared < BEHIND:
            there = self._listed if everywhere else [id_ for id_ in self._listed if id_ in systems]
            return [self._newest[id_] for id_ in there]
        if everywhere:
            return self._brought_up(session, session.ask(_SYSTEMS))
        return self._brought_up(session, session.ask(_THESE, {"systems": sorted(systems)}))

    def _brought_up(self, session: Read, known: Iterable[tuple[str, str, int]]) -> list[Catalogue]:
        return [self._catalogue(session, IntegrationId(id_), name, of) for id_, name, of in known]

    def _catalogue(self, session: Read, system: IntegrationId, name: str, epoch: int) -> Catalogue:
        kept = self._newest.get(system)
        if kept and kept.epoch >= epoch:
            return kept
        with self._loading:  # one reads it, the others wait for that
            kept = self._newest.get(system) or Catalogue(
                system, name, -1, {}, {}, found={}, called={}
            )
            if kept.epoch < epoch:
                kept = self._newest[system] = kept.brought_up(session, name, epoch)
        return kept
