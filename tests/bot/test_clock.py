"""The machine's clock is put right while people wait and have access: an hour on, an hour back."""

from datetime import timedelta

import pytest

from bot.views import ids
from engine.request import State
from tests.support.door import CUSTOMERS, filled, modal

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def history(door, action):
    return [row for row in door.rows()["audit"] if row["action"] == action]


def held(door):
    """Return what the system gives to anybody."""
    return [target for account in door.system.accounts.values() for target in account.given]


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_what_waits_is_decided_and_lasts_as_long_as_asked_for(door, jump):
    request = door.ask("ravi", CUSTOMERS)
    door.clock.move(jump)
    door.work()
    door.submit("priya", modal(ids.APPROVE_MODAL, str(request.id)))
    door.work()
    running = door.request(request.id)
    assert running.state is State.ACTIVE
    assert running.ends_at == door.clock.now() + running.duration
    door.clock.move(running.duration)
    door.work()
    assert door.request(request.id).state is State.EXPIRED
    assert not door.audit_faults()


def test_what_was_due_when_the_clock_went_back_is_done_at_once(door):
    """It waited until the clock had caught up: an hour without the access that was approved."""
    request = door.ask("ravi", CUSTOMERS)
    door.submit("priya", modal(ids.APPROVE_MODAL, str(request.id)))
    door.clock.move(-HOUR)
    door.work()
    running = door.request(request.id)
    assert running.state is State.ACTIVE
    assert running.ends_at == door.clock.now() + running.duration


def test_access_outlives_no_clock_that_goes_back(door):
    end = door.request(1).ends_at
    for jump in (-HOUR, HOUR / 2, -HOUR):
        door.clock.move(jump)
        door.work()
        assert door.request(1).ends_at == end
        assert door.request(1).state is State.ACTIVE
    door.clock.time = end
    door.work()
    assert door.request(1).state is State.EXPIRED
    assert held(door) == []


def test_what_has_ended_stays_ended_when_the_clock_goes_back(door):
    """It ended, by a clock that was wrong: giving it back by itself would be an access unasked."""
    door.clock.time = door.request(1).ends_at
    door.work()
    door.clock.move(-HOUR)
    door.work()
    assert door.request(1).state is State.EXPIRED
    assert door.click("marta", ids.EXTEND, "1/1").said
    door.clock.move(2 * HOUR)
    door.work()
    assert len(history(door, "expired")) == 1
    assert held(door) == []


def test_a_clock_that_goes_back_while_access_is_taken_away_does_not_stop_it(door):
    door.clock.time = door.request(1).ends_at
    door.program.loops["clock"].drain()
    assert door.request(1).state is State.REVOKING
    door.clock.move(-HOUR)
    door.work()
    assert door.request(1).state is State.EXPIRED
    assert held(door) == []


def test_a_clock_an_hour_ahead_lapses_nothing_that_was_decided(door):
    request = door.ask("ravi", CUSTOMERS)
    door.submit("priya", modal(ids.APPROVE_MODAL, str(request.id)))
    door.clock.move(HOUR)
    door.work()
    assert door.request(request.id).state is State.ACTIVE


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("30 s", "“30 s” is not a time."),
        ("20 seconds", "“20 seconds” is not a time."),
        ("0:00", "No time at all is too little: the shortest is 5 min."),
        ("1 min", "“1 min” is too short: the shortest time is 5 min."),
        ("0", "No time at all is too little: the shortest is 5 min."),
        ("-5m", "“-5m” is negative: the shortest time is 5 min."),
        ("1e-3 h", "“1e-3 h” is not a time."),
    ],
)
def test_a_moments_access_is_refused_at_its_field(door, typed, why):
    """Five minutes is the least, in the sandbox too: there the clock is moved on instead."""
    form = door.form("ravi", CUSTOMERS)
    answer = door.submit("ravi", form, filled(form, duration={"value": typed}))
    [(field, said)] = answer.payload["errors"].items()
    assert field.startswith("duration/")
    assert said.startswith(why)
    assert not door.put_back()
