"""One live card for each person and request, whatever goes wrong between Latchkey and Slack.

Slack is a fake in memory: what it does with a call, and whether its answer arrives, is the test's
to say.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from sqlalchemy import update
from sqlmodel import col

from bot.loops.messages import MessageLoop
from bot.runtime.services import Services
from bot.slack.gate import Gate
from engine import commands
from engine.commands import Approve, Extend, Nudge, PutQuestion, Reject, Return
from engine.outcome import Card, News
from engine.request import AccessRequest
from storage.messages import LOOK_AFTER
from storage.tables import InstanceRow, MessageRow
from storage.types import db_now
from tests.support.front import MANY, Front
from tests.support.stored import ALICE, DAN, DORA, MINUTE, WRITING, Now, Stored
from tests.support.waiting import PATIENCE

SECOND = timedelta(seconds=1)
ROUNDS = 40  # after which all has come to rest, whatever went wrong once


class Killed(Exception):  # noqa: N818  (not a fault: the process is no more)
    """The process died at this call."""


class Answer(dict[str, object]):
    """What Slack answers where it refuses, or where something on the way does."""

    def __init__(self, error: str, status: int = 200, method: str = "") -> None:
        super().__init__(ok=False, error=error)
        self.status_code = status
        self.headers = {"Retry-After": "1"}
        self.api_url = f"https://slack.example/api/{method}"


def refused(error: str, status: int = 200) -> Callable[[str], Exception]:
    return lambda method: SlackApiError(error, Answer(error, status, method))


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a call; `done`: Slack does it all the same. `fatal`: the process dies"""

    raises: Callable[[str], Exception]
    done: bool
    fatal: bool = False


FAULTS = {
    "dropped": Fault(lambda _: TimeoutError(), done=False),
    "done, and no answer": Fault(lambda _: TimeoutError(), done=True),
    "429": Fault(refused("ratelimited", 429), done=False),
    "503": Fault(refused("http_503", 503), done=False),
    "503, and done": Fault(refused("http_503", 503), done=True),
    "internal_error": Fault(refused("internal_error"), done=False),
    "internal_error, and done": Fault(refused("internal_error"), done=True),
    "killed before": Fault(lambda _: Killed(), done=False, fatal=True),
    "killed after": Fault(lambda _: Killed(), done=True, fatal=True),
}
CALLS = {"post": 8, "shrink": 5, "update": 3}  # of each so many in the life of `live_through`
EACH = [(call, number) for call, many in CALLS.items() for number in range(1, many + 1)]


