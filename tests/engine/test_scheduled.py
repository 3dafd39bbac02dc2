"""What is approved for later: until its start, at it, and when nobody is sure of it any more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.commands import Approve, Cancel, Reject, Withdraw
from engine.flow import ApprovalRule, Escalation
from engine.outcome import Card, Code, News, Refusal, Tell
from engine.request import State
from tests.support.builders import (
    ABSENT,
    ADA,
    AHEAD,
    ANN,
    BEN,
    BOTH,
    CAT,
    DAN,
    DAY,
    EVE,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    Life,
    approvers,
    flow,
    left,
    life,
    person,
)

WEEK = 7 * DAY


def told(made: Life, news: News) -> set[str]:
    return {t.to for t in made.tells if isinstance(t, Tell) and t.news is news}


def started(**values: object) -> Life:
    made = life(State.SCHEDULED, **values)  # type: ignore[arg-type]
    made.tick(AHEAD)
    assert made.request.state is State.GRANTING
    return made


def test_it_lasts_its_duration_from_the_first_confirmation():
    made = started()
    made.attempt()
    made.now += 20 * MINUTE
    made.see(HELD)

    assert made.request.state is State.ACTIVE
    assert made.request.ends_at == NOW + AHEAD + 20 * MINUTE + HOUR

    made.tick(HOUR)
    made.see(ABSENT)
    assert made.request.state is State.EXPIRED


def test_what_starts_in_a_week_does_not_lapse_before_and_has_its_day_to_be_given():
    """It would have failed at its start: its time until it lapses was a day, and long over."""
    made = life(State.SCHEDULED, starts_at=NOW + WEEK)
    made.tick(2 * DAY)
    assert made.request.state is State.SCHEDULED

    made.tick(5 * DAY)
    made.attempt()
    made.tick(DAY - SECOND)
    assert made.request.state in {State.GRANTING, State.REVOKING}  # nothing confirmed it meanwhile
    assert made.request.lapses_at == NOW + WEEK + DAY


def test_nothing_is_there_while_it_waits_for_its_start():
    made = life(State.SCHEDULED)
    made.attempt()

    assert (made.request.ends_at, made.request.state) == (None, State.SCHEDULED)
    assert not any(grant.begun for grant in made.request.grants)


def test_it_is_pending_until_it_lapses_whatever_its_start():
    made = life(State.PENDING, starts_at=NOW + WEEK)
    made.tick(DAY)

    assert made.request.state is State.TIMED_OUT


def test_it_wakes_for_the_reminder_and_for_the_start():
    made = life(State.SCHEDULED)
    assert made.wakes() == NOW + AHEAD - 15 * MINUTE

    made.tick(AHEAD - 15 * MINUTE)
    assert made.wakes() == NOW + AHEAD

    made.tick(MINUTE)
    assert told(made, News.REMINDED) == {ANN}
    assert [e for e in made.tick().audit if e.action == "reminded"] == []


def test_what_was_approved_within_the_quarter_is_not_reminded_of():
    made = life(State.SCHEDULED, starts_at=NOW + 15 * MINUTE)
    assert made.wakes() == NOW + 15 * MINUTE

    made.tick(MINUTE)
    assert told(made, News.REMINDED) == set()


def test_the_shortest_time_holds_from_the_start_on():
    made = life(State.PENDING, flow(approval=BOTH), starts_at=NOW + AHEAD)
    made.do(Approve(BEN, "", 30 * MINUTE))
    made.do(Approve(DAN, "", 45 * MINUTE, keep_extensions=True))
    made.tick(AHEAD)

    assert (made.request.duration, made.request.extensions_allowed) == (30 * MINUTE, 0)


def test_who_shortened_it_and_takes_that_back_leaves_it_as_it_was_asked_for():
    made = life(State.PENDING, starts_at=NOW + AHEAD)
    made.do(Approve(BEN, "", 30 * MINUTE))
    made.do(Withdraw(BEN))
    assert (made.request.state, made.request.duration) == (State.PENDING, HOUR)

    made.do(Approve(CAT))
    made.tick(AHEAD)
    assert (made.request.duration, made.request.extensions_allowed) == (HOUR, 2)


def test_what_was_left_out_stays_so_after_the_approval_is_taken_back():
    made = life(State.PENDING, None, 1, 2, starts_at=NOW + AHEAD)
    made.do(Approve(BEN, without=frozenset({made.request.grants[0].id})))
    made.do(Withdraw(BEN))
    made.do(Approve(CAT))
    made.tick(AHEAD)

    assert [grant.open for grant in made.request.grants] == [False, True]


def test_taken_back_it_waits_anew_and_lapses_a_day_after_that():
    made = life(State.SCHEDULED, starts_at=NOW + WEEK)
    made.do(Withdraw(BEN), 3 * DAY)
    assert made.request.lapses_at == NOW + 4 * DAY

    made.tick(DAY - SECOND)
    assert made.request.state is State.PENDING
    made.tick(SECOND)
    assert made.request.state is State.TIMED_OUT


def test_taken_back_soon_it_lapses_no_sooner_than_it_would_have():
    made = life(State.SCHEDULED, flow(lapses_after=DAY))
    made.request = made.request.with_(lapses_at=NOW + 5 * DAY)
    made.do(Withdraw(BEN), HOUR)

    assert made.request.lapses_at == NOW + 5 * DAY


def test_taken_back_it_escalates_anew_one_tier_at_a_time():
    """Two tiers were asked in the second of the withdrawal: their times since the submission had
    come while it was approved.
    """
    tiers = Escalation(HOUR, (approvers(EVE), approvers(DAN)))
    made = life(State.SCHEDULED, flow(escalation=tiers), starts_at=NOW + WEEK)
    made.do(Withdraw(BEN), DAY)
    made.tick()
    assert made.request.tiers_asked == 0
    assert made.wakes() == NOW + DAY + HOUR

    made.tick(HOUR)
    assert made.request.tiers_asked == 1


def test_who_took_it_back_can_approve_again_or_reject():
    made = life(State.SCHEDULED)
    made.do(Withdraw(BEN))
    assert told(made, News.REOPENED) == {ANN}
    assert BEN in made.request.deciders

    made.do(Approve(BEN))
    assert made.request.state is State.SCHEDULED
    made.do(Withdraw(BEN))
    made.do(Reject(BEN))
    assert made.request.state is State.REJECTED


def test_one_approval_more_than_it_takes_can_be_taken_back():
    rule = ApprovalRule((approvers(BEN, CAT, name="two", needs=2), approvers(DAN, needs=2)))
    made = life(State.PENDING, flow(approval=rule), starts_at=NOW + AHEAD)
    for who in (DAN, BEN, CAT):
        made.do(Approve(who))
    assert made.request.state is State.SCHEDULED

    made.do(Withdraw(DAN))
    assert made.request.state is State.SCHEDULED
    assert made.request.decided
    assert made.request.decided.by == CAT
    made.do(Withdraw(CAT))
    assert made.request.state is State.PENDING


def test_an_approver_who_has_another_team_by_the_start_has_approved_all_the_same():
    made = life(State.SCHEDULED)
    made.know(person("ben", "eng"))
    made.tick(AHEAD)

    assert made.request.state is State.GRANTING


def test_an_approver_who_left_has_approved_nothing_that_starts_later():
    made = life(State.SCHEDULED)
    made.know(left("ben", "dba"))
    made.tick(AHEAD)
    assert made.request.state is State.PENDING
    assert told(made, News.ASKED) >= {CAT}

    made.do(Approve(CAT), MINUTE)
    assert made.request.state is State.GRANTING
    late = [t for t in made.tells if isinstance(t, Tell) and t.key == "late_start"]
    assert [(t.to, t.card) for t in late] == [(CAT, Card.NOTICE)]


@pytest.mark.parametrize("by", [ANN, ADA])
def test_it_is_cancelled_by_who_asked_and_by_admins(by):
    made = life(State.SCHEDULED)
    made.do(Cancel(by, "no"))

    assert made.request.state is State.CANCELLED


def test_a_late_rejection_is_told_that_it_is_approved():
    result = life(State.SCHEDULED).do(Reject(CAT))

    assert isinstance(result, Refusal)
    assert result.code is Code.SETTLED


def test_a_flow_of_which_the_newest_revision_is_other_gives_as_it_was_asked_for():
    made = life(State.SCHEDULED)
    newer = replace(made.facts.flow.revision, start_later=None, grant_for=5 * MINUTE)
    made.know(flow=replace(made.facts.flow, number=2, revision=newer))
    made.tick(AHEAD)

    assert made.request.ends_at == NOW + AHEAD + HOUR


def test_a_process_that_was_down_begins_it_when_it_is_back():
    made = life(State.SCHEDULED)
    made.tick(AHEAD + timedelta(hours=5))

    assert made.request.state is State.GRANTING
    assert made.request.ends_at == NOW + AHEAD + timedelta(hours=6)


def test_of_what_cannot_be_read_no_start_is_known_and_it_is_never_given():
    made = life(State.SCHEDULED)
    made.request = made.request.with_(readable=False, starts_at=None)
    assert made.wakes() == made.request.lapses_at

    made.tick(AHEAD)
    assert made.request.state is State.SCHEDULED
    made.tick(DAY)
    assert made.request.state is State.FAILED


def test_people_of_whom_nothing_can_be_read_get_nothing_at_the_start():
    made = life(State.SCHEDULED)
    made.know(replace(made.facts.directory.people[ANN], readable=False))
    assert made.tick(HOUR).request.state is State.SCHEDULED

    made.tick(HOUR)
    assert made.request.state is State.FAILED
    assert made.request.ended
    assert made.request.ended.reason == "What the directory says of Ann cannot be read"
