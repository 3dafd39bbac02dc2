"""Takes in what other systems say: people, flows, admins from manifests; resources; Slack accounts.

Each function takes a complete reading. What is missing from it is gone, and the requests that
depend on it wake in the same transaction.
"""

import json
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    Text,
    and_,
    bindparam,
    cast,
    func,
    or_,
    select,
    update,
)
from sqlmodel import col

from engine import alarms
from engine.alarms import Said
from engine.directory import Group, Person, PersonId, PersonStatus, SlackAccount, address
from engine.errors import LatchkeyError
from engine.flow import Revision
from engine.inventory import IntegrationId, ResourceStatus
from engine.outcome import AuditEntry
from engine.port import Discovered
from engine.request import SYSTEM, AccountId, GrantState
from engine.touch import keys_between
from storage import apply, audit, batch, touched
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
from storage.company import formerly, now_known_as
from storage.database import Read, Write
from storage.tables import (
    AccountRow,
    AuditHead,
    CompanyRow,
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
from storage.touched import Touched
from storage.types import among, together

AT_ONCE = 50  # people in one transaction, which others wait for
GROUPS_AT_ONCE = 100
FLOWS_AT_ONCE, SYSTEMS_AT_ONCE = 25, 25
GONE_AT_ONCE = 100  # resources
ROWS_AT_ONCE = 200  # resources, and what can be had on them
PAGE = 1000  # rows that are read at once
Log = list[tuple[None, AuditEntry]]
SyncStep = Callable[[Write], None]
Listed = tuple[str, str, str, Mapping[str, Any]]  # id, name, kind, settings (secrets by reference)
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
_TAKEN = select(
    func.coalesce(col(PersonRow.slack), col(PersonRow.suspended)),
    col(PersonRow.team),
    col(PersonRow.enterprise),
).where(or_(among(col(PersonRow.slack), "users"), among(col(PersonRow.suspended), "users")))
_THESE = select(PersonRow).where(among(col(PersonRow.id), "ids")).order_by(col(PersonRow.id))
_PAGE = (
    select(
        col(PersonRow.epoch),
        col(PersonRow.id),
        col(PersonRow.email),
        col(PersonRow.status),
        col(PersonRow.successor),
        col(PersonRow.body),
    )
    .where(col(PersonRow.id) > bindparam("after"))
    .order_by(col(PersonRow.id))
    .limit(PAGE)
)
_SINCE = (
    select(
        col(PersonRow.epoch),
        col(PersonRow.id),
        col(PersonRow.email),
        col(PersonRow.status),
        col(PersonRow.successor),
        col(PersonRow.body),
    )
    .where(col(PersonRow.epoch) > bindparam("since"))
    .limit(AT_ONCE + 1)
)
_OTHERS_SINCE = select(col(CompanyRow.id)).where(
    or_(
        select(col(GroupRow.id)).where(col(GroupRow.epoch) > bindparam("since")).exists(),
        select(col(FlowRow.id)).where(col(FlowRow.epoch) > bindparam("since")).exists(),
    )
)
_FLOWS = select(
    col(FlowRow.name), col(FlowRow.active), col(FlowRow.deleted), col(FlowRevisionRow.body)
).outerjoin(
    FlowRevisionRow,
    and_(
        col(FlowRevisionRow.flow_id) == col(FlowRow.id),
        col(FlowRevisionRow.number) == col(FlowRow.revision),
    ),
)
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
    .limit(PAGE)
)
_HOW_MANY = select(func.count()).where(
    col(ResourceRow.integration_id) == bindparam("system"),
    col(ResourceRow.status) == ResourceStatus.ACTIVE.value,
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
        "forgotten": 0,
        "paused": False,
        "syncing": False,
        "requests_from": 1,
        "admins": [],
    }
    batch.add(tx, CompanyRow, [company], key=("id",))
    batch.add(tx, AuditHead, [{"id": 1, "seq": 0, "hash": "", "mac": ""}], key=("id",))


