"""Takes in all that one system has, and what can be had on it.

What is different is decided by `engine.discovery`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Text, bindparam, cast, select
from sqlmodel import col

from engine import alarms, discovery
from engine.discovery import KnownResource, OtherServerError
from engine.inventory import Integration, IntegrationId, ResourceStatus, kept
from engine.outcome import AuditEntry
from engine.port import Discovered, DiscoveredPermission
from engine.request import SYSTEM
from engine.risk import Risks, rated
from storage import audit, batch, touched
from storage.bounds import parts
from storage.codec import body_of, fields_of, load_risks, tags_of
from storage.database import Read, Write
from storage.sync import permissions as sync_permissions
from storage.sync import tags
from storage.sync.administration import tell_admins
from storage.sync.step import PAGE, SyncStep
from storage.tables import CompanyRow, EntitlementRow, Fact, IntegrationRow, ResourceRow
from storage.touched import Touched
from storage.types import among, together

GONE_AT_ONCE = 100  # resources
ROWS_AT_ONCE = 200  # resources, what can be had on them, and their tags
NAMED = 10  # of what came, went and changed, each
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
        col(ResourceRow.type_key),
        col(ResourceRow.tagged),
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
_ASIDE = "\n"  # in no id that stands in a file
_SYSTEM = select(col(IntegrationRow.name), col(IntegrationRow.kind)).where(
    col(IntegrationRow.id) == bindparam("system")
)
_RISKS = select(col(CompanyRow.risks))
_THEIR_ENTITLEMENTS = (
    select(EntitlementRow)
    .where(among(col(EntitlementRow.resource_id), "ids"))
    .order_by(col(EntitlementRow.id))
)

_Part = str | Discovered | DiscoveredPermission  # text is the id of what is gone


def inventory(
    tx: Write,
    integration: IntegrationId,
    found: Sequence[Discovered],
    now: datetime,
    *,
    permissions: Sequence[DiscoveredPermission] = (),
    server: str = "",
) -> None:
    """Take in all that one system has in this one transaction, as `compare_inventory` says."""
    tx.alone()
    compared = compare_inventory(tx, integration, found, permissions=permissions, server=server)
    for step in compared.steps(now):
        step(tx)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is different in a reading of all that a system has, to be stored."""

    integration: IntegrationId
    server: str
    known: str  # the server, so far
    of: discovery.Difference
    permissions: Sequence[DiscoveredPermission]

    def steps(self, now: datetime) -> list[SyncStep]:
        """Return what to do, each in a transaction of its own. What goes is first."""
        gone = parts(self.of.gone, most=GONE_AT_ONCE)
        called = parts(self.permissions, _weight, ROWS_AT_ONCE)
        other = parts(self.of.other, _weight, ROWS_AT_ONCE)
        some: list[Sequence[_Part]] = [*gone, *called, *other]
        if not some and self.known != self.server:
            some = [[]]
        last = len(some) - 1
        return [
            partial(_take_in_resources, taken=self, some=part, now=now, last=n == last)
            for n, part in enumerate(some)
        ]


def _weight(item: Discovered | DiscoveredPermission) -> int:
    labels = sum(len(values) for of in (item.tags, item.context) for values in of.values())
    return 1 + labels + (len(item.permissions) if isinstance(item, Discovered) else 0)


def compare_inventory(
    session: Read,
    integration: IntegrationId,
    found: Sequence[Discovered],
    *,
    permissions: Sequence[DiscoveredPermission] = (),
    server: str = "",
) -> Discovery:
    """Compare all that one system has with what is known.

    The first server that is taken in is the one that is known from then on; raises OtherServerError
    where the numbers are another server's.
    """
    row = session.execute(
        select(IntegrationRow).where(col(IntegrationRow.id) == integration)
    ).scalar_one()
    if discovery.is_other(row.server, server):
        raise OtherServerError(row.name, integration, row.server, server)
    return differences(
        session, integration, found, permissions=permissions, server=server, known=row.server
    )


