"""The table, walked pair by pair; then the rules of a request's life, one by one."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import get_args

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

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
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonStatus
from engine.eligibility import Draft
from engine.flow import (
    ApprovalRule,
    ApproverGroup,
    Escalation,
    Extension,
    Quorum,
    RequestFor,
    TierCounts,
    unreadable,
)
from engine.life.offers import offered
from engine.lifecycle import TABLE, Do, No, decide, next_wake, wake
from engine.on_call import Schedule, Shift
from engine.outcome import Card, Code, Decision, News, Refusal, Tell
from engine.port import Outcome, Presence
from engine.request import OPERATOR, SYSTEM, AccountId, GrantId, GrantState, RequestId, State
from engine.window import Day, Window
from tests.engine.strategies import commands, lives, steps
from tests.support.builders import (
    ABE,
    ABSENT,
    ADA,
    ANN,
    BEN,
    BOB,
    BOTH,
    CAT,
    DAN,
    DAY,
    DBAS,
    EVE,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    ORDERS,
    REFUSED,
    SECOND,
    SECURITY,
    UNKNOWN,
    Life,
    approvers,
    begun,
    company,
    entitlement,
    facts,
    flow,
    gone,
    left,
    life,
    person,
    request,
    slack_guest,
)

# What comes of each, from pending_mfa, pending, scheduled, granting, active, revoking, and a final
# state: the next state or a refusal; None where the request stays in its state.
_NO, _LATE, _EARLY = Code.NOT_RUNNING, Code.SETTLED, Code.NOTHING_TO_DO
WALK: tuple[tuple[Command, tuple[State | Code | None, ...]], ...] = (
    (Verify(ANN), (State.PENDING, None, None, None, None, _LATE, _LATE)),
    (Verify(BOB), (Code.NOT_YOURS, None, None, None, None, _LATE, _LATE)),
    (Approve(BEN), (_EARLY, State.GRANTING, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (Approve(ANN), (_EARLY, Code.OWN_REQUEST, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (Reject(BEN), (_EARLY, State.REJECTED, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (Withdraw(BEN), (_EARLY, Code.NOTHING_TO_DO, State.PENDING, _LATE, _LATE, _LATE, _LATE)),
    (Nudge(ANN), (_EARLY, None, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (Nudge(BEN), (_EARLY, Code.NOT_YOURS, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (PutQuestion(BEN, "Why?"), (_EARLY, None, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (PutQuestion(BOB, "Why?"), (_EARLY, Code.NOT_APPROVER, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (Answer(ANN, 1, "So."), (_EARLY, _EARLY, _LATE, _LATE, _LATE, _LATE, _LATE)),
    (Cancel(ANN), (State.CANCELLED, State.CANCELLED, State.CANCELLED, _LATE, _LATE, _LATE, _LATE)),
    (Cancel(BOB), (Code.NOT_YOURS, Code.NOT_YOURS, Code.NOT_YOURS, _LATE, _LATE, _LATE, _LATE)),
    (
        Change(ANN, RequestId(2)),
        (State.CANCELLED, State.CANCELLED, State.CANCELLED, _LATE, _LATE, _LATE, _LATE),
    ),
    (Change(BOB), (Code.NOT_YOURS, Code.NOT_YOURS, Code.NOT_YOURS, _LATE, _LATE, _LATE, _LATE)),
    (Extend(ANN, 1), (_NO, _NO, _NO, _NO, None, _NO, _NO)),
    (Extend(ANN, 7), (_NO, _NO, _NO, _NO, Code.NO_EXTENSION_LEFT, _NO, _NO)),
    (Return(ANN), (_NO, _NO, _NO, State.RETURNED, State.REVOKING, _NO, _NO)),
    (
        Return(ANN, frozenset({GrantId(0)})),
        (_NO, _NO, _NO, Code.NOTHING_SELECTED, Code.NOTHING_SELECTED, _NO, _NO),
    ),
    (Revoke(ADA, "Enough."), (_NO, _NO, _NO, State.REVOKED, State.REVOKING, _NO, _NO)),
    (Revoke(BOB), (_NO, _NO, _NO, Code.NOT_YOURS, Code.NOT_YOURS, _NO, _NO)),
    (Tick(), (None, None, None, None, None, None, None)),
    (Attempt(), (None, None, None, None, None, None, None)),
    (FirstLook({GrantId(0): True}), (None, None, None, State.ACTIVE, None, None, None)),
    (FirstLook({GrantId(0): False}), (None, None, None, None, None, None, None)),
    (Observe({GrantId(0): HELD}), (None, None, None, State.ACTIVE, None, None, None)),
    (Observe({GrantId(0): ABSENT}), (None, None, None, None, None, State.RETURNED, None)),
    (Observe({GrantId(0): REFUSED}), (None, None, None, State.FAILED, None, None, None)),
    (Observe({GrantId(0): UNKNOWN}), (None, None, None, None, None, None, None)),
    (Observe(), (None, None, None, None, None, None, None)),
)
EXAMPLES = tuple(command for command, _ in WALK)
ALIVE = tuple(state for state in State if not state.final)
FINAL = tuple(state for state in State if state.final)


def told(made: Life, card: Card, news: News | None = None) -> list[Tell]:
    return [t for t in made.tells if t.card is card and news in {None, t.news}]


def sentences(made: Life) -> str:
    return "\n".join(t.detail for t in made.tells if t.detail)


def ends(made: Life) -> timedelta | None:
    """Return how long the access still lasts."""
    return made.request.ends_at - made.now if made.request.ends_at else None


def refused(result: Decision | Refusal) -> Code:
    assert isinstance(result, Refusal), result
    return result.code


# --- the table -----------------------------------------------------------------------------------


def test_the_table_has_a_row_for_every_command_and_state():
    assert set(TABLE) == set(get_args(Command))
    assert all(set(rows) == set(State) for rows in TABLE.values())


@pytest.mark.parametrize(
    ("state", "command", "expected"),
    [
        (state, command, results[ALIVE.index(state) if state in ALIVE else -1])
        for command, results in WALK
        for state in State
    ],
    ids=str,
)
def test_every_pair_leads_where_it_should_and_its_row_says_so(state, command, expected):
    """The walk read what to expect from the table itself: whatever that said was right."""
    made = life(state)
    row = TABLE[type(command)][state]

    result = decide(made.request, command, made.facts, made.now)

    if isinstance(expected, Code):
        assert refused(result) is expected
        assert isinstance(row, Do) or row.code is expected
    else:
        assert isinstance(result, Decision)
        assert result.request.state is (expected or state)
        assert isinstance(row, Do)
        assert result.request.state in (row.to or {state})


@given(lives(), commands)
@settings(max_examples=250)
def test_no_command_ever_raises_or_leaves_the_table(made, command):
    before, row = made.request, TABLE[type(command)][made.request.state]
    event(before.state.value)

    result = decide(before, command, made.facts, made.now)

    if isinstance(result, Refusal):
        assert result.sentence
        return
    assert isinstance(row, Do)
    assert result.request.state in (row.to or {before.state})
    assert row.to or result == Decision(before)


@given(lives(), commands)
@settings(max_examples=150)
def test_a_command_done_twice_changes_nothing_more(made, command):
    made.do(command)
    once = made.request

    made.do(command)

    assert made.request == once


@given(st.sampled_from(FINAL), st.lists(commands, max_size=3), steps)
@settings(max_examples=150)
def test_final_is_final(state, late, step):
    made = life(state)
    before = made.request
    for command in late:
        result = made.do(command, step)

        assert isinstance(result, Refusal) or result == Decision(before)
    assert made.request == before


@pytest.mark.parametrize("state", FINAL)
def test_a_final_request_holds_nothing_open_and_sleeps(state):
    made = life(state)

    assert not any(grant.open for grant in made.request.grants)
    assert made.wakes() is None


@given(lives())
@settings(max_examples=250)
def test_after_a_tick_the_next_wake_lies_ahead(made):
    made.tick()

    wake = made.wakes()
    assert wake is None or wake > made.now


@given(lives())
@settings(max_examples=150)
def test_waking_exactly_when_told_misses_nothing(made):
    """Between two wake-ups a tick would have changed nothing: the clock need not look."""
    made.tick()
    wake = made.wakes() or made.now + DAY
    between = made.now + (wake - made.now) / 2
    before = made.request

    assert decide(before, Tick(), made.facts, between).request == before


@pytest.mark.parametrize(
    ("command", "state"),
    [(c, s) for c in (Approve(BEN), Reject(BEN)) for s in State if s is not State.PENDING],
    ids=str,
)
def test_a_late_decision_is_told_who_decided_and_when(command, state):
    made = life(state)

    result = made.do(command)

    assert isinstance(result, Refusal)
    if decided := made.request.decided:
        assert result.sentence.startswith("Ben ")
        assert result.at == decided.at
    elif made.request.ended:
        assert result.at == made.request.ended.at


def test_a_click_after_the_end_names_the_approver_not_the_clock():
    """It said “This request was expired by Latchkey”, which answers another question."""
    result = life(State.EXPIRED).do(Approve(CAT))

    assert result.sentence == "Ben approved this request"
    assert result.at == NOW


# --- submission and MFA --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"require_mfa": True}, State.PENDING_MFA),
        ({}, State.PENDING),
        ({"approval": None}, State.GRANTING),
        ({"approval": None, "require_mfa": True}, State.PENDING_MFA),
    ],
)
def test_a_life_begins_where_its_flow_says(values, state):
    assert begun(flow(**values)).request.state is state


def test_an_automatic_request_has_its_end_before_any_connector_is_called():
    """F32: what was approved automatically had no end."""
    made = begun(flow(approval=None))

    assert made.request.ends_at == NOW + HOUR
    assert made.request.confirmed_at is None
    assert made.request.decided.by == SYSTEM


@pytest.mark.parametrize(
    ("approval", "state"), [(None, "granting"), (ApprovalRule((DBAS,)), "pending")]
)
def test_verifying_leads_on(approval, state):
    made = begun(flow(require_mfa=True, approval=approval))

    made.do(Verify(ANN), MINUTE)

    assert made.request.state == state


def test_only_the_grantee_verifies():
    made = begun(flow(require_mfa=True), requestor=EVE)

    assert refused(made.do(Verify(EVE))) is Code.NOT_YOURS
    assert made.request.state is State.PENDING_MFA


def test_verifying_too_late_says_that_the_request_has_lapsed():
    """The sentence was “Ann has to verify first.”, to Ann, who was just verifying."""
    made = begun(flow(require_mfa=True))

    result = made.do(Verify(ANN), DAY)

    assert refused(result) is Code.LAPSED
    assert result.sentence == "This request has lapsed"


@pytest.mark.parametrize("what", ["flow", "requestor"])
def test_verifying_after_flow_or_requestor_went_grants_nothing(what):
    """An automatic flow, deleted a moment before the click, was still granted from."""
    made = begun(flow(require_mfa=True, approval=None), requestor=EVE)
    if what == "flow":
        made.know(flow=replace(made.facts.flow, deleted=True))
    else:
        made.know(left("eve", "eng"))

    assert refused(made.do(Verify(ANN))) in {Code.FLOW_CLOSED, Code.PERSON_INACTIVE}
    assert made.tick().request.state is State.CANCELLED


def test_an_approver_cannot_decide_before_the_grantee_verified():
    made = life(State.PENDING_MFA)

    assert made.do(Approve(BEN)).sentence == "Ann has to verify first."


# --- deciding ------------------------------------------------------------------------------------


def test_one_approval_of_any_group_grants():
    made = life(State.PENDING, flow(approval=ApprovalRule((DBAS, SECURITY))))

    made.do(Approve(DAN, " fine "), MINUTE)

    assert made.request.state is State.GRANTING
    assert (made.request.decided.by, made.request.decided.reason) == (DAN, "fine")


def test_all_groups_are_needed_where_the_flow_says_so():
    made = life(State.PENDING, flow(approval=BOTH))

    made.do(Approve(BEN))
    assert made.request.state is State.PENDING
    again = made.do(Approve(BEN))
    assert refused(again) is Code.ALREADY_APPROVED
    assert "Security" in again.sentence
    made.do(Approve(DAN))

    assert made.request.state is State.GRANTING


def test_one_rejection_ends_the_request():
    made = life(State.PENDING, flow(approval=BOTH))
    made.do(Approve(BEN))

    made.do(Reject(DAN, "no"))

    assert made.request.state is State.REJECTED
    assert not any(g.open for g in made.request.grants)
    assert {t.to for t in told(made, Card.APPROVAL) if not t.news} == {BEN, CAT, DAN}


def test_who_is_on_call_decides_and_who_was_does_not():
    """Until ten it is BEN, from then on CAT; the clock looks each minute."""
    shifts = [(time(9), time(10), BEN), (time(10), time(9), CAT)]
    duty = Schedule(
        "DBA", tuple(Shift(Window(frozenset(Day), a, b, "UTC"), (who,)) for a, b, who in shifts)
    )
    on_call = ConditionGroup((Condition("on_call", Comparator.IS, ("DBA",)),))
    of = flow(approval=ApprovalRule((ApproverGroup("On call", on_call),)))
    made = Life(request(of), facts(of, directory=company().answering([duty], {})))
    made.request = lifecycle.begin(made.request, made.facts, NOW).request
    assert made.request.deciders == {BEN}
    assert refused(made.do(Approve(CAT))) is Code.NOT_APPROVER

    revision = made.facts.revision
    assert wake(made.request, revision, made.now) == made.now + MINUTE
    made.tick(HOUR)
    assert made.request.deciders == {CAT}
    assert Tell(BEN, Card.APPROVAL) in made.tells
    assert Tell(CAT, Card.APPROVAL, news=News.ASKED) in made.tells
    assert refused(made.do(Approve(BEN))) is Code.NOT_APPROVER
    made.do(Approve(CAT))
    assert made.request.state is State.GRANTING
    assert wake(made.request, revision, made.now) == next_wake(made.request, revision)


def test_a_click_that_is_delivered_again_counts_for_no_more():
    """An admin who stood in for one group was taken, the second time, to stand in for the next."""
    rules = ApprovalRule((approvers(BEN, needs=2), SECURITY), Quorum.ALL_OF, distinct=False)
    made = begun(flow(approval=rules))
    made.do(Approve(ADA, key="trigger/1"))
    half = made.request
    made.know(left("cat"), left("dan"))
    made.tick(MINUTE)
    assert {s.group for s in made.request.stand_ins} == {0, 1}

    made.do(Approve(ADA, key="trigger/1"))

    assert made.request.approvals == half.approvals
    made.do(Withdraw(ADA))
    made.do(Approve(ADA, key="trigger/1"))
    assert made.request.approvals == ()
    made.do(Approve(ADA, key="trigger/2"))
    assert len(made.request.approvals[0].seats) == 2


@pytest.mark.parametrize("starts_at", [None, NOW + DAY])
def test_a_withdrawal_that_is_delivered_again_counts_for_no_more(starts_at):
    """It took back what the same person had approved anew in the meantime."""
    needed = approvers(BEN, CAT, needs=1 if starts_at else 2)
    made = begun(flow(approval=ApprovalRule((needed,))), starts_at=starts_at)
    made.do(Approve(BEN, key="trigger/1"))
    made.do(Withdraw(BEN, "trigger/2"))
    made.do(Approve(BEN, key="trigger/3"))
    anew = made.request
    assert [a.person for a in anew.approvals] == [BEN]

    made.do(Withdraw(BEN, "trigger/2"))
    assert made.request == anew
    made.do(Withdraw(BEN, "trigger/4"))
    assert made.request.approvals == ()


@given(st.timedeltas(timedelta(), 3 * DAY), st.timedeltas(timedelta(), 3 * DAY))
def test_the_lapse_that_is_shown_is_when_it_lapses(asked, takes):
    """Whatever the answer takes; the escalation goes on meanwhile."""
    plan = flow(escalation=Escalation(HOUR, (approvers(DAN),)), lapses_after=2 * DAY)
    made = begun(plan)
    made.do(PutQuestion(BEN, "Why?", first=True), asked)
    shown = NOW + 2 * DAY
    if asked < 2 * DAY:
        shown += DAY
        assert made.request.lapses_at == shown
        if isinstance(made.do(Answer(ANN, 1, "So."), takes), Decision):
            shown = NOW + 2 * DAY + min(takes, DAY)

    made.tick()
    assert (made.request.state is State.TIMED_OUT) == (made.now >= shown)
    assert made.request.state.final or DAN in made.request.deciders or made.now < NOW + HOUR
    if made.request.state is State.PENDING:
        assert made.request.lapses_at == shown
        made.do(Tick(), at=shown - SECOND)
        assert made.wakes() == shown
        made.do(Tick(), at=shown)
        assert made.request.state is State.TIMED_OUT


@pytest.mark.parametrize("decide_it", [Approve, Reject])
@pytest.mark.parametrize(
    ("by", "code"),
    [(ANN, Code.OWN_REQUEST), (EVE, Code.NOT_APPROVER), (ADA, Code.NOT_APPROVER)],
)
def test_who_may_not_decide_is_told_so(decide_it, by, code):
    made = life(State.PENDING)

    assert refused(made.do(decide_it(by))) is code
    assert made.request.state is State.PENDING


def test_the_right_is_decided_at_the_click():
    made = life(State.PENDING)
    made.know(person("ben"))

    assert refused(made.do(Approve(BEN))) is Code.NOT_APPROVER


@pytest.mark.parametrize("text", ["x" * 125, "é" * 125])
def test_reasons_have_at_most_124_code_points(text):
    for command in (Approve(BEN, text), Reject(BEN, text), Cancel(ANN, text)):
        assert refused(life(State.PENDING).do(command)) is Code.TEXT_TOO_LONG
    assert refused(life(State.ACTIVE).do(Revoke(ADA, text))) is Code.TEXT_TOO_LONG
    assert isinstance(life(State.PENDING).do(Approve(BEN, f" {text[:124]} ")), Decision)


def test_a_blank_reason_is_a_missing_reason():
    made = life(State.PENDING, flow(require_reason=True))

    assert refused(made.do(Approve(BEN, " \n\t"))) is Code.REASON_NEEDED
    assert refused(made.do(Approve(BEN, "\u200b"))) is Code.REASON_NEEDED
    assert refused(made.do(Reject(BEN))) is Code.REASON_NEEDED
    made.do(Approve(BEN, "ok"))

    assert made.request.state is State.GRANTING


@pytest.mark.parametrize("duration", [timedelta(), 5 * MINUTE - SECOND, HOUR + SECOND, -HOUR])
def test_an_approver_shortens_between_5_minutes_and_what_was_asked(duration):
    assert refused(life(State.PENDING).do(Approve(BEN, "", duration))) is Code.BAD_DURATION


def test_indefinite_access_can_be_shortened_to_a_year_at_most():
    """A moment beyond the calendar raised an OverflowError inside the click."""
    made = life(State.PENDING, flow(grant_for=None))

    assert refused(made.do(Approve(BEN, "", timedelta.max))) is Code.BAD_DURATION
    made.do(Approve(BEN, "", 365 * DAY))
    assert made.request.duration == 365 * DAY


@pytest.mark.parametrize(
    ("ben", "dan", "duration", "extensions"),
    [
        ((None, False), (None, False), HOUR, 2),
        ((30 * MINUTE, False), (None, False), 30 * MINUTE, 0),
        ((30 * MINUTE, True), (None, False), 30 * MINUTE, 2),
        ((30 * MINUTE, True), (20 * MINUTE, True), 20 * MINUTE, 2),
        ((30 * MINUTE, True), (40 * MINUTE, False), 30 * MINUTE, 0),
        ((HOUR, False), (None, False), HOUR, 2),
    ],
    ids=["as asked", "shorter", "kept", "shortest", "strictest", "as long as asked"],
)
def test_the_shortest_duration_and_the_strictest_choice_hold(ben, dan, duration, extensions):
    made = life(State.PENDING, flow(approval=BOTH))

    made.do(Approve(BEN, "", *ben))
    made.do(Approve(DAN, "", *dan))

    assert made.request.duration == duration
    assert made.request.ends_at == NOW + duration
    assert made.request.extensions_allowed == extensions


def test_an_approval_is_void_for_good_once_its_giver_was_deactivated():
    """It came back to life, and granted, when the giver was reactivated before the decision."""
    made = life(State.PENDING, flow(approval=BOTH))
    made.do(Approve(BEN, "", 5 * MINUTE))
    made.know(left("ben", "dba"))
    made.tick(MINUTE)
    made.know(person("ben", "dba"))

    made.do(Approve(DAN), MINUTE)
    assert made.request.state is State.PENDING
    made.do(Approve(CAT), MINUTE)

    assert made.request.state is State.GRANTING
    assert made.request.duration == HOUR  # what the void approval shortened does not count


def test_a_void_approval_neither_counts_nor_shortens_at_the_click_itself():
    made = life(State.PENDING, flow(approval=BOTH))
    made.do(Approve(BEN, "", 5 * MINUTE))
    made.know(left("ben", "dba"))

    made.do(Approve(DAN))

    assert made.request.state is State.PENDING
    assert [a.person for a in made.request.approvals] == [DAN]


def test_a_guest_of_slacks_approves_no_more_and_what_they_approved_is_void():
    """Who became a guest in Slack went on approving, and what they had approved was granted."""
    made = life(State.PENDING, flow(approval=BOTH))
    made.do(Approve(BEN))
    made.know(slack_guest("ben", "dba"))

    made.do(Approve(DAN))
    assert made.request.state is State.PENDING
    assert refused(made.do(Approve(BEN))) is Code.NOT_APPROVER
    assert refused(made.do(Reject(BEN))) is Code.NOT_APPROVER
    made.know(person("ben", "dba"))

    assert [a.person for a in made.request.approvals] == [DAN]


def test_an_approval_counts_though_the_clock_was_set_back_since_its_giver_came_back():
    """It was noted and told, and void: the request waited for the same person once more."""
    made = life(State.PENDING)
    came_back = replace(person("ben", "dba"), void_until=made.now + timedelta(minutes=10))
    made.know(came_back)

    made.do(Approve(BEN))

    assert made.request.state is State.GRANTING
    assert came_back.approves_at(made.now + timedelta(hours=1)) == made.now + timedelta(hours=1)


def test_losing_the_group_after_approving_changes_nothing():
    made = life(State.PENDING, flow(approval=BOTH))
    made.do(Approve(BEN))
    made.know(person("ben"))
    made.tick()

    made.do(Approve(DAN))

    assert made.request.state is State.GRANTING


def test_a_late_approval_does_not_eat_the_time():
    """F15: elsewhere the clock ran from the request, so that 59 minutes late meant one minute."""
    made = life(State.PENDING)

    made.do(Approve(BEN), DAY - MINUTE)

    assert ends(made) == HOUR


def test_timed_out_is_decided_inside_the_click():
    """F20: a click at the very moment of lapsing is too late, whatever the clock loop does."""
    for command in (Approve(BEN), Reject(BEN)):
        made = life(State.PENDING)
        result = made.do(command, DAY)

        assert refused(result) is Code.LAPSED
        assert result.at == NOW + DAY
        assert made.tick().request.state is State.TIMED_OUT


# --- cancelled by rules --------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.PENDING, State.PENDING_MFA])
@pytest.mark.parametrize("by", [ANN, EVE, ADA, OPERATOR])
def test_parties_and_admins_cancel_what_waits(state, by):
    made = life(state, requestor=EVE)

    made.do(Cancel(by, "no need"))

    assert made.request.state is State.CANCELLED
    assert made.request.ended.by == by


def test_an_admin_cancels_nothing_without_a_reason():
    """A click that was forged, on a card of somebody else's, said none."""
    made = life(State.PENDING)

    assert refused(made.do(Cancel(ADA, " \u200b"))) is Code.REASON_NEEDED
    assert isinstance(made.do(Cancel(OPERATOR)), Decision)