@dataclass(frozen=True, slots=True)
class Intake:
    """What is different in a reading of everybody: who has changed, who is listed no more."""

    changed: Sequence[Person]
    left: Sequence[PersonId]
    moved: Mapping[PersonId, str]  # the new addresses
    freed: Mapping[PersonId, str]  # those of them that people who have left still had
    groups: Mapping[str, tuple[str, str]]  # that are new, or called otherwise
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

    def steps(self, now: datetime, *, whole: bool = True) -> list[SyncStep]:
        """Return what to do, each in a transaction of its own. Not `whole`: more is to come.

        Between two of them each person is as they were or as they will be, and the groups of all
        who are there are known: groups come before their members, and go after. Who loses something
        comes first. Requests are woken by the last; where it was never reached, the next intake
        makes up for it.
        """
        parts = self._parts() or ([_Part()] if self.broken_off else [])
        return [
            partial(_take_in, intake=self, part=part, now=now, last=part is parts[-1], whole=whole)
            for part in parts
        ]

    def _parts(self) -> list["_Part"]:
        everybody: list[PersonId | Person] = [*self.left, *self.changed]
        parts: list[_Part] = []
        for kind, items, most in (
            ("freed", [*self.freed], AT_ONCE),
            ("groups", sorted(self.groups), GROUPS_AT_ONCE),
            ("people", everybody, AT_ONCE),
            ("gone", sorted(self.gone), GROUPS_AT_ONCE),
        ):
            for at in range(0, len(items), most):
                if at or not parts:
                    parts.append(_Part())
                setattr(parts[-1], kind, items[at : at + most])
        return parts


@dataclass(slots=True)
class _Part:
    """What one transaction takes in, in this order."""

    freed: Sequence[PersonId] = ()
    groups: Sequence[str] = ()
    people: Sequence[PersonId | Person] = ()
    gone: Sequence[str] = ()


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
    tx.alone()
    intake = compare(tx, listed, groups, held=held)
    for step in intake.steps(now):
        step(tx)
    return intake.size


def broken_off(session: Read) -> bool:
    """Whether an intake was begun that has not come to its end: what is known is a mix."""
    return bool(session.execute(select(col(CompanyRow.syncing))).scalar_one())


def begin(tx: Write) -> None:
    """Note that an intake has begun, until `end`."""
    tx.alone()
    tx.execute(update(CompanyRow).values(syncing=True))


def end(tx: Write) -> None:
    tx.execute(update(CompanyRow).values(syncing=False))


def wake(tx: Write) -> None:
    """Have what depends on people look again, where an intake that woke nobody was broken off."""
    tx.alone()
    if broken_off(tx):
        touched.release(tx)


def epoch(session: Read) -> int:
    """Return the number of the last change."""
    known: int = session.execute(select(col(CompanyRow.epoch))).scalar_one()
    return known


def is_so(tx: Write, listed: Sequence[Person], since: int) -> bool:
    """Tell whether all is known that is listed, as it was found to be at the change `since`.

    What has changed since then is all that is read.
    """
    given = {"since": since}
    rows = [_Known(*row) for row in tx.ask(_SINCE, given)]
    if len(rows) > AT_ONCE or tx.ask(_OTHERS_SINCE, given):
        return False
    wanted = {p.id: p for p in listed if p.id in {row.id for row in rows}} if rows else {}
    return all(
        _is_past(row, wanted[PersonId(row.id)]) or not _differs(row, wanted[PersonId(row.id)])
        if row.id in wanted
        else row.status == PersonStatus.INACTIVE
        for row in rows
    )


