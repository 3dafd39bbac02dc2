"""Every row of the lifecycle: who is told what, in which words, and what the audit says of it.

Written by hand, as a person would tell it. A scene names, in this order: the new state, grants that
changed, the end that changed, cards (posted anew where news follow), and the audit's entries.
EVE asks for ANN, BEN approves. Moments are counted from the submission.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, time
from itertools import groupby
from textwrap import dedent
from typing import get_args

import pytest

from engine import lifecycle
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
    PutQuestion,
    Reject,
    Return,
    Revoke,
    Tick,
    Verify,
    Withdraw,
)
from engine.directory import PersonId
from engine.flow import ApprovalRule, Escalation, Extension
from engine.inventory import ResourceStatus
from engine.outcome import AuditEntry, Decision, Refusal, Tell, once
from engine.port import Outcome, Presence
from engine.request import OPERATOR, AccessRequest, AccountId, GrantId, RequestId, State
from engine.window import Day, Window
from tests.support.builders import (
    ABSENT,
    ADA,
    ANN,
    BEN,
    BOB,
    BOTH,
    CAT,
    DAN,
    DAY,
    EVE,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    REFUSED,
    SECOND,
    UNKNOWN,
    Life,
    approvers,
    entitlement,
    facts,
    flow,
    gone,
    left,
    life,
    person,
    request,
    slack_guest,
    these,
)

BY_ONE = replace(BOTH, distinct=False)  # one person may approve for both
NO_ADMINS: frozenset[PersonId] = frozenset()
FIRST, SECOND_GRANT = GrantId(0), GrantId(1)


# --- how a scene is told -------------------------------------------------------------------------


def told(before: AccessRequest, result: Decision | Refusal) -> str:
    if isinstance(result, Refusal):
        about = f" [{result.about}]" if result.about else ""
        return f"{result.code.value}{about}: {result.sentence}{_at(result.at)}"
    if result == Decision(before):
        return "nothing"
    lines = [
        result.request.state.value,
        *_grants(before, result.request),
        *_lapse(before, result.request),
        *_end(before, result.request),
        *_cards(result.tell),
        *map(_entry, result.audit),
    ]
    return "\n".join(lines)


def _at(moment: datetime | None) -> str:
    return f" ({moment - NOW})" if moment else ""


def _grants(before: AccessRequest, after: AccessRequest) -> Iterator[str]:
    for old, new in zip(before.grants, after.grants, strict=True):
        if old != new:
            words = [new.state.value, *(["begun"] if new.begun else [])]
            words += ["standing"] if new.standing else []
            yield f"grant {new.id}: {' '.join(words)}{f' ({new.note})' if new.note else ''}"


def _lapse(before: AccessRequest, after: AccessRequest) -> Iterator[str]:
    if before.lapses_at != after.lapses_at:
        yield f"lapses{_at(after.lapses_at)}"


def _end(before: AccessRequest, after: AccessRequest) -> Iterator[str]:
    if before.ends_at != after.ends_at:
        yield f"until{_at(after.ends_at)}"


def _cards(tells: tuple[Tell, ...]) -> Iterator[str]:
    for (card, key, detail, news), some in groupby(
        once(tells), lambda t: (t.card.value, t.key, t.detail, t.news)
    ):
        to = ", ".join(t.to for t in some)
        named = f"{card} {key}" if key else card
        yield f"{to}: {named}{f', {news}' if news else ''}{f': {detail}' if detail else ''}"


def _entry(entry: AuditEntry) -> str:
    said = "".join(f"; {name} {value}" for name, value in entry.detail.items())
    return f"audit: {entry.actor} {entry.action}{said}"


# --- the scenes ----------------------------------------------------------------------------------


def at(state: State, **values: object) -> Life:
    """EVE asks for ANN; the request has come to this state, an hour is asked for."""
    return life(state, flow(**values), requestor=EVE)


def two(state: State, **values: object) -> Life:
    return life(state, flow(**values), 1, 2, requestor=EVE)


def knowing(made: Life, *people: object, **values: object) -> Life:
    made.know(*people, **values)  # type: ignore[arg-type]
    return made


def after(made: Life, *commands: Command) -> Life:
    for command in commands:
        made.do(command)
    return made


def later(made: Life, time: object) -> Life:
    made.now += time  # type: ignore[operator]
    return made


def begun(made: Life) -> Life:
    made.attempt()
    return made


def looked(made: Life) -> Life:
    made.look()
    return made


def deleted(made: Life) -> Life:
    return knowing(made, flow=replace(made.facts.flow, deleted=True))


def closed(made: Life) -> Life:
    return knowing(made, flow=replace(made.facts.flow, active=False))


def unread(made: Life) -> Life:
    return knowing(made, revision=replace(made.facts.revision, readable=False))


def broken(made: Life) -> Life:
    made.request = made.request.with_(readable=False)
    return made


def first_is_gone(made: Life) -> Life:
    return knowing(made, entitlements={1: gone(1), 2: entitlement(2)})


def on_two_systems(made: Life) -> Life:
    first, second = made.request.grants
    made.request = made.request.with_(grants=(first, replace(second, account=AccountId(2))))
    return made


def seen(*outcomes: Outcome, end_refused: str = "") -> Observe:
    return Observe({GrantId(n): o for n, o in enumerate(outcomes)}, end_refused)


Scene = tuple[Callable[[], Life], Command, str]

VERIFYING: dict[str, Scene] = {
    "the approvers are asked once the grantee has verified": (
        lambda: at(State.PENDING_MFA),
        Verify(ANN),
        """
        pending
        eve, ann: request
        ben, cat: approval, asked
        audit: ann verified
        """,
    ),
    "verified, and nobody has to approve": (
        lambda: at(State.PENDING_MFA, approval=None),
        Verify(ANN),
        """
        granting
        until (1:00:00)
        eve, ann: request, decided
        audit: ann verified
        audit: latchkey approved; how automatic
        """,
    ),
    "verified by who asked": (
        lambda: at(State.PENDING_MFA),
        Verify(EVE),
        "not_yours: Only the person who is to have the access can verify it.",
    ),
    "verified too late": (
        lambda: later(at(State.PENDING_MFA), DAY),
        Verify(ANN),
        "lapsed: This request has lapsed (1 day, 0:00:00)",
    ),
    "verified after the flow was deleted": (
        lambda: deleted(at(State.PENDING_MFA)),
        Verify(ANN),
        "flow_closed: The access flow of this request was deleted.",
    ),
    "verified where the flow cannot be read": (
        lambda: unread(at(State.PENDING_MFA)),
        Verify(ANN),
        "unreadable: The access flow of this request cannot be read. The administrators are told.",
    ),
    "verified after who asked has left": (
        lambda: knowing(at(State.PENDING_MFA), left("eve", "eng")),
        Verify(ANN),
        "person_inactive: Eve is no longer active.",
    ),
    "verified where the request cannot be read": (
        lambda: broken(at(State.PENDING_MFA)),
        Verify(ANN),
        "unreadable: What is stored of AX-KRXN cannot be read. It can only be ended.",
    ),
    "verified twice": (lambda: at(State.PENDING), Verify(ANN), "nothing"),
    "verified when it is approved": (lambda: at(State.GRANTING), Verify(ANN), "nothing"),
    "verified when it runs": (lambda: at(State.ACTIVE), Verify(ANN), "nothing"),
}

DECIDING: dict[str, Scene] = {
    "approved, shortened, with a reason": (
        lambda: at(State.PENDING),
        Approve(BEN, " Fine. ", 30 * MINUTE, keep_extensions=True),
        """
        granting
        until (0:30:00)
        eve, ann: request, decided
        ben, cat: approval
        audit: ben approved; reason Fine.; duration 1800
        """,
    ),
    "one of two groups has approved": (
        lambda: at(State.PENDING, approval=BOTH),
        Approve(BEN),
        """
        pending
        eve, ann: request
        ben, cat, dan: approval
        audit: ben approved
        """,
    ),
    "the second group approves": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN, "Fine.")),
        Approve(DAN, "Me too."),
        """
        granting
        until (1:00:00)
        eve, ann: request, decided
        ben, cat, dan: approval
        audit: dan approved; reason Me too.
        """,
    ),
    "a second click has the seats of the first, too": (
        lambda: knowing(
            after(at(State.PENDING, approval=BY_ONE), Approve(BEN)), person("ben", "sec")
        ),
        Approve(BEN),
        """
        granting
        until (1:00:00)
        eve, ann: request, decided
        ben, cat, dan: approval
        audit: ben approved
        """,
    ),
    "approved without some of it": (
        lambda: two(State.PENDING),
        Approve(BEN, without=frozenset({GrantId(1), GrantId(7)})),
        """
        granting
        grant 1: refused (Ben left it out.)
        until (1:00:00)
        eve, ann: request, decided
        ben, cat: approval
        audit: ben approved; left_out [2]
        """,
    ),
    "approved without some of it, and withdrawn": (
        lambda: after(
            two(State.PENDING, approval=BOTH), Approve(BEN, without=frozenset({GrantId(1)}))
        ),
        Withdraw(BEN),
        """
        pending
        eve, ann: request
        ben, cat, dan: approval
        audit: ben withdrawn
        """,
    ),
    "approved without any of it": (
        lambda: two(State.PENDING),
        Approve(BEN, without=frozenset({GrantId(0), GrantId(1)})),
        "nothing_left [things]: Nothing would be left of it. Reject the request instead.",
    ),
    "an approval withdrawn": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN)),
        Withdraw(BEN),
        """
        pending
        eve, ann: request
        ben, cat, dan: approval
        audit: ben withdrawn
        """,
    ),
    "an approval withdrawn by who may decide no more": (
        lambda: knowing(after(at(State.PENDING, approval=BOTH), Approve(BEN)), person("ben", "x")),
        Withdraw(BEN),
        """
        pending
        eve, ann: request
        ben, cat, dan: approval
        audit: ben withdrawn
        """,
    ),
    "nothing to withdraw": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN)),
        Withdraw(DAN),
        "nothing_to_do: You have no approval of this request to withdraw.",
    ),
    "rejected by who approved": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN)),
        Reject(BEN, "On second thought."),
        """
        rejected
        grant 0: ended
        eve, ann: request, decided
        ben, cat, dan: approval
        audit: ben rejected; reason On second thought.
        """,
    ),
    "withdrawn before anybody is asked": (
        lambda: at(State.PENDING_MFA),
        Withdraw(BEN),
        "nothing_to_do: Ann has to verify first.",
    ),
    "nudged": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN)),
        Nudge(EVE, key="trigger/1"),
        """
        pending
        eve, ann: request
        cat, dan: approval, nudged
        audit: eve nudged
        """,
    ),
    "nudged once too often": (
        lambda: after(at(State.PENDING), Nudge(EVE)),
        Nudge(ANN),
        """
        too_soon: Those who are asked were nudged already. \
