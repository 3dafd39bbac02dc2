"""A click counts once, for what was true when it came; and who is asked where nobody is left."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import Answer, Approve, Nudge, PutQuestion, Tick, Withdraw
from engine.flow import ApprovalRule, Escalation, Quorum, TierCounts
from engine.outcome import Card, Code, Decision, Refusal, Tell
from engine.request import State
from tests.support.builders import (
    ABE,
    ADA,
    ANN,
    BEN,
    BOTH,
    CAT,
    DAN,
    DAY,
    DBAS,
    EVE,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    SECURITY,
    Life,
    approvers,
    begun,
    company,
    flow,
    left,
    person,
    slack_guest,
    unreachable,
)

WEEK = 7 * DAY
NOBODY = approvers(name="Owners")


def escalated(*tiers, counts=TierCounts.WHOLE_REQUEST, approval=BOTH, **values) -> Life:
    return begun(flow(approval=approval, escalation=Escalation(HOUR, tiers, counts)), **values)


def refused(result) -> Code:
    assert isinstance(result, Refusal)
    return result.code


# --- delivered again -----------------------------------------------------------------------------


@pytest.mark.parametrize("counts", TierCounts)
def test_a_tier_that_was_asked_since_gains_nothing_by_an_old_click(counts):
    """BEN is one of the DBAs and, an hour later, of the tier: for that he has to click again."""
    rule = replace(BOTH, distinct=False)
    made = escalated(approvers(BEN), counts=counts, approval=rule)
    made.do(Approve(BEN, key="view/1"))
    made.tick(HOUR)
    asked = made.request

    assert made.do(Approve(BEN, key="view/1")) == Decision(asked)
    made.do(Approve(BEN, key="view/2"))
    assert made.request.state is State.GRANTING


def test_an_old_click_does_not_decide_what_is_pending_anew():
    """It was approved for later, and taken back; since then its giver is of the tier as well."""
    made = escalated(approvers(BEN), approval=ApprovalRule((DBAS,)), starts_at=NOW + WEEK)
    made.do(Approve(BEN, key="view/1"))
    assert made.request.state is State.SCHEDULED
    made.do(Withdraw(BEN, "trigger/2"))
    made.tick(HOUR)
    anew = made.request
    assert (anew.state, anew.tiers_asked) == (State.PENDING, 1)

    assert made.do(Approve(BEN, key="view/1")) == Decision(anew)
    made.do(Approve(BEN, key="view/3"))
    assert made.request.state is State.SCHEDULED


def test_an_old_click_gains_no_tier_after_somebody_else_took_theirs_back():
    two = ApprovalRule((replace(DBAS, needs=2),))
    made = escalated(approvers(BEN), approval=two, starts_at=NOW + WEEK)
    made.do(Approve(BEN, key="view/1"))
    made.do(Approve(CAT, key="view/2"))
    made.do(Withdraw(CAT, "trigger/3"))
    made.tick(HOUR)
    assert [a.person for a in made.request.approvals] == [BEN]

    made.do(Approve(BEN, key="view/1"))
    assert made.request.state is State.PENDING
    made.do(Approve(BEN, key="view/4"))
    assert made.request.state is State.SCHEDULED


@pytest.mark.parametrize("starts_at", [None, NOW + DAY])
def test_who_decided_is_not_told_by_their_own_click_that_they_are_late(starts_at):
    """Delivered again, the click that decided was answered “Ben approved this request”, to Ben."""
    made = begun(starts_at=starts_at)
    made.do(Approve(BEN, key="view/1"))

    assert made.do(Approve(BEN, key="view/1")) == Decision(made.request)
    assert refused(made.do(Approve(BEN, key="view/2"))) is Code.SETTLED


people = st.sampled_from([ANN, BEN, CAT, DAN, EVE, ADA])
pressed = st.one_of(
    st.builds(Approve, people),
    st.builds(Withdraw, people),
    st.builds(Nudge, st.just(ANN)),
    st.builds(PutQuestion, people, st.just("Why?"), first=st.booleans()),
    st.builds(Answer, st.just(ANN), st.integers(1, 3), st.just("So.")),
)
known = st.sampled_from([left("cat"), left("dan"), person("dan", "dba"), person("eve", "sec")])
meanwhile = st.one_of(pressed, st.just(Tick()), known)


@given(
    st.lists(st.tuples(meanwhile, st.timedeltas(timedelta(), 2 * HOUR)), max_size=12),
    st.sampled_from([None, NOW + WEEK]),
)
@settings(max_examples=200)
def test_whatever_has_happened_since_a_click_that_counted_counts_no_more(steps, starts_at):
    made = escalated(approvers(EVE, BEN), approvers(CAT), starts_at=starts_at)
    counted = []
    for number, (step, after) in enumerate(steps):
        if isinstance(step, Tick):
            made.tick(after)
        elif not isinstance(step, Approve | Withdraw | Nudge | PutQuestion | Answer):
            made.know(step)
        else:
            click = replace(step, key=f"click/{number}")
            if isinstance(made.do(click, after), Decision):
                counted.append(click)
        so_far = made.request
        for click in counted:
            assert made.do(click) == Decision(so_far)


# --- at the moment of an escalation --------------------------------------------------------------


def test_at_the_moment_of_the_escalation_a_click_counts_for_what_was_asked_by_then():
    """The tier is asked once the clock has looked: not before, though its moment has come."""
    made = escalated(approvers(BEN, EVE))
    assert refused(made.do(Approve(EVE), HOUR)) is Code.NOT_APPROVER
    made.do(Approve(BEN))
    assert made.request.state is State.PENDING

    made.tick()
    assert made.now == NOW + HOUR
    assert made.request.state is State.PENDING
    made.do(Approve(BEN))
    assert made.request.state is State.GRANTING


@pytest.mark.parametrize("first", ["click", "clock"])
def test_a_decision_and_an_escalation_of_one_moment_are_one_decision(first):
    made = escalated(approvers(EVE), approval=ApprovalRule((DBAS,)))
    made.now += HOUR
    for step in (Approve(BEN), Tick()) if first == "click" else (Tick(), Approve(BEN)):
        made.do(step)

    assert made.request.state is State.GRANTING
    assert made.request.decided.by == BEN
    assert made.request.tiers_asked == (0 if first == "click" else 1)


@pytest.mark.parametrize("by", [BEN, CAT, EVE, DAN])
def test_after_the_last_tier_everybody_who_was_asked_can_decide_until_it_lapses(by):
    made = escalated(approvers(EVE), approvers(DAN), approval=ApprovalRule((DBAS,)))
    made.tick(4 * HOUR)
    assert made.request.admins_told
    assert refused(made.do(Approve(ADA))) is Code.NOT_APPROVER

    made.do(Approve(by), DAY - 4 * HOUR - SECOND)
    assert made.request.state is State.GRANTING


def test_one_of_a_tier_is_one_of_those_still_needed_in_each_open_group():
    rule = ApprovalRule((replace(DBAS, needs=2), SECURITY), Quorum.ALL_OF, distinct=False)
    made = escalated(approvers(EVE, ADA), counts=TierCounts.OPEN_GROUPS, approval=rule)
    made.tick(HOUR)
    made.do(Approve(EVE))
    assert made.request.state is State.PENDING
    told = made.do(Approve(EVE))
    assert "Still needed: 1 more of DBAs." in told.sentence

    made.do(Approve(ADA))
    assert made.request.state is State.GRANTING


# --- nobody left to ask --------------------------------------------------------------------------

GONE = {
    "left": (left("ben", "dba"), left("cat", "dba")),
    "guests": (slack_guest("ben", "dba"), slack_guest("cat", "dba")),
    "not in Slack": (person("ben", "dba", slack=None), person("cat", "dba", slack=None)),
    "unreachable": (unreachable("ben", "dba"), unreachable("cat", "dba")),
    "of another team": (person("ben"), person("cat")),
}


def asked(made: Life) -> dict[str, str]:
    return {a.person: a.why for a in made.request.asks if a.open}


def alarms(made: Life) -> dict[str, str]:
    found = [t for t in made.tells if isinstance(t, Tell) and t.card is Card.ALARM]
    return {t.to: t.detail for t in found if t.key == "stuck"}


@pytest.mark.parametrize("people", GONE.values(), ids=GONE.keys())
def test_nobody_of_the_group_is_left_and_the_administrators_read_why_they_are_asked(people):
    """Whatever took them away."""
    made = begun()
    made.know(*people)
    made.tick()

    assert {asked(made)[who] for who in (ADA, ABE)} == {
        "the administrators, since nobody of DBAs can be asked"
    }
    assert alarms(made) == {}
    made.do(Approve(ADA))
    assert made.request.state is State.GRANTING


@pytest.mark.parametrize(
    ("rule", "tiers", "why"),
    [
        (ApprovalRule((NOBODY,)), (), {ADA: "the administrators, since nobody of Owners can be"}),
        (
            ApprovalRule((replace(DBAS, needs=3),)),
            (),
            {BEN: "DBAs", ADA: "the administrators, since too few of DBAs can be"},
        ),
        (
            ApprovalRule((NOBODY, SECURITY), Quorum.ALL_OF),
            (),
            {DAN: "Security", ADA: "the administrators, since nobody of Owners can be"},
        ),
        (ApprovalRule((NOBODY, SECURITY)), (), {DAN: "Security", ADA: ""}),
        (
            ApprovalRule((NOBODY,)),
            (approvers(name="First"), approvers(EVE, name="Leads")),
            {EVE: "Leads, since nobody of Owners can be", ADA: ""},
        ),
        (
            ApprovalRule((replace(DBAS, needs=3),)),
            (approvers(EVE, name="Leads"),),
            {CAT: "DBAs", EVE: "Leads, since too few of DBAs can be", ADA: ""},
        ),
        (ApprovalRule((approvers(ANN, name="Own"),)), (), {ADA: "the administrators, since nobo"}),
    ],
    ids=[
        *("nobody", "too few", "one group of all", "another group of any"),
        *("a tier", "a tier for too few", "only who asks"),
    ],
)
def test_who_stands_in_reads_for_whom_and_why(rule, tiers, why):
    escalation = Escalation(HOUR, tiers) if tiers else None
    made = begun(flow(approval=rule, escalation=escalation))

    for who, words in why.items():
        assert asked(made).get(who, "").startswith(words)
        assert bool(words) is (who in asked(made))
    assert alarms(made) == {}


@pytest.mark.parametrize(
    "rule",
    [
        ApprovalRule((NOBODY,)),
        ApprovalRule((replace(DBAS, needs=3),)),
        replace(BOTH, distinct=True),
    ],
    ids=["nobody", "too few", "one group of all"],
)
def test_where_nobody_can_stand_in_the_administrators_are_told_once_and_it_lapses(rule):
    """The only administrator is who asked: they are told, and may not."""
    made = begun(flow(approval=rule))
    made.know(left("dan"), left("cat"), admins=frozenset({ANN}))
    made.tells.clear()
    for _ in range(3):
        made.tick(MINUTE)

    assert [*alarms(made)] == [ANN]
    assert len([t for t in made.tells if isinstance(t, Tell) and t.card is Card.ALARM]) == 1
    assert alarms(made)[ANN].startswith(
        f"{made.request.code} waits, and there is nobody left who could approve it: Ann asked for"
    )
    assert refused(made.do(Approve(ANN))) is Code.OWN_REQUEST
    made.tick(DAY)
    assert made.request.state is State.TIMED_OUT


def test_somebody_who_can_be_asked_again_is_asked_and_the_rest_stays_as_it_was():
    made = begun()
    made.know(*GONE["unreachable"])
    made.tick()
    made.know(*company().people.values())
    made.tick(MINUTE)

    assert set(asked(made)) >= {BEN, CAT}
    made.do(Approve(CAT))
    assert made.request.state is State.GRANTING