def compare(
    session: Read, listed: Sequence[Person], groups: Iterable[Group], *, held: bool = True
) -> Intake:
    """Compare everybody with what is known.

    Who is no longer listed becomes inactive. Slack ties stay as they are. Whoever has a new id is
    listed by the one that is known, until it is carried over (`storage.succession`).

    Raises TooMuchError, unless `held` is False: an admin has confirmed.
    """
    rows = dict(_everybody(session))
    stays = {p.id for p in listed}
    active = [r for r in rows.values() if r.status != PersonStatus.INACTIVE]
    leaving = [PersonId(r.id) for r in active if r.id not in stays]
    dropped = {p.id for p in listed if p.id in rows and _loses(rows[p.id], p)}
    losing = sorted([*leaving, *dropped])
    if held and len(losing) > 5 and len(losing) * 20 > len(active):
        raise TooMuchError(losing, len(active))
    changed = [p for p in listed if not _is_past(rows.get(p.id), p) and _differs(rows.get(p.id), p)]
    moved = {p.id: p.email for p in changed if p.id in rows and _has_moved(rows[p.id], p)}
    there = select(GroupRow).where(~col(GroupRow.gone))
    known = {g.id: (g.source, g.name) for g in session.execute(there).scalars()}
    wanted = {str(g.id): (g.source, g.name) for g in groups}
    return Intake(
        sorted(changed, key=lambda p: p.id not in dropped),
        leaving,
        moved,
        _freed(rows.values(), moved),
        {id_: group for id_, group in wanted.items() if known.get(id_) != group},
        known.keys() - wanted.keys(),
        regrouped=known != wanted,
        broken_off=broken_off(session),
    )


def _take_in(
    tx: Write, *, intake: Intake, part: _Part, now: datetime, last: bool, whole: bool
) -> None:
    tx.alone()
    _give_up_addresses(tx, {id_: intake.freed[id_] for id_ in part.freed})
    _add_groups(tx, {id_: intake.groups[id_] for id_ in part.groups})
    ids = [one.id if isinstance(one, Person) else one for one in part.people]
    rows = {row.id: row for row in tx.execute(_THESE, {"ids": ids}).scalars()}
    burdened = _burdened(tx, [id_ for id_ in ids if id_ in intake.moved])
    lost: Lost = {}
    touching = Touching(rows.values())
    for one in part.people:
        if isinstance(one, Person):
            _store_person(tx, rows.get(one.id), one, now, lost, burdened=burdened)
        else:
            _let_go(rows[one], now)
    touching.newcomers(one for one in part.people if isinstance(one, Person) and one.id not in rows)
    touching.groups(part.groups)
    tx.flush()
    gone = [{"of": id_, "gone": True} for id_ in part.gone]
    batch.change(tx, GroupRow, gone, where={"id": "of"}, to=("gone",))
    _tell_of(tx, lost, now)
    tx.execute(update(CompanyRow).values(syncing=not (last and whole)))
    touched.note(tx, touching.done(), held=not last)
    if last:
        touched.release(tx)
        detail = {"changed": intake.size, "left": list(intake.left)}
        audit.append(tx, [(None, AuditEntry("people_synced", SYSTEM, detail))], now)


def _add_groups(tx: Write, groups: Mapping[str, tuple[str, str]]) -> None:
    rows = [
        {"id": id_, "source": source, "name": name, "gone": False}
        for id_, (source, name) in sorted(groups.items())
    ]
    batch.add(tx, GroupRow, rows, key=("id",), change=("source", "name", "gone"))


class _Known(NamedTuple):
    """Somebody as they are stored."""

    epoch: int
    id: str
    email: str
    status: str
    successor: str | None
    body: Any


def _everybody(session: Read) -> Iterator[tuple[str, _Known]]:
    given: dict[str, Any] = {"after": ""}
    while rows := session.ask(_PAGE, given):
        given["after"] = rows[-1][1]
        yield from ((row[1], _Known(*row)) for row in rows)


class Touching:
    """What is touched by a change of people, who are given as they are before it."""

    def __init__(self, rows: Iterable[PersonRow] = ()) -> None:
        self._before = [(row, _person_of(row)) for row in rows]
        self._touched = Touched()

    def newcomers(self, people: Iterable[Person]) -> None:
        for person in people:
            self._touched.keys |= keys_between(None, person)

    def groups(self, groups: Collection[str]) -> None:
        """Take in that groups are called otherwise."""
        if groups:
            self._touched.keys.add(("group", None))

    def done(self) -> Touched:
        """Return what is, of people who are by now as they will be."""
        for row, before in self._before:
            self._touched.people.add(row.id)
            self._touched.keys |= keys_between(before, _person_of(row))
        return self._touched