You can nudge them again from (0:15:00)
        """,
    ),
    "nudged again, in time": (
        lambda: later(after(at(State.PENDING), Nudge(EVE)), 15 * MINUTE),
        Nudge(ANN),
        """
        pending
        eve, ann: request
        ben, cat: approval, nudged
        audit: ann nudged
        """,
    ),
    "nudged by a click that is delivered again": (
        lambda: later(after(at(State.PENDING), Nudge(EVE, key="trigger/1")), HOUR),
        Nudge(EVE, key="trigger/1"),
        "nothing",
    ),
    "nudged, and others have come to be asked": (
        lambda: knowing(at(State.PENDING), person("ben", "x"), person("dan", "dba")),
        Nudge(EVE),
        """
        pending
        eve, ann: request
        cat: approval, nudged
        dan: approval, asked
        ben: approval
        audit: eve nudged
        """,
    ),
    "nudged by somebody else": (
        lambda: at(State.PENDING),
        Nudge(BEN),
        "not_yours: Only who asked, or who is to have it, can nudge.",
    ),
    "nudged when it has lapsed": (
        lambda: later(at(State.PENDING), DAY),
        Nudge(EVE),
        "lapsed: This request has lapsed (1 day, 0:00:00)",
    ),
    "nudged where nobody can be asked": (
        lambda: knowing(at(State.PENDING, approval=ApprovalRule((approvers(),))), admins=NO_ADMINS),
        Nudge(EVE),
        "nobody_asked: Nobody can be asked at the moment.",
    ),
    "nudged before anybody is asked": (
        lambda: at(State.PENDING_MFA),
        Nudge(EVE),
        "nothing_to_do: Ann has to verify first.",
    ),
    "a question": (
        lambda: at(State.PENDING),
        PutQuestion(BEN, " Why so much? ", "trigger/1"),
        """
        pending
        eve: request, questioned
        ann: request
        ben, cat: approval
        audit: ben questioned; question 1; text Why so much?
        """,
    ),
    "a question of who has approved": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN)),
        PutQuestion(BEN, "Why?"),
        """
        pending
        eve: request, questioned
        ann: request
        ben, cat, dan: approval
        audit: ben questioned; question 1; text Why?
        """,
    ),
    "a question whose answer is waited for": (
        lambda: later(at(State.PENDING), HOUR),
        PutQuestion(BEN, "Why?", first=True),
        """
        pending
        lapses (2 days, 0:00:00)
        eve: request, questioned
        ann: request
        ben, cat: approval
        audit: ben questioned; question 1; text Why?; first True
        """,
    ),
    "a second question whose answer would be waited for": (
        lambda: after(
            at(State.PENDING), PutQuestion(BEN, "Why?", first=True), Answer(EVE, 1, "INC-42.")
        ),
        PutQuestion(CAT, "Who?", first=True),
        "nothing_to_do [first]: This request has waited for an answer before: it does so once.",
    ),
    "an answer that was waited for": (
        lambda: later(after(at(State.PENDING), PutQuestion(BEN, "Why?", first=True)), 3 * HOUR),
        Answer(EVE, 1, "INC-42."),
        """
        pending
        lapses (1 day, 3:00:00)
        eve, ann: request
        ben: approval, answered
        cat: approval
        audit: eve answered; question 1; text INC-42.
        """,
    ),
    "an answer that was waited for for too long": (
        lambda: later(
            after(at(State.PENDING), PutQuestion(BEN, "Why?", first=True)), DAY + 3 * HOUR
        ),
        Answer(EVE, 1, "INC-42."),
        """
        pending
        eve, ann: request
        ben: approval, answered
        cat: approval
        audit: eve answered; question 1; text INC-42.
        """,
    ),
    "approved while an answer is waited for": (
        lambda: later(after(at(State.PENDING), PutQuestion(BEN, "Why?", first=True)), 3 * HOUR),
        Approve(CAT),
        """
        granting
        lapses (1 day, 3:00:00)
        until (4:00:00)
        eve, ann: request, decided
        ben, cat: approval
        audit: cat approved
        """,
    ),
    "it lapses though an answer was waited for": (
        lambda: later(after(at(State.PENDING), PutQuestion(BEN, "Why?", first=True)), 2 * DAY),
        Tick(),
        """
        timed_out
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey timed_out; reason nobody decided in time
        """,
    ),
    "a question that is delivered again": (
        lambda: after(at(State.PENDING), PutQuestion(BEN, "Why?", key="trigger/1")),
        PutQuestion(BEN, "Why?", key="trigger/1"),
        "nothing",
    ),
    "a question of who may not decide": (
        lambda: at(State.PENDING),
        PutQuestion(BOB, "Why?"),
        "not_approver: You are not an approver of this request (any more).",
    ),
    "a question of the grantee": (
        lambda: at(State.PENDING),
        PutQuestion(ANN, "Why?"),
        "own_request: Nobody decides their own request. Somebody else has to.",
    ),
    "a question of who asked, and may decide": (
        lambda: life(
            State.PENDING,
            flow(self_approval=True, requestors=these(BEN)),
            requestor=BEN,
            grantee=BEN,
        ),
        PutQuestion(BEN, "Why?"),
        "own_request: You made this request: you would ask yourself.",
    ),
    "a question without words": (
        lambda: at(State.PENDING),
        PutQuestion(BEN, " \u200b\n"),
        "text_needed [text]: Say what you want to know.",
    ),
    "a question of too many words": (
        lambda: at(State.PENDING),
        PutQuestion(BEN, "x" * 1007),
        "text_too_long [text]: At most 1,000 characters; this has 1,007, 7 too many.",
    ),
    "a question too many": (
        lambda: after(at(State.PENDING), *[PutQuestion(BEN, "Why?")] * 20),
        PutQuestion(CAT, "Why?"),
        "too_many: Nobody can ask more than 20 questions about one request.",
    ),
    "a question before anybody is asked": (
        lambda: at(State.PENDING_MFA),
        PutQuestion(BEN, "Why?"),
        "nothing_to_do: Ann has to verify first.",
    ),
    "an answer": (
        lambda: after(at(State.PENDING), PutQuestion(BEN, "Why?"), PutQuestion(CAT, "Who?")),
        Answer(EVE, 1, " INC-42. ", "trigger/1"),
        """
        pending
        eve, ann: request
        ben: approval, answered
        cat: approval
        audit: eve answered; question 1; text INC-42.
        """,
    ),
    "an answer that is delivered again": (
        lambda: after(
            at(State.PENDING),
            PutQuestion(BEN, "Why?"),
            Answer(EVE, 1, "INC-42.", key="trigger/1"),
        ),
        Answer(EVE, 1, "INC-42.", key="trigger/1"),
        "nothing",
    ),
    "an answer to what was answered": (
        lambda: after(at(State.PENDING), PutQuestion(BEN, "Why?"), Answer(EVE, 1, "INC-42.")),
        Answer(EVE, 1, "INC-43."),
        "already_answered: You have answered this question already (0:00:00)",
    ),
    "an answer to nothing": (
        lambda: after(at(State.PENDING), PutQuestion(BEN, "Why?")),
        Answer(EVE, 2, "INC-42."),
        "nothing_to_do: There is no such question about this request.",
    ),
    "an answer of the grantee": (
        lambda: after(at(State.PENDING), PutQuestion(BEN, "Why?")),
        Answer(ANN, 1, "INC-42."),
        "not_yours: Only who made the request can answer.",
    ),
    "an answer without words": (
        lambda: after(at(State.PENDING), PutQuestion(BEN, "Why?")),
        Answer(EVE, 1, ""),
        "text_needed [text]: Say what you answer.",
    ),
    "an answer when it has lapsed": (
        lambda: later(after(at(State.PENDING), PutQuestion(BEN, "Why?")), DAY),
        Answer(EVE, 1, "INC-42."),
        "lapsed: This request has lapsed (1 day, 0:00:00)",
    ),
    "an answer before anybody is asked": (
        lambda: at(State.PENDING_MFA),
        Answer(EVE, 1, "INC-42."),
        "nothing_to_do: Ann has to verify first.",
    ),
    "approved twice by the same": (
        lambda: after(at(State.PENDING, approval=BOTH), Approve(BEN)),
        Approve(BEN),
        "already_approved: You have approved this already. Still needed: Security. (0:00:00)",
    ),
    "who approved before has left": (
        lambda: knowing(after(at(State.PENDING, approval=BOTH), Approve(BEN)), left("ben", "dba")),
        Approve(DAN),
        """
        pending
        eve, ann: request
        ben, cat, dan: approval
        audit: latchkey void; of ben
        audit: dan approved
        """,
    ),
    "approved by who asked": (
        lambda: at(State.PENDING),
        Approve(EVE),
        "own_request: Nobody decides their own request. Somebody else has to.",
    ),
    "approved by somebody else": (
        lambda: at(State.PENDING),
        Approve(DAN),
        "not_approver: You are not an approver of this request (any more).",
    ),
    "approved by a guest": (
        lambda: knowing(at(State.PENDING), slack_guest("ben", "dba")),
        Approve(BEN),
        "not_approver: You cannot approve requests.",
    ),
    "approved without the reason that is asked for": (
        lambda: at(State.PENDING, require_reason=True),
        Approve(BEN),
        "reason_needed [reason]: This flow asks for a reason.",
    ),
    "approved with too long a reason": (
        lambda: at(State.PENDING),
        Approve(BEN, "x" * 125),
        "text_too_long [reason]: A reason has at most 124 characters; this has 125, 1 too many.",
    ),
    "approved for too short a time": (
        lambda: at(State.PENDING),
        Approve(BEN, "", 5 * MINUTE - SECOND),
        "bad_duration [duration]: The shortest time is 5 minutes.",
    ),
    "approved for longer than asked": (
        lambda: at(State.PENDING),
        Approve(BEN, "", HOUR + SECOND),
        "bad_duration [duration]: You can shorten the time, not lengthen it.",
    ),
    "approved too late": (
        lambda: later(at(State.PENDING), DAY),
        Approve(BEN),
        "lapsed: This request has lapsed (1 day, 0:00:00)",
    ),
    "approved where the grantee has left": (
        lambda: knowing(at(State.PENDING), left("ann", "eng")),
        Approve(BEN),
        "person_inactive: Ann is no longer active.",
    ),
    "approved before it is verified": (
        lambda: at(State.PENDING_MFA),
        Approve(BEN),
        "nothing_to_do: Ann has to verify first.",
    ),
    "rejected": (
        lambda: at(State.PENDING),
        Reject(CAT, " Not today. "),
        """
        rejected
        grant 0: ended
        eve, ann: request, decided
        ben, cat: approval
        audit: cat rejected; reason Not today.
        """,
    ),
    "rejected by who is to have it": (
        lambda: at(State.PENDING),
        Reject(ANN),
        "own_request: Nobody decides their own request. Somebody else has to.",
    ),
    "rejected without the reason that is asked for": (
        lambda: at(State.PENDING, require_reason=True),
        Reject(BEN),
        "reason_needed [reason]: This flow asks for a reason.",
    ),
    "rejected before it is verified": (
        lambda: at(State.PENDING_MFA),
        Reject(BEN),
        "nothing_to_do: Ann has to verify first.",
    ),
    "cancelled by who is to have it": (
        lambda: at(State.PENDING),
        Cancel(ANN, " No need. "),
        """
        cancelled
        grant 0: ended
        eve: request, ended
        ann: request
        ben, cat: approval
        audit: ann cancelled; reason No need.
        """,
    ),
    "cancelled before it is verified": (
        lambda: at(State.PENDING_MFA),
        Cancel(OPERATOR),
        """
        cancelled
        grant 0: ended
        eve, ann: request, ended
        audit: operator cancelled
        """,
    ),
    "cancelled by an approver": (
        lambda: at(State.PENDING),
        Cancel(BEN),
        "not_yours: Only who asked, who is to have it, or an admin can cancel.",
    ),
    "changed": (
        lambda: at(State.PENDING),
        Change(EVE, RequestId(2)),
        """
        cancelled
        grant 0: ended
        eve: request
        ann: request, ended
        ben, cat: approval
        audit: eve cancelled; changed_to AX-7HVA
        """,
    ),
    "changed before anybody is asked": (
        lambda: at(State.PENDING_MFA),
        Change(EVE, RequestId(2)),
        """
        cancelled
        grant 0: ended
        eve: request
        ann: request, ended
        audit: eve cancelled; changed_to AX-7HVA
        """,
    ),
    "changed before its start": (
        lambda: at(State.SCHEDULED),
        Change(EVE, RequestId(2)),
        """
        cancelled
        grant 0: ended
        eve: request
        ann: request, ended
        ben, cat: approval
        audit: eve cancelled; changed_to AX-7HVA
        """,
    ),
    "changed by the grantee": (
        lambda: at(State.PENDING),
        Change(ANN, RequestId(2)),
        "not_yours: Only who made the request can change it.",
    ),
    "changed when it has lapsed": (
        lambda: later(at(State.PENDING), DAY),
        Change(EVE, RequestId(2)),
        "lapsed: This request has lapsed (1 day, 0:00:00)",
    ),
    "changed where the request cannot be read": (
        lambda: broken(at(State.PENDING)),
        Change(EVE, RequestId(2)),
        "unreadable: What is stored of AX-KRXN cannot be read. It can only be ended.",
    ),
    "cancelled with too long a reason": (
        lambda: at(State.PENDING_MFA),
        Cancel(EVE, "x" * 125),
        "text_too_long [reason]: A reason has at most 124 characters; this has 125, 1 too many.",
    ),
}

WAITING: dict[str, Scene] = {
    "nothing has happened": (lambda: at(State.PENDING), Tick(), "nothing"),
    "not verified, and nothing has happened": (lambda: at(State.PENDING_MFA), Tick(), "nothing"),
    "the grantee has left": (
        lambda: knowing(at(State.PENDING), left("ann", "eng")),
        Tick(),
        """
        cancelled
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey cancelled; reason Ann is no longer active
        """,
    ),
    "who asked is a guest now": (
        lambda: knowing(at(State.PENDING_MFA), slack_guest("eve", "eng")),
        Tick(),
        """
        cancelled
        grant 0: ended
        eve, ann: request, ended
        audit: latchkey cancelled; reason Eve is a guest now
        """,
    ),
    "its flow was deleted": (
        lambda: deleted(at(State.PENDING)),
        Tick(),
        """
        cancelled
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey cancelled; reason its access flow was deleted
        """,
    ),
    "nobody decided": (
        lambda: later(at(State.PENDING), DAY),
        Tick(),
        """
        timed_out
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey timed_out; reason nobody decided in time
        """,
    ),
    "nobody verified": (
        lambda: later(at(State.PENDING_MFA), DAY),
        Tick(),
        """
        timed_out
        grant 0: ended
        eve, ann: request, ended
        audit: latchkey timed_out; reason nobody decided in time
        """,
    ),
    "its flow cannot be read, and something is gone": (
        lambda: unread(first_is_gone(two(State.PENDING))),
        Tick(),
        "nothing",
    ),
    "it cannot be read, and something is gone": (
        lambda: broken(first_is_gone(two(State.PENDING))),
        Tick(),
        "nothing",
    ),
    "nobody decided, and its flow cannot be read": (
        lambda: later(unread(at(State.PENDING)), DAY),
        Tick(),
        """
        timed_out
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey timed_out; reason nobody decided in time
        """,
    ),
    "nobody decided, and it cannot be read": (
        lambda: later(broken(at(State.PENDING)), DAY),
        Tick(),
        """
        timed_out
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey timed_out; reason nobody decided in time
        """,
    ),
    "one thing of two is gone": (
        lambda: first_is_gone(two(State.PENDING)),
        Tick(),
        """
        pending
        grant 0: refused (It no longer exists.)
        eve, ann: request
        audit: latchkey dropped; entitlement 1
        """,
    ),
    "not verified, and one thing of two is gone": (
        lambda: first_is_gone(two(State.PENDING_MFA)),
        Tick(),
        """
        pending_mfa
        grant 0: refused (It no longer exists.)
        eve, ann: request
        audit: latchkey dropped; entitlement 1
        """,
    ),
    "all is gone": (
        lambda: first_is_gone(at(State.PENDING)),
        Tick(),
        """
        cancelled
        grant 0: refused (It no longer exists.)
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey dropped; entitlement 1
        audit: latchkey cancelled; reason what it asked for no longer exists
        """,
    ),
    "the first tier's time has come": (
        lambda: later(at(State.PENDING, escalation=Escalation(HOUR, (approvers(DAN),))), HOUR),
        Tick(),
        """
        pending
        eve, ann: request
        dan: approval, asked
        audit: latchkey escalated; tier 1
        """,
    ),
    "a tier of nobody is skipped": (
        lambda: later(
            at(State.PENDING, escalation=Escalation(HOUR, (approvers(), approvers(DAN)))), HOUR
        ),
        Tick(),
        """
        pending
        eve, ann: request
        dan: approval, asked
        audit: latchkey escalated; tier 1
        audit: latchkey escalated; tier 2
        """,
    ),
    "every tier was asked in vain": (
        lambda: later(at(State.PENDING, escalation=Escalation(HOUR, (approvers(DAN),))), 2 * HOUR),
        Tick(),
        """
        pending
        eve, ann: request
        abe, ada: alarm undecided: Nobody has decided AX-KRXN: Eve asked for read on orders/t1 for Ann at 2026-03-02 09:00 UTC. Ben, Cat and Dan could decide; it lapses at 2026-03-03 09:00 UTC.
        dan: approval, asked
        audit: latchkey escalated; tier 1
        audit: latchkey admins_told
        """,  # noqa: E501  (a sentence)
    ),
    "nobody is left who could approve": (
        lambda: knowing(
            at(State.PENDING),
            left("ben", "dba"),
            left("cat", "dba"),
            admins=frozenset({ANN, EVE}),
        ),
        Tick(),
        """
        pending
        eve, ann: request
        ben, cat: approval
        ann, eve: alarm stuck: AX-KRXN waits, and there is nobody left who could approve it: Eve asked for read on orders/t1 for Ann at 2026-03-02 09:00 UTC. It lapses at 2026-03-03 09:00 UTC.
        """,  # noqa: E501  (a sentence)
    ),
    "who had approved has left": (
        lambda: knowing(after(at(State.PENDING, approval=BOTH), Approve(BEN)), left("ben", "dba")),
        Tick(),
        """
        pending
        eve, ann: request
        ben, cat, dan: approval
        audit: latchkey void; of ben
        """,
    ),
}

GRANTING: dict[str, Scene] = {
    "it is looked at, and is not there": (
        lambda: at(State.GRANTING),
        FirstLook({FIRST: False}),
        """
        granting
        grant 0: wanted
        """,
    ),
    "it was there before": (
        lambda: at(State.GRANTING),
        FirstLook({FIRST: True}),
        """
        active
        grant 0: held standing
        ann: notice standing/0: AX-KRXN: Ann already held read on orders/t1, not through Latchkey. \