def differences(
    session: Read,
    integration: IntegrationId,
    found: Sequence[Discovered],
    *,
    permissions: Sequence[DiscoveredPermission],
    server: str,
    known: str,
) -> Discovery:
    """Compare as `compare_inventory` does, whatever server is known."""
    called = sync_permissions.known(session, integration)
    (system,) = session.ask(_SYSTEM, {"system": integration})
    ((said,),) = session.ask(_RISKS)
    risks = load_risks(said) or Risks()
    found = rated(risks, Integration(integration, *system), found, permissions)
    return Discovery(
        integration,
        server,
        known,
        discovery.compare(_resources(session, integration, found), found),
        discovery.compare_permissions(called, found, permissions),
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
        for _, source, type_, name, path, risk, status, body, *keys, offered in rows:
            if offered not in same:
                same[offered] = _parsed(offered)
            stored = (type_, name, path, risk, status, body, keys, same[offered])
            item = there.get(source)
            active = status == ResourceStatus.ACTIVE
            yield KnownResource(source, path, active, item is not None and stored == _wanted(item))


def _wanted(item: Discovered) -> tuple[Any, ...]:
    body, tagged = _said_of(item)
    permissions = frozenset(item.permissions.items())
    active, keys = ResourceStatus.ACTIVE.value, [item.type.casefold(), tagged]
    return item.type, item.name, item.path, item.risk, active, body, keys, permissions


def _values_of(item: Discovered) -> list[tags.Value]:
    return tags.values_of(kept(item.tags), kept(item.context))


def _said_of(item: Discovered) -> tuple[dict[str, Any], str]:
    """Return the body of a resource, and what names its tags."""
    labels, context = kept(item.tags), kept(item.context)
    body = body_of(labels, context, item.policies, owner=item.owner, caveat=item.caveat)
    return body, tags.mark_of(labels, context)


def _parsed(offered: str | None) -> frozenset[tuple[str, int]]:
    pairs = (one.rpartition(_OF) for one in (offered or "").split(_APART) if one)
    return frozenset((permission, int(risk)) for permission, _, risk in pairs)


def _take_in_resources(
    tx: Write,
    *,
    taken: Discovery,
    some: Sequence[_Part],
    now: datetime,
    last: bool,
) -> None:
    tx.alone()
    system = taken.integration
    row = tx.execute(select(IntegrationRow).where(col(IntegrationRow.id) == system)).scalar_one()
    if row.server not in {taken.known, taken.server}:
        raise OtherServerError(row.name, system, row.server, taken.server)
    row.server = taken.server
    called = [one for one in some if isinstance(one, DiscoveredPermission)]
    if called:
        sync_permissions.store(tx, system, called)
    items = [one for one in some if isinstance(one, Discovered)]
    gone = [one for one in some if isinstance(one, str)]
    rows, touching = _store_resources(tx, row, items, gone)
    different: list[Fact] = [row, *rows] if rows or called else []
    for one in different:
        one.epoch = tx.epoch
    tx.flush()
    touched.note(tx, Touched(resources=touching))
    if last:
        _report(tx, taken, row.name, now)


def _report(tx: Write, taken: Discovery, name: str, now: datetime) -> None:
    """Say what came, went and changed: how much, and the first of it by its path."""
    said = taken.of.named
    if not said and not taken.permissions:
        return
    counted: dict[str, object] = {word: len(paths) for word, paths in said.items()}
    if taken.permissions:
        counted["permissions"] = len(taken.permissions)
    first = {word: list(paths[:NAMED]) for word, paths in said.items()}
    detail = {"integration": taken.integration, **counted, "first": first}
    audit.append(tx, [(None, AuditEntry("discovered", SYSTEM, detail))], now)
    if taken.of.large:
        alarm = alarms.much_is_gone(name, taken.integration, taken.of.went)
        tell_admins(tx, alarm.key, alarm.sentence, now)


def _store_resources(
    tx: Write, system: IntegrationRow, items: Sequence[Discovered], gone: Sequence[str]
) -> tuple[Collection[ResourceRow], set[int]]:
    """Return the rows, and those of which something is to be had no more, or that are another's."""
    of = {"system": system.id, "ids": [*(item.source_id for item in items), *gone]}
    rows = {row.source_id: row for row in tx.execute(_THESE_RESOURCES, of).scalars()}
    _put_aside(tx, rows, items)
    were = {source: _whose(row, system) for source, row in rows.items()}
    have: dict[int, dict[str, EntitlementRow]] = {}
    for had in tx.execute(_THEIR_ENTITLEMENTS, {"ids": [r.id for r in rows.values()]}).scalars():
        have.setdefault(had.resource_id, {})[had.permission] = had
    lost = {rows[source].id or 0 for source in gone}
    for source in gone:
        rows[source].status = ResourceStatus.GONE.value
    tagged = [item for item in items if _store(tx, rows, IntegrationId(system.id), item)]
    tx.flush()
    lost |= {rows[of].id or 0 for of, whose in were.items() if _whose(rows[of], system) != whose}
    tags.of_resources(tx, {rows[i.source_id].id or 0: _values_of(i) for i in tagged})
    batch.add(tx, EntitlementRow, _store_permissions(items, rows, have, lost))
    tx.flush()
    return rows.values(), lost


def _whose(row: ResourceRow, system: IntegrationRow) -> object:
    """Return what is said of whose a resource is."""
    tags = tags_of(row.body, "tags").get(system.owner_tag)
    return fields_of(row.body).get("owner"), tags


def _put_aside(tx: Write, rows: dict[str, ResourceRow], items: Iterable[Discovered]) -> None:
    """Take what is gone out of the way of other things that have its id now."""
    for item in items:
        row = rows.get(item.source_id)
        if row and discovery.is_another(row.status == ResourceStatus.ACTIVE, item):
            row.source_id = f"{item.source_id}{_ASIDE}{row.id}"
            del rows[item.source_id]
    tx.flush()  # before a new row has the id


def _store(
    tx: Write, rows: dict[str, ResourceRow], system: IntegrationId, item: Discovered
) -> bool:
    """Store a resource that is new or other than it was; return whether its tags are."""
    columns, row = _columns(item), rows.get(item.source_id)
    if row is None:
        columns |= {"integration_id": system, "source_id": item.source_id}
        rows[item.source_id] = ResourceRow(**columns)
        tx.add(rows[item.source_id])
        return bool(columns["tagged"])
    other = {name: value for name, value in columns.items() if getattr(row, name) != value}
    for name, value in other.items():
        setattr(row, name, value)
    return "tagged" in other


def _columns(item: Discovered) -> dict[str, Any]:
    body, tagged = _said_of(item)
    return {
        "type": item.type,
        "type_key": item.type.casefold(),
        "name": item.name,
        "name_key": item.name.casefold(),
        "path": item.path,
        "path_key": item.path.casefold(),
        "status": ResourceStatus.ACTIVE.value,
        "risk": item.risk,
        "tagged": tagged,
        "body": body,
    }


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
