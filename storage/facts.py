"""Reads: everything that a decision needs, in a few statements."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Integer,
    Select,
    Text,
    bindparam,
    case,
    cast,
    literal_column,
    or_,
    select,
    text,
    union,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from engine import alarms, policy_size
from engine.directory import PersonId
from engine.eligibility import Draft
from engine.inventory import (
    Entitlement,
    EntitlementId,
)
from engine.policy_size import Carried
from engine.rebuilt import can_be
from engine.request import AccessRequest, AccountId, Grant, RequestId, State
from storage import rebuilt
from storage.codec import load_request
from storage.company import Company
from storage.database import Read, Write
from storage.entitlements import EntitlementLine, entitlement_query, to_entitlement
from storage.tables import (
    ENDLESS,
    LIVE,
    OPEN,
    AccountRow,
    AskRow,
    EntitlementRow,
    GrantRow,
    PersonRow,
    RequestRow,
)
from storage.types import among
from storage.types import together as joined

_OPEN_GRANTS = (
    select(
        joined(
            cast(col(GrantRow.number), Text)
            # What is no number, as SQLite lets it be, is 0: of bytes it could make no text.
            + ":"
            + cast(cast(col(GrantRow.entitlement_id), Integer), Text)
            + ":"
            + cast(cast(col(GrantRow.account_id), Integer), Text)
            + case((col(GrantRow.begun), "+"), else_="-"),
            literal_column("' '"),
        )
    )
    .where(col(GrantRow.request_id) == col(RequestRow.id), col(GrantRow.open))
    .correlate(RequestRow)
    .scalar_subquery()
)
# What `loaded` reads of a request: the body, and what stands beside it.
PARTS: tuple[Any, ...] = (
    col(RequestRow.id).label("of"),
    col(RequestRow.version).label("version"),
    col(RequestRow.body).label("body"),
    col(RequestRow.state).label("state"),
    col(RequestRow.flow_id).label("flow"),
    col(RequestRow.revision).label("revision"),
    _OPEN_GRANTS.label("open"),
)
_REQUEST = select(*PARTS)
_IN_ORDER = _REQUEST.order_by(col(RequestRow.id))
_ONE = _REQUEST.where(col(RequestRow.id) == bindparam("id"))
_SEVERAL = _IN_ORDER.where(among(col(RequestRow.id), "ids"))
_MINE, _OTHER = aliased(GrantRow), aliased(GrantRow)
_TOGETHER = _IN_ORDER.where(
    col(RequestRow.id).in_(  # apart, in a union: with an OR all requests would be read
        union(
            select(col(RequestRow.id)).where(among(col(RequestRow.id), "ids")),
            select(col(_OTHER.request_id))
            .join(_MINE, col(_MINE.account_id) == col(_OTHER.account_id))
            .where(among(col(_MINE.request_id), "ids"), col(_OTHER.open)),
        )
    )
).with_for_update()
_SAME = select(col(RequestRow.id)).where(
    col(RequestRow.fingerprint) == bindparam("fingerprint"), text(OPEN)
)
# Whatever state stands there: what is begun is not over.
IS_LIVE = or_(
    text(LIVE),
    col(RequestRow.id).in_(
        select(col(GrantRow.request_id)).where(col(GrantRow.open), col(GrantRow.begun))
    ),
)
_OPEN_BY = (
    select(col(RequestRow.id))
    .where(among(col(RequestRow.requestor_id), "requestor"), text(OPEN))
    .order_by(col(RequestRow.id))
)
_REQUESTOR = (
    select(col(PersonRow.id))
    .where(col(PersonRow.id) == bindparam("requestor"))
    .with_for_update(key_share=True)
)
_OF_PERSON = (
    _REQUEST.where(
        or_(
            among(col(RequestRow.requestor_id), "person"),
            among(col(RequestRow.grantee_id), "person"),
        )
    )
    .order_by(col(RequestRow.id).desc())
    .limit(100)
)
_OF_PERSON_LIVE = _OF_PERSON.where(text(LIVE))
_WAITING = _IN_ORDER.where(
    col(RequestRow.state) == State.PENDING.value,
    col(RequestRow.id).in_(
        select(col(AskRow.request_id)).where(
            among(col(AskRow.person_id), "person"), col(AskRow.open)
        )
    ),
).limit(100)
_OF_ACCOUNTS = _IN_ORDER.where(
    col(RequestRow.id).in_(
        select(col(GrantRow.request_id))
        .join(AccountRow, col(GrantRow.account_id) == col(AccountRow.id))
        .where(among(col(AccountRow.person_id), "person"), col(GrantRow.open))
    )
)
_ENDLESS = _IN_ORDER.where(text(ENDLESS)).limit(bindparam("most", type_=Integer))
_SHARING = _IN_ORDER.where(
    col(RequestRow.id).in_(
        select(col(GrantRow.request_id)).where(
            among(col(GrantRow.account_id), "accounts"), col(GrantRow.open)
        )
    )
).with_for_update()


def request(session: Read, id_: RequestId) -> AccessRequest | None:
    """Return a request, to look at; None: no such."""
    found = _requests(session, _ONE, id=id_)
    return found[0] if found else None


def requests(session: Read, ids: Iterable[RequestId]) -> list[AccessRequest]:
    """Return requests, to look at, in the order of their ids."""
    return _requests(session, _SEVERAL, ids=list(ids))


def together(tx: Write, ids: Iterable[RequestId]) -> list[AccessRequest]:
    """Return, locked, in order, the requests and all that share an account with one of them."""
    return _requests(tx, _TOGETHER, ids=list(ids))


def sharing(tx: Write, accounts: Iterable[AccountId]) -> list[AccessRequest]:
    """Return, locked, in order, the requests that have an open grant on one of the accounts."""
    found = _requests(tx, _SHARING, accounts=list(accounts))
    return [r for r in found if not r.state.final]


def carried(session: Read, company: Company, draft: Draft) -> list[Carried]:
    """Return what the grantee has, or waits for, where a draft adds a policy; else nothing."""
    if not any(entitlement.document for entitlement in draft.entitlements):
        return []
    live = [r for r in had_by(session, company, draft.grantee.id) if r.id != draft.instead]
    known = entitlements(session, company, {g.entitlement for r in live for g in r.grants})
    return policy_size.carried(live, known)


def had_by(session: Read, company: Company, person: PersonId) -> list[AccessRequest]:
    """Return the requests, not yet over, with an open grant on an account of this person."""
    found = _requests(session, _OF_ACCOUNTS, person=[person, *company.directory.had(person)])
    return [r for r in found if not r.state.final]


def of_person(
    session: Read, person: PersonId, had: Iterable[PersonId] = (), *, live: bool
) -> list[AccessRequest]:
    """Return the requests that a person made or receives, the newest first, at most 100.

    `had` are the ids that they had before: a request may still name them by one of those.
    """
    return _requests(session, _OF_PERSON_LIVE if live else _OF_PERSON, person=[person, *had])


def waiting_for(
    session: Read, person: PersonId, had: Iterable[PersonId] = ()
) -> list[AccessRequest]:
    """Return the pending requests that this person is asked about: the oldest 100."""
    return _requests(session, _WAITING, person=[person, *had])


def endless(session: Read, most: int) -> list[AccessRequest]:
    """Return so many of the requests whose access runs without end, the oldest first."""
    return [r for r in _requests(session, _ENDLESS, most=most) if r.ends_at is None]


def find(session: Read, *, live: bool = True) -> list[AccessRequest]:
    """Return requests for an operator, the newest first; not `live`: those that are over, too."""
    query = _REQUEST.where(IS_LIVE) if live else _REQUEST
    found = session.execute(query.order_by(col(RequestRow.id).desc()))
    return loaded(session, [tuple(row) for row in found])


def same(session: Read, fingerprint: str) -> RequestId | None:
    """Return the request that waits or is being granted under this fingerprint."""
    found = session.ask(_SAME, {"fingerprint": fingerprint})
    return RequestId(found[0][0] or 0) if found else None


def alone_with(session: Read, person: PersonId) -> None:
    """In a transaction that writes, wait for others that count what the same person has open."""
    if isinstance(session, Write) and session.dialect == "postgresql":
        session.ask(_REQUESTOR, {"requestor": person})


def open_by(session: Read, requestor: PersonId, had: Iterable[PersonId] = ()) -> list[RequestId]:
    """Return the requests that somebody made and that wait, the oldest first.

    A transaction that writes waits for the same person's others, and they for it: what it counts
    stays so until it ends.
    """
    alone_with(session, requestor)
    found = session.ask(_OPEN_BY, {"requestor": [requestor, *had]})
    return [RequestId(id_ or 0) for (id_,) in found]


def entitlements(
    session: Read, company: Company, ids: Iterable[EntitlementId]
) -> dict[EntitlementId, Entitlement]:
    """Return entitlements, those of resources that are gone included; read once an epoch."""
    wanted = list(ids)
    if unread := [id_ for id_ in wanted if id_ not in company.inventory]:
        company.inventory.update({e.id: e for e in _entitlements(session, unread)})
    return {id_: company.inventory[id_] for id_ in wanted if id_ in company.inventory}


def note_lost(session: Read, ids: Iterable[EntitlementId]) -> None:
    """Have it said, once, that what requests name leads nowhere: what there was never goes."""
    for id_ in sorted(ids):
        session.unread.note("entitlement", id_, None, alarms.lost_thing(id_))


def _entitlements(session: Read, ids: Iterable[EntitlementId]) -> list[Entitlement]:
    found = session.ask(_ENTITLEMENTS, {"ids": list(ids)})
    # Bytes, which SQLite may keep in the place of a text, name nothing.
    rows = [
        EntitlementLine(*row) for row in found if not any(isinstance(value, bytes) for value in row)
    ]
    for row in rows:
        if not row.readable:
            session.unread.note(
                "resource",
                row.resource,
                [row.status, row.body],
                alarms.unread_resource(row.path, row.system),
            )
        if not row.permission_readable:
            session.unread.note(
                "permission",
                f"{row.integration}/{row.permission}",
                row.described,
                alarms.unread_permission(row.called or row.permission, row.system),
            )
    return [to_entitlement(row) for row in rows]


_ENTITLEMENTS = entitlement_query().where(among(col(EntitlementRow.id), "ids"))


def _requests(
    session: Read, query: Select[*tuple[Any, ...]], **given: object
) -> list[AccessRequest]:
    return loaded(session, session.ask(query, given))


def loaded(session: Read, rows: Iterable[Sequence[Any]]) -> list[AccessRequest]:
    """Return the requests of rows (`PARTS`), in their order, each as far as it can be read."""
    read = {RequestId(row[0] or 0): _Request(*row) for row in rows}
    found = {id_: _load(session, row) for id_, row in read.items()}
    if doubted := [id_ for id_, request in found.items() if request is None]:
        # A row that was locked is newer than what stands beside it, which was read before.
        read |= {
            RequestId(row[0]): _Request(*row) for row in session.ask(_SEVERAL, {"ids": doubted})
        }
        found |= {id_: _load(session, read[id_]) for id_ in doubted}
    lost = [id_ for id_, request in found.items() if request is None]
    for id_ in lost:
        rebuilt.note(session, id_, read[id_].body)
    instead = rebuilt.requests(session, {i: _said(read[i]) for i in lost}) if lost else {}
    return [request or instead[id_] for id_, request in found.items()]


class _Request(NamedTuple):
    """What `PARTS` selects."""

    id: int | None
    version: int
    body: object
    state: str
    flow: int
    revision: int
    open: str | None  # number, entitlement and account of each open grant, + where it is begun

    def bears_out(self, request: AccessRequest) -> bool:
        """Tell whether the body says what stands beside it, as far as that can be read.

        It must not say less, or of its grants anything else: what it takes to be over, or to be
        elsewhere, would stay, and be called gone.
        """
        beside = (self.state, self.flow, self.revision)
        said = (request.state, request.flow, request.revision)
        named = {f"{g.id}:{g.entitlement}:{g.account}": g for g in request.grants}
        open_ = {f"{name}-" for name, grant in named.items() if grant.open}
        begun = {f"{name}+" for name, grant in named.items() if grant.begun}
        return {*(self.open or "").split()} <= open_ | begun and all(
            one == other or not _is_known(one) for one, other in zip(beside, said, strict=True)
        )


def _is_known(beside: object) -> bool:
    return isinstance(beside, int) or beside in set(State)


def _said(row: _Request) -> Sequence[Grant]:
    """Return the grants of a body that is not believed, as far as it can be read."""
    request = load_request(RequestId(row.id or 0), 0, row.body)
    return request.grants if request else ()


def _load(session: Read, row: _Request) -> AccessRequest | None:
    id_ = RequestId(row.id or 0)
    request = load_request(id_, rebuilt.counted(session, id_, row.version), row.body)
    return request if request and row.bears_out(request) and can_be(request) else None
