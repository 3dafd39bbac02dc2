"""Takes in what other systems say: people, flows, admins from manifests; resources; Slack accounts.

Each function takes a complete reading. What is missing from it is gone, and the requests that
depend on it wake in the same transaction.
"""

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, text, true, update
from sqlmodel import col

from engine import alarms
from engine.alarms import Said
from engine.directory import Account, Group, Person, PersonId, PersonStatus, address
from engine.errors import LatchkeyError
from engine.flow import Revision
from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import Entry
from engine.port import Discovered
from engine.request import SYSTEM, AccountId
from storage import apply, audit, batch
from storage.codec import (
    dump_account,
    dump_person,
    dump_revision,
    fields_of,
    load_account,
    load_person,
    load_revision,
    with_fields,
)
from storage.company import formerly
from storage.database import Read, Write
from storage.tables import (
    LIVE,
    AccountRow,
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
from storage.types import among

AT_ONCE = 200  # people in one transaction, which others wait for
Log = list[tuple[None, Entry]]
Step = Callable[[Write], None]
Lost = dict[str, str]  # by the id of who it was: what the admins are to know
_FREE = (
    select(col(PersonRow.id))
    .where(
        among(col(PersonRow.id), "ids"),
        col(PersonRow.slack).is_(None),
        col(PersonRow.suspended).is_(None),
        col(PersonRow.successor).is_(None),
    )
    .order_by(col(PersonRow.id))
)
_TAKEN = select(col(PersonRow.slack), col(PersonRow.suspended)).where(
    or_(among(col(PersonRow.slack), "users"), among(col(PersonRow.suspended), "users"))
)
_THESE_GROUPS = delete(GroupRow).where(among(col(GroupRow.id), "ids"))
_THESE = select(PersonRow).where(among(col(PersonRow.id), "ids")).order_by(col(PersonRow.id))


class OtherServerError(LatchkeyError):
    """Another server answers than the one whose numbers the inventory has. Nothing was changed."""

    def __init__(self, name: str, integration: IntegrationId, known: str, found: str) -> None:
        super().__init__(alarms.other_server(name, integration, known, found))


class TooMuchError(LatchkeyError):
    """A sync would take away too much at once: more than 5 people and more than 5 %.

    It is held; nothing was changed. `losing` are those concerned.
    """

    def __init__(self, losing: Sequence[str], active: int) -> None:
        self.losing = tuple(losing)
        super().__init__(alarms.too_much(len(losing), active))


def ensure_rows(tx: Write) -> None:
    """Make the rows that are there exactly once."""
    company = {
        "id": 1,
        "epoch": 0,
        "paused": False,
        "syncing": False,
        "requests_from": 1,
        "admins": [],
    }
    batch.add(tx, Company, [company], key=("id",))
    batch.add(tx, AuditHead, [{"id": 1, "seq": 0, "hash": "", "mac": ""}], key=("id",))


@dataclass(frozen=True, slots=True)
class Intake:
    """What is different in a reading of everybody: who has changed, who is listed no more."""

    changed: Sequence[Person]
    left: Sequence[PersonId]
    moved: Mapping[PersonId, str]  # the new addresses
    groups: Mapping[str, tuple[str, str]]
    gone: Collection[str]  # groups
    regrouped: bool
    broken_off: bool  # the intake before did not come to its end

    @property
    def size(self) -> int:
        """Of how many people something is new."""
        return len(self.changed) + len(self.left)

    @property
    def differs(self) -> bool:
        return self.size > 0 or self.regrouped

    def steps(self, now: datetime, *, whole: bool = True) -> list[Step]:
        """Return what to do, each in a transaction of its own. Not `whole`: more is to come.

        Between two of them each person is as they were or as they will be, and the groups of all
        who are there are known: groups come before their members, and go after. Who loses something
        comes first. Requests are woken by the last; where it was never reached, the next intake
        makes up for it.
        """
        everybody: list[PersonId | Person] = [*self.left, *self.changed]
        some = [everybody[at : at + AT_ONCE] for at in range(0, len(everybody), AT_ONCE)]
        if not some and (self.regrouped or self.broken_off):
            some = [[]]
        last = len(some) - 1
        return [
            partial(
                _take_in, intake=self, some=part, now=now, first=n == 0, last=n == last, whole=whole
            )
            for n, part in enumerate(some)
        ]


def people(
    tx: Write,
    listed: Sequence[Person],
    groups: Iterable[Group],
    now: datetime,
    *,
    held: bool = True,
) -> int:
    """Take in everybody in this one transaction, and return of how many something is new.

    Raises TooMuchError, as `compare` does.
    """
    alone(tx)
    intake = compare(tx, listed, groups, held=held)
    for step in intake.steps(now):
        step(tx)
    return intake.size


def broken_off(session: Read) -> bool:
    """Whether an intake was begun that has not come to its end: what is known is a mix."""
    return bool(session.execute(select(col(Company.syncing))).scalar_one())


def begin(tx: Write) -> None:
    """Note that an intake has begun, until `end`."""
    alone(tx)
    tx.execute(update(Company).values(syncing=True))


def end(tx: Write) -> None:
    tx.execute(update(Company).values(syncing=False))


def wake(tx: Write, now: datetime) -> None:
    """Have what depends on people look again, where an intake that woke nobody was broken off."""
    alone(tx)
    if broken_off(tx):
        _wake(tx, now)


def compare(
    session: Read, listed: Sequence[Person], groups: Iterable[Group], *, held: bool = True
) -> Intake:
    """Compare everybody with what is known.

    Who is no longer listed becomes inactive. Slack ties stay as they are. Whoever has a new id is
    listed by the one that is known, until it is carried over (`storage.succession`).

    Raises TooMuchError, unless `held` is False: an admin has confirmed.
    """
    rows = {r.id: r for r in session.execute(select(PersonRow)).scalars()}
    stays = {p.id for p in listed}
    active = [r for r in rows.values() if r.status != PersonStatus.INACTIVE]
    leaving = [PersonId(r.id) for r in active if r.id not in stays]
    dropped = {p.id for p in listed if p.id in rows and _loses(rows[p.id], p)}
    losing = sorted([*leaving, *dropped])
    if held and len(losing) > 5 and len(losing) * 20 > len(active):
        raise TooMuchError(losing, len(active))
    changed = [p for p in listed if not _is_past(rows.get(p.id), p) and _differs(rows.get(p.id), p)]
    known = {g.id: (g.source, g.name) for g in session.execute(select(GroupRow)).scalars()}
    wanted = {str(g.id): (g.source, g.name) for g in groups}
    return Intake(
        sorted(changed, key=lambda p: p.id not in dropped),
        leaving,
        {p.id: p.email for p in changed if p.id in rows and _has_moved(rows[p.id], p)},
        wanted,
        known.keys() - wanted.keys(),
        regrouped=known != wanted,
        broken_off=broken_off(session),
    )


def _take_in(
    tx: Write,
    *,
    intake: Intake,
    some: Sequence[PersonId | Person],
    now: datetime,
    first: bool,
    last: bool,
    whole: bool,
) -> None:
    alone(tx)
    if first:
        _add_groups(tx, intake.groups)
        _give_up_addresses(tx, intake.moved)
    ids = [one.id if isinstance(one, Person) else one for one in some]
    rows = {row.id: row for row in tx.execute(_THESE, {"ids": ids}).scalars()}
    burdened = _burdened(tx, [id_ for id_ in ids if id_ in intake.moved])
    lost: Lost = {}
    for one in some:
        if isinstance(one, Person):
            _store_person(tx, rows.get(one.id), one, now, lost, burdened=burdened)
        else:
            _let_go(rows[one], now)
    tx.flush()
    _tell_of(tx, lost, now)
    tx.execute(update(Company).values(syncing=not (last and whole)))
    new_epoch(tx)
    if last:
        tx.execute(_THESE_GROUPS, {"ids": list(intake.gone)})
        _wake(tx, now)
        detail = {"changed": intake.size, "left": list(intake.left)}
        audit.append(tx, [(None, Entry("people_synced", SYSTEM, detail))], now)


def _add_groups(tx: Write, groups: Mapping[str, tuple[str, str]]) -> None:
    rows = [{"id": id_, "source": s, "name": n} for id_, (s, n) in sorted(groups.items())]
    batch.add(tx, GroupRow, rows, key=("id",), change=("source", "name"))


def _let_go(row: PersonRow, now: datetime) -> None:
    if row.status != PersonStatus.INACTIVE:
        row.status, row.void_until = PersonStatus.INACTIVE.value, now
        row.body = with_fields(row.body, {"status": row.status})


def tie(tx: Write, ties: Mapping[PersonId, Account], now: datetime) -> int:
    """Tie Slack accounts to people who have none, and return how many were tied.

    A tie that was suspended waits for an admin, on both sides. An account has one person.
    """
    alone(tx)
    users = [account.user for account in ties.values()]
    given = {"ids": list(ties), "users": users}
    taken = {user for pair in tx.ask(_TAKEN, given) for user in pair}
    free = {id_: ties[PersonId(id_)] for (id_,) in tx.ask(_FREE, given)}
    rows = [
        {"of": id_, "slack": account.user, "account": dump_account(account)}
        for id_, account in free.items()
        if account.user not in taken
    ]
    batch.change(tx, PersonRow, rows, where={"id": "of"}, to=("slack", "account"))
    log = [Entry("tied", SYSTEM, {"person": r["of"], "slack": r["slack"]}) for r in rows]
    changed(tx, log, now)
    if guests := [id_ for id_, account in ties.items() if account.guest and id_ in free]:
        void(tx, guests, now)  # they may have been a member until the tie before was suspended
    return len(rows)


def suspend(tx: Write, broken: Mapping[PersonId, tuple[str, str]], now: datetime) -> None:
    """Suspend ties: until an admin has looked, the Slack account is no one.

    `broken` says for each person the account's user id, and why. The admins are told, where it is
    somebody who has not left.
    """
    alone(tx)
    log: list[Entry] = []
    lost: Lost = {}
    for row in tx.execute(_THESE, {"ids": list(broken)}).scalars():
        user, why = broken[PersonId(row.id)]
        if row.suspended is None and row.slack in {None, user}:
            _suspend(row, user, lost, alarms.untied(_name(row), row.email, why))
            log.append(Entry("untied", SYSTEM, {"person": row.id, "why": why}))
    _tell_of(tx, lost, now)
    changed(tx, log, now)


def regrade(tx: Write, guests: Mapping[PersonId, bool], now: datetime) -> None:
    """Take in who has become a guest in Slack (True), or a full member again.

    A guest decides nothing; what they had approved, and is not decided yet, is void for good.
    """
    alone(tx)
    log: list[Entry] = []
    for row in tx.execute(_THESE, {"ids": list(guests)}).scalars():
        guest = guests[PersonId(row.id)]
        tied = load_account(row.account)
        if tied and tied.guest is not guest:
            row.account = dump_account(replace(tied, guest=guest))
            row.void_until = now if guest else row.void_until
            grade = "became_guest" if guest else "became_member"
            log.append(Entry(grade, SYSTEM, {"person": row.id}))
    changed(tx, log, now)


def void(tx: Write, people: Iterable[PersonId], now: datetime) -> None:
    """Let what they approved, and is not decided yet, count no more: they were no full member."""
    alone(tx)
    log: list[Entry] = []
    for row in tx.execute(_THESE, {"ids": list(people)}).scalars():
        row.void_until = now
        log.append(Entry("approvals_void", SYSTEM, {"person": row.id}))
    changed(tx, log, now)


def confirm(tx: Write, person: PersonId, by: PersonId, now: datetime) -> None:
    """Let a suspended tie be made anew: an admin has looked who it is."""
    alone(tx)
    cleared: dict[str, object] = {"suspended": None, "former": None}
    for row in tx.execute(_THESE, {"ids": [person]}).scalars():
        if row.account is not None and load_account(row.account) is None:
            cleared |= {"slack": None, "account": None}  # what Slack said cannot be read
    tx.execute(update(PersonRow).where(col(PersonRow.id) == person).values(cleared))
    theirs = col(GrantRow.account_id).in_(
        select(col(AccountRow.id)).where(col(AccountRow.person_id) == person)
    )
    _begin_what_waited(tx, theirs, now)
    changed(tx, [Entry("tie_confirmed", by, {"person": person})], now)


def _suspend(row: PersonRow, user: str, lost: Lost, said: str) -> None:
    row.suspended, row.slack, row.account, row.channel = user, None, None, None
    if row.status != PersonStatus.INACTIVE:
        lost[row.id] = said


def _tell_of(tx: Write, lost: Lost, now: datetime) -> None:
    """Tell the admins of whom it is not sure any more who they are, all in one message."""
    if lost:
        said = alarms.suspended(lost.values(), min(lost), now)
        tell_admins(tx, said.key, said.sentence, now)


def tell_admins(tx: Write, key: str, sentence: str, now: datetime) -> None:
    """Say something to all admins who may decide anything, once for each key."""
    ids = formerly(tx)
    named = [ids.get(PersonId(a), a) for a in tx.execute(select(col(Company.admins))).scalar_one()]
    rows = tx.execute(_THESE, {"ids": named}).scalars()
    people = ((PersonId(r.id), load_person(r.body, r.account)) for r in rows)
    able = [id_ for id_, person in people if person and person.may_ask]
    apply.tell(tx, apply.alarm(able, Said(key, sentence)), now)


def changed(tx: Write, log: Sequence[Entry], now: datetime) -> None:
    if log:
        tx.flush()
        new_epoch(tx)
        _wake(tx, now)
        audit.append(tx, [(None, entry) for entry in log], now)


def administrators(tx: Write, admins: Iterable[PersonId], now: datetime) -> None:
    alone(tx)
    wanted = sorted(admins)
    if tx.execute(select(col(Company.admins))).scalar_one() == wanted:
        return
    tx.execute(update(Company).values(admins=wanted))
    new_epoch(tx)
    _wake(tx, now)
    audit.append(tx, [(None, Entry("admins_changed", SYSTEM, {"admins": wanted}))], now)


def pause(tx: Write, by: PersonId, now: datetime, *, paused: bool) -> bool:
    """Begin no new access, or begin it again. Revoking goes on. False: it was so already."""
    alone(tx)
    if tx.execute(select(col(Company.paused))).scalar_one() == paused:
        return False
    tx.execute(update(Company).values(paused=paused))
    new_epoch(tx)
    if not paused:
        _begin_what_waited(tx, true(), now)
    action = "paused" if paused else "resumed"
    audit.append(tx, [(None, Entry(action, by))], now)
    return True


def _begin_what_waited(tx: Write, of: ColumnElement[bool], now: datetime) -> None:
    waiting = select(col(GrantRow.account_id)).where(col(GrantRow.state) == "wanted", of).distinct()
    if accounts := [AccountId(id_) for id_ in tx.execute(waiting).scalars()]:
        apply.bump(tx, accounts, now)


def flows(tx: Write, listed: Iterable[tuple[Revision, bool]], now: datetime) -> None:
    """Take in flows by name: each change makes a revision; what is not listed is deleted."""
    alone(tx)
    rows = {r.name: r for r in tx.execute(select(FlowRow)).scalars()}
    ids = formerly(tx)
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
        stored = tx.get(FlowRevisionRow, (row.id, row.revision))
        known = load_revision(stored.body) if stored else None
        # As values: a set has another order in each process.
        if known is None or known.renamed(ids) != revision or row.deleted:
            row.revision = _newest_revision(tx, row) + 1
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
        new_epoch(tx)
        _wake(tx, now)
        tx.flush()
        audit.append(tx, log, now)


def _newest_revision(tx: Write, row: FlowRow) -> int:
    newest = select(func.max(col(FlowRevisionRow.number))).where(
        col(FlowRevisionRow.flow_id) == row.id
    )
    return max(row.revision, tx.execute(newest).scalar() or 0)


def integrations(
    tx: Write, listed: Iterable[tuple[str, str, str, Mapping[str, Any]]], now: datetime
) -> None:
    """Take in connected systems: id, name, kind, settings (secrets only as references).

    What is listed no more stays connected, so that what runs there ends; it offers nothing more.
    """
    alone(tx)
    known = {row.id: row for row in tx.execute(select(IntegrationRow)).scalars()}
    wanted = {id_: (name, kind, dict(settings)) for id_, name, kind, settings in listed}
    log: Log = []
    for id_, (name, kind, body) in wanted.items():
        row = known.get(id_)
        if row is None:
            tx.add(IntegrationRow(id=id_, name=name, kind=kind, version=0, body=body))
        elif (row.name, row.kind, row.body, row.listed) != (name, kind, body, True):
            row.name, row.kind, row.body, row.listed = name, kind, body, True
        else:
            continue
        log.append((None, Entry("integration_saved", SYSTEM, {"integration": id_})))
    for id_, row in known.items():
        if id_ not in wanted and row.listed:
            row.listed = False
            log.append((None, Entry("integration_dropped", SYSTEM, {"integration": id_})))
            tx.flush()
            log += take_in(tx, IntegrationId(id_), [], now)
    if log:
        tx.flush()
        new_epoch(tx)
        audit.append(tx, log, now)


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
    audit.append(tx, take_in(tx, integration, found if row.listed else [], now), now)


def belongs(tx: Write, integration: IntegrationId, server: str) -> None:
    """Store which server gave the numbers of a system's resources."""
    of = update(IntegrationRow).where(col(IntegrationRow.id) == integration)
    tx.execute(of.values(server=server))
    new_epoch(tx)


def take_in(
    tx: Write, integration: IntegrationId, found: Sequence[Discovered], now: datetime
) -> Log:
    """Take in all resources of a system; return what the audit is to say, last of all.

    What could not be looked into stays as it is known, and all that is below it.
    """
    closed = tuple(f"{item.path}/" for item in found if item.closed)
    found = [item for item in found if not item.closed]
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
    gone = {
        source
        for source, row in known.items()
        if row.status == ResourceStatus.ACTIVE and not f"{row.path}/".startswith(closed)
    }
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
    different, lost = _store_permissions(tx, found, rows, have)
    if different or changed:
        newer = update(IntegrationRow).where(col(IntegrationRow.id) == integration)
        tx.execute(newer.values(version=col(IntegrationRow.version) + 1))
        new_epoch(tx)
    if gone or lost:
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
) -> tuple[bool, bool]:
    """Store what can be had on each resource; tell whether anything is different, or is no more."""
    new, changed, lost = [], False, False
    for item in found:
        resource = rows[item.source_id].id or 0
        there = have.get(resource, {})
        for permission, risk in item.permissions.items():
            row = there.get(permission)
            if row is None:
                had = {"resource_id": resource, "permission": permission, "risk": risk}
                new.append({**had, "offered": True})
            else:
                changed = changed or (row.risk, row.offered) != (risk, True)
                row.risk, row.offered = risk, True
        for permission in there.keys() - item.permissions.keys():
            lost = lost or there[permission].offered
            there[permission].offered = False
    if new:
        tx.execute(insert(EntitlementRow), new)
    return changed or lost or bool(new), lost


