"""How long a next try waits, and what sleeps past its moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.retry import LONGEST_PAUSE, is_asleep, pause

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@given(st.integers(0, 10_000))
def test_pauses_grow_and_have_an_end(failures):
    assert SECOND <= pause(failures) <= pause(failures + 1) <= LONGEST_PAUSE


def test_pauses_double_from_a_second_on():
    seconds = [pause(failures) / SECOND for failures in range(10)]

    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_PAUSE / SECOND]


@pytest.mark.parametrize("wake", [NOW - HOUR, NOW, NOW + HOUR])
def test_what_is_planned_much_later_than_it_is_due_sleeps(wake):
    """A clock was set back an hour: what had been put off by it ended an hour late."""
    latest = max(wake, NOW) + 2 * LONGEST_PAUSE

    assert not is_asleep(wake, wake, NOW)
    assert not is_asleep(latest, wake, NOW)
    assert is_asleep(latest + SECOND, wake, NOW)
    assert is_asleep(None, wake, NOW)