def _person_of(row: PersonRow) -> Person | None:
    return None if row.successor else load_person(row.body, row.account)


def _let_go(row: PersonRow, now: datetime) -> None:
    if row.status != PersonStatus.INACTIVE:
        row.status, row.void_until = PersonStatus.INACTIVE.value, now
        row.body = with_fields(row.body, {"status": row.status})


def tie(tx: Write, ties: Mapping[PersonId, SlackAccount], now: datetime) -> int:
    """Tie Slack accounts to people who have none, and return how many were tied.

    A tie that was suspended waits for an admin, on both sides. An account has one person.
    """
    tx.alone()
    given = {"ids": list(ties), "users": [account.user for account in ties.values()]}
    taken: dict[str, list[SlackAccount]] = {}
    for user, team, enterprise in tx.ask(_TAKEN, given):
        taken.setdefault(user, []).append(SlackAccount(team, user, enterprise=enterprise))
    free = {id_: ties[PersonId(id_)] for (id_,) in tx.ask(_FREE, given)}
    rows = [
        {"of": id_, "slack": account.user, **_said(account)}
        for id_, account in free.items()
        if not any(one.is_(account) or not one.homes for one in taken.get(account.user, ()))
    ]
    to = ("slack", "team", "enterprise", "account")
    batch.change(tx, PersonRow, rows, where={"id": "of"}, to=to)
    log = [AuditEntry("tied", SYSTEM, {"person": r["of"], "slack": r["slack"]}) for r in rows]
    those = tx.execute(_THESE, {"ids": list(free)}).scalars()
    what = Touched(people=set(free))
    for person in filter(None, map(_person_of, those)):
        what.keys |= keys_between(None, person)
    changed(tx, log, now, what)
    if guests := [id_ for id_, account in ties.items() if account.guest and id_ in free]:
        void(tx, guests, now)  # they may have been a member until the tie before was suspended
    return len(rows)


def _said(account: SlackAccount) -> dict[str, Any]:
    """Return what a row says of the account that is tied."""
    return {
        "team": account.team,
        "enterprise": account.enterprise,
        "account": dump_account(account),
    }


def suspend(tx: Write, broken: Mapping[PersonId, tuple[SlackAccount, str]], now: datetime) -> None:
    """Suspend ties: until an admin has looked, the Slack account is no one.

    `broken` says for each person the account, and why. The admins are told, where it is somebody
    who has not left.
    """
    tx.alone()
    log: list[AuditEntry] = []
    lost: Lost = {}
    rows = tx.execute(_THESE, {"ids": list(broken)}).scalars().all()
    touching = Touching(rows)
    for row in rows:
        account, why = broken[PersonId(row.id)]
        tied = load_account(row.account)
        if row.suspended is None and (
            tied.is_(account) if tied else row.slack in {None, account.user}
        ):
            row.team, row.enterprise = account.team, account.enterprise
            _suspend(row, account.user, lost, alarms.untied(_name(row), row.email, why))
            log.append(AuditEntry("untied", SYSTEM, {"person": row.id, "why": why}))
    _tell_of(tx, lost, now)
    changed(tx, log, now, touching.done())


def place(tx: Write, accounts: Mapping[PersonId, SlackAccount]) -> None:
    """Take in of which team or organisation an account is that is tied, where that was not known.

    Of the rest of what Slack says nothing is taken in.
    """
    tx.alone()
    for row in tx.execute(_THESE, {"ids": list(accounts)}).scalars():
        account, tied = accounts[PersonId(row.id)], load_account(row.account)
        if tied and tied.is_(account):
            placed = tied.placed(account)
            row.team, row.enterprise, row.account = (
                placed.team,
                placed.enterprise,
                dump_account(placed),
            )
    tx.flush()