def test_strangers_and_former_admins_cancel_nothing():
    made = life(State.PENDING)
    made.know(left("ada"))

    for by in (BOB, BEN, ADA):
        assert refused(made.do(Cancel(by))) is Code.NOT_YOURS


@pytest.mark.parametrize("state", [State.PENDING, State.PENDING_MFA])
@pytest.mark.parametrize("who", ["ann", "eve"])
def test_a_request_whose_grantee_or_requestor_left_is_cancelled(state, who):
    made = life(state, requestor=EVE)
    made.know(left(who, "eng"))

    assert refused(made.do(Approve(BEN) if state is State.PENDING else Verify(ANN)))
    made.tick()

    assert made.request.state is State.CANCELLED
    assert who.title() in made.request.ended.reason


def test_a_pre_boarding_grantee_is_no_reason_to_cancel():
    made = life(State.PENDING, requestor=EVE)
    made.know(person("ann", "eng", status=PersonStatus.PRE_BOARDING))

    made.tick()
    made.do(Approve(BEN))

    assert made.request.state is State.GRANTING


@pytest.mark.parametrize("state", [State.PENDING, State.PENDING_MFA])
def test_a_disabled_flow_lets_what_waits_go_on_and_a_deleted_one_does_not(state):
    made = life(state)
    made.know(flow=replace(made.facts.flow, active=False))
    made.tick()
    assert made.request.state is state

    made.know(flow=replace(made.facts.flow, deleted=True))
    assert state is State.PENDING_MFA or refused(made.do(Approve(BEN))) is Code.FLOW_CLOSED
    made.tick()

    assert made.request.state is State.CANCELLED


