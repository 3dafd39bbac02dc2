"""Takes in everybody, with their groups, as the sources list them.

What is different is decided by `engine.intake`. Who is listed no more has left, and the requests
that depend on it wake in the same transaction.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlmodel import col

from engine import alarms, intake
from engine.directory import Group, KnownPerson, Person, PersonId, PersonStatus
from engine.intake import Difference
from engine.outcome import AuditEntry
from engine.request import SYSTEM
from storage import accounts, audit, batch, touched
from storage.codec import (
    called,
    compared_of,
    dump_person,
    fields_of,
    load_person,
    with_fields,
)
from storage.database import Read, Write
from storage.sync.step import PAGE, SyncStep
from storage.sync.ties import Lost, name_of, suspend_tie, tell_of
from storage.sync.touching import THESE, Touching, note
from storage.tables import (
    AccountRow,
    CompanyRow,
    FlowRow,
    GroupRow,
    ObjectRow,
    PersonRow,
    RequestRow,
    compare_anew,
)
from storage.types import among, as_text

AT_ONCE = 50  # people in one transaction, which others wait for
GROUPS_AT_ONCE = 100
KNOWN = select(
    col(PersonRow.id),
    col(PersonRow.email),
    col(PersonRow.status),
    col(PersonRow.successor),
    col(PersonRow.body),
    col(PersonRow.compared),
    col(PersonRow.called),
)
_PAGE = KNOWN.where(col(PersonRow.id) > bindparam("after")).order_by(col(PersonRow.id)).limit(PAGE)
_SINCE = KNOWN.where(col(PersonRow.epoch) > bindparam("since")).limit(AT_ONCE + 1)
_OTHERS_SINCE = select(col(CompanyRow.id)).where(
    or_(
        select(col(GroupRow.id)).where(col(GroupRow.epoch) > bindparam("since")).exists(),
        select(col(FlowRow.id)).where(col(FlowRow.epoch) > bindparam("since")).exists(),
        select(col(ObjectRow.id)).where(col(ObjectRow.epoch) > bindparam("since")).exists(),
    )
)


@dataclass(frozen=True, slots=True)
class Intake:
    """What is different in a reading of everybody, to be stored."""

    of: Difference
    broken_off: bool  # the intake before did not come to its end
    held: int  # changes of it that nobody is woken by yet

    @property
    def size(self) -> int:
        """Of how many people something is new."""
        return self.of.size

    @property
    def differs(self) -> bool:
        return self.size > 0 or self.of.regrouped

    def steps(self, now: datetime, *, whole: bool = True) -> list[SyncStep]:
        """Return what to do, each in a transaction of its own. Not `whole`: more is to come.

        Between two of them each person is as they were or as they will be, and the groups of all
        who are there are known: groups come before their members, and go after. Who loses something
        comes first. Requests are woken when all are stored; where that was never reached, the next
        intake makes up for it.
        """
        some = self._parts()
        if not some and not self.broken_off:
            return []
        releases = 1 + (self.held + len(some)) // touched.RELEASED
        some += [_Part()] * (releases - bool(some))
        return [
            partial(
                _take_in,
                of=self.of,
                part=part,
                now=now,
                releases=number >= len(some) - releases,
                last=number == len(some) - 1,
                whole=whole,
            )
            for number, part in enumerate(some)
        ]

    def _parts(self) -> list["_Part"]:
        everybody: list[PersonId | Person] = [*self.of.left, *self.of.changed]
        parts: list[_Part] = []
        for kind, items, most in (
            ("freed", [*self.of.freed], AT_ONCE),
            ("groups", sorted(self.of.groups), GROUPS_AT_ONCE),
            ("people", everybody, AT_ONCE),
            ("gone", sorted(self.of.gone), GROUPS_AT_ONCE),
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
    found = compare(tx, listed, groups, held=held)
    for step in found.steps(now):
        step(tx)
    return found.size


def broken_off(session: Read) -> bool:
    """Whether an intake was begun that has not come to its end: what is known is a mix."""
    return bool(session.execute(select(col(CompanyRow.syncing))).scalar())


def begin(tx: Write) -> None:
    """Note that an intake has begun, until `end`."""
    tx.alone()
    tx.ensure_company()
    tx.execute(update(CompanyRow).values(syncing=True))


def end(tx: Write) -> None:
    tx.execute(update(CompanyRow).values(syncing=False))


def wake(tx: Write) -> bool:
    """Have what depends on people look again, where an intake that woke nobody was broken off.

    Some at a time: return whether there is more.
    """
    tx.alone()
    return broken_off(tx) and touched.release(tx)


def epoch(session: Read) -> int:
    """Return the number of the last change."""
    known: int | None = session.execute(select(col(CompanyRow.epoch))).scalar()
    return -1 if known is None else known


def is_so(tx: Write, listed: Sequence[Person], since: int) -> bool:
    """Tell whether all is known that is listed, as it was found to be at the change `since`.

    What has changed since then is all that is read.
    """
    given = {"since": since}
    rows = tx.ask(_SINCE, given)
    if len(rows) > AT_ONCE or tx.ask(_OTHERS_SINCE, given):
        return False
    if not rows:
        return True
    changed = {row[0] for row in rows}
    wanted = {p.id: p for p in listed if p.id in changed}
    known = _compared(rows, wanted.values())
    return all(
        not intake.is_new(one, wanted[id_]) if id_ in wanted else not one.active
        for id_, one in known.items()
    )


def compare(
    session: Read, listed: Sequence[Person], groups: Iterable[Group], *, held: bool = True
) -> Intake:
    """Compare everybody with what is known.

    Who is no longer listed becomes inactive. Slack ties stay as they are. Whoever has a new id is
    listed by the one that is known, until it is carried over (`storage.succession`).

    Raises TooMuchError, unless `held` is False: an admin has confirmed.
    """
    known = _compared(_everybody(session), listed)
    there = select(GroupRow).where(~col(GroupRow.gone))
    were = {g.id: (g.source, g.name) for g in session.execute(there).scalars()}
    of = intake.compare(known, listed, were, groups, held=held)
    return Intake(of, broken_off(session), touched.held(session))


def _compared(
    rows: Iterable[tuple[Any, ...]], listed: Iterable[Person]
) -> dict[PersonId, KnownPerson]:
    """Return who is known, each compared with what is listed under their id."""
    wanted = {p.id: p for p in listed}
    return {PersonId(row[0]): known_person(row, wanted.get(row[0])) for row in rows}


def known_person(row: Sequence[Any], listed: Person | None = None) -> KnownPerson:
    """Return who a row of `KNOWN` is; who is `listed` under their id."""
    id_, address, status, successor, body, *kept = row
    email, said = as_text(address), fields_of(body)
    groups = said.get("groups")
    return KnownPerson(
        PersonId(id_),
        email,
        str(said.get("name") or email),
        status != PersonStatus.INACTIVE,
        successor if isinstance(successor, str) else None,
        tuple(map(str, groups)) if isinstance(groups, list) else (),
        listed is not None
        and [address, status] == [listed.email, listed.status]
        and body == dump_person(listed)
        and kept == _kept(listed),
    )


def _kept(person: Person) -> list[object]:
    """Return what is kept of somebody's body for SQL; a program of before kept nothing."""
    compared = compared_of(person)
    return [compared, called(compared)]