def regrade(tx: Write, guests: Mapping[PersonId, bool], now: datetime) -> None:
    """Take in who has become a guest in Slack (True), or a full member again.

    A guest decides nothing; what they had approved, and is not decided yet, is void for good.
    """
    tx.alone()
    log: list[AuditEntry] = []
    rows = tx.execute(_THESE, {"ids": list(guests)}).scalars().all()
    touching = Touching(rows)
    for row in rows:
        guest = guests[PersonId(row.id)]
        tied = load_account(row.account)
        if tied and tied.guest is not guest:
            row.account = dump_account(replace(tied, guest=guest))
            row.void_until = now if guest else row.void_until
            grade = "became_guest" if guest else "became_member"
            log.append(AuditEntry(grade, SYSTEM, {"person": row.id}))
    changed(tx, log, now, touching.done())


def void(tx: Write, people: Collection[PersonId], now: datetime) -> None:
    """Let what they approved, and is not decided yet, count no more: they were no full member."""
    tx.alone()
    log: list[AuditEntry] = []
    for row in tx.execute(_THESE, {"ids": list(people)}).scalars():
        row.void_until = now
        log.append(AuditEntry("approvals_void", SYSTEM, {"person": row.id}))
    changed(tx, log, now, Touched(people=set(people)))


def confirm(tx: Write, person: PersonId, by: PersonId, now: datetime) -> None:
    """Let a suspended tie be made anew: an admin has looked who it is."""
    tx.alone()
    cleared: dict[str, object] = {"suspended": None, "former": None}
    for row in tx.execute(_THESE, {"ids": [person]}).scalars():
        if row.account is not None and load_account(row.account) is None:
            cleared |= {"slack": None, "account": None}  # what Slack said cannot be read
    tx.execute(update(PersonRow).where(col(PersonRow.id) == person).values(cleared))
    theirs = (
        select(col(AccountRow.id))
        .join(GrantRow, col(GrantRow.account_id) == col(AccountRow.id))
        .where(col(AccountRow.person_id) == person, col(GrantRow.state) == GrantState.WANTED.value)
        .distinct()
    )
    if accounts := [AccountId(id_ or 0) for id_ in tx.execute(theirs).scalars()]:
        apply.bump(tx, accounts, now)
    log = [AuditEntry("tie_confirmed", by, {"person": person})]
    changed(tx, log, now, Touched(people={person}))


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
    admins = tx.execute(select(col(CompanyRow.admins))).scalar_one()
    ids = now_known_as(tx, map(PersonId, admins))
    named = [ids.get(PersonId(admin), admin) for admin in admins]
    rows = tx.execute(_THESE, {"ids": named}).scalars()
    people = ((PersonId(r.id), load_person(r.body, r.account)) for r in rows)
    able = [id_ for id_, person in people if person and person.may_ask]
    apply.tell(tx, apply.alarm(able, Said(key, sentence)), now)


def changed(tx: Write, log: Sequence[AuditEntry], now: datetime, what: Touched) -> None:
    """Store that facts have changed, if anything is to be said of it, and what that touches."""
    if log:
        tx.flush()
        touched.note(tx, what)
        audit.append(tx, [(None, entry) for entry in log], now)


def administrators(tx: Write, admins: Iterable[PersonId], now: datetime) -> None:
    tx.alone()
    wanted = sorted(admins)
    if tx.execute(select(col(CompanyRow.admins))).scalar_one() == wanted:
        return
    tx.execute(update(CompanyRow).values(admins=wanted, epoch=tx.epoch))
    touched.note(tx, Touched(admins=True))
    audit.append(tx, [(None, AuditEntry("admins_changed", SYSTEM, {"admins": wanted}))], now)


