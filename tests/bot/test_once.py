"""What comes twice with the same id of its own is done once."""

from concurrent.futures import Future

import pytest

from bot.slack.once import ANSWERED, KNOWN, Once, own_id
from tests.support.door import choice, click, command, home, modal, submission, suggestion


class Work:
    """`begun` are what was begun; `now` are the seconds that it is."""

    def __init__(self):
        self.now, self.begun = 0.0, []
        self.once = Once(lambda answer: answer != "failed", "done", lambda: self.now)

    def take(self, key):
        def begin():
            self.begun.append(Future())
            return self.begun[-1]

        return self.once.take(key, begin)


@pytest.fixture
def work():
    return Work()


def test_who_brings_it_again_gets_the_same_answer(work):
    first, second = work.take("a"), work.take("a")
    work.begun[0].set_result("yes")

    assert first.result(0) == second.result(0) == work.take("a").result(0) == "yes"
    assert len(work.begun) == 1


@pytest.mark.parametrize("how", ["failed", "raised", "cancelled"])
def test_what_was_not_done_may_be_brought_again(work, how):
    work.take("a")
    if how == "failed":
        work.begun[0].set_result("failed")
    elif how == "raised":
        work.begun[0].set_exception(ValueError())
    else:
        work.begun[0].cancel()

    work.take("a")
    work.begun[1].set_result("yes")
    assert work.take("a").result(0) == "yes"


def test_an_answer_is_kept_for_as_long_as_somebody_waits_for_it_and_the_id_for_longer(work):
    """Whole answers of ten minutes would fill the memory."""
    work.take("a")
    work.begun[0].set_result("yes")
    work.now = ANSWERED + 1
    assert work.take("a").result(0) == "done"
    work.now = KNOWN - 1
    assert work.take("a").result(0) == "done"
    assert len(work.begun) == 1

    work.now = KNOWN + 1
    work.take("b")
    assert len(work.once) == 1


def test_a_search_has_no_id_of_its_own():
    for body in (command("a"), click("a", "b", "1"), submission("a", modal("m"), {}), home("a")):
        assert own_id(body)
    assert own_id(choice("a", modal("m"), "b", "1", {}))
    assert not own_id(suggestion("a", "x"))
    assert not own_id("no sense")
