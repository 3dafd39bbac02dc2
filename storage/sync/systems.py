"""Takes in connected systems, and which server gave the numbers of their resources."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlmodel import col

from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import audit, touched
from storage.database import Read, Write
from storage.sync.step import Log
from storage.tables import IntegrationRow, ResourceRow
from storage.touched import Touched

_HOW_MANY = select(func.count()).where(
    col(ResourceRow.integration_id) == bindparam("system"),
    col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
)


def integrations(
    tx: Write, listed: Iterable[tuple[str, str, str, Mapping[str, Any]]], now: datetime
) -> None:
    """Take in connected systems: id, name, kind, settings (secrets only as references).

    What is listed no more stays connected, so that what runs there ends; it offers nothing more.
    """
    tx.alone()
    known = {row.id: row for row in tx.execute(select(IntegrationRow)).scalars()}
    wanted = {id_: (name, kind, dict(settings)) for id_, name, kind, settings in listed}
    log: Log = []
    what = Touched()
    for id_, (name, kind, body) in wanted.items():
        row = known.get(id_)
        if row is None:
            tx.add(IntegrationRow(id=id_, name=name, kind=kind, body=body))
        elif (row.name, row.kind, row.body, row.listed) != (name, kind, body, True):
            row.name, row.kind, row.body, row.listed = name, kind, body, True
        else:
            continue
        log.append((None, AuditEntry("integration_saved", SYSTEM, {"integration": id_})))
    for id_, row in known.items():
        if id_ not in wanted and row.listed:
            row.listed = False
            there = tx.execute(_HOW_MANY, {"system": id_}).scalar_one()
            detail = {"integration": id_, "gone": there}
            log.append((None, AuditEntry("integration_dropped", SYSTEM, detail)))
            what.systems.add(id_)
    if log:
        tx.flush()
        touched.note(tx, what)
        audit.append(tx, log, now)


def server_of(session: Read, integration: IntegrationId) -> str:
    """Return which server gave the numbers of a system's resources; empty: it is not known yet."""
    known = select(col(IntegrationRow.server)).where(col(IntegrationRow.id) == integration)
    server: str = session.execute(known).scalar_one()
    return server


def belongs(tx: Write, integration: IntegrationId, server: str) -> None:
    """Store which server gave the numbers of a system's resources."""
    of = update(IntegrationRow).where(col(IntegrationRow.id) == integration)
    tx.execute(of.values(server=server))