@dataclass(eq=False)
class Slack:
    """A workspace in memory. The call of a kind that `fails` names meets a fault, once."""

    fails: dict[tuple[str, int], Fault] = field(default_factory=dict)
    posts: list[dict[str, Any]] = field(default_factory=list)  # all of them, in order
    calls: dict[str, int] = field(default_factory=dict)
    met: int = 0  # how many faults came about
    on_fatal: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._ts = itertools.count(1)

    def auth_test(self) -> dict[str, str]:
        return {"team_id": "T1"}

    def conversations_open(self, *, users: str, **_: object) -> dict[str, object]:
        return {"channel": {"id": f"D-{users}"}}

    def conversations_info(self, **_: object) -> dict[str, object]:
        return {"channel": {"is_member": True}}

    def conversations_history(self, *, channel: str, **_: object) -> dict[str, object]:
        return {"messages": [m for m in reversed(self.posts) if m["channel"] == channel]}

    def chat_postMessage(self, *, channel: str, **said: Any) -> dict[str, Any]:  # noqa: N802
        there = channel if channel.startswith("D-") else f"D-{channel}"

        def post() -> dict[str, Any]:
            posted = {"channel": there, "ts": f"{next(self._ts)}.0", **said}
            self.posts.append(posted)
            return posted

        return self._call("post", "chat.postMessage", post)

    def chat_update(self, *, channel: str, ts: str, **said: Any) -> dict[str, Any]:
        (there,) = (m for m in self.posts if (m["channel"], m["ts"]) == (channel, ts))

        def change() -> dict[str, Any]:
            there.update(said)
            return there

        return self._call("shrink" if is_line(said) else "update", "chat.update", change)

    def _call(self, kind: str, method: str, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        number = self.calls[kind] = self.calls.get(kind, 0) + 1
        fault = self.fails.get((kind, number))
        if fault is None:
            return do()
        self.met += 1
        if fault.done:
            do()
        if fault.fatal:
            self.on_fatal()
        raise fault.raises(method)

    def of(self, person: str) -> list[dict[str, Any]]:
        return [m for m in self.posts if m["channel"] == f"D-U-{person}"]


def is_line(message: dict[str, Any]) -> bool:
    return [block["type"] for block in message["blocks"]] == ["context"]


@dataclass(frozen=True)
class Mortal(Services):
    """What a process works with, as long as it lives."""

    lives: Callable[[], bool] = lambda: True

    def transaction(self, change: Any, **how: Any) -> Any:
        if not self.lives():
            raise Killed
        return super().transaction(change, **how)


class Replica:
    """A process that sends cards. Once it was killed, nothing of it reaches Slack or the store."""

    def __init__(self, stored: Stored, slack: Slack) -> None:
        self.stored, self.dead = stored, False
        clock = Now(stored)
        store = (stored.database, stored.companies, clock, stored.keys, {})
        services = Mortal(*store, lives=lambda: not self.dead)
        gate = Gate(MANY, lambda: clock.now().timestamp())
        self.loop = MessageLoop(services, Front(slack, gate))

    def die(self) -> None:
        self.dead = True
        with self.stored.database.write() as tx:
            mine = col(InstanceRow.id) == self.stored.instance
            tx.execute(update(InstanceRow).where(mine).values(beat=db_now() - 10))

    def drain(self) -> None:
        self.loop.look()
        while not self.dead and self.loop.wait(PATIENCE):
            try:
                self.loop.drain()
            except Killed:
                return


@dataclass
class Story:
    """A request's life in steps, and the processes that tell of it, of which one may die."""

    stored: Stored
    replicas: list[Replica]
    slack: Slack

    def __post_init__(self) -> None:
        self.slack.on_fatal = self.alive.die

    @property
    def alive(self) -> Replica:
        return next(r for r in self.replicas if not r.dead)

    def settle(self) -> None:
        """Send until all that should be shown is, however long Slack, or a doubt, wants a rest."""
        for _ in range(ROUNDS):
            for replica in self.replicas:
                if not replica.dead:
                    replica.drain()
            if not any(r.shown < r.wanted for r in self.stored.rows(MessageRow)):
                return
            for replica in self.replicas:
                replica.stored.pass_(MINUTE)
            past = (datetime.now(UTC) - LOOK_AFTER - SECOND).replace(tzinfo=None).isoformat(" ")
            with self.stored.database.write() as tx:
                tx.connection().exec_driver_sql(
                    "update message set attempted_at = ? where attempted_at is not null", (past,)
                )
        raise AssertionError("it never came to rest")


@pytest.fixture
def stored(tmp_path) -> Iterator[Stored]:
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
    opened.now = datetime.now(UTC)
    yield opened
    opened.close()


@pytest.fixture
def story(stored, tmp_path) -> Iterator[Callable[..., Story]]:
    """Two processes on one database, and a Slack that fails as it is told to."""
    second = Stored.open(f"sqlite:///{tmp_path}/latchkey.db")
    second.now = stored.now
    made: list[Story] = []

    def tell(fails: dict[tuple[str, int], Fault] | None = None) -> Story:
        slack = Slack(fails or {})
        made.append(Story(stored, [Replica(stored, slack), Replica(second, slack)], slack))
        return made[-1]

    yield tell
    for told in made:
        for replica in told.replicas:
            with suppress(Killed):
                replica.loop.stop()
    second.close()


def live_through(told: Story) -> AccessRequest:
    """Ask, approve, grant, offer, extend, return: one thing after another, each of them shown."""
    stored = told.stored
    request = stored.submit(flow=WRITING)
    told.settle()

    def is_about_to_end() -> None:
        stored.pass_(stored.again(request).ends_at - stored.now - 9 * MINUTE)
        stored.tick()

    steps: list[Callable[[], object]] = [
        lambda: stored.do(request, Approve(DAN)),
        stored.converge,
        lambda: (
            stored.pass_(stored.again(request).ends_at - stored.now - 9 * MINUTE),
            stored.tick(),
        ),
        lambda: (stored.do(request, Extend(ALICE, 1)), stored.converge()),
        lambda: stored.do(request, Return(ALICE)),
        stored.converge,
    ]
    for step in steps:
        for replica in told.replicas:
            replica.stored.now = max(r.stored.now for r in told.replicas) + 2 * SECOND
        step()
        told.settle()
    return request


def news_of(messages: list[dict[str, Any]]) -> list[str]:
    return [m["metadata"]["event_payload"].get("news", "") for m in messages]


TOLD = [News.REQUESTED, News.DECIDED, News.ACTIVE, News.OFFER, News.EXTENDED, News.ENDED]


def assert_one_live_card(slack: Slack, person: str, news: list[News]) -> None:
    there = slack.of(person)

    assert news_of(there) == news  # each was posted, and so noticed, once
    assert [is_line(message) for message in there] == [True] * (len(there) - 1) + [False]


def test_what_has_to_be_noticed_posts_the_card_anew_and_the_rest_is_changed_in_place(story):
    """The approval itself was silent: Slack tells nobody of a message that is changed."""
    told = story()

    live_through(told)

    assert told.slack.calls == CALLS
    assert_one_live_card(told.slack, ALICE, TOLD)
    for approver in (DAN, DORA):
        assert_one_live_card(told.slack, approver, [News.ASKED])
    assert "Access was returned" in told.slack.of(ALICE)[-1]["text"]
    numbers = [m["metadata"]["event_payload"]["posting"] for m in told.slack.of(ALICE)]
    assert numbers == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("call", "number"), EACH)
