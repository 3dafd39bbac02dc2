"""Requests whose body cannot be read: their columns, grants and audit say enough to end them.

The end is the audit's: it says until when access was given, and how often that was extended. Where
it does not say, the end has come: whatever else is lost, no access is left behind. What waits for a
decision cannot be decided on, and is left as it is until it must have lapsed.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from engine import alarms
from engine.directory import PersonId
from engine.flow import FlowId
from engine.inventory import EntitlementId
from engine.outcome import AuditEntry
from engine.request import (
    NOT_GIVEN,
    SYSTEM,
    WAITING,
    AccessRequest,
    AccountId,
    Grant,
    GrantId,
    GrantState,
    RequestId,
    Settled,
    State,
)
from storage.codec import fields_of, load_request
from storage.database import Read, Write
from storage.tables import AuditRow, GrantRow, RequestRow
from storage.types import among

LONGEST_WAIT = timedelta(days=30)  # the latest moment at which any flow lets a request lapse
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

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
_AUDIT = (
    select(
        col(AuditRow.request_id),
        col(AuditRow.action),
        col(AuditRow.actor),
        col(AuditRow.at),
        col(AuditRow.body),
    )
    .where(among(col(AuditRow.request_id), "ids"))
    .order_by(col(AuditRow.seq))
)
_BODIES = select(col(RequestRow.id), col(RequestRow.version), col(RequestRow.body)).where(
    among(col(RequestRow.id), "ids")
)


def note(session: Read, id_: RequestId, body: object) -> None:
    """Have it said, once, that a request cannot be read."""
    session.unread.note(
        "request",
        id_,
        body,
        alarms.unread_request(id_),
    )


def counted(session: Read, id_: RequestId, version: object) -> int:
    """Return a request's version; one that is no number begins anew, and is stored so."""
    if isinstance(version, int):
        return version
    session.unread.note(
        "request",
        id_,
        ascii(version),
        alarms.unread_version(id_),
    )
    if isinstance(session, Write):
        session.do(_COUNT_ANEW, {"of": id_})
    return 0


def requests(session: Read, ids: Collection[RequestId]) -> dict[RequestId, AccessRequest]:
    """Return what can be known of requests without their bodies."""
    given = {"ids": list(ids)}
    grants = defaultdict[int, list[tuple[Any, ...]]](list)
    for of, *grant in session.ask(_GRANTS, given):
        grants[of].append(tuple(grant))
    history = defaultdict[int | None, _History](_History)
    for of, action, actor, at, body in session.ask(_AUDIT, given):
        history[of].add(action, PersonId(actor), at, fields_of(body))
    return {
        RequestId(row[0] or 0): _rebuilt(row, grants[row[0] or 0], history[row[0]])
        for row in session.ask(_COLUMNS, given)
    }


def kept(session: Read, ids: Collection[RequestId]) -> list[tuple[RequestId | None, AuditEntry]]:
    """Return, for the audit, what stands in bodies that cannot be read and are written anew."""
    return [
        (RequestId(id_ or 0), AuditEntry("rebuilt", SYSTEM, {"body": ascii(body)}))
        for id_, version, body in (session.ask(_BODIES, {"ids": list(ids)}) if ids else ())
        if load_request(id_ or 0, version, body) is None
    ]


@dataclass(slots=True)
class _History:
    """What the audit says of a request. `ends` None: it was given without end."""

    ends: datetime | None = _LONG_AGO
    granted: tuple[datetime, datetime | None] | None = None  # when, and until when
    ending: State = State.REVOKED
    ended: Settled | None = None

    def add(self, action: str, actor: PersonId, at: datetime | None, said: dict[str, Any]) -> None:
        at = at or _LONG_AGO
        match action:
            case "granted":
                self.ends = _until(said)
                self.granted = at, self.ends
            case "extended":
                self.ends = _until(said)
            case "extension_refused" if self.granted:
                # Which of the extensions the systems had taken before is not said.
                self.ends = self.granted[1]
            case "revoking":
                ending = said.get("ending")
                self.ending = State(ending) if ending in set(State) else State.REVOKED
                self.ended = Settled(actor, at, str(said.get("reason", "")))


def _until(said: dict[str, Any]) -> datetime | None:
    until = said.get("until", "")
    if until is None:
        return None
    try:
        moment = datetime.fromisoformat(until)
    except (ValueError, TypeError):
        return _LONG_AGO
    return moment if moment.tzinfo else _LONG_AGO


def _rebuilt(
    row: tuple[Any, ...], grants: Sequence[tuple[Any, ...]], history: _History
) -> AccessRequest:
    id_, version, named, requestor, grantee, flow, revision, at = row
    submitted = at or _LONG_AGO
    given = any(begun for *_, begun in grants)
    state = State(named) if named in set(State) else State.ACTIVE if given else State.PENDING
    waits = state in WAITING
    runs = state is State.ACTIVE and history.granted is not None
    ends = history.ends if runs else None if waits else submitted
    since, until = history.granted or (submitted, None)
    return AccessRequest(
        id=RequestId(id_),
        requestor=PersonId(requestor),
        grantee=PersonId(grantee),
        flow=FlowId(flow),
        revision=revision,
        state=state,
        version=version if isinstance(version, int) else 0,
        submitted_at=submitted,
        lapses_at=submitted + LONGEST_WAIT if waits else submitted,
        duration=until - since if until and until > since else None,
        justification="",
        grants=tuple(_grant(grant, waits=waits) for grant in grants),
        ends_at=ends,
        confirmed_at=since if runs else None,
        ending=history.ending if state is State.REVOKING else None,
        ended=history.ended if state is State.REVOKING or state.final else None,
        readable=False,
    )


def _grant(row: tuple[Any, ...], *, waits: bool) -> Grant:
    number, entitlement, account, named, begun = row
    state = GrantState(named) if named in set(GrantState) else GrantState.ENDED
    if named not in set(GrantState) and begun:
        state = GrantState.HELD
    grant = Grant(
        GrantId(number),
        EntitlementId(entitlement),
        AccountId(account),
        state,
        begun=begun,
        ever_begun=begun,
        standing=not begun if state is GrantState.HELD else False if begun else None,
    )
    if state is GrantState.WANTED and not begun and not waits:
        return grant.refused(NOT_GIVEN)
    return grant