def test_a_resource_that_is_gone_leaves_a_pending_request():
    made = life(State.PENDING, flow(), 1, 2)
    made.know(entitlements={1: gone(1), 2: entitlement(2)})

    made.tick()

    assert made.request.state is State.PENDING
    assert [g.state for g in made.request.grants] == [GrantState.REFUSED, GrantState.WANTED]
    made.know(entitlements={1: entitlement(1)})
    closed = made.tick()
    assert made.request.state is State.CANCELLED
    assert [e.action for e in closed.audit] == ["dropped", "cancelled"]


def test_waiting_too_long_times_out():
    made = life(State.PENDING)

    made.tick(DAY - SECOND)
    assert made.request.state is State.PENDING
    made.tick(SECOND)

    assert made.request.state is State.TIMED_OUT


# --- escalation ----------------------------------------------------------------------------------


def escalated(*tiers, counts: TierCounts = TierCounts.WHOLE_REQUEST, **values) -> Life:
    return life(State.PENDING, flow(escalation=Escalation(HOUR, tiers, counts), **values))


def times(made: Life) -> Iterator[datetime]:
    """Wake the request whenever it asks for it, until it sleeps for good."""
    while wake := made.wakes():
        made.do(Tick(), at=wake)
        yield wake


def test_one_tier_is_asked_at_each_d_then_the_admins_are_told_then_it_lapses():
    made = escalated(approvers(EVE), approvers(BOB))

    seen = [
        (wake - NOW, made.request.tiers_asked, made.request.admins_told) for wake in times(made)
    ]

    assert seen == [
        (HOUR, 1, False),
        (2 * HOUR, 2, False),
        (3 * HOUR, 2, True),
        (DAY, 2, True),
    ]
    assert {t.to for t in told(made, Card.ALARM)} == {ADA, ABE}
    assert made.request.state is State.TIMED_OUT


