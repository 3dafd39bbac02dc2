"""Takes in what other systems say: people, flows, admins from manifests; resources; Slack accounts.

Each function takes a complete reading. What is missing from it is gone, and the requests that
depend on it wake in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlmodel import col

from engine.connectors.port import Discovered
from engine.directory import Group, Person, PersonId, PersonStatus
from engine.flow import Revision
from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import Entry
from engine.request import SYSTEM, AccountId
from storage import apply, audit, batch
from storage.codec import dump_person, dump_revision, load_revision
from storage.database import Read, Write
from storage.tables import (
    LIVE,
    AuditHead,
    Company,
    EntitlementRow,
    FlowRevisionRow,
    FlowRow,
    GrantRow,
    GroupRow,
    IntegrationRow,
    PersonRow,
    RequestRow,
    ResourceRow,
)

Log = list[tuple[None, Entry]]


class OtherServerError(Exception):
    """Another server answers than the one whose numbers the inventory has. Nothing was changed."""

    def __init__(self, name: str, integration: IntegrationId, known: str, found: str) -> None:
        super().__init__(
            f"{name}: another server answers at its address ({found or 'without a name'}) than the "
            f"one that Latchkey knows ({known}). No new access is given there, and nothing of what "
            "it has is taken in; access that has to end ends. If a rebuild, an upgrade or a "
            f"switch-over is why, accept it: latchkey integrations accept {integration}"
        )


class TooMuchError(Exception):
    """A sync would take away too much at once: more than 5 people and more than 5 %.

    It is held; nothing was changed. `losing` are those concerned.
    """

    def __init__(self, losing: Sequence[str], active: int) -> None:
        self.losing = tuple(losing)
        super().__init__(
            f"{len(losing)} of {active} people would be deactivated or dropped from groups"
        )


def ensure_rows(tx: Write) -> None:
    """Make the rows that are there exactly once."""
    batch.add(tx, Company, [{"id": 1, "epoch": 0, "paused": False, "admins": []}], key=("id",))
    batch.add(tx, AuditHead, [{"id": 1, "seq": 0, "hash": ""}], key=("id",))


def people(
    tx: Write,
    listed: Sequence[Person],
    groups: Iterable[Group],
    now: datetime,
    *,
    held: bool = True,
) -> None:
    """Take in everybody; who is no longer listed becomes inactive. Slack ties stay as they are.

    Raises TooMuchError, unless `held` is False: an admin has confirmed.
    """
    _alone(tx)
    rows = {r.id: r for r in tx.execute(select(PersonRow)).scalars()}
    stays = {p.id for p in listed}
    active = [r for r in rows.values() if r.status != PersonStatus.INACTIVE]
    leaving = [r for r in active if r.id not in stays]
    dropped = [p.id for p in listed if p.id in rows and _loses(rows[p.id], p)]
    losing = sorted([*(row.id for row in leaving), *dropped])
    if held and len(losing) > 5 and len(losing) * 20 > len(active):
        raise TooMuchError(losing, len(active))
    changed = [p.id for p in listed if _store_person(tx, rows.get(p.id), p)]
    for row in leaving:
        row.status = PersonStatus.INACTIVE.value
        row.body = {**row.body, "status": row.status}
        changed.append(PersonId(row.id))
    known = {g.id: (g.source, g.name) for g in tx.execute(select(GroupRow)).scalars()}
    wanted = {str(g.id): (g.source, g.name) for g in groups}
    if known != wanted:
        tx.execute(delete(GroupRow))
        named = [{"id": id_, "source": s, "name": n} for id_, (s, n) in sorted(wanted.items())]
        if named:
            tx.execute(insert(GroupRow), named)
    if changed or known != wanted:
        _new_epoch(tx)
        _wake(tx, now)
        detail = {"changed": len(changed), "left": [r.id for r in leaving]}
        audit.append(tx, [(None, Entry("people_synced", SYSTEM, detail))], now)


def tie(tx: Write, ties: Iterable[tuple[PersonId, str, str]], now: datetime) -> None:
    """Tie Slack accounts (person, Slack user id, email there) to people who have none.

    A tie that was suspended waits for an admin, on both sides. An account has one person.
    """
    _alone(tx)
    log: Log = []
    taken = {
        account
        for accounts in tx.execute(select(col(PersonRow.suspended), col(PersonRow.slack)))
        for account in accounts
    }
    for person, slack, email in sorted(ties):
        if slack in taken:
            continue
        tied = tx.execute(
            update(PersonRow)
            .where(
                col(PersonRow.id) == person,
                col(PersonRow.slack).is_(None),
                col(PersonRow.suspended).is_(None),
            )
            .values(slack=slack, slack_email=email)
            .returning(col(PersonRow.id))
        ).scalar()
        if tied:
            log.append((None, Entry("tied", SYSTEM, {"person": person, "slack": slack})))
    if log:
        _new_epoch(tx)
        _wake(tx, now)
        audit.append(tx, log, now)


def untie(tx: Write, person: PersonId, why: str, now: datetime) -> None:
    """Suspend a tie: until an admin has looked, the Slack account is no one."""
    _alone(tx)
    untied: Any = tx.execute(
        update(PersonRow)
        .where(col(PersonRow.id) == person, col(PersonRow.slack).is_not(None))
        .values(suspended=col(PersonRow.slack), slack=None, channel=None)
    )
    if not untied.rowcount:
        return
    _new_epoch(tx)
    _wake(tx, now)
    audit.append(tx, [(None, Entry("untied", SYSTEM, {"person": person, "why": why}))], now)


def confirm(tx: Write, person: PersonId, by: PersonId, now: datetime) -> None:
    """Let a suspended tie be made anew: an admin has looked who it is."""
    tx.execute(update(PersonRow).where(col(PersonRow.id) == person).values(suspended=None))
    audit.append(tx, [(None, Entry("tie_confirmed", by, {"person": person}))], now)


def administrators(tx: Write, admins: Iterable[PersonId], now: datetime) -> None:
    _alone(tx)
    wanted = sorted(admins)
    if tx.execute(select(col(Company.admins))).scalar_one() == wanted:
        return
    tx.execute(update(Company).values(admins=wanted))
    _new_epoch(tx)
    _wake(tx, now)
    audit.append(tx, [(None, Entry("admins_changed", SYSTEM, {"admins": wanted}))], now)


def pause(tx: Write, by: PersonId, now: datetime, *, paused: bool) -> bool:
    """Begin no new access, or begin it again. Revoking goes on. False: it was so already."""
    _alone(tx)
    if tx.execute(select(col(Company.paused))).scalar_one() == paused:
        return False
    tx.execute(update(Company).values(paused=paused))
    _new_epoch(tx)
    if not paused:
        waiting = select(col(GrantRow.account_id)).where(col(GrantRow.state) == "wanted").distinct()
        if accounts := [AccountId(id_) for id_ in tx.execute(waiting).scalars()]:
            apply.bump(tx, accounts, now)
    action = "paused" if paused else "resumed"
    audit.append(tx, [(None, Entry(action, by))], now)
    return True


def flows(tx: Write, listed: Iterable[tuple[Revision, bool]], now: datetime) -> None:
    """Take in flows by name: each change makes a revision; what is not listed is deleted."""
    _alone(tx)
    rows = {r.name: r for r in tx.execute(select(FlowRow)).scalars()}
    log: Log = []
    seen: set[str] = set()
    for revision, active in listed:
        name = revision.name.casefold()
        seen.add(name)
        row = rows.get(name)
        body = dump_revision(revision)
        if row is None:
            row = FlowRow(name=name, revision=1, active=active)
            tx.add(row)
            tx.flush()
            log += _save_revision(tx, row, body, now)
            continue
        stored = tx.get_one(FlowRevisionRow, (row.id, row.revision)).body
        # As values: a set has another order in each process.
        if load_revision(stored) != revision or row.deleted:
            row.revision += 1
            log += _save_revision(tx, row, body, now)
        if (row.active, row.deleted) != (active, False):
            row.active, row.deleted = active, False
            action = "flow_enabled" if active else "flow_disabled"
            log.append((None, Entry(action, SYSTEM, {"flow": name})))
    for name, row in rows.items():
        if name not in seen and not row.deleted:
            row.deleted = True
            log.append((None, Entry("flow_deleted", SYSTEM, {"flow": name})))
    if log:
        _new_epoch(tx)
        _wake(tx, now)
        tx.flush()
        audit.append(tx, log, now)


def integrations(tx: Write, listed: Iterable[tuple[str, str, str, Mapping[str, Any]]]) -> None:
    """Take in connected systems: id, name, kind, settings (secrets only as references)."""
    rows: list[dict[str, object]] = [
        {
            "id": id_,
            "name": name,
            "kind": kind,
            "version": 0,
            "server": "",
            "body": dict(settings),
        }
        for id_, name, kind, settings in listed
    ]
    batch.add(tx, IntegrationRow, rows, key=("id",), change=("name", "kind", "body"))


def server_of(session: Read, integration: IntegrationId) -> str:
    """Return which server gave the numbers of a system's resources; empty: it is not known yet."""
    known = select(col(IntegrationRow.server)).where(col(IntegrationRow.id) == integration)
    server: str = session.execute(known).scalar_one()
    return server