def pause(tx: Write, by: PersonId, now: datetime, *, paused: bool) -> bool:
    """Begin no new access, or begin it again. Revoking goes on. False: it was so already."""
    tx.alone()
    if tx.execute(select(col(CompanyRow.paused))).scalar_one() == paused:
        return False
    tx.execute(update(CompanyRow).values(paused=paused, epoch=tx.epoch))
    if not paused:
        touched.note(tx, Touched(waiting=True))
    action = "paused" if paused else "resumed"
    audit.append(tx, [(None, AuditEntry(action, by))], now)
    return True


def flows(tx: Write, listed: Iterable[tuple[Revision, bool]], now: datetime) -> None:
    """Take in flows by name: each change makes a revision; what is not listed is deleted."""
    tx.alone()
    for step in flow_steps(tx, listed, now):
        step(tx)


def flow_steps(
    session: Read, listed: Iterable[tuple[Revision, bool]], now: datetime
) -> list[SyncStep]:
    """Compare all flows with what is known; return what to do, each in its own transaction."""
    ids = formerly(session)
    known = {name: (flow, body) for name, *flow, body in session.execute(_FLOWS)}
    other: list[tuple[Revision, bool]] = []
    names: set[str] = set()
    for revision, active in listed:
        names.add(name := revision.name.casefold())
        flow, body = known.get(name, (None, None))
        stored = load_revision(body)
        # As values: a set has another order in each process.
        if flow != [active, False] or stored is None or stored.renamed(ids) != revision:
            other.append((revision, active))
    gone = sorted(n for n, ((_, deleted), _) in known.items() if n not in names and not deleted)
    some = [
        *((other[at : at + FLOWS_AT_ONCE], []) for at in range(0, len(other), FLOWS_AT_ONCE)),
        *(([], gone[at : at + FLOWS_AT_ONCE]) for at in range(0, len(gone), FLOWS_AT_ONCE)),
    ]
    return [partial(_take_in_flows, other=few, gone=left, ids=ids, now=now) for few, left in some]


def _take_in_flows(
    tx: Write,
    *,
    other: Sequence[tuple[Revision, bool]],
    gone: Sequence[str],
    ids: Mapping[PersonId, PersonId],
    now: datetime,
) -> None:
    tx.alone()
    names = [*gone, *(revision.name.casefold() for revision, _ in other)]
    these = select(FlowRow).where(among(col(FlowRow.name), "names")).order_by(col(FlowRow.id))
    rows = {r.name: r for r in tx.execute(these, {"names": names}).scalars()}
    log: Log = []
    for revision, active in other:
        name = revision.name.casefold()
        row = rows.get(name)
        body = dump_revision(revision)
        if row is None:
            row = rows[name] = FlowRow(name=name, revision=1, active=active)
            tx.add(row)
            tx.flush()
            log += _save_revision(tx, row, body, now)
            continue
        stored = tx.get(FlowRevisionRow, (row.id, row.revision))
        known = load_revision(stored.body) if stored else None
        if known is None or known.renamed(ids) != revision or row.deleted:
            row.revision = _newest_revision(tx, row) + 1
            log += _save_revision(tx, row, body, now)
        if (row.active, row.deleted) != (active, False):
            row.active, row.deleted = active, False
            action = "flow_enabled" if active else "flow_disabled"
            log.append((None, AuditEntry(action, SYSTEM, {"flow": name})))
    for name in gone:
        if not rows[name].deleted:
            rows[name].deleted = True
            log.append((None, AuditEntry("flow_deleted", SYSTEM, {"flow": name})))
    if log:
        tx.flush()
        touched.note(tx, Touched(flows={row.id or 0 for row in rows.values()}))
        audit.append(tx, log, now)


