"""The message loop's hands, with a Slack in memory that can be made to forget its answers."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from slack_sdk.errors import SlackApiError

from bot.loops.messages import METADATA, MessageLoop
from bot.runtime.pool import Pool
from bot.runtime.services import Services
from bot.slack.gate import Gate
from bot.views import cards
from engine.commands import Cancel, Extend, Return
from engine.outcome import Decision
from engine.request import State
from engine.retry import LONGEST_PAUSE
from storage import claims, messages
from storage.messages import LOOK_AFTER
from storage.tables import MessageRow, PersonRow
from tests.support.front import MANY, Front
from tests.support.stored import ALICE, DAN, DORA, MINUTE, SAM, WRITING, Now, Stored
from tests.support.waiting import PATIENCE

SECOND = timedelta(seconds=1)


class Slack:
    """`before` and `after` are called with the channel of each post; what they raise is thrown.

    `team` is the workspace's.
    """

    def __init__(self) -> None:
        self.team = "T1"
        self.shown: dict[str, dict[str, dict]] = {}  # by channel, by ts
        self.before = self.after = lambda _channel: None
        self._ts = itertools.count(1)

    def auth_test(self):
        return {"team_id": self.team}

    def conversations_open(self, *, users, **_):
        return {"channel": {"id": f"D-{users}"}}

    def chat_postMessage(self, *, channel, **said):  # noqa: N802  (Slack's own name)
        channel = channel if channel.startswith("D-") else f"D-{channel}"
        self.before(channel)
        ts = f"{next(self._ts)}.0"
        self.shown.setdefault(channel, {})[ts] = {**said, "ts": ts}
        self.after(channel)
        return {"ts": ts, "channel": channel}

    def chat_update(self, *, channel, ts, **said):
        self.shown[channel][ts] |= said
        return {"channel": channel, "ts": ts}

    def conversations_history(self, *, channel, **_):
        return {"messages": list(reversed(self.shown.get(channel, {}).values()))}

    def texts(self, person) -> list[str]:
        return [m["text"] for m in self.shown.get(f"D-U-{person}", {}).values()]


class Clock:
    """Real time, so that what the history shows and what is due go by one clock."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def once(error: Exception):
    """Return what raises the error the first time it is called."""
    left = [error]

    def act(_channel):
        if left:
            raise left.pop()

    return act


@pytest.fixture
def stored(tmp_path):
    opened = Stored.founded(f"sqlite:///{tmp_path}/latchkey.db")
    opened.now = datetime.now(UTC)
    yield opened
    opened.close()


@pytest.fixture
def slack():
    return Slack()


@pytest.fixture
def services(stored):
    return Services(stored.database, stored.companies, Clock(), stored.keys, {})


def front(services, slack) -> Front:
    """Return a client that goes by the same clock as the loop."""
    return Front(slack, Gate(MANY, lambda: services.clock.now().timestamp()))


@pytest.fixture
def loop(services, slack):
    loop = MessageLoop(services, front(services, slack))
    yield loop
    loop.stop()


@pytest.fixture
def still(stored, slack):
    """The loop by the company's time, which stands still."""
    services = Services(stored.database, stored.companies, Now(stored), stored.keys, {})
    loop = MessageLoop(services, front(services, slack))
    yield loop
    loop.stop()


def drain(loop) -> None:
    """Send what is due, and store what came of it."""
    loop.look()
    while loop.wait(PATIENCE):
        loop.drain()


def wait_out_the_doubt(stored) -> None:
    past = datetime.now(UTC) - LOOK_AFTER - SECOND
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql(
            "update message set attempted_at = ?, due_at = ? where shown < wanted",
            (past.replace(tzinfo=None).isoformat(" "),) * 2,
        )


def unsent(stored) -> list[str]:
    return [f"{r.recipient}/{r.kind}" for r in stored.rows(MessageRow) if r.shown < r.wanted]