def inventory(
    tx: Write,
    integration: IntegrationId,
    found: Sequence[Discovered],
    now: datetime,
    *,
    server: str = "",
) -> None:
    """Take in all resources of one system. What is not found is gone, until its id comes back.

    Raises OtherServerError where their numbers are another server's than those that are known. The
    first that is taken in is the one that is known from then on.
    """
    row = tx.execute(
        select(IntegrationRow).where(col(IntegrationRow.id) == integration).with_for_update()
    ).scalar_one()
    if row.server not in {"", server}:
        raise OtherServerError(row.name, integration, row.server, server)
    if row.server != server:
        belongs(tx, integration, server)
    audit.append(tx, take_in(tx, integration, found, now), now)


def belongs(tx: Write, integration: IntegrationId, server: str) -> None:
    """Store which server gave the numbers of a system's resources."""
    of = update(IntegrationRow).where(col(IntegrationRow.id) == integration)
    tx.execute(of.values(server=server))
    _new_epoch(tx)


def take_in(
    tx: Write, integration: IntegrationId, found: Sequence[Discovered], now: datetime
) -> Log:
    """Take in all resources of a system; return what the audit is to say, last of all."""
    known = {
        r.source_id: r
        for r in tx.execute(
            select(ResourceRow).where(col(ResourceRow.integration_id) == integration)
        ).scalars()
    }
    have: dict[int, dict[str, EntitlementRow]] = {}
    for entitlement in tx.execute(
        select(EntitlementRow)
        .join(ResourceRow, col(ResourceRow.id) == col(EntitlementRow.resource_id))
        .where(col(ResourceRow.integration_id) == integration)
    ).scalars():
        have.setdefault(entitlement.resource_id, {})[entitlement.permission] = entitlement
    gone = {source for source, row in known.items() if row.status == ResourceStatus.ACTIVE}
    fresh: list[ResourceRow] = []
    for item in found:
        gone.discard(item.source_id)
        row = known.get(item.source_id)
        body: dict[str, Any] = {"tags": {k: list(v) for k, v in sorted(item.tags.items())}}
        if item.caveat:
            body["caveat"] = item.caveat
        if row is None:
            fresh.append(
                ResourceRow(
                    integration_id=integration,
                    source_id=item.source_id,
                    type=item.type,
                    name=item.name,
                    path=item.path,
                    name_key=item.name.casefold(),
                    path_key=item.path.casefold(),
                    status=ResourceStatus.ACTIVE.value,
                    risk=item.risk,
                    body=body,
                )
            )
            continue
        row.type, row.name, row.path, row.risk = item.type, item.name, item.path, item.risk
        row.name_key, row.path_key = item.name.casefold(), item.path.casefold()
        row.status = ResourceStatus.ACTIVE.value
        if row.body != body:
            row.body = body
    for source in gone:
        known[source].status = ResourceStatus.GONE.value
    changed = bool(fresh) or any(tx.is_modified(row) for row in known.values())
    tx.add_all(fresh)
    tx.flush()
    rows = {**known, **{r.source_id: r for r in fresh}}
    if _store_permissions(tx, found, rows, have) or changed:
        newer = update(IntegrationRow).where(col(IntegrationRow.id) == integration)
        tx.execute(newer.values(version=col(IntegrationRow.version) + 1))
        _new_epoch(tx)
    if gone:
        _wake(tx, now)
    if not (gone or fresh):
        return []
    detail = {"integration": integration, "new": len(fresh), "gone": len(gone)}
    return [(None, Entry("discovered", SYSTEM, detail))]


