"""What belongs to people who have a new directory id, carried over; who has left an id.

Who succeeds whom is decided by `engine.succession`.
"""

from collections.abc import Container, Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import col

from engine import succession
from engine.directory import Person, PersonId, PersonStatus
from engine.outcome import AuditEntry
from engine.request import OPERATOR
from engine.succession import Succession
from storage import accounts, audit, sync, touched
from storage.codec import fields_of, load_person, stand_in, with_fields
from storage.company import now_known_as
from storage.database import Read, Write
from storage.secrets import KeyRing
from storage.sync import known_person
from storage.tables import AccountRow, PersonRow
from storage.touched import Touched
from storage.types import among, as_text

AT_ONCE = 10  # people in one transaction, which others wait for

_THESE = sync.KNOWN.where(among(col(PersonRow.id), "ids"))
_ACCOUNTS = (
    select(AccountRow)
    .where(among(col(AccountRow.person_id), "ids"))
    .order_by(col(AccountRow.id))
    .with_for_update(key_share=True)
)
_IS_USED = select(col(PersonRow.id)).where(col(PersonRow.id) == bindparam("id"))
_PEOPLE = select(PersonRow).where(among(col(PersonRow.id), "ids")).order_by(col(PersonRow.id))


def find(session: Read, listed: Sequence[Person]) -> list[Succession]:
    """Return who is listed under another id than the one known."""
    rows = {PersonId(row[0]): row for row in session.ask(sync.KNOWN)}

    def known_of(id_: PersonId) -> Person:
        _, email, status, _, body, *_ = rows[id_]
        return load_person(body) or stand_in(id_, as_text(email), as_text(status))

    return succession.find(map(known_person, rows.values()), listed, known_of)


def tell(tx: Write, found: Sequence[Succession], now: datetime) -> None:
    """Tell the admins, once for each list, who seems to be the same person."""
    for said in succession.told(found):
        sync.tell_admins(tx, said.key, said.sentence, now)


def carry(tx: Write, pairs: Sequence[Succession], keys: KeyRing, now: datetime) -> None:
    """Give people their new ids, with all that is theirs: tie and logins.

    Live requests are woken, and follow with their cards as each is decided on. What is over keeps
    the old id, by which the directory still finds them. The logins keep their names in the systems.
    What has changed since it was found stays as it is.
    """
    tx.alone()
    pairs = _as_they_are(tx, pairs)
    ids = {s.old: s.new for s in pairs}
    _carry_accounts(tx, ids, keys, now)
    _carry_people(tx, ids)
    touched.note(tx, Touched(people=set(ids)))
    log = [AuditEntry("carried_over", OPERATOR, {"from": s.old, "to": s.new}) for s in pairs]
    audit.append(tx, [(None, entry) for entry in log], now)


def _as_they_are(tx: Write, pairs: Sequence[Succession]) -> list[Succession]:
    rows = tx.ask(_THESE, {"ids": [id_ for s in pairs for id_ in (s.old, s.new)]})
    known = {one.id: one for one in map(known_person, rows)}
    newest = now_known_as(tx, (s.new for s in pairs))
    return [s for s in pairs if s.fits(known.get(s.old), known.get(s.new), newest)]


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
    own = succession.own_id(former, _Ids(tx))
    touching = sync.Touching([row])
    body = with_fields(row.body, {"id": own})
    tx.add(PersonRow(id=own, email=row.email, status=row.status, body=body))
    row.body = with_fields(row.body, {"name": str(fields_of(row.former).get("name", ""))})
    _leave(row, now)
    accounts.look_at(tx, [former], now)
    entry = AuditEntry("parted", OPERATOR, {"person": former, "now": own})
    sync.changed(tx, [entry], now, touching.done())
    return True


class _Ids(Container[str]):
    """All ids that somebody has or had: each is looked for when it is asked about."""

    def __init__(self, tx: Write) -> None:
        self._tx = tx

    def __contains__(self, id_: object) -> bool:
        return bool(self._tx.ask(_IS_USED, {"id": id_}))


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
    accounts.look_at(tx, [PersonId(row.id) for row in rows], now)
    sync.changed(tx, log, now, touching.done())


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