def test_an_empty_tier_is_skipped_at_once_and_takes_no_time():
    """Each skipped tier made the next one, and the admins, wait for one more D."""
    made = escalated(approvers(), approvers(EVE), approvers(), approvers(BOB), approvers())

    seen = [(w - NOW, made.request.tiers_asked, made.request.admins_told) for w in times(made)]

    assert seen == [
        (HOUR, 2, False),
        (2 * HOUR, 4, False),
        (3 * HOUR, 5, True),
        (DAY, 5, True),
    ]


def test_a_clock_that_was_down_asks_every_tier_that_is_due():
    made = escalated(approvers(EVE), approvers(BOB))

    made.tick(2 * HOUR + MINUTE)

    assert made.request.tiers_asked == 2
    assert {a.person for a in made.request.asks} == {BEN, CAT, EVE, BOB}
    assert made.wakes() == NOW + 3 * HOUR


def test_a_partial_approval_neither_stops_nor_resets_the_escalation():
    made = escalated(approvers(EVE), approval=BOTH)

    made.do(Approve(BEN), 59 * MINUTE)

    assert made.wakes() == NOW + HOUR


def test_a_tier_counts_only_after_it_was_asked():
    made = escalated(approvers(EVE))

    assert refused(made.do(Approve(EVE), HOUR - SECOND)) is Code.NOT_APPROVER
    made.tick(SECOND)
    made.do(Approve(EVE))

    assert made.request.state is State.GRANTING


