"""Rows that lead nowhere, as SQLite lets a hand make: of a login's name PostgreSQL does, too.

An account whose system is none is never worked on, and a grant of no account is nobody's: access
stayed, and nothing said so. What a live request's body, or what it was given for, still tells is
written anew; what nothing tells is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, literal_column, or_, select, update
from sqlmodel import col

from engine import alarms
from engine.directory import PersonId
from engine.inventory import EntitlementId, IntegrationId
from engine.links import (
    AccountLinks,
    StoredGrant,
    by_account,
    contradicted,
    is_odd_login,
    mended,
    strays,
)
from engine.request import AccessRequest, AccountId, GrantId, RequestId
from storage import accounts, apply, batch, facts
from storage.bounds import parts
from storage.database import Database, Read, Write
from storage.tables import (
    AccountRow,
    EntitlementRow,
    GrantRow,
    IntegrationRow,
    PersonRow,
    RequestRow,
    ResourceRow,
)
from storage.types import among, as_text

_ROW: ColumnElement[int] = literal_column("access_grant.rowid")
_NO_SYSTEM = col(AccountRow.integration_id).not_in(select(col(IntegrationRow.id)))
_LOST_ACCOUNTS = select(
    col(AccountRow.id),
    _NO_SYSTEM,
    func.typeof(col(AccountRow.person_id)) != "text",
).where(or_(_NO_SYSTEM, func.typeof(col(AccountRow.person_id)) != "text"))
_ELSEWHERE = (
    select(col(GrantRow.account_id))
    .join(AccountRow, col(AccountRow.id) == col(GrantRow.account_id))
    .join(EntitlementRow, col(EntitlementRow.id) == col(GrantRow.entitlement_id))
    .join(ResourceRow, col(ResourceRow.id) == col(EntitlementRow.resource_id))
    .join(IntegrationRow, col(IntegrationRow.id) == col(AccountRow.integration_id))
    .where(col(GrantRow.open), col(ResourceRow.integration_id) != col(AccountRow.integration_id))
    .distinct()
)
_SAME_PERSON = select(col(AccountRow.id)).where(
    col(AccountRow.integration_id) == bindparam("system"),
    col(AccountRow.person_id) == bindparam("person"),
    col(AccountRow.id) != bindparam("id"),
)
_LOGINS = select(col(AccountRow.id), col(AccountRow.login), col(AccountRow.person_id))
_ALL_NEW_IDS = select(col(PersonRow.successor)).where(col(PersonRow.successor).is_not(None))
_NEW_IDS = select(col(PersonRow.successor)).where(among(col(PersonRow.successor), "people"))
_NO_REQUEST = col(GrantRow.request_id).not_in(select(col(RequestRow.id)))
_NO_ACCOUNT = col(GrantRow.account_id).not_in(select(col(AccountRow.id)))
_NO_THING = col(GrantRow.entitlement_id).not_in(select(col(EntitlementRow.id)))
_LOST_GRANTS = select(_ROW, _NO_REQUEST, _NO_ACCOUNT, _NO_THING).where(
    col(GrantRow.open), or_(_NO_REQUEST, _NO_ACCOUNT, _NO_THING)
)
_GRANTS = select(
    col(GrantRow.request_id),
    col(GrantRow.number),
    col(GrantRow.entitlement_id),
    col(GrantRow.account_id),
    col(GrantRow.state),
    col(GrantRow.begun),
    col(GrantRow.open),
).where(among(col(GrantRow.request_id), "ids"))
_ACCOUNTS = select(col(AccountRow.id)).where(among(col(AccountRow.id), "ids"))
_THINGS = select(col(EntitlementRow.id)).where(among(col(EntitlementRow.id), "ids"))
_SYSTEM_OF = (
    select(col(EntitlementRow.id), col(ResourceRow.integration_id))
    .join(ResourceRow, col(ResourceRow.id) == col(EntitlementRow.resource_id))
    .join(IntegrationRow, col(IntegrationRow.id) == col(ResourceRow.integration_id))
    .where(among(col(EntitlementRow.id), "ids"))
)


@dataclass(frozen=True, slots=True)
class LostLink:
    """A column of a row that leads nowhere, or is no text."""

    table: str
    row: int
    column: str


def find(session: Read) -> list[LostLink]:
    """Return what leads nowhere; each is named once. It reads tables whole: nobody is to wait."""
    new_ids = {PersonId(as_text(now or "")) for (now,) in session.ask(_ALL_NEW_IDS)}
    found = [
        LostLink("account", row or 0, "login")
        for row, login, person in session.ask(_LOGINS)
        if is_odd_login(as_text(login), PersonId(as_text(person)), new_ids)
    ]
    elsewhere = session.ask(_ELSEWHERE)
    found += [LostLink("account", row, "integration_id") for (row,) in elsewhere]
    if session.dialect == "sqlite":
        found += _lost("account", ("integration_id", "person_id"), session.ask(_LOST_ACCOUNTS))
        leads = ("request_id", "account_id", "entitlement_id")
        found += _lost("access_grant", leads, session.ask(_LOST_GRANTS))
    for lost in found:
        said = alarms.lost_link(lost.table, lost.row, lost.column)
        session.unread.note(lost.table, f"{lost.row}/{lost.column}", None, said)
    return found


def _lost(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[LostLink]:
    return [
        LostLink(table, row, column)
        for row, *lost in rows
        for column, is_lost in zip(columns, lost, strict=True)
        if is_lost
    ]


def mend(database: Database, now: datetime) -> None:
    """Write anew what the live requests tell of what leads nowhere, and name it."""
    with database.read() as session:
        found = find(session)
        every = facts.find(session)
        missed = {id_ for some in parts(every) for id_ in _missed(session, some)}
    live = [request for request in every if request.readable]
    concerned = [request for request in every if request.id in missed]
    for requests in parts(concerned, lambda request: 2 * len(request.grants)):
        with database.write() as tx:
            _mend_grants(tx, requests, now)
    lost_accounts = sorted({lost.row for lost in found if lost.table == "account"})
    for some in parts(lost_accounts, lambda _: 2):
        with database.write() as tx:
            _mend_accounts(tx, some, live, now)
    for grants in parts([lost.row for lost in found if lost.column == "request_id"]):
        with database.write() as tx:
            # What is nobody's kept its account from being worked on: it seemed to join just now.
            tx.execute(update(GrantRow).where(_ROW.in_(grants), _NO_REQUEST).values(open=False))


def _missed(session: Read, requests: Sequence[AccessRequest]) -> set[RequestId]:
    """Return those of the requests whose grants' rows are not what they say."""
    stored = _stored(session, requests)
    return {id_ for id_, _ in (*contradicted(requests, stored), *strays(requests, stored))}


