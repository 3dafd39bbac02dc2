"""A clock that is followed: by what it says now and then, and the time that has passed between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connectors.elapsed import boottime
from storage.readings import FINENESS, ClockReader, Reading, take

DAY = 86_400.0


class Machine:
    """Time that passes here, and another clock that may be set and is asked over a network."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.there = 1_700_000_000.0
        self.follower = ClockReader(lambda: self.passed)

    def pass_(self, seconds: float) -> None:
        self.passed += seconds
        self.there += seconds

    def ask(self, *, there: float = 0.0, back: float = 0.0) -> float:
        """Ask the clock; the question and the answer take their time. Return the step seen."""

        def answer() -> float:
            self.pass_(there)
            said = self.there
            self.pass_(back)
            return said

        return self.follower.hear(take(answer, lambda: self.passed))

    @property
    def wrong(self) -> float:
        return self.follower.now() - self.there


@pytest.fixture
def machine():
    return Machine()


def test_what_was_never_read_is_not_known():
    follower = ClockReader()
    assert not follower.known
    with pytest.raises(LookupError):
        follower.now()


def test_between_readings_time_passes_as_it_does_here(machine):
    machine.ask()
    machine.pass_(DAY)
    assert abs(machine.wrong) <= FINENESS


delays = st.floats(0, 0.5)


@given(st.lists(st.tuples(delays, delays), min_size=1))
def test_slow_answers_neither_shake_nor_shift_it(answers):
    """It is never more wrong than its best answer left open, and no answer makes it a step."""
    machine = Machine()
    for there, back in answers:
        assert abs(machine.ask(there=there, back=back)) <= 1.0
        machine.pass_(1)
    assert abs(machine.wrong) <= min(there + back for there, back in answers) + FINENESS + 1e-3


def test_an_answer_that_fits_changes_nothing(machine):
    machine.ask()
    known = machine.wrong
    assert machine.ask(there=0.3, back=0.1) == 0
    assert machine.wrong == pytest.approx(known, abs=1e-4)


@pytest.mark.parametrize("by", [-3600, -60, 6, 60, 3600])
def test_a_step_is_followed_and_measured(machine, by):
    machine.ask()
    machine.there += by
    assert machine.ask(there=0.01, back=0.01) == pytest.approx(by, abs=0.03)
    assert abs(machine.wrong) <= 0.03


def test_a_process_that_was_stopped_while_it_asked_has_seen_no_step(machine):
    machine.ask()
    assert machine.ask(back=DAY) == 0
    assert machine.ask(there=DAY) == 0
    assert abs(machine.wrong) <= 0.01


def test_time_that_passes_here_goes_on():
    first = take(boottime)
    assert first.before <= first.said <= first.after
    assert isinstance(first, Reading)