def _newest_revision(tx: Write, row: FlowRow) -> int:
    newest = select(func.max(col(FlowRevisionRow.number))).where(
        col(FlowRevisionRow.flow_id) == row.id
    )
    return max(row.revision, tx.execute(newest).scalar() or 0)


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
    left, most = [*gone], SYSTEMS_AT_ONCE
    return [
        *(
            partial(_take_in_systems, other=other[at : at + most], gone={}, now=now)
            for at in range(0, len(other), most)
        ),
        *(
            partial(
                _take_in_systems,
                other=(),
                gone={id_: gone[id_] for id_ in left[at : at + most]},
                now=now,
            )
            for at in range(0, len(left), most)
        ),
    ]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return plain


def _is_other(row: IntegrationRow, of: Listed) -> bool:
    _, name, kind, settings = of
    return (row.name, row.kind, row.body, row.listed) != (name, kind, settings, True)


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
            tx.add(IntegrationRow(id=id_, name=name, kind=kind, body=dict(settings)))
        elif _is_other(row, of):
            row.name, row.kind, row.body, row.listed = name, kind, dict(settings), True
        else:
            continue
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
    """What is different in a reading of all that a system has."""

    integration: IntegrationId
    server: str
    other: Sequence[Discovered]  # that is new, or other than it was
    gone: Sequence[str]  # ids in the system
    new: int
    known: str  # the server, so far

    def steps(self, now: datetime) -> list[SyncStep]:
        """Return what to do, each in a transaction of its own. What goes is first."""
        some: list[Sequence[str | Discovered]] = []
        some += [self.gone[at : at + GONE_AT_ONCE] for at in range(0, len(self.gone), GONE_AT_ONCE)]
        some += _by_weight(self.other)
        if not some and self.known != self.server:
            some = [[]]
        last = len(some) - 1
        return [
            partial(_take_in_resources, discovery=self, some=part, now=now, last=n == last)
            for n, part in enumerate(some)
        ]


def _by_weight(found: Sequence[Discovered]) -> list[Sequence[Discovered]]:
    """Cut them up into as many as one transaction stores, with what can be had on them."""
    parts: list[list[Discovered]] = [[]]
    weight = 0
    for item in found:
        weight += 1 + len(item.permissions)
        if weight > ROWS_AT_ONCE and parts[-1]:
            parts.append([])
            weight = 1 + len(item.permissions)
        parts[-1].append(item)
    return [part for part in parts if part]


def compare_inventory(
    session: Read, integration: IntegrationId, found: Sequence[Discovered], *, server: str = ""
) -> Discovery:
    """Compare all resources of one system with what is known.

    What is not found is gone, until its id comes back. What could not be looked into stays as it is
    known, and all that is below it. The first server that is taken in is the one that is known from
    then on; raises OtherServerError where the numbers are another server's.
    """
    row = session.execute(
        select(IntegrationRow).where(col(IntegrationRow.id) == integration)
    ).scalar_one()
    if row.server not in {"", server}:
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
    closed = tuple(f"{item.path}/" for item in found if item.closed)
    there = {item.source_id: item for item in found if not item.closed}
    same: dict[str, frozenset[tuple[str, int]]] = {}
    other: list[Discovered] = []
    gone: list[str] = []
    new = set(there)
    given: dict[str, Any] = {"system": integration, "after": 0}
    while rows := session.ask(_KNOWN_RESOURCES, given):
        given["after"] = rows[-1][0]
        for _, source, type_, name, path, risk, status, body, offered in rows:
            new.discard(source)
            item = there.get(source)
            if item is None:
                if status == ResourceStatus.ACTIVE and not f"{path}/".startswith(closed):
                    gone.append(source)
                continue
            if offered not in same:
                same[offered] = _parsed(offered)
            stored = (type_, name, path, risk, status, body, same[offered])
            if stored != _wanted(item):
                other.append(item)
    other += [item for item in there.values() if item.source_id in new]
    return Discovery(integration, server, other, gone, len(new), known)


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
    discovery: Discovery,
    some: Sequence[str | Discovered],
    now: datetime,
    last: bool,
) -> None:
    tx.alone()
    system = discovery.integration
    row = tx.execute(select(IntegrationRow).where(col(IntegrationRow.id) == system)).scalar_one()
    if row.server not in {discovery.known, discovery.server}:
        raise OtherServerError(row.name, system, row.server, discovery.server)
    row.server = discovery.server
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
    changed = tx.changes_facts
    new, different = _store_permissions(items.values(), rows, have, lost)
    batch.add(tx, EntitlementRow, new)
    tx.flush()
    if changed or different:
        row.epoch = tx.epoch
        for resource in rows.values():
            if resource.id in different:
                resource.epoch = tx.epoch
        tx.flush()
    touched.note(tx, Touched(resources=lost))
    if last and (discovery.new or discovery.gone):
        detail = {
            "integration": system,
            "new": discovery.new,
            "gone": len(discovery.gone),
        }
        audit.append(tx, [(None, AuditEntry("discovered", SYSTEM, detail))], now)