def _store_permissions(
    tx: Write,
    found: Sequence[Discovered],
    rows: Mapping[str, ResourceRow],
    have: Mapping[int, Mapping[str, EntitlementRow]],
) -> bool:
    """Store what can be had on each resource; tell whether anything is different."""
    new, changed = [], False
    for item in found:
        resource = rows[item.source_id].id or 0
        for permission, risk in item.permissions.items():
            row = have.get(resource, {}).get(permission)
            if row is None:
                new.append({"resource_id": resource, "permission": permission, "risk": risk})
            else:
                changed = changed or row.risk != risk
                row.risk = risk
    if new:
        tx.execute(insert(EntitlementRow), new)
    return changed or bool(new)


def _save_revision(tx: Write, row: FlowRow, body: dict[str, Any], now: datetime) -> Log:
    tx.add(FlowRevisionRow(flow_id=row.id or 0, number=row.revision, saved_at=now, body=body))
    detail = {"flow": row.name, "revision": row.revision}
    return [(None, Entry("flow_saved", SYSTEM, detail))]


def _store_person(tx: Write, row: PersonRow | None, person: Person) -> bool:
    body = dump_person(replace(person, slack=None))
    if row is None:
        row = PersonRow(id=person.id, email=person.email, status=person.status.value, body=body)
        tx.add(row)
        return True
    if row.body == body:
        return False
    if row.slack and row.email.casefold() != person.email.casefold():
        # A changed address might be somebody else's: who it is has to be confirmed again.
        row.suspended, row.slack, row.channel = row.slack, None, None
    row.email, row.status, row.body = person.email, person.status.value, body
    return True


