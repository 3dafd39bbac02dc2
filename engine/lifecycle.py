"""The life of a request: a table of state and command, `decide`, and `next_wake`.

`decide` is pure and total. `TABLE` says for each command what each state does with it; the docs
print it and a test walks every pair. `next_wake` tells when the clock must look again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.commands import (
    Answer,
    Approve,
    Attempt,
    Cancel,
    Change,
    Command,
    Extend,
    FirstLook,
    Nudge,
    Observe,
    OfAClick,
    PutQuestion,
    Reject,
    Return,
    Revoke,
    Tick,
    Verify,
    Withdraw,
)
from engine.eligibility import Draft
from engine.facts import Facts
from engine.flow import Revision
from engine.inventory import IntegrationId
from engine.life.asking import answer, nudge, put_question
from engine.life.deciding import approve, reject, withdraw
from engine.life.granting import attempt, look_first, observe, running_end, tick_granting
from engine.life.offers import announced_at, reminded_at
from engine.life.pending import await_approval, cancel, change, next_tier_at, tick_pending, verify
from engine.life.running import extend, give_back, revoke, tick_active
from engine.life.scheduled import begins_at, take_back, tick_scheduled
from engine.life.settling import tick_revoking
from engine.life.telling import iso, refusal, to_parties
from engine.outcome import AuditEntry, Code, Decision, News, Refusal
from engine.request import AccessRequest, AccountId, Grant, GrantId, RequestId, State, code_of
from engine.retry import LONGEST_PAUSE
from engine.words import trimmed


@dataclass(frozen=True, slots=True)
class Do:
    """A row of the table: what is done, and the states that it may lead to."""

    step: Callable[..., Decision | Refusal]
    to: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class No:
    """A row of the table: refused, and why."""

    code: Code


Row = Do | No
ON_CALL_EVERY = timedelta(minutes=1)


def _nothing(
    request: AccessRequest, _command: Command, _facts: Facts, _now: datetime
) -> Decision | Refusal:
    """Late or doubled, and harmless: nothing changes."""
    return Decision(request)


def _rows(otherwise: Row, rows: Mapping[State, Row]) -> Mapping[State, Row]:
    return {state: rows.get(state, otherwise) for state in State}


_P, _S = State.PENDING, State.SCHEDULED
_G, _A, _R = State.GRANTING, State.ACTIVE, State.REVOKING
_LEAVES = (State.FAILED, State.EXPIRED, State.RETURNED, State.REVOKED)
_SAME = Do(_nothing, ())
_DECIDED = No(Code.SETTLED)
_NOT_RUNNING = No(Code.NOT_RUNNING)
_UNVERIFIED = No(Code.NOTHING_TO_DO)
TABLE: Mapping[type[Any], Mapping[State, Row]] = {
    Verify: _rows(
        _DECIDED,
        {
            State.PENDING_MFA: Do(verify, (_P, _S, _G)),
            _P: _SAME,
            _S: _SAME,
            _G: _SAME,
            _A: _SAME,
        },
    ),
    Approve: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(approve, (_P, _S, _G))}),
    Reject: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(reject, (State.REJECTED,))}),
    Withdraw: _rows(
        _DECIDED,
        {
            State.PENDING_MFA: _UNVERIFIED,
            _P: Do(withdraw, (_P,)),
            _S: Do(take_back, (_S, _P)),
        },
    ),
    Nudge: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(nudge, (_P,))}),
    PutQuestion: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(put_question, (_P,))}),
    Answer: _rows(_DECIDED, {State.PENDING_MFA: _UNVERIFIED, _P: Do(answer, (_P,))}),
    Cancel: _rows(
        _DECIDED,
        {
            State.PENDING_MFA: Do(cancel, (State.CANCELLED,)),
            _P: Do(cancel, (State.CANCELLED,)),
            _S: Do(cancel, (State.CANCELLED,)),
        },
    ),
    Change: _rows(
        _DECIDED,
        {
            State.PENDING_MFA: Do(change, (State.CANCELLED,)),
            _P: Do(change, (State.CANCELLED,)),
            _S: Do(change, (State.CANCELLED,)),
        },
    ),
    Extend: _rows(_NOT_RUNNING, {_A: Do(extend, (_A,))}),
    Return: _rows(
        _NOT_RUNNING,
        {
            _G: Do(give_back, (_G, _R, State.RETURNED)),
            _A: Do(give_back, (_A, _R, State.RETURNED)),
        },
    ),
    Revoke: _rows(
        _NOT_RUNNING,
        {_G: Do(revoke, (_R, State.REVOKED)), _A: Do(revoke, (_R, State.REVOKED))},
    ),
    Tick: _rows(
        _SAME,
        {
            State.PENDING_MFA: Do(
                tick_pending, (State.PENDING_MFA, State.CANCELLED, State.TIMED_OUT)
            ),
            _P: Do(tick_pending, (_P, State.CANCELLED, State.TIMED_OUT)),
            _S: Do(tick_scheduled, (_S, _P, _G, State.CANCELLED, State.FAILED)),
            _G: Do(tick_granting, (_G, _R, State.FAILED, State.REVOKED)),
            _A: Do(tick_active, (_A, _R, State.EXPIRED, State.REVOKED)),
            _R: Do(tick_revoking, (_R, *_LEAVES)),
        },
    ),
    Attempt: _rows(_SAME, {_G: Do(attempt, (_G, _R, State.FAILED)), _A: Do(attempt, (_A,))}),
    FirstLook: _rows(
        _SAME,
        {
            _G: Do(look_first, (_G, _A)),
            _A: Do(look_first, (_A,)),
            _R: Do(look_first, (_R, *_LEAVES)),
        },
    ),
    Observe: _rows(
        _SAME,
        {
            _G: Do(observe, (_G, _A, _R, State.FAILED)),
            _A: Do(observe, (_A,)),
            _R: Do(observe, (_R, *_LEAVES)),
        },
    ),
}


def decide(
    request: AccessRequest, command: Command, facts: Facts, now: datetime
) -> Decision | Refusal:
    """Decide what the command does to the request. `now` is aware UTC. It never raises."""
    if isinstance(command, OfAClick) and command.key in request.clicks:
        return Decision(request)  # it was delivered again
    row = TABLE[type(command)][request.state]
    if isinstance(row, No):
        return refusal(row.code, request, facts)
    if not request.readable and not _ends(request, command):
        return _not_readable(request, command)
    return row.step(request, command, facts.at(now), now)


def _ends(request: AccessRequest, command: Command) -> bool:
    """Tell whether the command only ends what is there: no more is done to what is not read."""
    if isinstance(command, Cancel | Return | Revoke | Tick):
        return True
    return isinstance(command, Observe) and request.state is State.REVOKING


def _not_readable(request: AccessRequest, command: Command) -> Decision | Refusal:
    if isinstance(command, Attempt | FirstLook | Observe):
        return Decision(request)
    sentence = f"What is stored of {request.code} cannot be read. It can only be ended."
    return Refusal(Code.UNREADABLE, sentence)


def next_wake(request: AccessRequest, revision: Revision) -> datetime | None:
    """Return when the clock must look at the request again; None: only a command can change it."""
    match request.state:
        case State.PENDING_MFA:
            return request.lapses_at
        case State.PENDING:
            return _earliest(request.lapses_at, next_tier_at(request, revision))
        case State.SCHEDULED:
            return _earliest(begins_at(request), reminded_at(request))
        case State.GRANTING:
            return _earliest(request.lapses_at, running_end(request))
        case State.ACTIVE:
            return _earliest(request.ends_at, *announced_at(request)[request.offers_made :])
        case _:
            return None


def wake(request: AccessRequest, revision: Revision, now: datetime) -> datetime | None:
    """Return when the clock looks again: others may be on call before its moment, and what cannot
    be read may be mended.
    """
    at = next_wake(request, revision)
    if at is None:
        return at
    if not (request.readable and revision.readable):
        return min(at, now + LONGEST_PAUSE)
    on_call = request.state is State.PENDING and revision.asks_on_call
    return min(at, now + ON_CALL_EVERY) if on_call else at


def drafted(
    draft: Draft, accounts: Mapping[IntegrationId, AccountId], now: datetime
) -> AccessRequest:
    """Return what a draft asks for, before its life begins: storage has yet to number it.

    `accounts` are the grantee's, in each system concerned.
    """
    revision = draft.flow.revision
    return AccessRequest(
        id=RequestId(0),
        requestor=draft.requestor.id,
        grantee=draft.grantee.id,
        flow=draft.flow.id,
        revision=draft.flow.number,
        state=State.PENDING,
        version=1,
        submitted_at=now,
        lapses_at=now + revision.lapses_after,
        duration=draft.duration,
        justification=trimmed(draft.justification),
        grants=tuple(
            Grant(GrantId(n), e.id, accounts[e.integration.id], named=e.resource.path)
            for n, e in enumerate(draft.entitlements)
        ),
        extensions_allowed=revision.extension.times if revision.extension else 0,
        bundle=draft.bundle,
        starts_at=draft.starts_at,
        instead_of=draft.instead,
    )


def begin(request: AccessRequest, facts: Facts, now: datetime) -> Decision:
    """Start the life of a request that eligibility has allowed and storage has numbered."""
    submitted = AuditEntry(
        "submitted",
        request.requestor,
        {
            "grantee": request.grantee,
            "justification": request.justification,
            "grants": [[grant.entitlement, grant.account] for grant in request.grants],
        }
        | ({"bundle": request.bundle} if request.bundle else {})
        | ({"starts_at": iso(request.starts_at)} if request.starts_at else {})
        | ({"instead_of": code_of(request.instead_of)} if request.instead_of else {}),
    )
    if facts.revision.require_mfa:
        request = request.with_(state=State.PENDING_MFA)
        return Decision(request, to_parties(request, News.REQUESTED), (submitted,))
    begun = await_approval(request, facts.at(now), now, audit=(submitted,))
    tells = (*to_parties(request, News.REQUESTED), *begun.tell)
    return Decision(begun.request, tells, begun.audit)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((m for m in moments if m is not None), default=None)
