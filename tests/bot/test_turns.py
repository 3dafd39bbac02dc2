"""Whose turn it is: people's first, then the loops', one after another."""

import threading

import pytest
from structlog.testing import capture_logs

from bot.runtime.priority import Turns

LONG = 20.0  # seconds, in which all that is to happen does


def test_a_loop_begins_when_the_last_one_was_answered():
    turns, begun = Turns(), threading.Event()

    def loop():
        turns.give_way(within=LONG)
        begun.set()

    with turns.answering():
        with turns.answering():
            thread = threading.Thread(target=loop)
            thread.start()
        assert not begun.is_set()
    assert begun.wait(LONG)
    thread.join()


def test_a_loop_is_not_kept_from_its_work():
    """Fifty people at once are answered without a gap: access has to end meanwhile."""
    turns, worked = Turns(), threading.Event()

    def loop():
        with turns:
            worked.set()

    with turns.answering():
        thread = threading.Thread(target=loop)
        thread.start()
        assert worked.wait(LONG)
    thread.join()


def test_loops_work_one_after_another():
    turns, at_work, most = Turns(), [], []

    def loop():
        for _ in range(200):
            with turns:
                at_work.append(1)
                most.append(len(at_work))
                at_work.pop()

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 800
    assert set(most) == {1}


def test_a_loop_is_woken_when_the_answer_is_sent():
    turns, woken = Turns(), []

    with turns.answering():
        turns.after_the_answer(lambda: woken.append("mine"))
        other = threading.Thread(target=turns.after_the_answer, args=(lambda: woken.append("its"),))
        other.start()
        other.join()
        assert woken == ["its"]
    assert woken == ["its", "mine"]
    turns.after_the_answer(lambda: woken.append("later"))
    assert woken == ["its", "mine", "later"]


def test_a_loop_is_woken_though_the_answer_failed():
    turns, woken = Turns(), []

    def fail():
        with turns.answering():
            turns.after_the_answer(lambda: woken.append("mine"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert woken == ["mine"]


def test_what_fails_after_the_answer_stops_nothing_else():
    turns, done = Turns(), []

    def fails():
        raise ZeroDivisionError

    with capture_logs() as log, turns.answering():
        turns.after_the_answer(fails)
        turns.after_the_answer(lambda: done.append(True))

    assert done == [True]
    assert [line["event"] for line in log] == ["failed after the answer"]