def _loses(row: PersonRow, person: Person) -> bool:
    if row.status == PersonStatus.INACTIVE:
        return False
    dropped = set(row.body["groups"]) - person.groups
    return person.status is PersonStatus.INACTIVE or bool(dropped)


def _alone(tx: Write) -> None:
    """Let one go on at a time: each compares with what is there, and stores the difference."""
    tx.execute(select(col(Company.id)).with_for_update())


def _new_epoch(tx: Write) -> None:
    tx.execute(update(Company).values(epoch=col(Company.epoch) + 1))


def _wake(tx: Write, now: datetime) -> None:
    """Have every live request look again at what is true."""
    later = or_(col(RequestRow.wake_at).is_(None), col(RequestRow.wake_at) > now)
    asleep = select(col(RequestRow.id)).where(text(LIVE), later).order_by(col(RequestRow.id))
    in_order = asleep.with_for_update()  # as everybody locks requests
    tx.execute(update(RequestRow).where(col(RequestRow.id).in_(in_order)).values(wake_at=now))
    tx.wake("clock")


def counts(tx: Write) -> dict[str, int]:
    """Return how many people, flows and resources are stored."""
    tables = {"people": PersonRow, "flows": FlowRow, "resources": ResourceRow}
    return {
        name: tx.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in tables.items()
    }
