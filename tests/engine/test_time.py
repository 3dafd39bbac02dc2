"""Time as it really passes: a clock that jumps, leap days, daylight saving, far-off years."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import duration, lifecycle
from engine.commands import Approve, Extend, Tick
from engine.flow import MAX_DURATION, Extension
from engine.outcome import Code, Decision, Refusal
from engine.request import State
from tests.engine.strategies import FLOWS, commands, lives, steps
from tests.support.builders import ABSENT, ANN, BEN, DAY, HELD, HOUR, MINUTE, Life, begun, flow

jumps = st.one_of(steps, st.sampled_from([-HOUR, HOUR, -DAY, -MINUTE, timedelta(0)]))
moves = st.lists(st.tuples(commands, jumps), max_size=12)


def to_its_end(life: Life) -> None:
    """Let time pass as the clock loop does, and the real system do what it is told."""
    for _ in range(200):
        if life.request.state is State.REVOKING:
            life.see(ABSENT)
        wakes = life.wakes()
        if life.request.state.final or wakes is None:
            return
        life.now = max(life.now, wakes)
        life.tick()
        after = life.wakes()
        assert after is None or after > life.now


@given(life=lives(), jumped=moves)
def test_however_the_clock_jumps_what_has_an_end_ends(life, jumped):
    for command, jump in jumped:
        life.do(command, jump)
    to_its_end(life)
    state = life.request.state
    assert state.final or (state is State.ACTIVE and life.request.ends_at is None)


@given(life=lives(), jumped=moves)
def test_however_the_clock_jumps_nothing_ends_twice(life, jumped):
    endings = 0
    for command, jump in jumped:
        before = life.request
        done = life.do(command, jump)
        if isinstance(done, Decision):
            endings += sum(entry.action == "revoking" for entry in done.audit)
        if before.state.final:
            assert life.request == before
        if before.state is State.REVOKING:
            assert not life.request.state.wants_access
    assert endings <= 1


@given(life=lives(), jump=jumps)
def test_a_clock_that_jumps_moves_no_end(life, jump):
    """What was promised was a moment, not a number of ticks.

    To what is scheduled no more was promised than its start: it ends, and lapses, from then on.
    """
    before = life.request
    life.do(Tick(), jump)
    assert life.request.starts_at == before.starts_at
    if before.state is State.SCHEDULED:
        return
    assert life.request.ends_at == before.ends_at
    assert life.request.lapses_at == before.lapses_at


@given(life=lives(), jumped=moves)
def test_an_end_moves_on_by_the_time_asked_for_or_by_an_extension(life, jumped):
    for command, jump in jumped:
        before = life.request
        life.do(command, jump)
        after, extension = life.request, life.facts.revision.extension
        if after.ends_at is None or (before.ends_at and after.ends_at <= before.ends_at):
            continue
        from_now = life.now + (after.duration or timedelta.max)
        extended = before.ends_at and extension and before.ends_at + extension.each
        assert after.ends_at in {from_now, extended}


MOMENTS = {
    "before a leap day": datetime(2028, 2, 28, 23, 59, 59, tzinfo=UTC),
    "on a leap day": datetime(2028, 2, 29, 12, tzinfo=UTC),
    "a hundred that is no leap year": datetime(2100, 2, 28, 23, 59, tzinfo=UTC),
    "at the turn of a year": datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "past 32 bits": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
    "as clocks go on": datetime(2027, 3, 28, 0, 59, tzinfo=UTC),
    "as clocks go back": datetime(2027, 10, 31, 0, 59, tzinfo=UTC),
    "far off": datetime(9990, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("now", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("length", [5 * MINUTE, HOUR, DAY, MAX_DURATION], ids=duration.in_words)
def test_a_duration_is_as_long_whatever_the_calendar_says(now, length):
    long = flow(grant_for=length, extension=Extension(1, length))
    life = begun(long)
    life.request = life.request.with_(submitted_at=now, lapses_at=now + HOUR, pending_since=now)
    life.do(Approve(BEN), at=now)
    life.attempt()
    life.see(HELD)
    assert life.request.ends_at == now + length
    life.do(Extend(ANN, 1))
    life.see(HELD)
    assert life.request.ends_at == now + 2 * length
    life.tick(2 * length - timedelta(microseconds=1))
    assert life.request.state is State.ACTIVE
    life.tick(timedelta(microseconds=1))
    assert life.request.state is State.REVOKING
    to_its_end(life)
    assert life.request.state is State.EXPIRED


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@given(hours=st.integers(0, 365 * 24), flow_name=st.sampled_from(sorted(FLOWS)))
def test_a_moment_means_the_same_in_every_zone(zone, hours, flow_name):
    """An hour that comes twice, or not at all, is an hour of the wall's and not of ours."""
    moment = datetime(2027, 1, 1, tzinfo=UTC) + hours * HOUR
    life = begun(FLOWS[flow_name])
    shifted = life.request.with_(lapses_at=moment)
    for at in (moment - MINUTE, moment, moment + MINUTE):
        ours = lifecycle.decide(shifted, Tick(), life.facts, at)
        theirs = lifecycle.decide(shifted, Tick(), life.facts, at.astimezone(ZoneInfo(zone)))
        assert isinstance(ours, Decision)
        assert isinstance(theirs, Decision)
        assert ours.request.state is theirs.request.state


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("30 s", "“30 s” is not a time."),
        ("45 seconds", "“45 seconds” is not a time."),
        ("0:00", "No time at all is too little: the shortest is 5 min."),
        ("1 min", "“1 min” is too short: the shortest time is 5 min."),
        ("0.05 h", "“0.05 h” is too short: the shortest time is 5 min."),
        ("0,5 min", "“0,5 min” is too short: the shortest time is 5 min."),
        ("4:59s", "“4:59s” is not a time."),
    ],
)
def test_less_than_the_least_is_refused_in_words(typed, said):
    """It was enough that the hint stood there, which stands there always."""
    refused = duration.parse(typed)
    assert isinstance(refused, Refusal)
    assert refused.code is Code.BAD_DURATION
    assert refused.sentence.startswith(said)


def test_an_approver_cannot_shorten_it_to_nothing():
    life = begun()
    for short in (
        timedelta(0),
        timedelta(seconds=30),
        -HOUR,
        5 * MINUTE - timedelta(microseconds=1),
    ):
        refused = life.do(Approve(BEN, "", short))
        assert isinstance(refused, Refusal)
        assert "shortest time is 5 minutes" in refused.sentence
    assert life.request == replace(life.request, state=State.PENDING, approvals=())
