"""The inventory in memory, as the search looks at it: loaded by system, again when it changes."""

import threading
from array import array
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import select
from sqlmodel import col

from engine.flow import Selector
from engine.inventory import IntegrationId, ResourceId, ResourceStatus
from storage.database import Read
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow
from storage.types import among

_VERSIONS = select(
    col(IntegrationRow.id), col(IntegrationRow.name), col(IntegrationRow.version)
).where(among(col(IntegrationRow.id), "systems"))


class Line(NamedTuple):
    """A resource that something can be had on; in the order in which the search lists them."""

    key: str  # the path, casefolded
    resource: ResourceId
    path: str
    type: str
    permissions: frozenset[str]
    system: str  # the integration's name


class Lines:
    """Lines in order, and their keys as one text: it is searched many times as fast as they are."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._text = "\n".join(line.key for line in lines)
        self._starts = array("L", accumulate((len(n.key) + 1 for n in lines), initial=0))

    def having(self, words: Sequence[str]) -> Iterator[Line]:
        """Yield the lines that have every word in their key. There is no white space in a word."""
        if not words:
            yield from self._lines
            return
        rarest = min(words, key=self._text.count) if len(words) > 1 else words[0]
        at = self._text.find(rarest)
        while at >= 0:
            number = bisect(self._starts, at)
            line = self._lines[number - 1]
            if all(word in line.key for word in words):
                yield line
            at = self._text.find(rarest, self._starts[number])


class Catalogue:
    """What one system has, as of one version, and what each selector selects of it."""

    def __init__(self, name: str, version: int, lines: Iterable[tuple[str, Line]]) -> None:
        """`lines`: each beside the name of its resource, casefolded."""
        self.name, self.version = name, version
        self._called: dict[str, list[Line]] = {}
        listed = []
        for called, line in lines:
            listed.append(line)
            for key in {called, line.key}:
                self._called.setdefault(key, []).append(line)
        self._all = sorted(listed)
        self._selected: dict[Selector, Lines] = {}

    def selected(self, selector: Selector) -> Lines:
        """Return the resources on which the selector selects something, in order."""
        if selector not in self._selected:
            named = {line for name in selector.names for line in self._called.get(name, ())}
            among = sorted(named) if selector.names else self._all
            self._selected[selector] = Lines([n for n in among if _selects(selector, n)])
        return self._selected[selector]


def _selects(selector: Selector, line: Line) -> bool:
    """Tell whether it selects something on the resource, whatever that is named."""
    return (not selector.types or line.type in selector.types) and (
        not selector.permissions or not selector.permissions.isdisjoint(line.permissions)
    )


class Catalogues:
    """Keeps each system's newest catalogue. One small statement tells whether it still is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[IntegrationId, Catalogue] = {}

    def current(
        self, session: Read, systems: Collection[IntegrationId]
    ) -> dict[IntegrationId, Catalogue]:
        """Return the catalogues of those of the systems that there are."""
        known = session.ask(_VERSIONS, {"systems": list(systems)})
        found = [(IntegrationId(id_), name, version) for id_, name, version in known]
        return {id_: self._catalogue(session, id_, name, version) for id_, name, version in found}

    def _catalogue(
        self, session: Read, system: IntegrationId, name: str, version: int
    ) -> Catalogue:
        kept = self._newest.get(system)
        if kept is None or (kept.name, kept.version) != (name, version):
            with self._lock:  # one loads it, the others wait for that
                kept = self._newest.get(system)
                if kept is None or (kept.name, kept.version) != (name, version):
                    kept = self._newest[system] = _load(session, system, name, version)
        return kept


def _load(session: Read, system: IntegrationId, name: str, version: int) -> Catalogue:
    """Read what a system has. It may be newer than the version, which was read before it."""
    query = select(
        col(ResourceRow.id),
        col(ResourceRow.path),
        col(ResourceRow.path_key),
        col(ResourceRow.name_key),
        col(ResourceRow.type),
    ).where(
        col(ResourceRow.integration_id) == system,
        col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
    )
    resources = session.execute(query).all()
    permissions = _permissions(session, system)
    lines = (
        (called, Line(key, ResourceId(id_ or 0), path, type_, permissions[id_], name))
        for id_, path, key, called, type_ in resources
        if id_ in permissions
    )
    return Catalogue(name, version, lines)


def _permissions(session: Read, system: IntegrationId) -> dict[int | None, frozenset[str]]:
    found: dict[int | None, set[str]] = {}
    for resource, permission in session.execute(
        select(col(EntitlementRow.resource_id), col(EntitlementRow.permission))
        .join(ResourceRow, col(ResourceRow.id) == col(EntitlementRow.resource_id))
        .where(col(ResourceRow.integration_id) == system, col(EntitlementRow.offered))
    ):
        found.setdefault(resource, set()).add(permission)
    # Most resources have the same: each set is there once.
    same: dict[frozenset[str], frozenset[str]] = {}
    return {id_: same.setdefault(s := frozenset(had), s) for id_, had in found.items()}