def test_an_earlier_approval_becomes_the_tiers_only_by_a_second_click():
    made = escalated(approvers(BEN), approval=BOTH)
    made.do(Approve(BEN))

    made.tick(HOUR)
    assert made.request.state is State.PENDING
    made.do(Approve(BEN))

    assert made.request.state is State.GRANTING


def test_the_requestor_in_a_tier_is_neither_asked_nor_able():
    made = escalated(approvers(ANN, EVE))

    made.tick(HOUR)

    assert ANN not in made.request.asked
    assert refused(made.do(Approve(ANN))) is Code.OWN_REQUEST


# --- nobody left to ask --------------------------------------------------------------------------


def test_admins_stand_in_where_nobody_can_be_asked():
    """F27: a request without an approver hung."""
    made = life(State.PENDING, flow(approval=ApprovalRule((approvers(),))))

    assert set(made.request.asked) == {ADA, ABE}
    made.do(Approve(ADA))
    assert made.request.state is State.GRANTING


def test_a_request_that_nobody_at_all_can_approve_is_not_silently_stuck():
    """F27: a request without an approver hung.

    With the only admin as requestor nobody was asked, and nobody was told either.
    """
    made = Life(begun().request, replace(begun().facts, admins=frozenset({ANN})))
    made.know(left("ben", "dba"), left("cat", "dba"))

    made.tick()
    made.tick()

    alarms = [t for t in told(made, Card.ALARM) if t.key == "stuck"]
    assert [a.to for a in alarms] == [ANN]
    assert "nobody left" in alarms[0].detail
    assert made.request.state is State.PENDING


def test_approvers_are_looked_up_again_when_the_directory_changes():
    made = life(State.PENDING)
    made.tells.clear()
    made.know(person("ben"), person("bob", "eng", "dba"))

    made.tick()

    assert {(a.person, a.open) for a in made.request.asks} == {
        (BEN, False),
        (CAT, True),
        (BOB, True),
    }
    assert {(t.to, t.news) for t in told(made, Card.APPROVAL)} == {(BEN, None), (BOB, News.ASKED)}
    assert told(made, Card.REQUEST)  # it names those who are asked


# --- granting ------------------------------------------------------------------------------------


def test_the_end_is_provisional_until_the_first_confirmation_sets_it_once():
    made = life(State.GRANTING, flow(), 1, 2)
    made.now += 7 * MINUTE
    made.attempt()
    assert made.request.ends_at == NOW + 7 * MINUTE + HOUR
    assert made.request.confirmed_at is None

    made.now += MINUTE
    made.see(HELD, UNKNOWN)
    confirmed = made.request.ends_at
    assert confirmed == NOW + 8 * MINUTE + HOUR
    made.now += 5 * MINUTE
    made.do(Attempt())
    made.see(HELD, HELD)

    assert made.request.ends_at == confirmed
    assert made.request.confirmed_at == NOW + 8 * MINUTE
    assert all(g.state is GrantState.HELD for g in made.request.grants)


def test_nothing_is_begun_before_it_was_looked_at():
    made = life(State.GRANTING, flow(), 1, 2)
    made.do(FirstLook({GrantId(0): False}))

    made.do(Attempt())

    assert [g.begun for g in made.request.grants] == [True, False]


def test_what_a_system_refuses_is_marked_and_told_and_the_rest_works():
    made = life(State.GRANTING, flow(), 1, 2)
    made.attempt()

    made.see(REFUSED, HELD)

    assert made.request.state is State.ACTIVE
    assert made.own() == [("refused", True, "The table was dropped."), ("held", True, "")]
    assert {t.to for t in told(made, Card.NOTICE)} == {ANN}
    assert {t.to for t in told(made, Card.ALARM)} == {ADA, ABE}
    assert (
        "read on orders/t1 was refused. The table was dropped. "
        "What was begun of it is being undone." in sentences(made)
    )
    made.tells.clear()
    made.see(ABSENT, HELD)
    assert made.own() == [("refused", False, "The table was dropped."), ("held", True, "")]
    assert told(made, Card.REQUEST)
    assert told(made, Card.APPROVAL)


def test_all_refused_is_failed_when_it_is_seen_absent():
    """“Refused” was believed: what had been given of it all the same was never taken away."""
    made = life(State.GRANTING, flow(), 1, 2)
    made.attempt()

    made.see(REFUSED)
    for outcomes in ([UNKNOWN], [REFUSED], [HELD], [ABSENT, UNKNOWN]):
        made.see(*outcomes)
        assert made.request.state is State.REVOKING
    made.see(ABSENT)

    assert made.request.state is State.FAILED
    assert made.request.ended.reason == "all was refused"


@pytest.mark.parametrize("grant_for", [None, HOUR])
def test_what_was_begun_is_undone_before_a_request_has_failed(grant_for):
    """What nobody confirmed may be there all the same."""
    made = life(State.GRANTING, flow(grant_for=grant_for))
    made.attempt()

    made.tick(DAY)
    assert made.request.state is State.REVOKING
    assert made.request.ending is State.FAILED
    made.see(UNKNOWN)
    assert made.request.state is State.REVOKING
    made.see(ABSENT)

    assert made.request.state is State.FAILED


def test_what_was_refused_and_another_request_wants_is_left_to_that():
    made = life(State.GRANTING)
    made.attempt()
    made.know(held_elsewhere={0: "AX-7K2M"})

    made.see(REFUSED)

    assert made.request.state is State.FAILED
    assert made.own() == [("refused", False, "The table was dropped.")]


def test_what_is_renamed_while_it_is_being_given_is_taken_back():
    made = life(State.GRANTING)
    named = [replace(g, named="orders/t1") for g in made.request.grants]
    made.request = made.request.with_(grants=tuple(named))
    made.attempt()
    made.know(entitlements={1: entitlement(path="orders/other")})

    made.do(Attempt())

    assert made.request.state is State.REVOKING
    assert made.own() == [
        ("refused", True, "It is called orders/other now; orders/t1 was approved. Ask again.")
    ]


def test_what_is_held_keeps_its_access_under_another_name():
    made = life(State.ACTIVE)
    named = [replace(g, named="orders/t1") for g in made.request.grants]
    made.request = made.request.with_(grants=tuple(named))
    made.know(entitlements={1: entitlement(path="orders/other")})

    made.do(Attempt())

    assert made.own() == [("held", True, "")]


def test_what_was_left_out_is_kept_with_the_grant_and_told_when_it_changes():
    made = life(State.GRANTING)
    made.attempt()
    seen = []
    for left_out in ("geo, which belongs to postgres", "geo, which belongs to postgres", ""):
        made.tells.clear()
        decision = made.see(Outcome(Presence.HELD, left_out=left_out))
        told_ = [e.detail["left_out"] for e in decision.audit if e.action == "left_out"]
        seen.append((made.request.grants[0].left_out, told_, bool(told(made, Card.APPROVAL))))

    assert seen == [
        ("geo, which belongs to postgres", ["geo, which belongs to postgres"], True),
        ("geo, which belongs to postgres", [], False),
        ("", [""], True),
    ]