It stays when the request ends.
        abe, ada: alarm standing/0: AX-KRXN: Ann already held read on orders/t1, not through \
Latchkey. It stays when the request ends.
        eve, ann: request, active
        audit: latchkey standing; entitlements [1]
        audit: latchkey granted; until 2026-03-02T10:00:00+00:00
        """,
    ),
    "the second thing was there before": (
        lambda: after(begun(two(State.GRANTING)), seen(HELD)),
        FirstLook({FIRST: True, SECOND_GRANT: True}),
        "nothing",
    ),
    "it is about to be given": (
        lambda: later(looked(at(State.GRANTING)), 5 * MINUTE),
        Attempt(),
        """
        granting
        grant 0: wanted begun
        until (1:05:00)
        """,
    ),
    "it was not looked at yet": (lambda: at(State.GRANTING), Attempt(), "nothing"),
    "it has lapsed": (lambda: later(looked(at(State.GRANTING)), DAY), Attempt(), "nothing"),
    "one thing of two may not be given any more": (
        lambda: looked(first_is_gone(two(State.GRANTING))),
        Attempt(),
        """
        granting
        grant 0: refused (It no longer exists.)
        grant 1: wanted begun
        ann: notice refused/0: AX-KRXN: read on orders/t1 was not granted. It no longer exists.
        abe, ada: alarm refused/0: AX-KRXN: read on orders/t1 was not granted. It no longer exists.
        eve, ann: request
        ben, cat: approval
        audit: latchkey refused; entitlement 1; why It no longer exists.
        """,
    ),
    "nothing of it may be given any more": (
        lambda: looked(knowing(two(State.GRANTING), person("eve"))),
        Attempt(),
        """
        failed
        grant 0: refused (“Read orders” is no longer open to Eve.)
        grant 1: refused (“Read orders” is no longer open to Eve.)
        ann: notice refused/0: AX-KRXN: read on orders/t1 was not granted. \