def _take_in(
    tx: Write,
    *,
    of: Difference,
    part: _Part,
    now: datetime,
    releases: bool,
    last: bool,
    whole: bool,
) -> None:
    tx.alone()
    _give_up_addresses(tx, {id_: of.freed[id_] for id_ in part.freed})
    _add_groups(tx, {id_: of.groups[id_] for id_ in part.groups})
    ids = [one.id if isinstance(one, Person) else one for one in part.people]
    rows = {row.id: row for row in tx.execute(THESE, {"ids": ids}).scalars()}
    burdened = _burdened(tx, [id_ for id_ in ids if id_ in of.moved])
    lost: Lost = {}
    left: list[PersonId] = []
    touching = Touching(rows.values())
    for one in part.people:
        if isinstance(one, Person):
            row = rows.get(one.id)
            if row and row.successor and one.id not in of.returned:
                continue  # carried over since it was compared: they are listed by the other id
            _store_person(tx, row, one, now, lost, burdened=burdened)
        elif _let_go(rows[one], now):
            left.append(one)
    touching.newcomers(one for one in part.people if isinstance(one, Person) and one.id not in rows)
    touching.groups([*part.groups, *part.gone])
    tx.flush()
    over = [one.id for one in part.people if isinstance(one, Person) and not one.may_receive]
    accounts.look_at(tx, [*left, *over], now)
    gone = [{"of": id_, "gone": True} for id_ in part.gone]
    batch.change(tx, GroupRow, gone, where={"id": "of"}, to=("gone",))
    tell_of(tx, lost, now)
    tx.execute(update(CompanyRow).values(syncing=not (last and whole)))
    note(tx, touching.done(), now, held=not releases)
    if releases:
        touched.release(tx)
    log = [AuditEntry("people_left", SYSTEM, {"people": left})] if left else []
    if last:
        detail = {"changed": of.size, "left": len(of.left)}
        log.append(AuditEntry("people_synced", SYSTEM, detail))
    audit.append(tx, [(None, entry) for entry in log], now)