@pytest.mark.parametrize(
    ("state", "command"), list(itertools.product(State, (*EXAMPLES, Revoke(ADA)))), ids=str
)
def test_what_was_begun_is_forgotten_only_when_it_is_seen_absent(state, command):
    """A refusal was taken for absence, in every state."""
    made = life(state)
    before = made.request.grants

    made.do(command)

    kept = [g.begun for g in made.request.grants if g.id in {b.id for b in before if b.begun}]
    if command == Observe({GrantId(0): ABSENT}):
        assert not any(kept)
    else:
        assert all(kept)


@given(lives(), commands)
@settings(max_examples=250)
def test_whatever_happens_what_was_begun_is_open_until_it_is_seen_absent(made, command):
    before, elsewhere = made.request, made.facts.held_elsewhere

    made.do(command)

    for old, new in zip(before.grants, made.request.grants, strict=True):
        seen = isinstance(command, Observe) and command.outcomes.get(old.id) == ABSENT
        if old.begun and not new.begun:
            assert seen or old.standing or old.id in elsewhere
        assert new.ever_begun or not (new.begun or old.ever_begun)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (left("eve", "eng"), "no longer active"),
        (person("eve"), "no longer open to Eve"),
        (person("ann", "eng"), "no longer open for Ann"),
    ],
)
def test_everything_is_asked_once_more_just_before_the_connector(changed, why):
    made = life(
        State.GRANTING,
        flow(request_for=frozenset({RequestFor.DIRECT_REPORTS})),
        requestor=EVE,
    )
    made.know(changed)

    made.attempt()

    assert made.request.state is State.FAILED
    assert why in made.request.grants[0].note


@pytest.mark.parametrize("now_known", [{}, {1: gone(1)}], ids=["unknown", "gone"])
def test_what_no_longer_exists_is_not_granted(now_known):
    made = life(State.GRANTING)
    made.know(entitlements=now_known)

    made.attempt()

    assert made.request.state is State.FAILED


def test_after_the_end_nothing_is_begun_even_if_the_clock_is_late():
    """With both loops back after an outage, the access loop granted what the clock had to end."""
    granting, active = life(State.GRANTING), life(State.ACTIVE, flow(), 1)
    active.request = active.request.with_(
        grants=(*active.request.grants, replace(granting.request.grants[0], id=GrantId(1)))
    )
    granting.attempt()
    for made in (granting, active):
        made.look()
        before = made.request

        made.do(Attempt(), HOUR)

        assert made.request == before


def test_what_was_approved_and_not_begun_keeps_its_time_until_it_lapses():
    """While granting was paused, a request of an hour failed after an hour, at its lapse it may."""
    waiting = life(State.GRANTING)
    ends = waiting.request.ends_at

    waiting.tick(2 * HOUR)
    assert waiting.request.state is State.GRANTING

    waiting.look()
    waiting.attempt()
    assert waiting.request.ends_at > ends + HOUR

    late = life(State.GRANTING)
    late.tick(25 * HOUR)
    assert late.request.state is State.FAILED


def test_a_deactivated_grantee_gets_nothing_and_keeps_nothing():
    for state in (State.GRANTING, State.ACTIVE):
        made = life(state)
        made.know(left("ann", "eng"))
        made.tick()

        assert (made.request.ending or made.request.state) is State.REVOKED
        assert made.request.ended.by == SYSTEM


# --- standing access -----------------------------------------------------------------------------


def test_standing_access_counts_as_given_is_told_and_stays():
    made = life(State.GRANTING)

    made.look(standing=[1])

    assert made.request.state is State.ACTIVE
    assert made.own() == [("held", False, "")]
    assert "already held read on orders/t1, not through Latchkey" in sentences(made)
    assert {t.to for t in told(made, Card.NOTICE)} == {ANN}
    assert {t.to for t in told(made, Card.ALARM)} == {ADA, ABE}
    made.tick(HOUR)
    assert made.request.state is State.EXPIRED
    assert made.request.grants[0].note == "It was there before, and stays."


def test_standing_access_found_in_a_second_system_is_told_as_well():
    """Both notices had one key, and a notice of one key is said once."""
    made = life(State.GRANTING, flow(), 1, 2)

    made.do(FirstLook({GrantId(0): True}))
    made.do(FirstLook({GrantId(1): True}))

    assert len({t.key for t in told(made, Card.NOTICE)}) == 2


def test_a_look_that_comes_late_revives_nothing():
    """A refused grant that turned out to be standing became held again."""
    made = life(State.PENDING, flow(), 1, 2)
    made.know(entitlements={1: gone(1), 2: entitlement(2)})
    made.tick()
    made.do(Approve(BEN))

    made.look(standing=[1])

    assert made.request.grants[0].state is GrantState.REFUSED
    assert made.request.state is State.GRANTING


def test_what_stood_before_does_not_become_ours_by_being_seen():
    made = life(State.GRANTING, flow(), 1, 2)
    made.look(standing=[1])
    made.do(Attempt())

    made.see(HELD, HELD)

    assert made.own() == [("held", False, ""), ("held", True, "")]


def test_what_was_refused_half_way_is_not_held_by_being_seen():
    made = life(State.GRANTING, flow(), 1, 2)
    made.attempt()
    made.see(REFUSED, HELD)

    made.see(HELD, HELD)

    assert [g.state for g in made.request.grants] == [GrantState.REFUSED, GrantState.HELD]


def test_a_second_look_does_not_change_the_first():
    made = life(State.ACTIVE)

    made.look(standing=[1])

    assert made.request.grants[0].standing is False


# --- running: offers and extensions --------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration", "before"),
    [
        (5 * MINUTE, [MINUTE]),
        (6 * MINUTE, [72 * SECOND]),
        (30 * MINUTE, [6 * MINUTE]),
        (50 * MINUTE, [10 * MINUTE]),
        (DAY, [10 * MINUTE]),
        (DAY + MINUTE, [DAY, HOUR, 10 * MINUTE]),
        (30 * DAY, [DAY, HOUR, 10 * MINUTE]),
    ],
    ids=str,
)
def test_the_end_is_announced_in_time(duration, before):
    made = life(State.ACTIVE, flow(grant_for=duration))
    end = made.request.ends_at

    announced = [end - wake for wake in times(made)]

    assert announced == [*before, timedelta()]
    assert made.request.offers_made == len(before)
    assert len(told(made, Card.REQUEST, News.OFFER)) == len(before)


def test_indefinite_access_is_neither_announced_nor_ended_nor_extended():
    """“This access has just ended”, said the button, of access that has no end."""
    made = life(State.ACTIVE, flow(grant_for=None))

    assert made.wakes() is None
    made.tick(400 * DAY)
    assert made.request.state is State.ACTIVE
    result = made.do(Extend(ANN, 1))
    assert refused(result) is Code.NOTHING_TO_DO
    assert "no end" in result.sentence