“Read orders” is no longer open to Eve.
        abe, ada: alarm refused/0: AX-KRXN: read on orders/t1 was not granted. \
“Read orders” is no longer open to Eve.
        ann: notice refused/1: AX-KRXN: read on orders/t2 was not granted. \
“Read orders” is no longer open to Eve.
        abe, ada: alarm refused/1: AX-KRXN: read on orders/t2 was not granted. \
“Read orders” is no longer open to Eve.
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey refused; entitlement 1; why “Read orders” is no longer open to Eve.
        audit: latchkey refused; entitlement 2; why “Read orders” is no longer open to Eve.
        audit: latchkey revoking; ending failed; reason all was refused
        audit: latchkey failed
        """,
    ),
    "it is seen": (
        lambda: later(begun(at(State.GRANTING)), MINUTE),
        seen(HELD),
        """
        active
        grant 0: held begun
        until (1:01:00)
        eve, ann: request, active
        audit: latchkey granted; until 2026-03-02T10:01:00+00:00
        """,
    ),
    "it is not seen yet": (lambda: begun(at(State.GRANTING)), seen(UNKNOWN), "nothing"),
    "it is seen, but for a part": (
        lambda: begun(at(State.GRANTING)),
        seen(Outcome(Presence.HELD, left_out="geo")),
        """
        active
        grant 0: held begun
        eve, ann: request, active
        ben, cat: approval
        audit: latchkey left_out; entitlement 1; left_out geo
        audit: latchkey granted; until 2026-03-02T10:00:00+00:00
        """,
    ),
    "the system refuses one thing of two": (
        lambda: begun(two(State.GRANTING)),
        seen(REFUSED, HELD),
        """
        active
        grant 0: refused begun (The table was dropped.)
        grant 1: held begun
        ann: notice refused/0: AX-KRXN: read on orders/t1 was refused. The table was dropped. \