def belongs(tx: Write, integration: IntegrationId, server: str) -> None:
    """Store which server gave the numbers of a system's resources."""
    of = update(IntegrationRow).where(col(IntegrationRow.id) == integration)
    tx.execute(of.values(server=server))


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
) -> tuple[list[dict[str, Any]], set[int]]:
    """Change what can be had on each resource; return what is new, and where it is different.

    `lost` gets those where something is to be had no more.
    """
    new: list[dict[str, Any]] = []
    different: set[int] = set()
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
            else:
                continue
            different.add(resource)
        for permission in there.keys() - item.permissions.keys():
            if there[permission].offered:
                there[permission].offered = False
                different.add(resource)
                lost.add(resource)
    return new, different


def _save_revision(tx: Write, row: FlowRow, body: dict[str, Any], now: datetime) -> Log:
    tx.add(FlowRevisionRow(flow_id=row.id or 0, number=row.revision, saved_at=now, body=body))
    detail = {"flow": row.name, "revision": row.revision}
    return [(None, AuditEntry("flow_saved", SYSTEM, detail))]


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


def _differs(row: PersonRow | _Known | None, person: Person) -> bool:
    return row is None or row.successor is not None or row.body != dump_person(person)


def _name(row: PersonRow) -> str:
    return str(fields_of(row.body).get("name") or row.email)


def _former(row: PersonRow) -> dict[str, str] | None:
    former = fields_of(row.former)
    return former if {"name", "email"} <= former.keys() else None


def _has_moved(row: PersonRow | _Known, person: Person) -> bool:
    return address(row.email) != address(person.email)


def _is_past(row: PersonRow | _Known | None, person: Person) -> bool:
    """Tell whether this only says that somebody has left, of whom all that is known stays so."""
    if row is None or person.may_receive:
        return False
    return row.successor is not None or _has_moved(row, person)


def _freed(known: Iterable[_Known], moved: Mapping[PersonId, str]) -> dict[PersonId, str]:
    """Return who has left, and still has an address that somebody else has now."""
    taken = {address(email) for email in moved.values()}
    return {
        PersonId(row.id): row.email
        for row in known
        if row.status == PersonStatus.INACTIVE
        and row.id not in moved
        and address(row.email) in taken
    }


def _give_up_addresses(tx: Write, of: Mapping[PersonId, str]) -> None:
    """Leave addresses of people who have left to who has them now.

    Both ids were known at one time: they are two people.
    """
    for row in tx.execute(_THESE, {"ids": list(of)}).scalars() if of else ():
        if row.status == PersonStatus.INACTIVE and row.email == of[PersonId(row.id)]:
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


def _loses(row: _Known, person: Person) -> bool:
    if row.status == PersonStatus.INACTIVE:
        return False
    groups = fields_of(row.body).get("groups")
    dropped = set(map(str, groups)) - person.groups if isinstance(groups, list) else ()
    return person.status is PersonStatus.INACTIVE or bool(dropped)


def counts(tx: Write) -> dict[str, int]:
    """Return how many people, flows and resources are stored."""
    tables = {"people": PersonRow, "flows": FlowRow, "resources": ResourceRow}
    return {
        name: tx.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in tables.items()
    }