def _save_revision(tx: Write, row: FlowRow, body: dict[str, Any], now: datetime) -> Log:
    tx.add(FlowRevisionRow(flow_id=row.id or 0, number=row.revision, saved_at=now, body=body))
    detail = {"flow": row.name, "revision": row.revision}
    return [(None, Entry("flow_saved", SYSTEM, detail))]


def _store_person(
    tx: Write,
    row: PersonRow | None,
    person: Person,
    now: datetime,
    lost: Lost,
    *,
    burdened: Container[str],
) -> None:
    body = dump_person(person)
    if row is None:
        tx.add(PersonRow(id=person.id, email=person.email, status=person.status.value, body=body))
        return
    if not _differs(row, person):
        return  # another was quicker
    was = {"name": _name(row), "email": row.email}
    row.successor = None
    before = load_person(row.body, row.account)
    if before and before.may_ask and not replace(person, account=before.account).may_ask:
        row.void_until = now
    moved = _has_moved(row, person)
    row.email, row.status, row.body = person.email, person.status.value, body
    if moved and (row.slack or row.suspended or row.id in burdened):
        # A changed address might be somebody else's: who it is has to be said first.
        row.former = _former(row) or was
        said = alarms.readdressed(row.former["name"], row.former["email"], person)
        _suspend(row, row.slack or row.suspended or "", lost, said)


