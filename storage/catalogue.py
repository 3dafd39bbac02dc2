"""The inventory in memory, as the search looks at it: loaded by system, again when it changes."""

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlmodel import Session, col

from engine.flow import Selector
from engine.inventory import IntegrationId, ResourceId, ResourceStatus
from storage.tables import EntitlementRow, IntegrationRow, ResourceRow


class Line(NamedTuple):
    """A resource that something can be had on; in the order in which the search lists them."""

    key: str  # the path, casefolded
    resource: ResourceId
    path: str
    type: str
    permissions: frozenset[str]
    system: str  # the integration's name


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
        self._selected: dict[Selector, Sequence[Line]] = {}

    def selected(self, selector: Selector) -> Sequence[Line]:
        """Return the resources on which the selector selects something, in order."""
        if selector not in self._selected:
            named = {line for name in selector.names for line in self._called.get(name, ())}
            among = sorted(named) if selector.names else self._all
            self._selected[selector] = [line for line in among if _selects(selector, line)]
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
        self, session: Session, systems: Collection[IntegrationId]
    ) -> dict[IntegrationId, Catalogue]:
        """Return the catalogues of those of the systems that there are."""
        columns = (col(IntegrationRow.id), col(IntegrationRow.name), col(IntegrationRow.version))
        known = session.execute(select(*columns).where(columns[0].in_(systems)))
        found = [(IntegrationId(id_), name, version) for id_, name, version in known]
        return {id_: self._catalogue(session, id_, name, version) for id_, name, version in found}

    def _catalogue(
        self, session: Session, system: IntegrationId, name: str, version: int
    ) -> Catalogue:
        kept = self._newest.get(system)
        if kept is None or (kept.name, kept.version) != (name, version):
            with self._lock:  # one loads it, the others wait for that
                kept = self._newest.get(system)
                if kept is None or (kept.name, kept.version) != (name, version):
                    kept = self._newest[system] = _load(session, system, name, version)
        return kept


def _load(session: Session, system: IntegrationId, name: str, version: int) -> Catalogue:
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


def _permissions(session: Session, system: IntegrationId) -> dict[int | None, frozenset[str]]:
    found: dict[int | None, set[str]] = {}
    for resource, permission in session.execute(
        select(col(EntitlementRow.resource_id), col(EntitlementRow.permission))
        .join(ResourceRow, col(ResourceRow.id) == col(EntitlementRow.resource_id))
        .where(col(ResourceRow.integration_id) == system)
    ):
        found.setdefault(resource, set()).add(permission)
    # Most resources have the same: each set is there once.
    same: dict[frozenset[str], frozenset[str]] = {}
    return {id_: same.setdefault(s := frozenset(had), s) for id_, had in found.items()}
