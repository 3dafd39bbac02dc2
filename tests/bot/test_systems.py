"""How many accounts of one system are worked on at a time, and when it is said to hang."""

import pytest

from bot.loops.workers import CALLS, FOR_ENDS, HANGS_AFTER, OFTEN, PROBE_EVERY, System
from engine.request import AccountId

PAUSE = PROBE_EVERY.total_seconds()


@pytest.fixture
def system():
    return System()


def called(system, number, now, *, ends=False, probe=False):
    system.take(AccountId(number), ends=ends, probe=probe)
    system.call(AccountId(number), now)


def back(system, number, now, *, answered):
    silence = system.back(AccountId(number), now, answered=answered)
    system.leave(AccountId(number))
    return silence


def test_grants_leave_room_for_ends(system):
    for number in range(CALLS - FOR_ENDS):
        assert system.has_room(0, ends=False)
        called(system, number, 0)
    assert not system.has_room(0, ends=False)
    for number in range(FOR_ENDS):
        assert system.has_room(0, ends=True)
        called(system, 100 + number, 0, ends=True)
    assert not system.has_room(0, ends=True)


def test_after_a_failure_one_is_called_at_a_time_with_a_pause(system):
    called(system, 1, 0)
    assert not system.wants_probe(0)
    assert back(system, 1, 0.1, answered=False)

    assert system.hangs(0.1)
    assert not system.has_room(0.1, ends=True)
    assert not system.wants_probe(0.1)
    assert system.wants_probe(0.1 + PAUSE)
    called(system, 2, 2, probe=True)
    assert not system.wants_probe(2 + PAUSE)


def test_an_answer_ends_the_silence(system):
    called(system, 1, 0)
    back(system, 1, 1, answered=False)
    assert system.silent(4) == 4
    called(system, 2, 4)
    assert back(system, 2, 4.1, answered=True) is None
    assert (system.hangs(5), system.silent(5)) == (False, 0)
    assert system.has_room(5, ends=False)


def test_a_call_that_is_late_makes_way_for_a_probe(system):
    called(system, 1, 0)
    assert system.has_room(HANGS_AFTER - 1, ends=False)
    late = HANGS_AFTER + 1
    assert (system.hangs(late), system.silent(late)) == (True, late)
    assert system.wants_probe(late)
    called(system, 2, late)
    assert not system.wants_probe(late + PAUSE)

    back(system, 2, late + 1, answered=True)
    assert not system.hangs(late + 2), "it is what was asked for that is kept, not the system"


def test_who_fails_while_others_are_answered_fails_alone(system):
    called(system, 1, 0)
    called(system, 2, 0)
    back(system, 2, 1, answered=True)
    assert back(system, 1, 2, answered=False) is None
    assert not system.hangs(2)


def test_those_that_fail_together_are_one_failure_and_each_probe_another(system):
    for number in range(3):
        called(system, number, number)
        assert back(system, number, number + 0.1, answered=False).times == 1
    for times in (2, 3):
        called(system, times, 10 * times, probe=True)
        assert back(system, times, 10 * times + 1, answered=False).times == times


def test_a_system_that_is_away_for_long_is_probed_less_often(system):
    pauses = []
    for number in range(OFTEN + 1):
        called(system, number, number, probe=True)
        pauses.append(back(system, number, number + 0.1, answered=False).pause / PROBE_EVERY)
    assert pauses == [1] * (OFTEN - 1) + [5, 5]
    assert not system.wants_probe(OFTEN + 4)
    assert system.wants_probe(OFTEN + 6)
