"""The same person under a new directory id: found by the address, carried over by an admin.

Until then the person goes on under the id that is known, whatever the sources call them: nothing
is taken away because a system of record was replaced.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import count, takewhile
from typing import Any

from sqlalchemy import and_, delete, exists, or_, select, text, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from engine.directory import Person, PersonId, PersonStatus, address
from engine.outcome import AuditEntry
from engine.request import OPERATOR, RequestId
from storage import accounts, apply, audit, batch, facts, sync
from storage.codec import dump_request, fields_of, load_person, stand_in, with_fields
from storage.company import now_known_as
from storage.database import Read, Write
from storage.secrets import KeyRing
from storage.tables import (
    LIVE,
    OPEN,
    AccountRow,
    AskRow,
    MessageRow,
    PersonRow,
    RequestRow,
)
from storage.types import among

AT_ONCE = 10  # people in one transaction, which others wait for

_KNOWN = select(
    col(PersonRow.id),
    col(PersonRow.email),
    col(PersonRow.status),
    col(PersonRow.successor),
    col(PersonRow.body),
)
_THEIRS = (
    select(RequestRow)
    .where(
        text(LIVE),
        or_(
            among(col(RequestRow.requestor_id), "ids"),
            among(col(RequestRow.grantee_id), "ids"),
            col(RequestRow.id).in_(
                select(col(AskRow.request_id)).where(among(col(AskRow.person_id), "ids"))
            ),
        ),
    )
    .order_by(col(RequestRow.id))
    .with_for_update()
)
_ACCOUNTS = (
    select(AccountRow)
    .where(among(col(AccountRow.person_id), "ids"))
    .order_by(col(AccountRow.id))
    .with_for_update(key_share=True)
)
_PEOPLE = select(PersonRow).where(among(col(PersonRow.id), "ids")).order_by(col(PersonRow.id))


class SuccessionStatus(StrEnum):
    """What becomes of somebody who is listed under another id than the one known."""

    WAITS = "waits"  # goes on under the old id, until it is carried over
    LEFT = "left"  # has left under the old id already, and is there under the new one
    KEPT = "kept"  # goes on under the old id: the new one is, or was, somebody else's
    HELD = "held"  # who it is cannot be told: what is known stays as it is


@dataclass(frozen=True, slots=True)
class Succession:
    """Two ids of one address: the person that was, and who is listed now.

    `known` are those who stay as they are known while nobody can tell who is who.
    """

    old: PersonId
    new: PersonId
    email: str
    was: str  # the names
    name: str
    standing: SuccessionStatus
    known: tuple[Person, ...] = ()

    @property
    def waits(self) -> bool:
        return self.standing is SuccessionStatus.WAITS

    @property
    def carries(self) -> bool:
        """Whether all that is theirs can be carried over."""
        return self.standing in {SuccessionStatus.WAITS, SuccessionStatus.LEFT}

    def __str__(self) -> str:
        names = self.name if self.name == self.was else f"{self.was}, now {self.name}"
        return f"{names} ({self.old} → {self.new})"


def find(session: Read, listed: Sequence[Person]) -> list[Succession]:
    """Return who is listed under another id than the one known; two of one address are nobody.

    An id never passes to another person. Who is listed under one that is or was somebody else's
    goes on under their own, or, if they are new, under one that is made for them.
    """
    return sorted(_Search(session.ask(_KNOWN), listed).found(), key=lambda s: (s.old, s.new))


@dataclass(frozen=True, slots=True)
class _Known:
    id: PersonId
    email: str
    status: str
    successor: str | None
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(fields_of(self.body).get("name") or self.email)

    @property
    def active(self) -> bool:
        return self.status != PersonStatus.INACTIVE


class _Search:
    def __init__(self, rows: Iterable[tuple[Any, ...]], listed: Sequence[Person]) -> None:
        self._known = {PersonId(row[0]): _Known(*row) for row in rows}
        self._here = {p.id: p for p in listed if p.may_receive}
        self._before = defaultdict[str, list[_Known]](list)
        for row in self._known.values():
            if row.email and not row.successor:
                self._before[address(row.email)].append(row)
        self._found: list[Succession] = []
        self._settled = {id_ for id_, p in self._here.items() if self._is(id_, p)}
        self._claimed: set[PersonId] = set()
        self._held: set[PersonId] = set()

    def found(self) -> list[Succession]:
        listed = defaultdict[str, list[Person]](list)
        for person in self._here.values():
            listed[address(person.email)].append(person)
        for people in listed.values():
            if len(people) == 1:
                self._by_address(people[0])
        for person in self._here.values():
            if person.id not in self._settled | self._held:
                self._by_id(person)
        return [replace(s, known=self._stay(s)) for s in self._found]

    def _is(self, id_: PersonId, person: Person) -> bool:
        row = self._known.get(id_)
        return row is not None and not row.successor and _same(row.email, person.email)

    def _by_address(self, new: Person) -> None:
        before = [row for row in self._before[address(new.email)] if row.id != new.id]
        before = [row for row in before if row.active] or before
        if len(before) != 1:
            return
        (old,) = before
        listed = {old.id, PersonId(old.id.partition("~")[0])} - {new.id}
        overlaps = not listed.isdisjoint(self._here)
        if new.id in self._settled or not old.active:
            if not overlaps and self._may_be(new.id, old):
                self._add(old, new, SuccessionStatus.LEFT)
        elif overlaps and old.name.casefold() != new.name.casefold():
            self._held |= {old.id, new.id}
            self._add(old, new, SuccessionStatus.HELD)
        else:
            self._claimed.add(old.id)
            fits = new.id not in self._known or self._newest(new.id) == old.id
            self._add(old, new, SuccessionStatus.WAITS if fits else SuccessionStatus.KEPT)

    def _by_id(self, new: Person) -> None:
        """Find by which id somebody goes on whose address is not known."""
        used = list(takewhile(self._known.__contains__, _made_of(new.id)))
        if not used:
            return
        last = self._known[used[-1]]
        if last.id in self._held:
            self._add(last, new, SuccessionStatus.HELD)
            return
        theirs = last.email and not last.successor and last.id not in self._claimed
        id_ = last.id if theirs else next(i for i in _made_of(new.id) if i not in self._known)
        if id_ != new.id:
            was = last.name if theirs else new.name
            self._found.append(
                Succession(id_, new.id, new.email, was, new.name, SuccessionStatus.KEPT)
            )

    def _may_be(self, new: PersonId, old: _Known) -> bool:
        """Tell whether the new id has never been another's than who had the old one."""
        row = self._known.get(new)
        return row is None or new in self._settled or self._newest(new) == old.id

    def _newest(self, id_: PersonId) -> PersonId:
        while successor := self._known[id_].successor:
            id_ = PersonId(successor)
        return id_

    def _add(self, old: _Known, new: Person, standing: SuccessionStatus) -> None:
        if standing is not SuccessionStatus.HELD:
            self._settled.add(new.id)
        self._found.append(Succession(old.id, new.id, new.email, old.name, new.name, standing))

    def _stay(self, found: Succession) -> tuple[Person, ...]:
        ids = (found.old, found.new) if found.standing is SuccessionStatus.HELD else ()
        rows = (self._known.get(id_) for id_ in ids if id_ not in self._claimed)
        return tuple(
            load_person(r.body) or stand_in(r.id, r.email, r.status)
            for r in rows
            if r and not r.successor
        )