def test_a_card_that_was_posted_unawares_is_adopted(stored, slack, loop):
    stored.submit(flow=WRITING)
    slack.after = once(TimeoutError())
    drain(loop)
    assert len(unsent(stored)) == 1

    wait_out_the_doubt(stored)
    drain(loop)

    assert unsent(stored) == []
    assert {len(slack.texts(p)) for p in (ALICE, DAN, DORA)} == {1}


@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "service_unavailable"])
def test_what_slack_may_have_done_is_looked_for_before_it_is_posted_again(
    stored, slack, loop, code
):
    """Of the last it was believed that nothing had been done: the card was there twice."""
    stored.submit(flow=WRITING)
    slack.after = once(SlackApiError("failed", {"ok": False, "error": code}))
    drain(loop)
    assert len(unsent(stored)) == 1

    wait_out_the_doubt(stored)
    drain(loop)

    assert unsent(stored) == []
    assert {len(slack.texts(p)) for p in (ALICE, DAN, DORA)} == {1}


def test_a_question_posted_unawares_is_closed_when_it_is_settled_meanwhile(stored, slack, loop):
    """It was taken for never posted, and kept its live buttons for ever."""
    request = stored.submit(flow=WRITING)
    slack.after = once(TimeoutError())
    drain(loop)
    stored.do(request, Cancel(ALICE))

    wait_out_the_doubt(stored)
    drain(loop)

    assert unsent(stored) == []
    for person in (DAN, DORA):
        (text,) = slack.texts(person)
        assert "cancelled" in text


def test_a_question_that_was_never_posted_is_not_posted_when_it_is_settled(stored, slack, loop):
    request = stored.submit(flow=WRITING)
    slack.before = once(TimeoutError())
    drain(loop)
    stored.do(request, Cancel(ALICE))

    wait_out_the_doubt(stored)
    drain(loop)

    assert unsent(stored) == []
    assert sorted(len(slack.texts(p)) for p in (DAN, DORA)) == [0, 1]


@pytest.mark.parametrize(("pages", "posts"), [(2, 1), (3, 1), (4, 2)])
def test_a_card_is_looked_for_on_three_pages_of_what_was_said_since(
    stored, slack, loop, pages, posts
):
    """Only the newest page was read: who had been sent a hundred cards since got one twice."""
    stored.submit()
    slack.after = once(TimeoutError())
    drain(loop)
    asked = []

    def history(*, channel, cursor, **_):
        asked.append(cursor)
        page = int(cursor or 1)
        there = [m for m in slack.shown[channel].values() if page == pages]
        return {
            "messages": [{"ts": "0.1", "text": "something else"}, *there],
            "response_metadata": {"next_cursor": str(page + 1)},
        }

    slack.conversations_history = history
    wait_out_the_doubt(stored)
    drain(loop)

    assert asked == [None, "2", "3"][:pages]
    assert unsent(stored) == []
    assert len(slack.texts(ALICE)) == posts


def refuse(_channel):
    raise SlackApiError("refused", {"ok": False, "error": "something_new"})


def test_what_slack_refuses_is_tried_again_with_growing_pauses(stored, slack, still):
    """The pauses were zero, and no test was red."""
    stored.submit()
    slack.before = refuse
    pauses = []
    for _ in range(11):
        drain(still)
        (row,) = (r for r in stored.rows(MessageRow) if r.shown < r.wanted)
        pauses.append((row.due_at - stored.now).total_seconds())
        stored.now = row.due_at

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_what_was_shown_begins_anew_with_a_short_pause(stored, slack, still):
    """The tries were never counted anew: a card that once had trouble was late ever after."""
    request = stored.submit()
    slack.before = refuse
    for _ in range(5):
        drain(still)
        stored.pass_(MINUTE)
    slack.before = lambda _channel: None
    drain(still)
    assert unsent(stored) == []

    def fails(**_):
        refuse("")

    slack.chat_update = fails
    stored.do(request, Return(ALICE))
    drain(still)

    (row,) = (r for r in stored.rows(MessageRow) if r.ts and r.shown < r.wanted)
    assert row.due_at == stored.now + SECOND


