"""Takes in connected systems, and which server gave the numbers of their resources."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, update
from sqlmodel import col

from engine.inventory import OWNER_TAG, IntegrationId, ResourceStatus
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


class Listed(NamedTuple):
    """A system as it is listed. Secrets in its settings are references."""

    id: str
    name: str
    kind: str
    settings: Mapping[str, Any]
    owner: str = ""  # a person's or a group's id
    owner_tag: str = OWNER_TAG


_HOW_MANY = select(func.count()).where(
    col(ResourceRow.integration_id) == bindparam("system"),
    col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
)


def integrations(tx: Write, listed: Iterable[Sequence[Any]], now: datetime) -> None:
    """Take in all connected systems in this one transaction, as `integration_steps` says."""
    tx.alone()
    for step in integration_steps(tx, listed, now):
        step(tx)


def integration_steps(
    session: Read, listed: Iterable[Sequence[Any]], now: datetime
) -> list[SyncStep]:
    """Compare connected systems with what is known; return what to do, each in its transaction.

    Each is `listed` as `Listed` has it, the end of which may be left out.
    What is listed no more stays connected, so that what runs there ends; it offers nothing more.
    """
    known = {row.id: row for row in session.execute(select(IntegrationRow)).scalars()}
    # Settings as the store gives them back: a tuple would be different for ever.
    these = (Listed(*of) for of in listed)
    wanted = {of.id: of._replace(settings=_plain(of.settings)) for of in these}
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
    known = row.name, row.name_key, row.kind, row.body, row.listed
    said = of.name, of.name.casefold(), of.kind, of.settings, True
    return known != said or _is_anothers(row, of)


def _is_anothers(row: IntegrationRow, of: Listed) -> bool:
    return (row.owner, row.owner_tag) != (of.owner, of.owner_tag)


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
        row = known.get(of.id)
        if row is None:
            row = IntegrationRow(id=of.id, name=of.name, kind=of.kind)
            tx.add(row)
        elif not _is_other(row, of):
            continue
        elif _is_anothers(row, of):
            what.systems.add(of.id)
        row.name, row.kind, row.body, row.listed = of.name, of.kind, dict(of.settings), True
        row.name_key, row.owner, row.owner_tag = of.name.casefold(), of.owner, of.owner_tag
        log.append((None, AuditEntry("integration_saved", SYSTEM, {"integration": of.id})))
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
