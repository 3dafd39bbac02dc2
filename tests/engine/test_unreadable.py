"""What cannot be read can end, and nothing else: not a request, a person, nor a flow."""

from dataclasses import replace

import pytest

from engine.commands import (
    Approve,
    Attempt,
    Cancel,
    Extend,
    FirstLook,
    Observe,
    Reject,
    Return,
    Revoke,
    Tick,
    Verify,
)
from engine.flow import unreadable
from engine.outcome import Code, Decision, Refusal
from engine.request import State
from tests.support.builders import (
    ABSENT,
    ADA,
    ANN,
    BEN,
    DAY,
    HELD,
    HOUR,
    MINUTE,
    facts,
    flow,
    life,
    person,
)

RUNNING = (State.GRANTING, State.ACTIVE)


def lost(state, *entitlements):
    """Return a request in a state, of which only that is known."""
    made = life(state, None, *entitlements)
    made.request = made.request.with_(readable=False)
    return made


@pytest.mark.parametrize("state", list(State), ids=str)
@pytest.mark.parametrize(
    "command",
    [Approve(BEN), Reject(BEN), Verify(ANN), Extend(ANN, 1)],
    ids=lambda c: type(c).__name__,
)
def test_nothing_is_given_by_a_lost_request(state, command):
    made = lost(state)
    before = made.request

    result = made.do(command)

    assert isinstance(result, Refusal) or result.request == before
    assert made.request == before


@pytest.mark.parametrize("state", RUNNING, ids=str)
def test_what_is_seen_of_a_lost_request_leaves_it_as_it_is(state):
    made = lost(state)
    before = made.request
    for command in (Attempt(), FirstLook({0: False}), Observe({0: HELD}), Observe({0: ABSENT})):
        assert made.do(command) == Decision(before)


@pytest.mark.parametrize(
    ("command", "ending"), [(Revoke(ADA), State.REVOKED), (Return(ANN), State.RETURNED)], ids=str
)
def test_a_lost_request_ends_by_a_word_and_by_what_is_seen(command, ending):
    made = lost(State.ACTIVE)
    made.do(command)
    assert made.request.state is State.REVOKING
    made.see(ABSENT)
    assert made.request.state is ending


def test_a_lost_request_ends_at_its_time():
    made = lost(State.ACTIVE)
    made.tick(HOUR)
    made.see(ABSENT)
    assert made.request.state is State.EXPIRED


def test_a_lost_request_that_waits_is_left_alone_until_it_lapses():
    made = lost(State.PENDING)
    before = made.request
    assert made.tick(16 * MINUTE).request == before
    made.tick(DAY)
    assert made.request.state is State.TIMED_OUT


def test_a_lost_request_that_waits_can_be_cancelled():
    made = lost(State.PENDING)
    made.do(Cancel(ANN))
    assert made.request.state is State.CANCELLED


def test_nothing_is_decided_under_a_flow_that_cannot_be_read():
    made = life(State.PENDING)
    made.facts = facts(replace(flow(), revision=unreadable("Read orders")))

    outcome = made.do(Approve(BEN))
    made.tick(HOUR)

    assert isinstance(outcome, Refusal)
    assert outcome.code is Code.UNREADABLE
    assert made.request.state is State.PENDING
    made.tick(DAY)
    assert made.request.state is State.TIMED_OUT


def test_access_under_a_flow_that_cannot_be_read_ends_at_its_time():
    made = life(State.ACTIVE)
    made.facts = facts(replace(flow(), revision=unreadable("Read orders")))

    assert isinstance(made.do(Extend(ANN, 1)), Refusal)
    made.tick(HOUR)
    made.see(ABSENT)

    assert made.request.state is State.EXPIRED


def test_what_was_approved_is_not_begun_under_a_flow_that_cannot_be_read():
    made = life(State.GRANTING)
    made.facts = facts(replace(flow(), revision=unreadable("Read orders")))

    made.attempt()

    assert made.own() == [("refused", False, "Its access flow cannot be read.")]
    assert made.request.state is State.FAILED


def test_who_cannot_be_read_keeps_access_and_gets_no_more():
    made = life(State.ACTIVE)
    made.know(replace(person("ann"), readable=False))

    outcome = made.do(Extend(ANN, 1))
    made.do(Tick())

    assert isinstance(outcome, Refusal)
    assert outcome.sentence == "What the directory says of Ann cannot be read."
    assert made.request.state is State.ACTIVE


def test_what_waits_for_who_cannot_be_read_goes_on_when_they_can():
    """A row that could not be read for a moment would have cancelled it."""
    made = life(State.PENDING)
    made.know(replace(person("ann", "eng"), readable=False))

    assert isinstance(made.do(Approve(BEN)), Refusal)
    made.tick()
    assert made.request.state is State.PENDING

    made.know(person("ann", "eng"))
    made.do(Approve(BEN))
    assert made.request.state is State.GRANTING