@pytest.mark.parametrize("by", [ANN, EVE])
def test_extending_moves_the_end_by_the_flows_step(by):
    made = life(State.ACTIVE, requestor=EVE)
    end = made.request.ends_at

    made.do(Extend(by, 1), 50 * MINUTE)

    assert made.request.ends_at == end + 30 * MINUTE
    assert made.request.extensions_left == 1
    assert made.request.state is State.ACTIVE


def test_the_card_is_renewed_when_the_system_has_taken_the_extension():
    """It went on saying that the system is being told, until something else happened."""
    made = life(State.ACTIVE)
    made.do(Extend(ANN, 1))
    made.tells.clear()

    made.see(HELD)

    assert made.request.end_before is None
    assert [t.to for t in told(made, Card.REQUEST, News.EXTENDED)] == [ANN]


def test_an_extension_starts_a_new_stretch_with_offers_of_its_own():
    made = life(State.ACTIVE)
    made.tick(55 * MINUTE)
    made.tells.clear()

    made.do(Extend(ANN, 1))

    assert not offered(made.request)
    assert made.wakes() == made.request.ends_at - 7 * MINUTE  # a fifth of 35 minutes
    made.do(Tick(), at=made.wakes())
    assert told(made, Card.REQUEST, News.OFFER)


def test_a_button_pressed_twice_extends_once():
    made = life(State.ACTIVE)

    made.do(Extend(ANN, 1))
    once = made.request
    again = made.do(Extend(ANN, 1))

    assert refused(again) is Code.ALREADY_EXTENDED
    assert again.at == once.ends_at
    assert made.request == once


def test_there_are_only_so_many_extensions():
    made = life(State.ACTIVE)
    for number in (1, 2):
        made.do(Extend(ANN, number))

    assert refused(made.do(Extend(ANN, 3))) is Code.NO_EXTENSION_LEFT
    assert ends(made) == 2 * HOUR


@pytest.mark.parametrize(
    ("change", "by", "code"),
    [
        ({}, BOB, Code.NOT_YOURS),
        ({}, BEN, Code.NOT_YOURS),
        ({"active": False}, ANN, Code.FLOW_CLOSED),
        ({"deleted": True}, ANN, Code.FLOW_CLOSED),
    ],
)
def test_an_extension_needs_a_party_and_an_open_flow(change, by, code):
    made = life(State.ACTIVE)
    made.know(flow=replace(made.facts.flow, **change))

    assert refused(made.do(Extend(by, 1))) is code


def test_no_extension_for_somebody_who_left_or_where_the_flow_has_none():
    made = life(State.ACTIVE, requestor=EVE)
    made.know(left("ann", "eng"))

    assert refused(made.do(Extend(EVE, 1))) is Code.PERSON_INACTIVE
    assert refused(life(State.ACTIVE, flow(extension=None)).do(Extend(ANN, 1))) is (
        Code.NO_EXTENSION_LEFT
    )


def test_an_extension_fails_cleanly_if_the_access_has_just_ended():
    made = life(State.ACTIVE)

    result = made.do(Extend(ANN, 1), HOUR)

    assert refused(result) is Code.NOT_RUNNING
    assert result.sentence == "This access has just ended"


def test_an_extension_that_the_system_refuses_leaves_the_old_end():
    made = life(State.ACTIVE)
    end = made.request.ends_at
    made.do(Extend(ANN, 1), 30 * MINUTE)

    made.see(HELD, end_refused="its policy allows one hour")

    assert made.request.ends_at == end
    assert made.request.extensions_left == 2
    assert "could not be extended: its policy allows one hour. The old end" in sentences(made)


def test_two_extensions_refused_together_are_both_given_back():
    """Only one was: the end went back by both, the count by one."""
    made = life(State.ACTIVE)
    end = made.request.ends_at
    made.do(Extend(ANN, 1))
    made.do(Extend(ANN, 2))

    made.see(HELD, end_refused="no")

    assert made.request.ends_at == end
    assert made.request.extensions_used == 0


def test_the_offer_is_made_again_when_an_extension_was_refused():
    """The offer made within the extended stretch stood in for it, and the end came unannounced."""
    made = life(State.ACTIVE, flow(grant_for=DAY, extension=Extension(1, 2 * HOUR)))
    end = made.request.ends_at
    made.do(Extend(ANN, 1), MINUTE)
    made.tick(2 * HOUR)  # a day before the new end
    assert made.request.offers_made == 1

    made.see(HELD, end_refused="no")

    assert made.wakes() == end - 10 * MINUTE


def test_an_overtaken_report_says_nothing_about_the_new_end():
    made = life(State.ACTIVE)
    made.do(Extend(ANN, 1))
    extended = made.request

    made.do(Observe({GrantId(0): HELD}, "no", newest=False))

    assert made.request == extended


def test_an_extension_stands_only_when_every_system_took_it():
    """The first system's yes silenced the second one's no."""
    made = life(State.GRANTING, flow(), 1, 2)
    first, second = made.request.grants
    made.request = made.request.with_(grants=(first, replace(second, account=AccountId(2))))
    made.attempt()
    made.see(HELD)
    end = made.request.ends_at
    made.do(Extend(ANN, 1))

    made.do(Observe({GrantId(0): HELD}))
    assert made.request.end_before == end
    made.do(Observe({GrantId(1): HELD}, "no"))

    assert made.request.ends_at == end
    assert made.request.extensions_used == 0
    made.do(Extend(ANN, 1))
    made.do(Observe({GrantId(0): HELD}))
    made.do(Observe({GrantId(1): HELD}))
    assert made.request.end_before is None
    assert made.request.ends_at == end + 30 * MINUTE


def test_extending_standing_access_waits_for_no_system():
    made = life(State.GRANTING)
    made.look(standing=[1])

    made.do(Extend(ANN, 1))

    assert made.request.end_before is None


def test_a_requestor_who_leaves_takes_no_running_access_along():
    made = life(State.ACTIVE, requestor=EVE)
    made.know(left("eve", "eng"), person("ann", "eng", manager=BOB))

    made.tick()

    assert made.request.state is State.ACTIVE
    assert [(t.to, t.key) for t in told(made, Card.NOTICE)] == [(BOB, "orphaned")]


def test_a_guest_acts_on_their_own_access_only():
    """A guest may have access, and return it; on others' they decide nothing any more."""
    own = life(State.ACTIVE)
    own.know(slack_guest("ann", "eng"))
    own.tick()
    assert isinstance(own.do(Extend(ANN, 1)), Decision)
    assert isinstance(own.do(Return(ANN)), Decision)

    others = life(State.ACTIVE, requestor=EVE)
    others.know(slack_guest("eve", "eng"), slack_guest("ada"), slack_guest("ben", "dba"))
    assert refused(others.do(Extend(EVE, 1))) is Code.PERSON_INACTIVE
    for by in (ADA, BEN):
        assert refused(others.do(Revoke(by))) is Code.NOT_YOURS
    assert refused(life_of_guest().do(Cancel(ADA))) is Code.NOT_YOURS


def life_of_guest() -> Life:
    made = life(State.PENDING)
    made.know(slack_guest("ada"))
    return made


def test_a_request_of_a_guest_is_cancelled_and_says_why():
    made = life(State.PENDING)
    made.know(slack_guest("ann", "eng"))

    made.tick()

    assert made.request.state is State.CANCELLED
    assert made.request.ended.reason == "Ann is a guest now"