def _add_groups(tx: Write, groups: Mapping[str, tuple[str, str]]) -> None:
    rows = [
        {"id": id_, "source": source, "name": name, "gone": False}
        for id_, (source, name) in sorted(groups.items())
    ]
    batch.add(tx, GroupRow, rows, key=("id",), change=("source", "name", "gone"))


def _everybody(session: Read) -> Iterator[tuple[Any, ...]]:
    given: dict[str, Any] = {"after": ""}
    while rows := session.ask(_PAGE, given):
        given["after"] = rows[-1][0]
        yield from rows


def _let_go(row: PersonRow, now: datetime) -> bool:
    """Return whether they were still there."""
    if row.status == PersonStatus.INACTIVE:
        return False
    row.status, row.void_until = PersonStatus.INACTIVE.value, now
    row.body = with_fields(row.body, {"status": row.status})
    return True


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
    columns, email = [row.successor, row.email, row.status], as_text(row.email)
    same = columns == [None, person.email, person.status]
    if same and row.body == body and [row.compared, row.called] == _kept(person):
        return  # another was quicker
    was = {"name": name_of(row), "email": email}
    row.successor = None
    if intake.voids(load_person(row.body, row.account), person):
        row.void_until = now
    moved = intake.has_moved(email, person)
    row.email, row.status, row.body = person.email, person.status.value, body
    compare_anew(row)
    if moved and (row.slack or row.suspended or row.id in burdened):
        # A changed address might be somebody else's: who it is has to be said first.
        row.former = _former(row) or was
        said = alarms.readdressed(row.former["name"], row.former["email"], person)
        suspend_tie(row, row.slack or row.suspended or "", lost, said)


def _former(row: PersonRow) -> dict[str, str] | None:
    former = fields_of(row.former)
    return former if {"name", "email"} <= former.keys() else None


def _give_up_addresses(tx: Write, of: Mapping[PersonId, str]) -> None:
    """Leave addresses of people who have left to who has them now."""
    for row in tx.execute(THESE, {"ids": list(of)}).scalars() if of else ():
        if row.status == PersonStatus.INACTIVE and row.email == of[PersonId(row.id)]:
            row.email, row.body = "", with_fields(row.body, {"email": ""})


def _burdened(tx: Write, people: Iterable[PersonId]) -> set[str]:
    """Return who has, or had, a login or something that they asked for."""
    ids = list(people)
    if not ids:
        return set()
    account, request = col(AccountRow.person_id), col(RequestRow.requestor_id)
    of = [select(one).where(among(one, "ids")).distinct() for one in (account, request)]
    return {id_ for query in of for id_ in tx.execute(query, {"ids": ids}).scalars()}