def _same(email: str, other: str) -> bool:
    return address(email) == address(other)


def _made_of(id_: str) -> Iterator[PersonId]:
    """Yield an id, and those that are made of it for who has it next: no source lists them."""
    yield PersonId(id_)
    yield from (PersonId(f"{id_}~{number}") for number in count(2))


def known_as(found: Sequence[Succession]) -> dict[PersonId, PersonId]:
    """Return by which id people go on, by the one that is listed."""
    return {
        s.new: s.old for s in found if s.standing in {SuccessionStatus.WAITS, SuccessionStatus.KEPT}
    }


def as_known(listed: Sequence[Person], found: Sequence[Succession]) -> list[Person]:
    """Return the people by the ids by which they go on."""
    ids = known_as(found)
    held = {id_ for s in found if s.standing is SuccessionStatus.HELD for id_ in (s.old, s.new)}
    others = held.union(ids.values())  # a source may list the old id, too, as inactive
    people = [_renamed(p, ids) for p in listed if p.id in ids or p.id not in others]
    return [*people, *{p.id: p for s in found for p in s.known}.values()]


def _renamed(person: Person, ids: Mapping[PersonId, PersonId]) -> Person:
    manager = ids.get(person.manager, person.manager) if person.manager else None
    return replace(person, id=ids.get(person.id, person.id), manager=manager)