def test_an_offer_that_was_never_posted_is_not_posted_after_the_end(stored, slack, still):
    """Whoever had no access any more was asked whether to extend it."""
    request = stored.submit()
    stored.converge()
    drain(still)
    slack.before = refuse
    stored.pass_(55 * MINUTE)
    stored.tick()
    drain(still)
    assert unsent(stored) == [f"{ALICE}/request"]

    slack.before = lambda _channel: None
    stored.do(request, Return(ALICE))
    stored.pass_(SECOND)
    drain(still)

    assert stored.again(request).state is State.REVOKING
    assert unsent(stored) == []
    (text,) = slack.texts(ALICE)
    assert "being taken away" in text


def test_an_offer_of_a_stretch_that_was_extended_meanwhile_is_not_posted(stored, slack, still):
    request = stored.submit()
    stored.converge()
    slack.before = refuse
    stored.pass_(55 * MINUTE)
    stored.tick()
    drain(still)

    slack.before = lambda _channel: None
    assert isinstance(stored.do(request, Extend(ALICE, 1)), Decision)
    stored.pass_(MINUTE)
    drain(still)

    assert unsent(stored) == []
    (text,) = slack.texts(ALICE)
    assert "ends soon" not in text


def test_what_changes_while_a_card_is_taken_over_is_shown(stored, slack, loop, monkeypatch):
    """It was drawn from what had been read before, and counted as what was stored since."""
    stored.database.instance = None  # what is written without leases has to be claimed
    request = stored.submit(flow=WRITING)
    ready = messages.ready

    def late(*asked, **how):
        found = ready(*asked, **how)
        if found.free:
            stored.do(request, Cancel(ALICE))
            stored.database.instance = stored.instance
        return found

    monkeypatch.setattr(messages, "ready", late)
    drain(loop)

    assert unsent(stored) == []
    assert [len(slack.texts(p)) for p in (DAN, DORA)] == [0, 0]
    assert "cancelled" in slack.texts(ALICE)[0]


def test_a_process_that_was_stopped_for_long_sends_nothing_it_leased_before(
    stored, services, slack, loop
):
    """Stopped for longer than its lease held, it went on, and posted what another had posted."""
    stored.submit(flow=WRITING)
    pulse = services.pulse
    pulse.beaten(tuple(now - claims.DEAD_AFTER - 1 for now in pulse.begin()))

    loop.look()
    loop.drain()
    assert loop.wait(PATIENCE)
    assert slack.shown == {}
    assert len(unsent(stored)) == 3

    pulse.beaten(pulse.begin())
    drain(loop)
    assert unsent(stored) == []
    assert {len(slack.texts(p)) for p in (ALICE, DAN, DORA)} == {1}


@pytest.mark.parametrize("code", ["user_not_found", "user_disabled", "cannot_dm_bot"])
def test_one_approver_who_cannot_be_reached_keeps_nobody_from_being_asked(
    stored, slack, loop, code
):
    """F24, F34: somebody whom Slack could not reach failed the request for all."""

    def refuse(channel):
        if channel == f"D-U-{DAN}":
            raise SlackApiError("refused", {"ok": False, "error": code})

    slack.before = refuse
    stored.submit(flow=WRITING)

    drain(loop)

    assert unsent(stored) == [f"{DAN}/approval"]
    assert (slack.texts(DAN), len(slack.texts(DORA)), len(slack.texts(ALICE))) == ([], 1, 1)


def refuse_to(slack, *people, code="cannot_dm_bot"):
    """Let Slack take no message for these; return how often it was asked."""
    asked = []

    def refuse(channel):
        if channel in {f"D-U-{p}" for p in people}:
            asked.append(channel)
            raise SlackApiError("refused", {"ok": False, "error": code})

    slack.before = refuse
    return asked


