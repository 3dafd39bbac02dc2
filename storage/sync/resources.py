"""Takes in all that one system has, and what can be had on it.

What is different is decided by `engine.discovery`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Text, bindparam, cast, select
from sqlmodel import col

from engine import discovery
from engine.discovery import KnownResource, OtherServerError
from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import AuditEntry
from engine.port import Discovered
from engine.request import SYSTEM
from storage import audit, batch, touched
from storage.bounds import parts
from storage.database import Read, Write
from storage.sync.step import PAGE, SyncStep
from storage.tables import EntitlementRow, Fact, IntegrationRow, ResourceRow
from storage.touched import Touched
from storage.types import among, together

GONE_AT_ONCE = 100  # resources
ROWS_AT_ONCE = 200  # resources, and what can be had on them
_APART, _OF = "\x1e", "\x1f"  # permissions; a permission and its risk
_OFFERED = (
    select(
        together(
            col(EntitlementRow.permission).concat(_OF).concat(cast(col(EntitlementRow.risk), Text)),
            _APART,
        )
    )
    .where(col(EntitlementRow.resource_id) == col(ResourceRow.id), col(EntitlementRow.offered))
    .scalar_subquery()
)
_KNOWN_RESOURCES = (
    select(
        col(ResourceRow.id),
        col(ResourceRow.source_id),
        col(ResourceRow.type),
        col(ResourceRow.name),
        col(ResourceRow.path),
        col(ResourceRow.risk),
        col(ResourceRow.status),
        col(ResourceRow.body),
        _OFFERED,
    )
    .where(
        col(ResourceRow.integration_id) == bindparam("system"),
        col(ResourceRow.id) > bindparam("after"),
    )
    .order_by(col(ResourceRow.id))
    .limit(bindparam("most"))
)
_THESE_RESOURCES = (
    select(ResourceRow)
    .where(
        col(ResourceRow.integration_id) == bindparam("system"),
        among(col(ResourceRow.source_id), "ids"),
    )
    .order_by(col(ResourceRow.id))
)
_THEIR_ENTITLEMENTS = (
    select(EntitlementRow)
    .where(among(col(EntitlementRow.resource_id), "ids"))
    .order_by(col(EntitlementRow.id))
)


def inventory(
    tx: Write,
    integration: IntegrationId,
    found: Sequence[Discovered],
    now: datetime,
    *,
    server: str = "",
) -> None:
    """Take in all resources of one system in this one transaction, as `compare_inventory` says."""
    tx.alone()
    for step in compare_inventory(tx, integration, found, server=server).steps(now):
        step(tx)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is different in a reading of all that a system has, to be stored."""

    integration: IntegrationId
    server: str
    known: str  # the server, so far
    of: discovery.Difference

    def steps(self, now: datetime) -> list[SyncStep]:
        """Return what to do, each in a transaction of its own. What goes is first."""
        some: list[Sequence[str | Discovered]] = []
        some += parts(self.of.gone, most=GONE_AT_ONCE)
        other = parts(self.of.other, _weight, ROWS_AT_ONCE)
        some += other
        if not some and self.known != self.server:
            some = [[]]
        last = len(some) - 1
        return [
            partial(_take_in_resources, taken=self, some=part, now=now, last=n == last)
            for n, part in enumerate(some)
        ]


def _weight(found: Discovered) -> int:
    return 1 + len(found.permissions)


def compare_inventory(
    session: Read, integration: IntegrationId, found: Sequence[Discovered], *, server: str = ""
) -> Discovery:
    """Compare all resources of one system with what is known.

    The first server that is taken in is the one that is known from then on; raises OtherServerError
    where the numbers are another server's.
    """
    row = session.execute(
        select(IntegrationRow).where(col(IntegrationRow.id) == integration)
    ).scalar_one()
    if discovery.is_other(row.server, server):
        raise OtherServerError(row.name, integration, row.server, server)
    return differences(session, integration, found, server=server, known=row.server)


def differences(
    session: Read,
    integration: IntegrationId,
    found: Sequence[Discovered],
    *,
    server: str,
    known: str,
) -> Discovery:
    """Compare as `compare_inventory` does, whatever server is known."""
    return Discovery(
        integration,
        server,
        known,
        discovery.compare(_resources(session, integration, found), found),
    )


def _resources(
    session: Read, integration: IntegrationId, found: Sequence[Discovered]
) -> Iterator[KnownResource]:
    """Return the resources of a system, each compared with what was found under its id."""
    there = discovery.open_ones(found)
    same: dict[str, frozenset[tuple[str, int]]] = {}
    given: dict[str, Any] = {"system": integration, "after": 0, "most": PAGE}
    while rows := session.ask(_KNOWN_RESOURCES, given):
        given["after"] = rows[-1][0]
        for _, source, type_, name, path, risk, status, body, offered in rows:
            if offered not in same:
                same[offered] = _parsed(offered)
            stored = (type_, name, path, risk, status, body, same[offered])
            item = there.get(source)
            active = status == ResourceStatus.ACTIVE
            yield KnownResource(source, path, active, item is not None and stored == _wanted(item))