def _stored(
    session: Read, requests: Sequence[AccessRequest]
) -> dict[tuple[RequestId, GrantId], StoredGrant]:
    rows = session.ask(_GRANTS, {"ids": [r.id for r in requests]})
    return {
        (RequestId(of), GrantId(number)): StoredGrant(
            EntitlementId(thing), AccountId(account), state, begun, open_
        )
        for of, number, thing, account, state, begun, open_ in rows
    }


def _mend_grants(tx: Write, seen: Sequence[AccessRequest], now: datetime) -> None:
    """Make the rows of grants what their requests say, as far as what these name is there."""
    ids = [request.id for request in seen]
    requests = [request for request in facts.together(tx, ids) if request.id in ids]
    stored = _stored(tx, requests)
    missed, others = contradicted(requests, stored), strays(requests, stored)
    grants = [grant for _, grant in missed]
    there = {id_ for (id_,) in tx.ask(_ACCOUNTS, {"ids": [g.account for g in grants]})}
    things = {id_ for (id_,) in tx.ask(_THINGS, {"ids": [g.entitlement for g in grants]})}
    rows = [
        (grant.account, apply.grant_columns(of, grant))
        for of, grant in missed
        if grant.account in there and grant.entitlement in things
    ]
    concerned = {account for account, _ in rows} | {stored[key].account for key in others}
    if not concerned:
        return
    for of in sorted({of for of, _ in (*missed, *others)}):
        tx.unread.note("access_grant", of, None, alarms.contradicted_grants(of))
    if rows:
        key = ("request_id", "number")
        change = [name for name in rows[0][1] if name not in key]
        batch.add(tx, GrantRow, [row for _, row in rows], key=key, change=change)
    closed: list[dict[str, object]] = [
        {"of": of, "n": number, "open": False} for of, number in others
    ]
    batch.change(tx, GrantRow, closed, where={"request_id": "of", "number": "n"}, to=("open",))
    apply.bump(tx, concerned, now)


def _mend_accounts(
    tx: Write, ids: Sequence[int], live: Sequence[AccessRequest], now: datetime
) -> None:
    """Give accounts the person, system and login that the requests tell which use them."""
    used = by_account(live)
    for id_ in map(AccountId, ids):
        row, requests = tx.get(AccountRow, id_), used.get(id_, [])
        if row is None or not requests:
            continue
        known = _links(row)
        things = [g.entitlement for r in requests for g in r.grants if g.account == id_]
        systems = {IntegrationId(of) for _, of in tx.ask(_SYSTEM_OF, {"ids": things})}
        people = [known.person or "", *(request.grantee for request in requests)]
        new_ids = {PersonId(person or "") for (person,) in tx.ask(_NEW_IDS, {"people": people})}
        sealed = accounts.sealed_for(row, tx.keys, {known.integration, *systems})
        links = mended(known, requests, systems, new_ids, sealed)
        named = {"system": links.integration, "person": links.person, "id": id_}
        if tx.ask(_SAME_PERSON, named):
            continue  # they have another login there by now: it is worked on no more, and told
        values = {
            "person_id": links.person,
            "integration_id": links.integration,
            "login": links.login,
        }
        if any(getattr(row, name) != value for name, value in values.items()):
            tx.execute(update(AccountRow).where(col(AccountRow.id) == id_).values(values))
            apply.bump(tx, [id_], now)


def _links(row: AccountRow) -> AccountLinks:
    person: Any = row.person_id  # SQLite keeps bytes where a hand has put them
    return AccountLinks(
        None if isinstance(person, bytes) else PersonId(person),
        IntegrationId(as_text(row.integration_id)),
        as_text(row.login),
    )