@pytest.mark.parametrize("code", ["cannot_dm_bot", "messages_tab_disabled", "channel_not_found"])
def test_whom_slack_takes_no_message_for_somebody_else_is_asked_in_their_place(
    stored, slack, loop, code
):
    """F24: their cards were given up, and the request waited for them until it lapsed."""
    refuse_to(slack, DAN, DORA, code=code)
    stored.submit(flow=WRITING)
    drain(loop)
    stored.now = datetime.now(UTC)
    stored.tick()
    drain(loop)

    people = stored.company().directory.people
    assert {p.id for p in people.values() if p.account and not p.reachable} == {DAN, DORA}
    assert people[DAN].account.unreachable == code
    assert len(slack.texts(SAM)) == 1
    assert unsent(stored) == [f"{DAN}/approval", f"{DORA}/approval"]


def test_a_card_that_slack_did_not_take_comes_when_it_does(stored, services, slack, loop):
    """It was given up for good: who was in Slack again was never asked."""
    asked = refuse_to(slack, DAN)
    for table in ("shop.orders", "shop.customers"):
        stored.submit(f"read on {table}", flow=WRITING)
        drain(loop)
    assert len(asked) == 1
    services.clock.ahead = LONGEST_PAUSE - SECOND
    drain(loop)
    assert len(asked) == 1
    services.clock.ahead = LONGEST_PAUSE + 2 * SECOND
    drain(loop)
    assert 1 < len(asked) < 4
    refuse_to(slack)
    services.clock.ahead = 2 * LONGEST_PAUSE + 4 * SECOND
    drain(loop)

    assert unsent(stored) == []
    assert len(slack.texts(DAN)) == 2
    assert stored.company().directory.people[DAN].reachable


def test_a_direct_message_that_is_another_by_now_is_opened_anew(stored, slack, loop):
    """What was known of it stayed: nothing was ever taken there."""
    with stored.database.write() as tx:
        tx.connection().exec_driver_sql("update person set channel = 'D-gone' where id = 'dan'")

    def refuse(channel):
        if channel == "D-gone":
            raise SlackApiError("gone", {"ok": False, "error": "channel_not_found"})

    slack.before = refuse
    stored.submit(flow=WRITING)
    drain(loop)

    assert unsent(stored) == []
    assert len(slack.texts(DAN)) == 1
    assert stored.company().directory.people[DAN].reachable
    assert {p.channel for p in stored.rows(PersonRow) if p.id == DAN} == {f"D-U-{DAN}"}


def test_in_a_storm_of_rate_limits_nobody_is_left_out(stored, slack, loop):
    """F33: Slack's limits lost messages where many had to be told."""
    requests = [
        stored.submit(f"{permission} on {name}", flow=WRITING)
        for permission in ("read", "write")
        for name in ("shop.orders", "shop.customers", "ledger.entries")
    ]
    calls = itertools.count()

    def limit(_channel):
        if next(calls) % 3:
            raise SlackApiError("limited", Limited())

    slack.before = limit
    for _ in range(60):
        drain(loop)
        if not unsent(stored):
            break

    assert unsent(stored) == []
    shown = [m for said in slack.shown.values() for m in said.values()]
    ids = [m["metadata"]["event_payload"]["id"] for m in shown]
    assert all(m["metadata"]["event_type"] == METADATA for m in shown)
    assert len(ids) == len(set(ids)) == 3 * len(requests)


@pytest.mark.parametrize("said", ["soon", "", "-1", "1.5", "9" * 400, None])
def test_a_limit_that_names_no_time_is_waited_for_all_the_same(stored, slack, loop, said):
    """It was no number: the message was neither sent nor put off, until the process ended."""
    stored.submit(flow=WRITING)
    limited = Limited("chat.postMessage")
    limited.headers = {} if said is None else {"Retry-After": said}

    def limit(_channel):
        raise SlackApiError("limited", limited)

    slack.before = limit
    drain(loop)

    now = datetime.now(UTC)
    waiting = [r for r in stored.rows(MessageRow) if r.attempts]
    assert waiting
    assert all(now < r.due_at < now + timedelta(minutes=1) for r in waiting)


