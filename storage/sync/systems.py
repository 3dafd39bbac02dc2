"""Takes in connected systems, and which server gave the numbers of their resources."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlmodel import col

from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import audit, touched
from storage.bounds import parts
from storage.database import Read, Write
from storage.sync.step import Log, SyncStep
from storage.tables import IntegrationRow, ResourceRow
from storage.touched import Touched
from storage.types import among

SYSTEMS_AT_ONCE = 15
Listed = tuple[str, str, str, Mapping[str, Any]]  # id, name, kind, settings (secrets by reference)
_HOW_MANY = select(func.count()).where(
    col(ResourceRow.integration_id) == bindparam("system"),
    col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
)


def integrations(tx: Write, listed: Iterable[Listed], now: datetime) -> None:
    """Take in all connected systems in this one transaction, as `integration_steps` says."""
    tx.alone()
    for step in integration_steps(tx, listed, now):
        step(tx)


def integration_steps(session: Read, listed: Iterable[Listed], now: datetime) -> list[SyncStep]:
    """Compare connected systems with what is known; return what to do, each in its transaction.

    What is listed no more stays connected, so that what runs there ends; it offers nothing more.
    """
    known = {row.id: row for row in session.execute(select(IntegrationRow)).scalars()}
    # Settings as the store gives them back: a tuple would be different for ever.
    wanted = {id_: (id_, name, kind, _plain(body)) for id_, name, kind, body in listed}
    other = [of for id_, of in wanted.items() if id_ not in known or _is_other(known[id_], of)]
    gone = {
        id_: session.execute(_HOW_MANY, {"system": id_}).scalar_one()
        for id_, row in known.items()
        if id_ not in wanted and row.listed
    }
    take_in, most = partial(_take_in_systems, now=now), SYSTEMS_AT_ONCE
    return [
        *(partial(take_in, other=some, gone={}) for some in parts(other, most=most)),
        *(partial(take_in, other=(), gone=dict(some)) for some in parts(gone.items(), most=most)),
    ]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return plain


def _is_other(row: IntegrationRow, of: Listed) -> bool:
    _, name, kind, settings = of
    known = row.name, row.name_key, row.kind, row.body, row.listed
    return known != (name, name.casefold(), kind, settings, True)


def _take_in_systems(
    tx: Write, *, other: Sequence[Listed], gone: Mapping[str, int], now: datetime
) -> None:
    """`gone` says how much could be had there."""
    tx.alone()
    these = select(IntegrationRow).where(among(col(IntegrationRow.id), "ids"))
    ids = [*gone, *(of[0] for of in other)]
    known = {row.id: row for row in tx.execute(these, {"ids": ids}).scalars()}
    log: Log = []
    what = Touched()
    for of in other:
        id_, name, kind, settings = of
        row = known.get(id_)
        if row is None:
            row = IntegrationRow(id=id_, name=name, kind=kind, body=dict(settings))
            tx.add(row)
        elif _is_other(row, of):
            row.name, row.kind, row.body, row.listed = name, kind, dict(settings), True
        else:
            continue
        row.name_key = name.casefold()
        log.append((None, AuditEntry("integration_saved", SYSTEM, {"integration": id_})))
    for id_, there in gone.items():
        if known[id_].listed:
            known[id_].listed = False
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