What was begun of it is being undone.
        abe, ada: alarm refused/0: AX-KRXN: read on orders/t1 was refused. The table was dropped. \
What was begun of it is being undone.
        eve, ann: request, active
        ben, cat: approval
        audit: latchkey refused; entitlement 1; why The table was dropped.
        audit: latchkey granted; until 2026-03-02T10:00:00+00:00
        """,
    ),
    "the system refuses all": (
        lambda: begun(at(State.GRANTING)),
        seen(REFUSED),
        """
        revoking
        grant 0: refused begun (The table was dropped.)
        ann: notice refused/0: AX-KRXN: read on orders/t1 was refused. The table was dropped. \
What was begun of it is being undone.
        abe, ada: alarm refused/0: AX-KRXN: read on orders/t1 was refused. The table was dropped. \
What was begun of it is being undone.
        eve, ann: request
        ben, cat: approval
        audit: latchkey refused; entitlement 1; why The table was dropped.
        audit: latchkey revoking; ending failed; reason all was refused
        """,
    ),
    "what was refused at the last look is reported as held, late": (
        lambda: after(looked(first_is_gone(two(State.GRANTING))), Attempt()),
        seen(HELD, HELD),
        """
        active
        grant 1: held begun
        eve, ann: request, active
        audit: latchkey granted; until 2026-03-02T10:00:00+00:00
        """,
    ),
    "it waits to be given": (lambda: at(State.GRANTING), Tick(), "nothing"),
    "the grantee has left before it was given": (
        lambda: knowing(at(State.GRANTING), left("ann", "eng")),
        Tick(),
        """
        revoked
        grant 0: ended
        eve, ann: request, ended
        audit: latchkey revoking; ending revoked; reason Ann is no longer active
        audit: latchkey revoked
        """,
    ),
    "it could not be given in time": (
        lambda: later(at(State.GRANTING), DAY),
        Tick(),
        """
        failed
        grant 0: refused (it could not be granted in time)
        eve, ann: request, ended
        audit: latchkey revoking; ending failed; reason it could not be granted in time
        audit: latchkey failed
        """,
    ),
    "what was begun could not be seen in time": (
        lambda: later(begun(at(State.GRANTING)), HOUR),
        Tick(),
        """
        revoking
        grant 0: refused begun (it could not be granted in time)
        eve, ann: request
        audit: latchkey revoking; ending failed; reason it could not be granted in time
        """,
    ),
    "returned while it is given": (
        lambda: begun(at(State.GRANTING)),
        Return(EVE),
        """
        revoking
        eve, ann: request
        audit: eve revoking; ending returned
        """,
    ),
    "returned in part while it is given": (
        lambda: begun(two(State.GRANTING)),
        Return(EVE, frozenset({GrantId(1)})),
        """
        granting
        grant 0: ended begun (returned before the rest)
        eve, ann: request
        ben, cat: approval
        audit: eve returned_part; entitlements [1]
        """,
    ),
    "returned in part before it is begun": (
        lambda: two(State.GRANTING),
        Return(EVE, frozenset({GrantId(1)})),
        """
        granting
        grant 0: ended (returned before the rest)
        eve, ann: request
        ben, cat: approval
        audit: eve returned_part; entitlements [1]
        """,
    ),
    "revoked while it is given": (
        lambda: begun(at(State.GRANTING)),
        Revoke(BEN, "Wrong table."),
        """
        revoking
        eve, ann: request
        audit: ben revoking; ending revoked; reason Wrong table.
        """,
    ),
    "extended before it runs": (
        lambda: at(State.GRANTING),
        Extend(ANN, 1),
        "not_running: Ben approved this request (0:00:00)",
    ),
}

RUNNING: dict[str, Scene] = {
    "it runs": (lambda: at(State.ACTIVE), Tick(), "nothing"),
    "its end is near": (
        lambda: later(at(State.ACTIVE), 50 * MINUTE),
        Tick(),
        """
        active
        eve, ann: request, offer
        audit: latchkey offered; ends_at 2026-03-02T10:00:00+00:00
        """,
    ),
    "its end was announced": (
        lambda: after(later(at(State.ACTIVE), 50 * MINUTE), Tick()),
        Tick(),
        "nothing",
    ),
    "it is over": (
        lambda: later(after(later(at(State.ACTIVE), 50 * MINUTE), Tick()), 10 * MINUTE),
        Tick(),
        """
        revoking
        eve, ann: request
        audit: latchkey revoking; ending expired
        """,
    ),
    "the grantee is gone": (
        lambda: knowing(at(State.ACTIVE), left("ann", "eng")),
        Tick(),
        """
        revoking
        eve, ann: request
        audit: latchkey revoking; ending revoked; reason Ann is no longer active
        """,
    ),
    "who had asked is gone, and the grantee has a manager": (
        lambda: knowing(at(State.ACTIVE), left("eve", "eng"), person("ann", "eng", manager=BOB)),
        Tick(),
        """
        active
        bob: notice orphaned: Eve is no longer active, and had asked for AX-KRXN. \
Ann keeps the access until its end.
        """,
    ),
    "who had asked is gone, and was the manager": (
        lambda: knowing(at(State.ACTIVE), left("eve", "eng")),
        Tick(),
        """
        active
        abe, ada: alarm orphaned: Eve is no longer active, and had asked for AX-KRXN. \
