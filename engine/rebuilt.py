"""A request whose body cannot be read: its columns, grants and audit say enough to end it.

The end is the audit's: it says until when access was given, and how often that was extended. Where
it does not say, the end has come: whatever else is lost, no access is left behind. What waits for a
decision cannot be decided on, and is left as it is until it must have lapsed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from engine.directory import PersonId
from engine.flow import MAX_DURATION, FlowId
from engine.inventory import EntitlementId
from engine.request import (
    FINAL,
    LIVE,
    NOT_GIVEN,
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

# The latest moment at which any flow lets a request lapse, and a day of waiting for an answer.
LONGEST_WAIT = timedelta(days=31)
# It waits, is given for as long as any flow grants, and is extended ten times by as much.
_LONGEST_HELD = 2 * LONGEST_WAIT + 11 * MAX_DURATION
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def can_be(request: AccessRequest) -> bool:
    """Tell whether a body says of its end and its grants what some life could have made of them.

    What a hand has put years ahead, or taken out, would be held for as long; what was there before
    Latchkey was never begun, and stays.
    """
    if any(grant.standing and (grant.begun or grant.ever_begun) for grant in request.grants):
        return False
    if request.state is State.ACTIVE and (request.ends_at is None) is not (
        request.duration is None
    ):
        return False
    return request.ends_at is None or request.ends_at - request.submitted_at <= _LONGEST_HELD


class RequestColumns(NamedTuple):
    """What stands beside the body. Of `state`, `version` and `submitted_at` nothing is sure."""

    id: int
    version: object
    state: str
    requestor: str
    grantee: str
    flow: int
    revision: int
    submitted_at: datetime | None


class GrantColumns(NamedTuple):
    number: int
    entitlement: int
    account: int
    state: str
    begun: bool


class Entry(NamedTuple):
    """A line of the audit."""

    action: str
    actor: str
    at: datetime | None
    said: Mapping[str, Any]


def request(
    columns: RequestColumns,
    rows: Sequence[GrantColumns],
    entries: Iterable[Entry],
    said: Sequence[Grant] = (),
) -> AccessRequest:
    """Return what can be known of a request without its body. `entries` are the oldest first.

    `said` are the grants of a body that is not believed.
    """
    history = _History()
    for entry in entries:
        history.add(entry)
    grants = _grants(columns, rows, said, history.given)
    submitted = columns.submitted_at or _LONG_AGO
    state = _state(columns, grants)
    waits = state in WAITING
    runs = state is State.ACTIVE and history.granted is not None
    ends = history.ends if runs else None if waits else submitted
    since, until = history.granted or (submitted, None)
    return AccessRequest(
        id=RequestId(columns.id),
        requestor=PersonId(columns.requestor),
        grantee=PersonId(columns.grantee),
        flow=FlowId(columns.flow),
        revision=columns.revision,
        state=state,
        version=columns.version if isinstance(columns.version, int) else 0,
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


@dataclass(slots=True)
class _History:
    """What the audit says of a request. `ends` None: it was given without end."""

    ends: datetime | None = _LONG_AGO
    granted: tuple[datetime, datetime | None] | None = None  # when, and until when
    ending: State = State.REVOKED
    ended: Settled | None = None
    given: Sequence[tuple[int, int]] = ()  # of each grant, by its number: entitlement and account

    def add(self, entry: Entry) -> None:
        at, said = entry.at or _LONG_AGO, entry.said
        match entry.action:
            case "submitted":
                self.given = _given(said)
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
                self.ended = Settled(PersonId(entry.actor), at, str(said.get("reason", "")))


def _given(said: Mapping[str, Any]) -> list[tuple[int, int]]:
    match said.get("grants"):
        case [*pairs]:
            found = [(e, a) for e, a in filter(_is_pair, pairs) if {type(e), type(a)} == {int}]
            return found if len(found) == len(pairs) else []
    return []


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2


def _until(said: Mapping[str, Any]) -> datetime | None:
    until = said.get("until", "")
    if until is None:
        return None
    try:
        moment = datetime.fromisoformat(until)
    except (ValueError, TypeError):
        return _LONG_AGO
    return moment if moment.tzinfo else _LONG_AGO


def _state(columns: RequestColumns, grants: Sequence[GrantColumns]) -> State:
    begun = any(grant.begun for grant in grants)
    if columns.state in set(State) and not (begun and columns.state in WAITING | FINAL):
        return State(columns.state)
    return State.ACTIVE if begun else State.PENDING


def _grants(
    columns: RequestColumns,
    rows: Sequence[GrantColumns],
    said: Sequence[Grant],
    given: Sequence[tuple[int, int]],
) -> Sequence[GrantColumns]:
    """Return what was given where, as the audit says; where it does not, all that is said of it.

    Of row and body one is wrong: both are to end then.
    """
    if not given:
        known = {(row.entitlement, row.account) for row in rows}
        more = [g for g in said if g.open and (g.entitlement, g.account) not in known]
        first = 1 + max((row.number for row in rows), default=-1)
        return [*rows, *(_said(g, number) for number, g in enumerate(more, first))]
    begun = columns.state in LIVE - WAITING
    by_number: dict[int, GrantColumns] = {g.id: _said(g, g.id) for g in said} | {
        row.number: row for row in rows
    }
    return [
        by_number[n]._replace(entitlement=e, account=a)
        if n in by_number
        else GrantColumns(n, e, a, GrantState.HELD, begun)
        for n, (e, a) in enumerate(given)
    ]


def _said(grant: Grant, number: int) -> GrantColumns:
    return GrantColumns(number, grant.entitlement, grant.account, grant.state, grant.begun)


def _grant(columns: GrantColumns, *, waits: bool) -> Grant:
    named, begun = columns.state, columns.begun
    state = GrantState(named) if named in set(GrantState) else GrantState.ENDED
    if named not in set(GrantState) and begun:
        state = GrantState.HELD
    grant = Grant(
        GrantId(columns.number),
        EntitlementId(columns.entitlement),
        AccountId(columns.account),
        state,
        begun=begun,
        ever_begun=begun,
        standing=not begun if state is GrantState.HELD else False if begun else None,
    )
    if state is GrantState.WANTED and not begun and not waits:
        return grant.refused(NOT_GIVEN)
    return grant