def test_whatever_goes_wrong_once_one_card_is_live_and_each_event_is_noticed_once(
    story, call, number, fault
):
    """What had been posted unawares kept its buttons, or an older one was taken for it.

    The seventh and eighth post, of the extension and the end, met no fault here.
    """
    told = story({(call, number): FAULTS[fault]})

    live_through(told)

    assert told.slack.met == 1
    assert_one_live_card(told.slack, ALICE, TOLD)
    for approver in (DAN, DORA):
        assert_one_live_card(told.slack, approver, [News.ASKED])


@pytest.mark.parametrize("second", FAULTS)
@pytest.mark.parametrize("first", [name for name, fault in FAULTS.items() if not fault.fatal])
def test_two_faults_one_after_the_other_do_no_more_than_one(story, first, second):
    """Of the posts after the first three; each meets the first fault, then, tried again, another"""
    told = story({("post", 4): FAULTS[first], ("post", 5): FAULTS[second]})

    live_through(told)

    assert told.slack.met == 2
    assert_one_live_card(told.slack, ALICE, TOLD)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_goes_wrong_several_times_one_card_is_live(story, seed):
    """Any calls of the life meet any faults; of the two processes, one may be killed."""
    drawn = random.Random(seed)  # noqa: S311  (no secret)
    met = {at: FAULTS[drawn.choice([*FAULTS])] for at in drawn.sample(EACH, 4)}
    killed = [at for at, fault in met.items() if fault.fatal]
    met |= dict.fromkeys(killed[1:], FAULTS["done, and no answer"])
    told = story(met)

    live_through(told)

    assert_one_live_card(told.slack, ALICE, TOLD)
    for approver in (DAN, DORA):
        assert_one_live_card(told.slack, approver, [News.ASKED])


def test_what_happens_within_a_second_is_posted_once(story):
    told = story()
    stored = told.stored
    request = stored.submit(flow=WRITING)
    told.settle()
    stored.pass_(2 * SECOND)

    stored.do(request, Approve(DAN))
    told.alive.drain()
    stored.pass_(SECOND / 2)
    stored.converge()
    told.settle()

    assert_one_live_card(told.slack, ALICE, [News.REQUESTED, News.DECIDED])
    assert "Access is active" in told.slack.of(ALICE)[-1]["text"]
    stored.pass_(2 * SECOND)
    stored.do(request, Return(ALICE))
    stored.converge()
    told.settle()
    assert "Access began" in told.slack.of(ALICE)[1]["text"]  # which is the last of it