Ann keeps the access until its end.
        """,
    ),
    "one thing of two is gone while access runs": (
        lambda: first_is_gone(two(State.ACTIVE)),
        Tick(),
        """
        active
        grant 0: ended begun (It is gone.)
        eve, ann: notice gone/0: AX-KRXN: read on orders/t1 is gone, and so is the access.
        eve, ann: request
        audit: latchkey gone; entitlement 1
        """,
    ),
    "the access to what is gone is seen gone": (
        lambda: after(first_is_gone(two(State.ACTIVE)), Tick()),
        seen(ABSENT, HELD),
        """
        active
        grant 0: ended (It is gone.)
        eve, ann: request
        ben, cat: approval
        """,
    ),
    "all that it gave is gone": (
        lambda: first_is_gone(at(State.ACTIVE)),
        Tick(),
        """
        revoking
        grant 0: ended begun (It is gone.)
        eve, ann: notice gone/0: AX-KRXN: read on orders/t1 is gone, and so is the access.
        eve, ann: request
        audit: latchkey gone; entitlement 1
        audit: latchkey revoking; ending revoked; reason what it gave is gone
        """,
    ),
    "its system is listed no more": (
        lambda: knowing(
            at(State.ACTIVE), entitlements={1: entitlement(1, status=ResourceStatus.DISCONNECTED)}
        ),
        Tick(),
        "nothing",
    ),
    "there is nothing new to give": (lambda: at(State.ACTIVE), Attempt(), "nothing"),
    "the rest is about to be given": (
        lambda: looked(after(two(State.GRANTING), FirstLook({FIRST: True}))),
        Attempt(),
        """
        active
        grant 1: wanted begun
        """,
    ),
    "the rest may not be given any more": (
        lambda: knowing(
            looked(after(two(State.GRANTING), FirstLook({FIRST: True}))),
            entitlements={1: entitlement(1), 2: gone(2)},
        ),
        Attempt(),
        """
        active
        grant 1: refused (It no longer exists.)
        ann: notice refused/1: AX-KRXN: read on orders/t2 was not granted. It no longer exists.
        abe, ada: alarm refused/1: AX-KRXN: read on orders/t2 was not granted. It no longer exists.
        eve, ann: request
        ben, cat: approval
        audit: latchkey refused; entitlement 2; why It no longer exists.
        """,
    ),
    "the rest was there before": (
        lambda: after(two(State.GRANTING), FirstLook({FIRST: True})),
        FirstLook({SECOND_GRANT: True}),
        """
        active
        grant 1: held standing
        ann: notice standing/1: AX-KRXN: Ann already held read on orders/t2, not through \
Latchkey. It stays when the request ends.
        abe, ada: alarm standing/1: AX-KRXN: Ann already held read on orders/t2, not through \
Latchkey. It stays when the request ends.
        audit: latchkey standing; entitlements [2]
        """,
    ),
    "it is seen again": (lambda: at(State.ACTIVE), seen(HELD), "nothing"),
    "what was refused is seen undone": (
        lambda: after(begun(two(State.GRANTING)), seen(REFUSED, HELD)),
        seen(ABSENT, HELD),
        """
        active
        grant 0: refused (The table was dropped.)
        eve, ann: request
        ben, cat: approval
        """,
    ),
    "extended": (
        lambda: after(later(at(State.ACTIVE), 50 * MINUTE), Tick()),
        Extend(EVE, 1),
        """
        active
        until (1:30:00)
        eve, ann: request
        audit: eve extended; until 2026-03-02T10:30:00+00:00
        """,
    ),
    "the systems have taken the extension": (
        lambda: after(at(State.ACTIVE), Extend(ANN, 1)),
        seen(HELD),
        """
        active
        eve, ann: request, extended
        """,
    ),
    "one system of two has taken the extension": (
        lambda: after(begun(on_two_systems(two(State.GRANTING))), seen(HELD, HELD), Extend(ANN, 1)),
        seen(HELD),
        """
        active
        """,
    ),
    "a system refuses the extension": (
        lambda: after(at(State.ACTIVE), Extend(ANN, 1)),
        seen(HELD, end_refused="its policy allows one hour"),
        """
        active
        until (1:00:00)
        eve, ann: notice not_extended/2026-03-02T09:00:00+00:00: AX-KRXN could not be extended: \
its policy allows one hour. The old end stands.
        eve, ann: request
        audit: latchkey extension_refused; reason its policy allows one hour
        """,
    ),
    "extended by an approver": (
        lambda: at(State.ACTIVE),
        Extend(BEN, 1),
        "not_yours: Only who asked, or who has the access, can extend it.",
    ),
    "extended twice by one button": (
        lambda: after(at(State.ACTIVE), Extend(ANN, 1)),
        Extend(ANN, 1),
        "already_extended: This was extended already. It ends (1:30:00)",
    ),
    "extended more often than the flow allows": (
        lambda: at(State.ACTIVE, extension=Extension(0, 30 * MINUTE)),
        Extend(ANN, 1),
        "no_extension_left: There is no extension left. It ends (1:00:00)",
    ),
    "extended where there is no end": (
        lambda: at(State.ACTIVE, grant_for=None),
        Extend(ANN, 1),
        "nothing_to_do: This access has no end. There is nothing to extend.",
    ),
    "extended at its end": (
        lambda: later(at(State.ACTIVE), HOUR),
        Extend(ANN, 1),
        "not_running: This access has just ended (1:00:00)",
    ),
    "extended where the flow is closed": (
        lambda: closed(at(State.ACTIVE)),
        Extend(ANN, 1),
        "flow_closed: Its access flow takes no extensions any more.",
    ),
    "extended for who has left": (
        lambda: knowing(at(State.ACTIVE), left("ann", "eng")),
        Extend(EVE, 1),
        "person_inactive: Ann is no longer active.",
    ),
    "extended by who is a guest now": (
        lambda: knowing(at(State.ACTIVE), slack_guest("eve", "eng")),
        Extend(EVE, 1),
        "person_inactive: Eve is a guest now.",
    ),
    "returned": (
        lambda: at(State.ACTIVE),
        Return(ANN),
        """
        revoking
        eve, ann: request
        audit: ann revoking; ending returned
        """,
    ),
    "returned in part": (
        lambda: two(State.ACTIVE),
        Return(ANN, frozenset({GrantId(1)})),
        """
        active
        grant 0: ended begun (returned before the rest)
        eve, ann: request
        ben, cat: approval
        audit: ann returned_part; entitlements [1]
        """,
    ),
    "returned in part, and seen gone": (
        lambda: after(two(State.ACTIVE), Return(ANN, frozenset({GrantId(1)}))),
        seen(ABSENT, HELD),
        """
        active
        grant 0: ended (returned before the rest)
        eve, ann: request
        ben, cat: approval
        """,
    ),
    "returned in part, where another request wants it": (
        lambda: knowing(two(State.ACTIVE), held_elsewhere={0: "AX-7K2M"}),
        Return(ANN, frozenset({GrantId(1)})),
        """
        active
        grant 0: ended (returned before the rest, still held under AX-7K2M)
        eve, ann: request
        ben, cat: approval
        audit: ann returned_part; entitlements [1]
        """,
    ),
    "returned in part, and wanted by another request since": (
        lambda: knowing(
            after(two(State.ACTIVE), Return(ANN, frozenset({GrantId(1)}))),
            held_elsewhere={0: "AX-7K2M"},
        ),
        seen(HELD, HELD),
        """
        active
        grant 0: ended (returned before the rest, still held under AX-7K2M)
        eve, ann: request
        ben, cat: approval
        """,
    ),
    "returned in part again, as delivered twice": (
        lambda: after(two(State.ACTIVE), Return(ANN, frozenset({GrantId(1)}))),
        Return(ANN, frozenset({GrantId(1)})),
        "nothing_selected [things]: Choose what you return.",
    ),
    "returned but for what is not there yet": (
        lambda: after(begun(two(State.GRANTING)), seen(HELD)),
        Return(ANN, frozenset({GrantId(1)})),
        (
            "nothing_to_do [things]: What you keep is not there yet. Return all of it, or wait "
            "until it is there."
        ),
    ),
    "the rest is returned, too": (
        lambda: after(two(State.ACTIVE), Return(ANN, frozenset({GrantId(1)}))),
        Return(ANN),
        """
        revoking
        eve, ann: request
        audit: ann revoking; ending returned
        """,
    ),
    "returned in part while a longer end is asked for": (
        lambda: after(on_two_systems(two(State.ACTIVE)), Extend(ANN, 1)),
        Return(ANN, frozenset({GrantId(1)})),
        """
        active
        grant 0: ended begun (returned before the rest)
        eve, ann: request
        ben, cat: approval
        audit: ann returned_part; entitlements [1]
        """,
    ),
    "returned by an admin": (
        lambda: at(State.ACTIVE),
        Return(ADA),
        "not_yours: Only who asked, or who has the access, can return it.",
    ),
    "revoked by who approved": (
        lambda: after(later(at(State.ACTIVE), 50 * MINUTE), Tick()),
        Revoke(BEN, " Enough. "),
        """
        revoking
        eve, ann: request
        audit: ben revoking; ending revoked; reason Enough.
        """,
    ),
    "revoked by who did not approve": (
        lambda: at(State.ACTIVE),
        Revoke(CAT),
        "not_yours: Only an admin, or who approved it, can revoke it.",
    ),
    "revoked with too long a reason": (
        lambda: at(State.ACTIVE),
        Revoke(ADA, "x" * 125),
        "text_too_long [reason]: A reason has at most 124 characters; this has 125, 1 too many.",
    ),
    "approved when it runs": (
        lambda: at(State.ACTIVE),
        Approve(CAT),
        "settled: Ben approved this request (0:00:00)",
    ),
}

ENDING: dict[str, Scene] = {
    "nobody has seen it gone": (lambda: at(State.REVOKING), Tick(), "nothing"),
    "it is still there": (lambda: at(State.REVOKING), seen(HELD), "nothing"),
    "the system refuses to take it away": (lambda: at(State.REVOKING), seen(REFUSED), "nothing"),
    "it is seen gone": (
        lambda: at(State.REVOKING),
        seen(ABSENT),
        """
        returned
        grant 0: ended
        eve, ann: request, ended
        audit: latchkey returned
        """,
    ),
    "one thing of two is seen gone": (
        lambda: after(begun(two(State.GRANTING)), seen(HELD, HELD), Return(ANN)),
        seen(ABSENT, HELD),
        """
        revoking
        grant 0: ended
        """,
    ),
    "another request wants it": (
        lambda: knowing(at(State.REVOKING), held_elsewhere={0: "AX-7K2M"}),
        Tick(),
        """
        returned
        grant 0: ended (still held under AX-7K2M)
        eve, ann: request, ended
        audit: latchkey returned; kept ['still held under AX-7K2M']
        """,
    ),
    "another request wants one thing, the other was there before": (
        lambda: knowing(
            after(two(State.GRANTING), FirstLook({FIRST: True, SECOND_GRANT: False}), Attempt()),
            held_elsewhere={1: "AX-7K2M"},
        ),
        Revoke(ADA),
        """
        revoked
        grant 0: ended standing (It was there before, and stays.)
        grant 1: ended (still held under AX-7K2M)
        eve, ann: request, ended
        audit: ada revoking; ending revoked
        audit: latchkey revoked; kept ['It was there before, and stays.', \
'still held under AX-7K2M']
        """,
    ),
    "what was refused is seen gone": (
        lambda: after(begun(at(State.GRANTING)), seen(REFUSED)),
        seen(ABSENT),
        """
        failed
        grant 0: refused (The table was dropped.)
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey failed
        """,
    ),
    "a look comes late": (lambda: at(State.REVOKING), FirstLook({FIRST: True}), "nothing"),
    "a call comes late": (lambda: at(State.REVOKING), Attempt(), "nothing"),
}


def night(made: Life) -> Life:
    """The flow's window, as clocks were set since, is another than that of the start."""
    shut = Window(frozenset(Day), time(22), time(6), "UTC")
    return knowing(made, revision=replace(made.facts.revision, when=shut))