def carry(tx: Write, pairs: Sequence[Succession], keys: KeyRing, now: datetime) -> None:
    """Give people their new ids, with all that is theirs: tie, live requests, logins, cards.

    What is over keeps the old id, by which the directory still finds them. The logins keep their
    names in the systems. What has changed since it was found stays as it is.
    """
    tx.alone()
    pairs = _as_they_are(tx, pairs)
    ids = {s.old: s.new for s in pairs}
    requests = _carry_requests(tx, ids, now)
    _carry_accounts(tx, ids, keys, now)
    _carry_asks(tx, ids)
    _carry_cards(tx, ids, requests)
    _carry_people(tx, ids)
    tx.wake("clock", "messages")
    log = [AuditEntry("carried_over", OPERATOR, {"from": s.old, "to": s.new}) for s in pairs]
    audit.append(tx, [(None, entry) for entry in log], now)


def _as_they_are(tx: Write, pairs: Sequence[Succession]) -> list[Succession]:
    ids = {"ids": [id_ for s in pairs for id_ in (s.old, s.new)]}
    rows = {r.id: r for r in tx.execute(_PEOPLE, ids).scalars()}
    newest = now_known_as(tx, (s.new for s in pairs))

    def fits(pair: Succession) -> bool:
        old, new = rows.get(pair.old), rows.get(pair.new)
        if old is None or old.successor or not _same(old.email, pair.email):
            return False
        if new is None:
            return True
        if new.successor:
            return newest[pair.new] == pair.old
        return pair.standing is SuccessionStatus.LEFT and _same(new.email, pair.email)

    return [pair for pair in pairs if pair.carries and fits(pair)]


def make_way(tx: Write, former: PersonId, now: datetime) -> bool:
    """Note that somebody else has an id now: who had it has left.

    The other one goes on under an id that is made for them, so that nothing of the former's
    reaches them: no access, no login, no password, no line of the history. False: the address at
    this id has not changed.
    """
    tx.alone()
    row = tx.execute(_PEOPLE, {"ids": [former]}).scalar_one()
    if row.former is None:
        return False
    base = former.partition("~")[0]
    used = {id_ for (id_,) in tx.ask(select(col(PersonRow.id)))}
    own = next(id_ for id_ in _made_of(base) if id_ not in used)
    touching = sync.Touching([row])
    body = with_fields(row.body, {"id": own})
    tx.add(PersonRow(id=own, email=row.email, status=row.status, body=body))
    row.body = with_fields(row.body, {"name": str(fields_of(row.former).get("name", ""))})
    _leave(row, now)
    entry = AuditEntry("parted", OPERATOR, {"person": former, "now": own})
    sync.changed(tx, [entry], now, touching.done())
    return True


def _leave(row: PersonRow, now: datetime) -> None:
    row.status, row.email, row.void_until = PersonStatus.INACTIVE.value, "", now
    row.body = with_fields(row.body, {"status": row.status, "email": ""})
    row.slack, row.account, row.suspended, row.former = None, None, None, None


def part(tx: Write, pairs: Sequence[Succession], now: datetime) -> None:
    """Note that these are other people who took over an address: who had it before has left."""
    tx.alone()
    log = []
    rows = tx.execute(_PEOPLE, {"ids": [s.old for s in pairs]}).scalars().all()
    touching = sync.Touching(rows)
    for row in rows:
        _leave(row, now)
        log.append(AuditEntry("parted", OPERATOR, {"person": row.id}))
    sync.changed(tx, log, now, touching.done())