def test_events_that_slack_was_not_told_of_yet_are_posted_once_with_the_last(story):
    told = story(
        {("post", 1): FAULTS["429"], ("post", 2): FAULTS["429"], ("post", 3): FAULTS["429"]}
    )
    stored = told.stored
    request = stored.submit(flow=WRITING)
    told.alive.drain()
    for step in (lambda: stored.do(request, Approve(DAN)), stored.converge):
        stored.pass_(2 * SECOND)
        step()

    told.settle()

    assert_one_live_card(told.slack, ALICE, [News.ACTIVE])
    assert told.slack.of(DAN) == []  # what is settled before it was ever asked is not asked


def test_a_card_posted_unawares_before_something_else_happened_is_shrunk(story):
    """Only the newest number was looked for: the one before kept its buttons for ever."""
    told = story({("post", 4): FAULTS["done, and no answer"]})
    stored = told.stored
    request = stored.submit(flow=WRITING)
    told.settle()
    stored.pass_(2 * SECOND)
    stored.do(request, Approve(DAN))
    told.alive.drain()
    stored.pass_(2 * SECOND)
    stored.converge()

    told.settle()

    assert_one_live_card(told.slack, ALICE, [News.REQUESTED, News.DECIDED, News.ACTIVE])


def test_an_earlier_card_stays_known_until_it_was_seen_shrunk(story, stored):
    """It was forgotten as soon as the new one stood."""
    told = story({("shrink", 1): FAULTS["503"]})
    request = stored.submit(flow=WRITING)
    told.settle()
    (first,) = told.slack.of(ALICE)
    stored.pass_(2 * SECOND)
    stored.do(request, Approve(DAN))
    told.alive.drain()

    (row,) = (r for r in stored.rows(MessageRow) if r.recipient == ALICE)
    assert [one["ts"] for one in row.earlier] == [first["ts"]]
    assert not is_line(first)

    told.settle()
    (row,) = (r for r in stored.rows(MessageRow) if r.recipient == ALICE)
    assert (row.earlier, is_line(first)) == ([], True)


@pytest.mark.parametrize(
    ("code", "card"), [("invalid_blocks", Card.REQUEST), ("is_archived", Card.CHANNEL)]
)
def test_what_slack_refuses_is_not_sent_at_each_look_and_what_is_before_it_is_not_forgotten(
    story, stored, code, card
):
    """With an earlier card to be shrunk it was sent anew at each look, without a pause.

    In a channel that was closed meanwhile, the earlier card was forgotten as it was.
    """
    told = story({("shrink", 1): FAULTS["503"]})
    request = stored.submit(flow=WRITING)
    told.alive.drain()
    (first,) = told.slack.of(ALICE)
    stored.pass_(2 * SECOND)
    stored.do(request, PutQuestion(DAN, "What for?"))
    told.alive.drain()
    stored.pass_(2 * SECOND)
    stored.do(request, PutQuestion(DAN, "And why now?"))
    with stored.database.write() as tx:
        its = col(MessageRow.recipient) == ALICE
        tx.execute(update(MessageRow).where(its).values(kind=card.value))
    posts = told.slack.calls["post"]
    for number in range(posts + 1, posts + ROUNDS):
        told.slack.fails["post", number] = Fault(refused(code), done=False)

    for _ in range(3):
        told.alive.drain()

    (row,) = (r for r in stored.rows(MessageRow) if r.kind == card.value)
    assert row.attempts == 2  # at shrinking the first, and at posting the last
    assert [one["ts"] for one in row.earlier] == [first["ts"]]