def _wanted(item: Discovered) -> tuple[Any, ...]:
    permissions = frozenset(item.permissions.items())
    active = ResourceStatus.ACTIVE.value
    return item.type, item.name, item.path, item.risk, active, _body_of(item), permissions


def _body_of(item: Discovered) -> dict[str, Any]:
    body: dict[str, Any] = {"tags": {k: list(v) for k, v in sorted(item.tags.items())}}
    return {**body, "caveat": item.caveat} if item.caveat else body


def _parsed(offered: str | None) -> frozenset[tuple[str, int]]:
    pairs = (one.rpartition(_OF) for one in (offered or "").split(_APART) if one)
    return frozenset((permission, int(risk)) for permission, _, risk in pairs)


def _take_in_resources(
    tx: Write,
    *,
    taken: Discovery,
    some: Sequence[str | Discovered],
    now: datetime,
    last: bool,
) -> None:
    tx.alone()
    system = taken.integration
    row = tx.execute(select(IntegrationRow).where(col(IntegrationRow.id) == system)).scalar_one()
    if row.server not in {taken.known, taken.server}:
        raise OtherServerError(row.name, system, row.server, taken.server)
    row.server = taken.server
    items = {item.source_id: item for item in some if isinstance(item, Discovered)}
    gone = [source for source in some if isinstance(source, str)]
    rows = {
        r.source_id: r
        for r in tx.execute(_THESE_RESOURCES, {"system": system, "ids": [*items, *gone]}).scalars()
    }
    have: dict[int, dict[str, EntitlementRow]] = {}
    known = {"ids": [r.id for r in rows.values()]}
    for had in tx.execute(_THEIR_ENTITLEMENTS, known).scalars():
        have.setdefault(had.resource_id, {})[had.permission] = had
    lost = set[int]()
    for source in gone:
        lost.add(rows[source].id or 0)
        rows[source].status = ResourceStatus.GONE.value
    for item in items.values():
        if item.source_id not in rows:
            rows[item.source_id] = _new_resource(system, item)
            tx.add(rows[item.source_id])
        else:
            _change_resource(rows[item.source_id], item)
    tx.flush()
    batch.add(tx, EntitlementRow, _store_permissions(items.values(), rows, have, lost))
    tx.flush()
    different: list[Fact] = [row, *rows.values()] if rows else []
    for one in different:
        one.epoch = tx.epoch
    tx.flush()
    touched.note(tx, Touched(resources=lost))
    if last and (taken.of.new or taken.of.gone):
        detail = {
            "integration": system,
            "new": taken.of.new,
            "gone": len(taken.of.gone),
        }
        audit.append(tx, [(None, AuditEntry("discovered", SYSTEM, detail))], now)


def _new_resource(system: IntegrationId, item: Discovered) -> ResourceRow:
    return ResourceRow(
        integration_id=system,
        source_id=item.source_id,
        type=item.type,
        name=item.name,
        path=item.path,
        name_key=item.name.casefold(),
        path_key=item.path.casefold(),
        status=ResourceStatus.ACTIVE.value,
        risk=item.risk,
        body=_body_of(item),
    )


def _change_resource(row: ResourceRow, item: Discovered) -> None:
    row.type, row.name, row.path, row.risk = item.type, item.name, item.path, item.risk
    row.name_key, row.path_key = item.name.casefold(), item.path.casefold()
    row.status = ResourceStatus.ACTIVE.value
    if row.body != (body := _body_of(item)):
        row.body = body


def _store_permissions(
    found: Iterable[Discovered],
    rows: Mapping[str, ResourceRow],
    have: Mapping[int, Mapping[str, EntitlementRow]],
    lost: set[int],
) -> list[dict[str, Any]]:
    """Change what can be had on each resource, and return what is new.

    `lost` gets those where something is to be had no more.
    """
    new: list[dict[str, Any]] = []
    for item in found:
        resource = rows[item.source_id].id or 0
        there = have.get(resource, {})
        for permission, risk in item.permissions.items():
            row = there.get(permission)
            if row is None:
                had = {"resource_id": resource, "permission": permission, "risk": risk}
                new.append({**had, "offered": True})
            elif (row.risk, row.offered) != (risk, True):
                row.risk, row.offered = risk, True
        for permission in there.keys() - item.permissions.keys():
            if there[permission].offered:
                there[permission].offered = False
                lost.add(resource)
    return new