COMING: dict[str, Scene] = {
    "approved for later": (
        lambda: life(State.PENDING, requestor=EVE, starts_at=NOW + 2 * HOUR),
        Approve(BEN, "ok"),
        """
        scheduled
        eve, ann: request, decided
        ben, cat: approval
        audit: ben approved; reason ok
        audit: latchkey scheduled; starts_at 2026-03-02T11:00:00+00:00
        """,
    ),
    "approved after its start": (
        lambda: later(life(State.PENDING, requestor=EVE, starts_at=NOW + 2 * HOUR), 3 * HOUR),
        Approve(BEN),
        """
        granting
        until (4:00:00)
        eve, ann: request, decided
        ben, cat: approval
        ben: notice late_start: AX-KRXN was to start at 2026-03-02 11:00 UTC. You approved it \
after that, so that it begins at once.
        audit: ben approved
        """,
    ),
    "verified for later, and nobody has to approve": (
        lambda: life(State.PENDING_MFA, flow(approval=None), requestor=EVE, starts_at=NOW + DAY),
        Verify(ANN),
        """
        scheduled
        eve, ann: request, decided
        audit: ann verified
        audit: latchkey approved; how automatic
        audit: latchkey scheduled; starts_at 2026-03-03T09:00:00+00:00
        """,
    ),
    "nothing has changed before the start": (
        lambda: later(at(State.SCHEDULED), HOUR),
        Tick(),
        "nothing",
    ),
    "a quarter of an hour before the start": (
        lambda: later(at(State.SCHEDULED), 105 * MINUTE),
        Tick(),
        """
        scheduled
        eve, ann: request, reminded
        audit: latchkey reminded; starts_at 2026-03-02T11:00:00+00:00
        """,
    ),
    "its start has come": (
        lambda: later(at(State.SCHEDULED), 2 * HOUR),
        Tick(),
        """
        granting
        lapses (1 day, 2:00:00)
        until (3:00:00)
        eve, ann: request
        ben, cat: approval
        audit: latchkey started
        """,
    ),
    "the flow is disabled at the start": (
        lambda: later(closed(at(State.SCHEDULED)), 2 * HOUR),
        Tick(),
        """
        granting
        lapses (1 day, 2:00:00)
        until (3:00:00)
        eve, ann: request
        ben, cat: approval
        audit: latchkey started
        """,
    ),
    "the flow is deleted before the start": (
        lambda: deleted(at(State.SCHEDULED)),
        Tick(),
        """
        cancelled
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey cancelled; reason its access flow was deleted
        """,
    ),
    "who is to have it leaves before the start": (
        lambda: knowing(at(State.SCHEDULED), left("ann", "eng", manager=EVE)),
        Tick(),
        """
        cancelled
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey cancelled; reason Ann is no longer active
        """,
    ),
    "who asked has another team at the start": (
        lambda: later(knowing(at(State.SCHEDULED), person("eve", "dba")), 2 * HOUR),
        Tick(),
        """
        failed
        grant 0: refused (“Read orders” is no longer open to Eve.)
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey failed; reason “Read orders” is no longer open to Eve
        """,
    ),
    "the start is outside the window": (
        lambda: later(night(at(State.SCHEDULED)), 2 * HOUR),
        Tick(),
        """
        failed
        grant 0: refused (“Read orders” is not open at the start (every day 22:00–06:00 UTC).)
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey failed; reason “Read orders” is not open at the start (every day \
22:00–06:00 UTC)
        """,
    ),
    "the flow cannot be read before the start": (
        lambda: unread(at(State.SCHEDULED)),
        Tick(),
        "nothing",
    ),
    "the flow cannot be read at the start": (
        lambda: later(unread(at(State.SCHEDULED)), 2 * HOUR),
        Tick(),
        """
        failed
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey failed; reason its access flow cannot be read
        """,
    ),
    "one of two things is gone before the start": (
        lambda: first_is_gone(two(State.SCHEDULED)),
        Tick(),
        """
        scheduled
        grant 0: refused (It no longer exists.)
        eve, ann: request
        audit: latchkey dropped; entitlement 1
        """,
    ),
    "all is gone before the start": (
        lambda: first_is_gone(at(State.SCHEDULED)),
        Tick(),
        """
        cancelled
        grant 0: refused (It no longer exists.)
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey dropped; entitlement 1
        audit: latchkey cancelled; reason what it asked for no longer exists
        """,
    ),
    "one of two things is offered no more at the start": (
        lambda: later(
            knowing(
                two(State.SCHEDULED),
                entitlements={1: entitlement(1, path="orders/other"), 2: entitlement(2)},
            ),
            2 * HOUR,
        ),
        Tick(),
        """
        granting
        lapses (1 day, 2:00:00)
        until (3:00:00)
        eve, ann: request
        ben, cat: approval
        audit: latchkey started
        """,
    ),
    "the approver leaves before the start": (
        lambda: knowing(at(State.SCHEDULED), left("ben", "dba")),
        Tick(),
        """
        pending
        eve, ann: request, reopened
        ben: approval
        cat: approval, asked
        audit: latchkey void; of ben
        audit: latchkey reopened
        """,
    ),
    "one approver more than it takes leaves before the start": (
        lambda: knowing(
            after(
                life(
                    State.PENDING,
                    flow(
                        approval=ApprovalRule((approvers(BEN, CAT, DAN, needs=2), approvers(BEN)))
                    ),
                    requestor=EVE,
                    starts_at=NOW + 2 * HOUR,
                ),
                Approve(CAT),
                Approve(BEN, "ok"),
            ),
            left("cat", "dba", "sec"),
        ),
        Tick(),
        """
        scheduled
        eve, ann: request
        ben, cat, dan: approval
        audit: latchkey void; of cat
        """,
    ),
    "an approval is taken back before the start": (
        lambda: later(at(State.SCHEDULED), HOUR),
        Withdraw(BEN),
        """
        pending
        lapses (1 day, 1:00:00)
        eve, ann: request, reopened
        ben: approval
        cat: approval, asked
        audit: ben withdrawn
        audit: latchkey reopened
        """,
    ),
    "an approval is taken back at the start": (
        lambda: later(at(State.SCHEDULED), 2 * HOUR),
        Withdraw(BEN),
        "settled: Its start has come, so that what was approved stands. It was to begin (2:00:00)",
    ),
    "somebody who has not approved takes it back": (
        lambda: at(State.SCHEDULED),
        Withdraw(CAT),
        "nothing_to_do: You have no approval of this request to withdraw.",
    ),
    "an approval is taken back after the flow was deleted": (
        lambda: deleted(at(State.SCHEDULED)),
        Withdraw(BEN),
        "flow_closed: The access flow of this request was deleted.",
    ),
    "it is cancelled before the start": (
        lambda: at(State.SCHEDULED),
        Cancel(EVE, "not needed"),
        """
        cancelled
        grant 0: ended
        eve: request
        ann: request, ended
        ben, cat: approval
        audit: eve cancelled; reason not needed
        """,
    ),
    "it is declined before the start": (
        lambda: at(State.SCHEDULED),
        Cancel(ANN),
        """
        cancelled
        grant 0: ended
        eve: request, ended
        ann: request
        ben, cat: approval
        audit: ann cancelled
        """,
    ),
    "somebody else would cancel it before the start": (
        lambda: at(State.SCHEDULED),
        Cancel(BOB),
        "not_yours: Only who asked, who is to have it, or an admin can cancel.",
    ),
    "what is stored cannot be read at the start": (
        lambda: later(broken(at(State.SCHEDULED)), 2 * HOUR),
        Tick(),
        """
        failed
        grant 0: ended
        eve, ann: request, ended
        ben, cat: approval
        audit: latchkey failed; reason what is stored of it cannot be read
        """,
    ),
}