def _carry_requests(tx: Write, ids: Mapping[PersonId, PersonId], now: datetime) -> list[RequestId]:
    rows = list(tx.execute(_THEIRS, {"ids": list(ids)}).scalars())
    for row in rows:
        (known,) = facts.loaded(tx, [(row.id, row.version, row.body)])
        request = known.renamed(ids)
        row.requestor_id, row.grantee_id = request.requestor, request.grantee
        row.body = dump_request(request) if known.readable else row.body
        row.version, row.wake_at = known.version + 1, now
        same = apply.same_as(request.grantee, request.flow, request.entitlements)
        twin = select(col(RequestRow.id)).where(
            col(RequestRow.fingerprint) == same, text(OPEN), col(RequestRow.id) != row.id
        )
        with tx.no_autoflush:
            if tx.execute(twin).first() is None:
                row.fingerprint = same
        tx.flush()
    return [RequestId(row.id or 0) for row in rows]


def _carry_accounts(
    tx: Write, ids: Mapping[PersonId, PersonId], keys: KeyRing, now: datetime
) -> None:
    """Where both ids have a login in one system, each keeps its own until it ends."""
    rows = list(tx.execute(_ACCOUNTS, {"ids": [*ids, *ids.values()]}).scalars())
    taken = {(r.integration_id, r.person_id) for r in rows}
    for row in rows:
        new = ids.get(PersonId(row.person_id))
        if new is None or (row.integration_id, new) in taken:
            continue
        accounts.hand_over(tx, row, new, keys, now)
    tx.flush()


def _carry_asks(tx: Write, ids: Mapping[PersonId, PersonId]) -> None:
    both = aliased(AskRow)
    for old, new in ids.items():
        asked_too = exists().where(
            col(both.request_id) == col(AskRow.request_id),
            col(both.seat) == col(AskRow.seat),
            col(both.person_id) == new,
        )
        tx.execute(delete(AskRow).where(col(AskRow.person_id) == old, asked_too))
    rows = [{"of": old, "person_id": new} for old, new in ids.items()]
    batch.change(tx, AskRow, rows, where={"person_id": "of"}, to=("person_id",))


def _carry_cards(
    tx: Write, ids: Mapping[PersonId, PersonId], requests: Sequence[RequestId]
) -> None:
    both = aliased(MessageRow)
    for old, new in ids.items() if requests else ():
        there = exists().where(
            col(both.request_id) == col(MessageRow.request_id),
            col(both.kind) == col(MessageRow.kind),
            col(both.key) == col(MessageRow.key),
            col(both.recipient) == new,
        )
        theirs = and_(
            col(MessageRow.request_id).in_(requests), col(MessageRow.recipient) == old, ~there
        )
        in_order = select(col(MessageRow.id)).where(theirs).order_by(col(MessageRow.id))
        cards = list(tx.execute(in_order.with_for_update(of=MessageRow)).scalars())
        tx.execute(update(MessageRow).where(col(MessageRow.id).in_(cards)).values(recipient=new))


def _carry_people(tx: Write, ids: Mapping[PersonId, PersonId]) -> None:
    given = {"ids": [*ids, *ids.values()]}
    rows = {PersonId(r.id): r for r in tx.execute(_PEOPLE, given).scalars()}
    ties = {}
    for old, new in ids.items():
        row = rows[old]
        which = row.slack, row.team, row.enterprise
        ties[new] = which, row.account, row.suspended, row.channel, row.void_until, row.former
        if new not in rows or rows[new].successor:
            _know(tx, rows, new, row)
        row.slack, row.account, row.suspended, row.former = None, None, None, None
        row.status, row.successor = PersonStatus.INACTIVE.value, new
        row.body = with_fields(row.body, {"status": row.status})
    tx.flush()  # an account has one person, at every moment
    for new, (which, account, suspended, channel, void_until, former) in ties.items():
        row = rows[new]
        if row.slack is None and row.suspended is None:
            row.slack, row.team, row.enterprise = which
            row.account, row.suspended = account, suspended
            row.channel, row.former = channel, former
        row.void_until = max(filter(None, (row.void_until, void_until)), default=None)
    tx.flush()


def _know(tx: Write, rows: dict[PersonId, PersonRow], new: PersonId, old: PersonRow) -> None:
    """Store the new id as what is known of the old."""
    body = with_fields(old.body, {"id": new})
    row = rows.get(new)
    if row is None:
        row = rows[new] = PersonRow(id=new, email=old.email, status=old.status, body=body)
        tx.add(row)
    row.email, row.status, row.body, row.successor = old.email, old.status, body, None
