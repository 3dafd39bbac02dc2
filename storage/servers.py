"""Finds the things of a system again by name, where another server gave them other numbers.

It is done in steps, each in a transaction of its own, that may be begun anew at any time. Until the
last of them the inventory belongs to no server that there is, so that nothing is given by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Select, func, select
from sqlmodel import col

from engine import alarms, discovery
from engine.directory import PersonId
from engine.inventory import OWNER_TAG, IntegrationId, ResourceStatus
from engine.outcome import AuditEntry
from engine.port import Discovered, DiscoveredPermission
from storage import audit, batch, sync, touched
from storage.bounds import parts
from storage.codec import fields_of
from storage.database import Read, Write
from storage.tables import AccountRow, GrantRow, IntegrationRow, ResourceRow
from storage.touched import Touched
from storage.types import as_text

__all__ = ["Connection", "Plan", "closed", "connections", "known_as", "plan", "steps"]

AT_ONCE = 300  # resources in one transaction, which others wait for
_BETWEEN = " (being replaced)"

ServerStep = Callable[[Write], None]


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected system, as it is stored. `server` empty: it is not known yet."""

    id: IntegrationId
    name: str
    kind: str
    settings: Mapping[str, object]
    server: str
    listed: bool = True
    owner: str = ""
    owner_tag: str = OWNER_TAG


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting a server comes to: what is found again, what is gone, what is new."""

    integration: IntegrationId
    known: str
    server: str
    found: Sequence[Discovered]
    permissions: Sequence[DiscoveredPermission]
    numbers: Mapping[int, str]  # of the rows that are found again
    gone: tuple[str, ...]
    new: tuple[str, ...]
    accounts: int  # that hold something there, or are about to


def connections(session: Read) -> list[Connection]:
    """Return all connected systems, by their ids."""
    rows = session.execute(select(IntegrationRow).order_by(col(IntegrationRow.id))).scalars().all()
    for row in rows:
        if fields_of(row.body) is not row.body:
            session.unread.note(
                "integration",
                row.id,
                row.body,
                alarms.unread_settings(as_text(row.name), IntegrationId(as_text(row.id))),
            )
    return [
        Connection(
            IntegrationId(as_text(r.id)),
            as_text(r.name),
            as_text(r.kind),
            fields_of(r.body),
            as_text(r.server),
            r.listed,
            as_text(r.owner),
            as_text(r.owner_tag),
        )
        for r in rows
    ]


def known_as(server: str) -> str:
    """Return the server whose numbers the inventory has, or had before its acceptance began."""
    return server.removesuffix(_BETWEEN)


def closed(session: Read, system: Connection, found: Sequence[Discovered]) -> list[str]:
    """Name what could not be looked into although something is known there, and why."""
    query = select(col(ResourceRow.path)).where(
        col(ResourceRow.integration_id) == system.id,
        col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
    )
    return discovery.shut(session.execute(query).scalars(), found)


def plan(
    session: Read,
    system: Connection,
    server: str,
    found: Sequence[Discovered],
    permissions: Sequence[DiscoveredPermission] = (),
) -> Plan:
    """Look what would become of each thing. Nothing is changed."""
    # One that is gone is another thing than one that was made under its name since.
    active = select(col(ResourceRow.id), col(ResourceRow.type), col(ResourceRow.path)).where(
        col(ResourceRow.integration_id) == system.id,
        col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
    )
    rows = {(type_, path): id_ or 0 for id_, type_, path in session.execute(active)}
    again = discovery.renumber(rows, found)
    concerned = select(func.count()).select_from(_open_accounts(system.id).subquery())
    return Plan(
        system.id,
        known_as(system.server),
        server,
        found,
        permissions,
        again.numbers,
        again.gone,
        again.new,
        session.execute(concerned).scalar_one(),
    )


def steps(session: Read, of: Plan, by: PersonId, now: datetime) -> Iterator[ServerStep]:
    """Yield what is to be done, in this order."""
    yield partial(_begin, of=of)
    aside = f"@{of.known}"
    query = select(col(ResourceRow.id), col(ResourceRow.source_id)).where(
        col(ResourceRow.integration_id) == of.integration
    )
    # Two rows never have one number: the old ones go out of the way first, those of what is gone
    # for good, lest the new server's numbers be taken for them.
    old = {id_ or 0: source for id_, source in session.execute(query)}
    put_aside = {i: f"{s}{aside}" for i, s in old.items() if not s.endswith(aside)}
    for numbers in (put_aside, of.numbers):
        for some in parts(sorted(numbers.items()), most=AT_ONCE):
            yield partial(_number, numbers=some)
    # What cannot be looked into there has no numbers that are known.
    open_ = [item for item in of.found if not item.closed]
    between = f"{of.known}{_BETWEEN}"
    there = sync.differences(
        session,
        of.integration,
        open_,
        permissions=of.permissions,
        server=between,
        known=between,
    )
    yield from there.steps(now)
    yield partial(_finish, of=of, by=by, now=now)


def _begin(tx: Write, of: Plan) -> None:
    sync.belongs(tx, of.integration, f"{of.known}{_BETWEEN}")


def _number(tx: Write, numbers: Sequence[tuple[int, str]]) -> None:
    rows = [{"of": id_, "source_id": source} for id_, source in numbers]
    batch.change(tx, ResourceRow, rows, where={"id": "of"}, to=("source_id",))


def _finish(tx: Write, of: Plan, by: PersonId, now: datetime) -> None:
    sync.belongs(tx, of.integration, of.server)
    touched.note(tx, Touched(held_in={of.integration}))
    detail = {"integration": of.integration, "before": of.known, "server": of.server}
    audit.append(tx, [(None, AuditEntry("server_accepted", by, detail))], now)


def _open_accounts(integration: IntegrationId) -> Select[int]:
    return (
        select(col(GrantRow.account_id))
        .join(AccountRow, col(AccountRow.id) == col(GrantRow.account_id))
        .where(col(AccountRow.integration_id) == integration, col(GrantRow.open))
        .distinct()
    )
