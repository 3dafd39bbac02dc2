"""Requests whose body cannot be read, made up for by what stands beside it (`engine.rebuilt`)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from engine import alarms, rebuilt
from engine.outcome import AuditEntry
from engine.rebuilt import Entry, GrantColumns, RequestColumns
from engine.request import SYSTEM, AccessRequest, Grant, RequestId
from storage import audit
from storage.codec import fields_of, load_request
from storage.database import Read, Write
from storage.numbers import LARGEST
from storage.tables import AccountRow, GrantRow, RequestRow
from storage.types import among, as_text

_COLUMNS = select(
    col(RequestRow.id),
    col(RequestRow.version),
    col(RequestRow.state),
    col(RequestRow.requestor_id),
    col(RequestRow.grantee_id),
    col(RequestRow.flow_id),
    col(RequestRow.revision),
    col(RequestRow.submitted_at),
).where(among(col(RequestRow.id), "ids"))
_COUNT_ANEW = update(RequestRow).where(col(RequestRow.id) == bindparam("of")).values(version=0)
_GRANTS = (
    select(
        col(GrantRow.request_id),
        col(GrantRow.number),
        col(GrantRow.entitlement_id),
        col(GrantRow.account_id),
        col(GrantRow.state),
        col(GrantRow.begun),
    )
    .where(among(col(GrantRow.request_id), "ids"))
    .order_by(col(GrantRow.request_id), col(GrantRow.number))
)
_ACCOUNTS = select(col(AccountRow.id)).where(among(col(AccountRow.id), "ids"))
_BODIES = select(col(RequestRow.id), col(RequestRow.version), col(RequestRow.body)).where(
    among(col(RequestRow.id), "ids")
)


def note(session: Read, id_: RequestId, body: object) -> None:
    """Have it said, once, that a request cannot be read."""
    session.unread.note("request", id_, body, alarms.unread_request(id_))


def counted(session: Read, id_: RequestId, version: object) -> int:
    """Return a request's version; one that nobody has counted to begins anew, and is stored so."""
    if isinstance(version, int) and 0 <= version <= LARGEST:
        return version
    session.unread.note("request", id_, ascii(version), alarms.unread_version(id_))
    if isinstance(session, Write):
        session.do(_COUNT_ANEW, {"of": id_})
    return 0


def requests(
    session: Read, said: Mapping[RequestId, Sequence[Grant]]
) -> dict[RequestId, AccessRequest]:
    """Return what can be known of requests without their bodies.

    `said` is what bodies that are not believed say of their grants: of accounts that there are.
    """
    ids = list(said)
    given = {"ids": ids}
    named = {grant.account for some in said.values() for grant in some}
    there = {id_ for (id_,) in session.ask(_ACCOUNTS, {"ids": sorted(named)})} if named else set()
    grants = defaultdict[int, list[GrantColumns]](list)
    for grant in session.ask(_GRANTS, given):
        of, number, entitlement, account, state, begun = grant
        leads = _number(entitlement), _number(account)
        grants[of].append(GrantColumns(number, *leads, as_text(state), begun))
    entries = defaultdict[object, list[Entry]](list)
    for one in audit.of_requests(session, ids):
        at, detail = audit.moment_of(one.at), fields_of(one.detail)
        entries[one.request].append(Entry(one.action, one.actor, at, detail))
    every = map(_columns, session.ask(_COLUMNS, given))
    return {
        RequestId(of.id): rebuilt.request(
            of,
            grants[of.id],
            entries[of.id],
            [grant for grant in said[RequestId(of.id)] if grant.account in there],
        )
        for of in every
    }


def _columns(row: Sequence[Any]) -> RequestColumns:
    id_, version, state, requestor, grantee, flow, revision, submitted_at = row
    return RequestColumns(
        id_,
        version,
        as_text(state),
        as_text(requestor),
        as_text(grantee),
        _number(flow),
        _number(revision),
        submitted_at,
    )


def _number(kept: object) -> int:
    """Return a number; where another thing stands, one that leads nowhere."""
    return kept if isinstance(kept, int) else 0


def kept(session: Read, ids: Collection[RequestId]) -> list[tuple[RequestId | None, AuditEntry]]:
    """Return, for the audit, what stands in bodies that cannot be read and are written anew."""
    return [
        (RequestId(id_ or 0), AuditEntry("rebuilt", SYSTEM, {"body": ascii(body)}))
        for id_, version, body in (session.ask(_BODIES, {"ids": list(ids)}) if ids else ())
        if not _is_rebuilt(load_request(id_ or 0, version, body))
    ]


def _is_rebuilt(stored: AccessRequest | None) -> bool:
    """Tell whether a body is what was written anew in place of one that could not be read."""
    return stored is not None and not stored.readable