def test_a_method_that_slack_limits_rests_while_the_others_go_on(stored, services, slack, loop):
    """F33: each of 200 cards found out for itself that Slack took no more."""
    asked = [
        stored.submit(f"write on {t}", flow=WRITING) for t in ("shop.orders", "ledger.entries")
    ]
    drain(loop)
    update, refused = slack.chat_update, []

    def limit(**_):
        refused.append(1)
        raise SlackApiError("limited", Limited("chat.update", 60))

    slack.chat_update = limit
    for request in asked:
        stored.do(request, Cancel(ALICE))
    drain(loop)
    tries = len(refused)
    drain(loop)
    stored.submit(flow=WRITING)
    drain(loop)
    assert len(refused) == tries
    assert all("/approval" in card or "/request" in card for card in unsent(stored))
    assert len(slack.texts(ALICE)) == 3

    slack.chat_update = update
    services.clock.ahead = 61 * SECOND
    drain(loop)
    assert unsent(stored) == []


def test_a_busy_channel_does_not_keep_others_from_being_written_to(stored, slack, loop):
    """Slack counts posts by channel: what was posted there lately is what it complains of."""
    stored.submit(flow=WRITING)
    drain(loop)

    def limit(channel):
        if channel == f"D-U-{DAN}":
            raise SlackApiError("limited", Limited("chat.postMessage", 60))

    slack.before = limit
    stored.submit("write on shop.orders", flow=WRITING)
    drain(loop)
    drain(loop)
    assert unsent(stored) == [f"{DAN}/approval"]


def test_cards_to_one_person_go_out_at_the_pace_that_slack_takes_them(stored, services, slack):
    """All went out at once: Slack refused most of them, and each was put off by itself."""
    gate = Gate(now=lambda: services.clock.now().timestamp())
    loop = MessageLoop(services, Front(slack, gate))
    for what in ("shop.orders", "shop.customers", "ledger.entries"):
        stored.submit(f"read on {what}", flow=WRITING)
        stored.submit(f"write on {what}", flow=WRITING)
    seen = []
    for _ in range(3):
        drain(loop)
        seen.append([len(slack.texts(p)) for p in (ALICE, DAN, DORA)])
        services.clock.ahead += 3 * SECOND
    loop.stop()

    assert seen == [[3, 3, 3], [6, 6, 6], [6, 6, 6]]
    assert {r.attempts for r in stored.rows(MessageRow)} == {0}


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
def test_what_a_listener_was_told_to_wait_for_the_loop_waits_for(stored, services, slack, method):
    """Each went by what it had met itself."""
    asked = stored.submit(flow=WRITING)
    shared = front(services, slack)
    loop, listener = MessageLoop(services, shared), Front(slack, shared.gate)
    if method == "chat.update":
        drain(loop)
        stored.do(asked, Cancel(ALICE))
    limited, name = Asked(method, 60), method.replace(".", "_")
    before = getattr(slack, name)
    setattr(slack, name, limited)
    with pytest.raises(SlackApiError):
        getattr(listener, name)(channel="D1", ts="1.0", text="x")

    drain(loop)
    assert limited.calls == 1
    assert len(unsent(stored)) == 3
    setattr(slack, name, before)
    services.clock.ahead = 61 * SECOND
    drain(loop)
    loop.stop()
    assert unsent(stored) == []


def test_who_is_new_is_written_to_without_a_conversation_being_opened_first(stored, slack, loop):
    """Of conversations.open Slack takes 50 calls a minute: 200 approvers waited for minutes."""
    slack.conversations_open = None
    stored.submit(flow=WRITING)
    drain(loop)
    assert unsent(stored) == []
    assert {p.channel for p in stored.rows(PersonRow) if p.id in {DAN, DORA, ALICE}} == {
        f"D-U-{p}" for p in (DAN, DORA, ALICE)
    }


