"""The same person under a new directory id: found by the address, carried over by an admin.

Until then the person goes on under the id that is known, whatever the sources call them: nothing
is taken away because a system of record was replaced.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, delete, exists, or_, select, text, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from engine.directory import Person, PersonId, PersonStatus, address
from engine.outcome import Entry
from engine.request import OPERATOR, AccountId, RequestId
from storage import accounts, apply, audit, batch, sync
from storage.codec import dump_request, load_request
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
    col(PersonRow.id), col(PersonRow.email), col(PersonRow.status), col(PersonRow.body)
).where(col(PersonRow.successor).is_(None))
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


@dataclass(frozen=True, slots=True)
class Succession:
    """Two ids of one address: the person that was, and who is listed now.

    `waits`: the old one is active, and goes on until it is carried over. Else it has left already.
    """

    old: PersonId
    new: PersonId
    email: str
    was: str  # the names
    name: str
    waits: bool

    def __str__(self) -> str:
        names = self.name if self.name == self.was else f"{self.was}, now {self.name}"
        return f"{names} ({self.old} → {self.new})"


def find(session: Read, listed: Sequence[Person]) -> list[Succession]:
    """Return who is listed under another id than the one known; two of one address are nobody."""
    there = {p.id for p in listed if p.may_receive}
    news = defaultdict[str, list[Person]](list)
    for person in listed:
        if person.may_receive:
            news[address(person.email)].append(person)
    known = session.ask(_KNOWN)
    ids = {id_ for id_, *_ in known}
    olds = defaultdict[str, list[tuple[str, bool, str]]](list)
    for id_, email, status, body in known:
        if email and id_ not in there:
            olds[address(email)].append((id_, status != PersonStatus.INACTIVE, body["name"]))
    found = []
    for where, people in news.items():
        before = olds.get(where, [])
        before = [old for old in before if old[1]] or before
        if len(people) == 1 == len(before):
            (new,), ((id_, active, name),) = people, before
            waits = active and new.id not in ids
            found.append(Succession(PersonId(id_), new.id, new.email, name, new.name, waits))
    return sorted(found, key=lambda s: s.old)


def known_as(found: Sequence[Succession]) -> dict[PersonId, PersonId]:
    """Return by which id each of those who wait goes on, by the new one."""
    return {s.new: s.old for s in found if s.waits}


def as_known(listed: Sequence[Person], found: Sequence[Succession]) -> list[Person]:
    """Return the people by the ids by which they go on."""
    ids = known_as(found)
    gone_by = set(ids.values())  # a source may list the old id, too, as inactive
    return [_renamed(p, ids) for p in listed if p.id not in gone_by]


def _renamed(person: Person, ids: Mapping[PersonId, PersonId]) -> Person:
    manager = ids.get(person.manager, person.manager) if person.manager else None
    return replace(person, id=ids.get(person.id, person.id), manager=manager)


def carry(tx: Write, pairs: Sequence[Succession], keys: KeyRing, now: datetime) -> None:
    """Give people their new ids, with all that is theirs: tie, live requests, logins, cards.

    What is over keeps the old id, by which the directory still finds them. The logins keep their
    names in the systems.
    """
    sync.alone(tx)
    ids = {s.old: s.new for s in pairs}
    requests = _carry_requests(tx, ids, now)
    _carry_accounts(tx, ids, keys, now)
    _carry_asks(tx, ids)
    _carry_cards(tx, ids, requests)
    _carry_people(tx, ids)
    sync.new_epoch(tx)
    tx.wake("clock", "messages")
    log = [Entry("carried_over", OPERATOR, {"from": s.old, "to": s.new}) for s in pairs]
    audit.append(tx, [(None, entry) for entry in log], now)


def part(tx: Write, pairs: Sequence[Succession], now: datetime) -> None:
    """Note that these are other people who took over an address: who had it before has left."""
    sync.alone(tx)
    log = []
    for row in tx.execute(_PEOPLE, {"ids": [s.old for s in pairs]}).scalars():
        row.status, row.email, row.void_until = PersonStatus.INACTIVE.value, "", now
        row.body = {**row.body, "status": row.status, "email": ""}
        row.slack, row.account, row.suspended = None, None, None
        log.append(Entry("parted", OPERATOR, {"person": row.id}))
    sync.changed(tx, log, now)


def _carry_requests(tx: Write, ids: Mapping[PersonId, PersonId], now: datetime) -> list[RequestId]:
    rows = list(tx.execute(_THEIRS, {"ids": list(ids)}).scalars())
    for row in rows:
        request = load_request(row.id or 0, row.version, row.body).renamed(ids)
        row.requestor_id, row.grantee_id = request.requestor, request.grantee
        row.body, row.version, row.wake_at = dump_request(request), row.version + 1, now
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
        secret = accounts.open_secret(row, keys)
        row.person_id = new
        if secret and accounts.open_secret(row, keys) is None:
            # It is bound to whose it is. An order under way no longer speaks of this one.
            row.secret = keys.seal(secret, accounts._about(row))  # noqa: SLF001  (its only other user)
            apply.bump(tx, [AccountId(row.id or 0)], now)
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
        ties[new] = row.slack, row.account, row.suspended, row.channel, row.void_until
        if new not in rows or rows[new].successor:
            _know(tx, rows, new, row)
        row.slack, row.account, row.suspended = None, None, None
        row.status, row.successor = PersonStatus.INACTIVE.value, new
        row.body = {**row.body, "status": row.status}
    tx.flush()  # an account has one person, at every moment
    for new, (slack, account, suspended, channel, void_until) in ties.items():
        row = rows[new]
        if row.slack is None and row.suspended is None:
            row.slack, row.account, row.suspended = slack, account, suspended
            row.channel = channel
        row.void_until = max(filter(None, (row.void_until, void_until)), default=None)
    tx.flush()


def _know(tx: Write, rows: dict[PersonId, PersonRow], new: PersonId, old: PersonRow) -> None:
    """Store the new id as what is known of the old."""
    body = {**old.body, "id": new}
    row = rows.get(new)
    if row is None:
        row = rows[new] = PersonRow(id=new, email=old.email, status=old.status, body=body)
        tx.add(row)
    row.email, row.status, row.body, row.successor = old.email, old.status, body, None