def test_a_grantee_who_loses_the_group_keeps_what_runs_until_its_end():
    made = life(State.ACTIVE)
    made.know(person("ann"))
    end = made.request.ends_at

    made.tick(MINUTE)
    assert (made.request.state, made.request.ends_at) == (State.ACTIVE, end)
    assert isinstance(made.do(Extend(ANN, 1)), Decision)


def test_without_a_manager_the_admins_hear_of_a_requestor_who_left():
    made = life(State.ACTIVE, requestor=EVE)
    made.know(left("eve", "eng"))

    made.tick()

    assert {(t.to, t.key) for t in told(made, Card.ALARM)} == {(ADA, "orphaned"), (ABE, "orphaned")}


def test_a_flow_that_closes_lets_running_access_run():
    made = life(State.ACTIVE)
    made.know(flow=replace(made.facts.flow, active=False, deleted=True))

    made.tick(50 * MINUTE)

    assert made.request.state is State.ACTIVE
    assert ends(made) == 10 * MINUTE


# --- ending --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (Tick(), State.EXPIRED),
        (Return(ANN), State.RETURNED),
        (Return(EVE), State.RETURNED),
        (Revoke(ADA), State.REVOKED),
        (Revoke(BEN, "changed my mind"), State.REVOKED),
        (Revoke(OPERATOR), State.REVOKED),
    ],
    ids=str,
)
def test_access_is_called_ended_only_when_it_was_seen_gone(command, ending):
    made = life(State.ACTIVE, requestor=EVE)

    made.do(command, HOUR)

    assert made.request.state is State.REVOKING
    for outcome in (UNKNOWN, HELD):
        made.see(outcome)
        made.tick(5 * DAY)
        assert made.request.state is State.REVOKING
    made.see(ABSENT)
    assert made.request.state is ending
    assert {t.to for t in told(made, Card.REQUEST, News.ENDED)} == {ANN, EVE}


def test_a_held_access_is_not_gone_because_the_system_refuses_to_work_on_it():
    """“Refused” means never given. Of access that was seen it says nothing."""
    made = life(State.REVOKING)

    made.see(REFUSED)

    assert made.request.state is State.REVOKING


@pytest.mark.parametrize(
    "command", [Return(BEN), Return(ADA), Revoke(ANN), Revoke(CAT), Revoke(EVE)]
)
def test_only_parties_return_and_only_deciders_and_admins_revoke(command):
    made = life(State.ACTIVE)

    assert refused(made.do(command)) is Code.NOT_YOURS
    assert made.request.state is State.ACTIVE


def test_who_approved_and_left_the_company_revokes_nothing():
    made = life(State.ACTIVE)
    made.know(left("ben", "dba"))

    assert refused(made.do(Revoke(BEN))) is Code.NOT_YOURS


@pytest.mark.parametrize("command", [Return(ANN), Revoke(ADA)], ids=str)
def test_granting_that_was_not_begun_ends_at_once(command):
    made = life(State.GRANTING)

    made.do(command)

    assert made.request.state.final


@pytest.mark.parametrize("in_flight", [HELD, UNKNOWN])
def test_a_revoke_during_granting_takes_effect_after_the_call_in_flight(in_flight):
    made = life(State.GRANTING)
    made.attempt()
    made.do(Revoke(ADA))
    assert made.request.state is State.REVOKING

    made.see(in_flight)
    assert made.request.state is State.REVOKING
    made.see(ABSENT)

    assert made.request.state is State.REVOKED


def test_what_the_call_in_flight_refused_is_looked_for_all_the_same():
    """“Refused” ended it, although the system might have committed a part of it."""
    made = life(State.GRANTING)
    made.attempt()
    made.do(Return(ANN))

    made.see(REFUSED)
    assert made.request.state is State.REVOKING
    made.see(ABSENT)

    assert made.request.state is State.RETURNED


def test_what_another_request_wants_stays_and_is_said_to():
    """F12: whichever of two overlapping requests ended first took the access from both."""
    made = life(State.ACTIVE, flow(), 1, 2)
    made.know(held_elsewhere={0: "AX-7K2M"})

    made.do(Return(ANN))
    assert made.own() == [("ended", False, "still held under AX-7K2M"), ("held", True, "")]
    assert made.request.state is State.REVOKING
    made.see(ABSENT)

    assert made.request.state is State.RETURNED


def test_a_wish_that_comes_while_revoking_ends_the_waiting():
    made = life(State.REVOKING)
    made.know(held_elsewhere={0: "AX-7K2M"})

    made.tick()

    assert made.request.state is State.RETURNED
    assert made.request.grants[0].note == "still held under AX-7K2M"


def test_both_ends_of_the_clock_agree_at_the_moment_of_the_end():
    made = life(State.ACTIVE)

    made.tick(HOUR - SECOND)
    assert made.request.state is State.ACTIVE
    made.tick(SECOND)

    assert made.request.ending is State.EXPIRED


def test_rows_that_refuse_have_a_code_that_a_view_can_explain():
    codes = {row.code for rows in TABLE.values() for row in rows.values() if isinstance(row, No)}

    assert codes == {Code.SETTLED, Code.NOT_RUNNING, Code.NOTHING_TO_DO}


def test_begin_is_the_only_way_in():
    """`next_wake` of what `begin` returns is what storage writes first."""
    made = begun()

    assert next_wake(made.request, made.facts.revision) == NOW + DAY
    assert isinstance(lifecycle.begin(made.request, made.facts, NOW), Decision)
    assert CAT in made.request.asked
    assert DAN not in made.request.asked


def test_a_draft_becomes_a_request_that_waits_to_begin():
    """Nobody has been asked and nothing is given yet; what it is called then is what was chosen."""
    rules, people = flow(grant_for=4 * HOUR), facts().directory.people
    chosen = (entitlement(1), entitlement(2))
    draft = Draft(
        requestor=people[EVE],
        grantee=people[ANN],
        flow=rules,
        entitlements=chosen,
        duration=2 * HOUR,
        justification="  INC-42 ",
    )

    made = lifecycle.drafted(draft, {ORDERS: AccountId(7)}, NOW)

    assert (made.requestor, made.grantee, made.state) == (EVE, ANN, State.PENDING)
    assert (made.duration, made.justification) == (2 * HOUR, "INC-42")
    assert made.lapses_at == NOW + rules.revision.lapses_after
    assert made.extensions_allowed == rules.revision.extension.times
    assert [(g.entitlement, g.account, g.named) for g in made.grants] == [
        (1, 7, "orders/t1"),
        (2, 7, "orders/t2"),
    ]
    assert not made.asks


def test_what_cannot_be_read_is_looked_at_again_every_five_minutes():
    """It may have been mended meanwhile; its moment may be a month away."""
    made = begun()
    rules = made.facts.revision

    assert lifecycle.wake(made.request, rules, NOW) == NOW + DAY
    assert lifecycle.wake(made.request.with_(readable=False), rules, NOW) == NOW + 5 * MINUTE
    late = NOW + DAY - MINUTE
    assert lifecycle.wake(made.request, unreadable("gone"), late) == NOW + DAY
    assert lifecycle.wake(life(State.EXPIRED).request, unreadable("gone"), NOW) is None