def _differs(row: PersonRow | None, person: Person) -> bool:
    return row is None or row.successor is not None or row.body != dump_person(person)


def _name(row: PersonRow) -> str:
    return str(fields_of(row.body).get("name") or row.email)


def _former(row: PersonRow) -> dict[str, str] | None:
    former = fields_of(row.former)
    return former if {"name", "email"} <= former.keys() else None


def _has_moved(row: PersonRow, person: Person) -> bool:
    return address(row.email) != address(person.email)


def _is_past(row: PersonRow | None, person: Person) -> bool:
    """Tell whether this only says that somebody has left, of whom all that is known stays so."""
    if row is None or person.may_receive:
        return False
    return row.successor is not None or _has_moved(row, person)


def _give_up_addresses(tx: Write, moved: Mapping[PersonId, str]) -> None:
    """Leave addresses of people who have left to who has them now.

    Both ids were known at one time: they are two people.
    """
    taken = {address(email) for email in moved.values()}
    left = col(PersonRow.status) == PersonStatus.INACTIVE.value
    for row in tx.execute(select(PersonRow).where(left)).scalars() if taken else ():
        if row.id not in moved and address(row.email) in taken:
            row.email, row.body = "", with_fields(row.body, {"email": ""})


def _burdened(tx: Write, people: Iterable[PersonId]) -> set[str]:
    """Return who has, or had, a login or something that they asked for."""
    ids = list(people)
    if not ids:
        return set()
    account, request = col(AccountRow.person_id), col(RequestRow.requestor_id)
    found = [*tx.execute(select(account).where(among(account, "ids")), {"ids": ids}).scalars()]
    found += tx.execute(select(request).where(among(request, "ids")), {"ids": ids}).scalars()
    return set(found)


def _loses(row: PersonRow, person: Person) -> bool:
    if row.status == PersonStatus.INACTIVE:
        return False
    groups = fields_of(row.body).get("groups")
    dropped = set(map(str, groups)) - person.groups if isinstance(groups, list) else ()
    return person.status is PersonStatus.INACTIVE or bool(dropped)


def alone(tx: Write) -> None:
    """Let one go on at a time: each compares with what is there, and stores the difference."""
    tx.execute(select(col(Company.id)).with_for_update())


def new_epoch(tx: Write) -> None:
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
