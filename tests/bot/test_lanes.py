"""What waits for what: one person's acts for each other, and apart from them their searches."""

import threading
from concurrent.futures import CancelledError

import pytest

from bot.runtime.priority import Turns
from bot.slack.lanes import OF_ONE, SEARCHES, Lane, Lanes, is_outdone, lane_of
from tests.support.door import choice, click, command, home, modal, submission, suggestion

LONG = 30.0  # seconds, in which all that is to happen does
MARTA = "U0MARTA"
CHANGED = {"type": "event_callback", "event": {"type": "user_change", "user": {"id": MARTA}}}


@pytest.fixture
def lanes():
    made = Lanes()
    yield made
    made.stop(LONG, finish=True)


@pytest.mark.parametrize(
    ("body", "lane"),
    [
        (click("marta", "a", "1"), Lane(MARTA)),
        (choice("marta", modal("m"), "a", "1", {}), Lane(MARTA)),
        (submission("marta", modal("m"), {}), Lane(MARTA)),
        (home("marta"), Lane(MARTA)),
        (CHANGED, Lane(MARTA)),
        (command("marta", ""), Lane(MARTA)),
        (command("marta", " request "), Lane(MARTA)),
        (command("marta", "request read on orders"), Lane(MARTA, searching=True)),
        (suggestion("marta", "orders"), Lane(MARTA, searching=True)),
        ({"type": "event_callback", "event": {"type": "app_uninstalled"}}, Lane("")),
        ({"type": "block_suggestion", "user": 5}, Lane("")),
        ({"command": 1, "user_id": MARTA}, Lane("")),
        ("no sense", Lane("")),
        (None, Lane("")),
    ],
)
def test_everybody_has_a_lane_and_another_to_search(body, lane):
    assert lane_of(body) == lane


def test_only_a_search_is_outdone_by_the_next():
    assert is_outdone(suggestion("marta", "x"))
    assert not is_outdone(command("marta", "request read on orders"))
    assert not is_outdone("no sense")


class Held:
    """Acts that go on until they are released."""

    def __init__(self, lanes, lane, many, **more):
        self.begun, self.release = threading.Semaphore(0), threading.Event()
        self.at_work, self.most, self.lock = 0, 0, threading.Lock()
        self.answers = [lanes.submit(lane, self.act, **more) for _ in range(many)]

    def act(self):
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.begun.release()
        assert self.release.wait(LONG)
        with self.lock:
            self.at_work -= 1
        return "done"


@pytest.mark.parametrize(("searching", "most"), [(False, OF_ONE), (True, 1)])
def test_one_person_has_few_at_work(lanes, searching, most):
    held = Held(lanes, Lane("a", searching=searching), 9)
    for _ in range(most):
        assert held.begun.acquire(timeout=LONG)
    held.release.set()

    assert [answer.result(LONG) for answer in held.answers] == ["done"] * 9
    assert held.most == most


def test_few_are_looked_for_at_once_whoever_asks(lanes):
    everybody = [Held(lanes, Lane(f"p{n}", searching=True), 1) for n in range(SEARCHES + 1)]
    for one in everybody[:SEARCHES]:
        assert one.begun.acquire(timeout=LONG)

    assert not everybody[SEARCHES].at_work
    everybody[0].release.set()
    assert everybody[SEARCHES].begun.acquire(timeout=LONG)
    for one in everybody:
        one.release.set()


def test_who_has_much_looked_for_waits_behind_the_others_each_time(lanes):
    held = [Held(lanes, Lane(f"p{n}", searching=True), 1) for n in range(SEARCHES)]
    done = []
    for n in range(3):
        lanes.submit(Lane("much", searching=True), lambda n=n: done.append(n))
    last = [
        lanes.submit(Lane(f"one-{n}", searching=True), lambda n=n: done.append(f"one-{n}"))
        for n in range(2)
    ]
    for one in held[1:]:
        one.release.set()

    for answer in last:
        answer.result(LONG)
    assert done[:3] == [0, "one-0", "one-1"]
    held[0].release.set()


def test_what_goes_wrong_is_raised_where_the_answer_is_wanted(lanes):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lanes.submit(Lane("a"), fail).result(LONG)
    assert lanes.submit(Lane("a"), lambda: "well").result(LONG) == "well"


def test_what_nobody_waits_for_any_more_is_not_begun(lanes):
    held = Held(lanes, Lane("a"), OF_ONE)
    done = []
    answer = lanes.submit(Lane("a"), lambda: done.append(1))
    assert answer.cancel()
    held.release.set()

    lanes.submit(Lane("a"), lambda: done.append(2)).result(LONG)

    assert done == [2]
    with pytest.raises(CancelledError):
        answer.result()


def test_after_a_stop_nothing_is_taken(lanes):
    held = Held(lanes, Lane("a"), 1)
    held.release.set()
    assert lanes.stop(LONG, finish=True)

    for lane in (Lane("a"), Lane("b"), Lane("a", searching=True)):
        with pytest.raises(RuntimeError):
            lanes.submit(lane, lambda: None)


def test_nothing_is_kept_of_who_has_been_answered(lanes):
    for n in range(50):
        lanes.submit(Lane(f"p{n}"), lambda: None).result(LONG)
    lanes.stop(LONG, finish=True)

    assert lanes.busy == 0


def test_a_loop_does_not_give_way_to_a_search():
    """One person's searches made every loop late, by 20 ms each time that it began something."""
    turns, begun = Turns(), threading.Event()

    def loop():
        turns.give_way(within=LONG)
        begun.set()

    with turns.answering(searching=True):
        thread = threading.Thread(target=loop)
        thread.start()
        assert begun.wait(LONG / 2)
    thread.join()