def test_who_has_left_slack_keeps_nobody_from_being_asked(stored, slack, loop):
    """F24: an approver who is no longer in Slack."""

    def gone(channel):
        if channel == f"D-U-{DAN}":
            raise SlackApiError("gone", {"ok": False, "error": "channel_not_found"})

    slack.before = gone
    stored.submit(flow=WRITING)
    drain(loop)
    assert unsent(stored) == [f"{DAN}/approval"]
    assert (len(slack.texts(DAN)), len(slack.texts(DORA))) == (0, 1)


class Asked:
    """A method of Slack's of which each call is one too many, for so many seconds."""

    def __init__(self, method: str, seconds: int) -> None:
        self.method, self.seconds, self.calls = method, seconds, 0

    def __call__(self, *_, **__):
        self.calls += 1
        raise SlackApiError("limited", Limited(self.method, self.seconds))


class Limited(dict):
    """Slack's answer to one call too many; `Retry-After: 0`, so that a test need not wait."""

    status_code = 429

    def __init__(self, method: str = "", seconds: int = 0) -> None:
        super().__init__(ok=False, error="ratelimited")
        self.api_url = f"https://slack.example/api/{method}"
        self.headers = {"Retry-After": str(seconds)}


@pytest.mark.parametrize("seconds", [601, 3600, 999_999_999])
def test_a_long_rest_keeps_a_card_for_no_longer_than_anything(
    stored, services, slack, loop, seconds
):
    """What was put off for over ten minutes counted as put off by another clock: it was due."""
    slack.before = limited = Asked("chat.postMessage", seconds)
    stored.submit(flow=WRITING)
    drain(loop)
    slack.before = lambda _channel: None

    another = MessageLoop(services, front(services, slack))  # which knows of no rest
    drain(another)
    assert len(unsent(stored)) == limited.calls > 0

    services.clock.ahead = LONGEST_PAUSE
    drain(another)
    another.stop()
    assert unsent(stored) == []


@pytest.mark.parametrize("method", ["conversations.history", "conversations.open"])
def test_what_looks_for_a_card_rests_for_all(stored, services, slack, method):
    """Each card of which nobody knew whether it was posted asked Slack again, at its own pace."""

    def fails(_channel):
        raise TimeoutError

    loop = MessageLoop(services, front(services, slack), lambda _workers, name: Pool(1, name))
    slack.after = fails
    stored.submit(flow=WRITING)
    drain(loop)
    assert len(unsent(stored)) == 3
    slack.after = lambda _channel: None
    limited = Asked(method, 60)
    setattr(slack, method.replace(".", "_"), limited)

    wait_out_the_doubt(stored)
    drain(loop)

    assert limited.calls == 1
    assert {r.attempts for r in stored.rows(MessageRow) if r.shown < r.wanted} == {2}
    drain(loop)
    assert limited.calls == 1
    loop.stop()


def test_in_another_workspace_nobody_gets_a_card_by_the_id_of_somebody_else(stored, slack, loop):
    """Moved to another workspace, Latchkey wrote to whoever had the user ids there."""
    slack.team = "T2"

    stored.submit(flow=WRITING)
    drain(loop)

    assert slack.shown == {}


def test_a_card_that_cannot_be_drawn_waits_by_itself(stored, services, slack, loop, monkeypatch):
    """All that was drawn with it was kept back, again and again, and nothing was counted of it."""
    bad = stored.submit(by=ALICE, flow=WRITING)
    good = stored.submit(by=DORA, flow=WRITING)
    draw = cards.card

    def poisoned(kind, scene, detail):
        if scene and scene.request.id == bad.id:
            raise ValueError("not enough values to unpack")
        return draw(kind, scene, detail)

    monkeypatch.setattr(cards, "card", poisoned)
    drain(loop)

    rows = stored.rows(MessageRow)
    assert {r.request_id for r in rows if r.shown < r.wanted} == {bad.id}
    assert {r.attempts for r in rows if r.request_id == bad.id} == {1}
    assert good.code in str(slack.shown)
    monkeypatch.undo()
    services.clock.ahead = LONGEST_PAUSE
    drain(loop)
    assert unsent(stored) == []