def test_an_earlier_card_that_nobody_can_change_any_more_is_left(story, stored):
    told = story({("shrink", 1): Fault(refused("message_not_found"), done=False)})
    request = stored.submit(flow=WRITING)
    told.settle()
    stored.pass_(2 * SECOND)

    stored.do(request, Reject(DAN))
    told.settle()

    assert "rejected" in told.slack.of(ALICE)[-1]["text"]
    (row,) = (r for r in stored.rows(MessageRow) if r.recipient == ALICE)
    assert row.earlier == []


def test_a_card_posted_unawares_that_cannot_be_changed_any_more_is_posted_anew(story, stored):
    """It was tried for ever, every five minutes, and went on saying what had been true once."""
    gone = Fault(refused("edit_window_closed"), done=False)
    unawares = {("post", number): FAULTS["done, and no answer"] for number in (1, 2, 3)}
    told = story(unawares | {("update", number): gone for number in range(1, 2 * ROUNDS)})
    stored.submit(flow=WRITING)

    told.settle()

    for person in (ALICE, DAN, DORA):
        (row,) = (r for r in stored.rows(MessageRow) if r.recipient == person)
        assert row.ts == told.slack.of(person)[-1]["ts"]
        assert len(told.slack.of(person)) == 2


def test_other_approvers_see_a_decision_without_being_disturbed(story, stored):
    told = story()
    request = stored.submit(flow=WRITING)
    told.settle()
    stored.pass_(2 * SECOND)

    stored.do(request, Approve(DAN))
    told.settle()

    for approver in (DAN, DORA):
        (card,) = told.slack.of(approver)
        assert "Request approved" in card["text"]
        assert not any(block["type"] == "actions" for block in card["blocks"])


def test_a_nudge_is_noticed_by_whoever_is_asked_and_leaves_a_line_of_the_question(story, stored):
    told = story()
    request = stored.submit(flow=WRITING)
    told.settle()
    stored.pass_(2 * SECOND)

    stored.do(request, Nudge(ALICE))
    stored.do(request, Nudge(ALICE))  # too soon: it changes nothing
    told.settle()

    for approver in (DAN, DORA):
        assert_one_live_card(told.slack, approver, [News.ASKED, News.NUDGED])
        assert "Your approval is needed" in told.slack.of(approver)[-1]["text"]
    assert_one_live_card(told.slack, ALICE, [News.REQUESTED])
    assert "Whoever is asked was nudged" in str(told.slack.of(ALICE)[0]["blocks"])


def test_nobody_is_nudged_about_what_was_decided_meanwhile(story, stored):
    told = story()
    request = stored.submit(flow=WRITING)
    told.settle()
    stored.pass_(2 * SECOND)

    stored.do(request, Nudge(ALICE))
    stored.do(request, Approve(DAN))
    told.settle()

    for approver in (DAN, DORA):
        assert_one_live_card(told.slack, approver, [News.ASKED])


def test_a_question_is_noticed_by_who_is_asked_and_its_answer_by_who_asked(story, stored):
    told = story()
    request = stored.submit(flow=WRITING)
    told.settle()
    for command in (PutQuestion(DAN, "Why?"), commands.Answer(ALICE, 1, "INC-42")):
        stored.pass_(2 * SECOND)
        stored.do(request, command)
        told.settle()

    assert_one_live_card(told.slack, ALICE, [News.REQUESTED, News.QUESTIONED])
    assert_one_live_card(told.slack, DAN, [News.ASKED, News.ANSWERED])
    assert_one_live_card(told.slack, DORA, [News.ASKED])
    for person in (ALICE, DAN, DORA):
        card = str(told.slack.of(person)[-1]["blocks"])
        assert "Why?" in card
        assert "INC-42" in card


def test_an_answer_after_the_decision_disturbs_nobody(story, stored):
    told = story()
    request = stored.submit(flow=WRITING)
    told.settle()
    for command in (PutQuestion(DAN, "Why?"), commands.Answer(ALICE, 1, "INC-42"), Approve(DORA)):
        stored.pass_(2 * SECOND)
        stored.do(request, command)
    told.settle()

    assert_one_live_card(told.slack, DAN, [News.ASKED])
    assert "Request approved" in told.slack.of(DAN)[-1]["text"]