SCENES = {**VERIFYING, **DECIDING, **WAITING, **COMING, **GRANTING, **RUNNING, **ENDING}

# Whoever comes too late, or too early, is told what is true of the request.
SETTLED = {
    State.SCHEDULED: "Ben approved this request (0:00:00)",
    State.GRANTING: "Ben approved this request (0:00:00)",
    State.ACTIVE: "Ben approved this request (0:00:00)",
    State.REVOKING: "Ben approved this request (0:00:00)",
    State.CANCELLED: "Ann cancelled this request (0:00:00)",
    State.TIMED_OUT: "This request lapsed (1 day, 0:00:00)",
    State.REJECTED: "Ben rejected this request (0:00:00)",
    State.FAILED: "Ben approved this request (0:00:00)",
    State.EXPIRED: "Ben approved this request (0:00:00)",
    State.RETURNED: "Ben approved this request (0:00:00)",
    State.REVOKED: "Ben approved this request (0:00:00)",
}
NOT_RUNNING = {
    State.PENDING_MFA: "Ann has to verify first.",
    State.PENDING: "This request still waits for a decision.",
    State.SCHEDULED: "This access has not begun. It starts (2:00:00)",
    State.REVOKING: "This access is being taken away (0:00:00)",
    State.CANCELLED: "Ann cancelled this request (0:00:00)",
    State.TIMED_OUT: "This request lapsed (1 day, 0:00:00)",
    State.REJECTED: "Ben rejected this request (0:00:00)",
    State.FAILED: "This access could not be given (0:00:00)",
    State.EXPIRED: "This access ended (1:00:00)",
    State.RETURNED: "Ann returned this access (0:00:00)",
    State.REVOKED: "Ada revoked this access (0:00:00)",
}
LATE: list[tuple[Command, State, str]] = [
    *((c, s, f"settled: {said}")
      for c in (Approve(CAT), Reject(CAT), Nudge(EVE), PutQuestion(CAT, "Why?"),
                Answer(EVE, 1, "So."))
      for s, said in SETTLED.items()),
    *((c, s, f"settled: {said}") for c in (Withdraw(CAT), Cancel(ANN), Change(EVE, RequestId(2)))
      for s, said in SETTLED.items() if s is not State.SCHEDULED),
    *((Verify(ANN), s, f"settled: {said}") for s, said in SETTLED.items()
      if s not in {State.SCHEDULED, State.GRANTING, State.ACTIVE}),
    *((c, s, f"not_running: {said}") for c in (Extend(ANN, 1), Return(ANN), Revoke(ADA))
      for s, said in NOT_RUNNING.items()),
    *((c, s, "nothing") for c in (Attempt(), FirstLook({FIRST: True}), seen(HELD))
      for s in (State.PENDING_MFA, State.PENDING, State.SCHEDULED)),
    (Verify(ANN), State.SCHEDULED, "nothing"),
    *((c, s, "nothing") for c in (Tick(), Attempt(), FirstLook({FIRST: True}), seen(HELD))
      for s in State if s.final),
]  # fmt: skip


@pytest.mark.parametrize(("made", "command", "expected"), SCENES.values(), ids=list(SCENES))
def test_who_is_told_what_and_what_the_audit_says(made, command, expected):
    scene = made()
    before = scene.request

    assert told(before, scene.do(command)) == dedent(expected).strip()


@pytest.mark.parametrize(("command", "state", "expected"), LATE, ids=str)
def test_who_comes_too_late_or_too_early_is_told_what_is_true(command, state, expected):
    scene = at(state)
    before = scene.request

    assert told(before, scene.do(command)) == expected


def test_every_row_of_the_lifecycle_is_told():
    walked = {(type(c), made().request.state) for made, c, _ in SCENES.values()}
    walked |= {(type(c), state) for c, state, _ in LATE}

    assert walked == {(c, s) for c in get_args(Command) for s in State}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {},
            """
            pending
            eve, ann: request, requested
            ben, cat: approval, asked
            audit: eve submitted; grantee ann; justification INC-42; grants [[1, 1]]
            """,
        ),
        (
            {"require_mfa": True},
            """
            pending_mfa
            eve, ann: request, requested
            audit: eve submitted; grantee ann; justification INC-42; grants [[1, 1]]
            """,
        ),
        (
            {"approval": None},
            """
            granting
            until (1:00:00)
            eve, ann: request, decided
            audit: eve submitted; grantee ann; justification INC-42; grants [[1, 1]]
            audit: latchkey approved; how automatic
            """,
        ),
        (
            {"approval": ApprovalRule((approvers(),))},
            """
            pending
            eve, ann: request, requested
            abe, ada: approval, asked
            audit: eve submitted; grantee ann; justification INC-42; grants [[1, 1]]
            """,
        ),
    ],
    ids=["to approve", "to verify", "automatic", "with nobody to approve but the admins"],
)
def test_who_is_told_of_a_new_request(values, expected):
    of = flow(**values)
    before = request(of, requestor=EVE)

    assert told(before, lifecycle.begin(before, facts(of), NOW)) == dedent(expected).strip()
