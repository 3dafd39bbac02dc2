"""What is not sent to Slack: by what it has limited, or with a trigger that it has refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError
from sqlalchemy import select

from bot import settings
from bot.runtime.metrics import Vitals
from bot.sandbox import limits
from bot.sandbox.rates import Rates
from bot.slack.client import Clients
from bot.slack.errors import asked_to_wait, refusal
from bot.slack.gate import OWN, POST, AtRestError, Gate
from bot.views import ids
from storage.secrets import new_key
from storage.tables import MessageRow
from tests.support.door import click, filled
from tests.support.front import Front

LIMIT = 30  # seconds that Slack asks for
WORDS = f"Slack asks Latchkey to wait for {LIMIT} s."
IN_WORDS = refusal("views.open", "invalid_arguments")
IN_WORDS.response.data["response_metadata"] = {"messages": ["[ERROR] the trigger_id has expired"]}
REFUSED = {
    "too late": refusal("views.open", "expired_trigger_id"),
    "no trigger": refusal("views.open", "invalid_trigger_id"),
    "in words": IN_WORDS,
    "no answer": TimeoutError(),
}


def limited(method, seconds=LIMIT):
    return refusal(method, "ratelimited", 429, {"Retry-After": str(seconds)})


class Slack:
    """It limits posts to a channel as the sandbox does; `faults` are raised by their methods."""

    def __init__(self, clock):
        self._rates = Rates(clock=clock)
        self.calls, self.faults, self.refused = [], {}, 0

    def _call(self, method, channel=""):
        self.calls.append(method)
        if fault := self.faults.get(method):
            raise fault
        if method == POST and self._rates.wait(channel, "channel"):
            self.refused += 1
            raise limited(method, 1)
        return {"ok": True, "channel": channel.replace("U", "D"), "ts": "1.0"}

    def chat_postMessage(self, *, channel, **_):  # noqa: N802  (Slack's own name)
        return self._call(POST, channel)

    def chat_update(self, **_):
        return self._call("chat.update")

    def users_list(self, **_):
        return self._call("users.list")

    def views_open(self, **_):
        return self._call("views.open")


class House:
    """Several who call Slack by one gate, at a time that a test sets."""

    def __init__(self):
        self.seconds = 0.0
        self.slack = Slack(lambda: self.seconds)
        self.gate = Gate(now=lambda: self.seconds)
        self.listener, self.loop = (Front(self.slack, self.gate) for _ in range(2))

    def post(self, channel="D1"):
        """Return for how many seconds it has to wait; 0: it was posted."""
        try:
            self.loop.chat_postMessage(channel=channel, text="x")
        except AtRestError as rest:
            return asked_to_wait(rest).total_seconds()
        return 0.0


@pytest.fixture
def house():
    return House()


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["chat.update", "users.list"])
def test_after_a_limit_nobody_calls_before_its_time(house, method):
    """Only the message loop kept to it: listeners, Home tabs and the reading of people went on."""
    house.slack.faults[method] = limited(method)

    def call(client):
        return client.users_list() if method == "users.list" else client.chat_update(
            channel="D1", ts="1.0", text="x"
        )  # fmt: skip

    with pytest.raises(SlackApiError):
        call(house.listener)
    house.seconds = LIMIT - 0.5
    with pytest.raises(AtRestError) as rest:
        call(house.loop)
    assert house.slack.calls == [method]
    assert asked_to_wait(rest.value).total_seconds() == 1
    assert house.post() == 0

    house.seconds = LIMIT
    del house.slack.faults[method]
    assert call(house.loop)["ok"]


def test_a_channel_that_slack_limits_is_left_alone_and_the_others_are_not(house):
    """Its posts were put off one by one, each when Slack had refused it."""
    assert house.post("D1") == 0
    house.slack.faults[POST] = limited(POST)
    with pytest.raises(SlackApiError):
        house.listener.chat_postMessage(channel="D1", text="x")
    del house.slack.faults[POST]

    assert house.post("D1") == LIMIT
    assert house.post("D2") == 0
    house.seconds = LIMIT
    assert house.post("D1") == 0


def test_where_nothing_was_posted_lately_it_is_the_method_that_is_limited(house):
    assert house.post("D1") == 0
    house.seconds = OWN + 1
    house.slack.faults[POST] = limited(POST)
    with pytest.raises(SlackApiError):
        house.listener.chat_postMessage(channel="D1", text="x")

    assert house.post("D2") == LIMIT


def test_all_of_the_program_call_by_one_gate(tmp_path):
    given_ = settings.load(
        SLACK_BOT_TOKEN="xoxb-test",
        SLACK_APP_TOKEN="xapp-test",
        LATCHKEY_DATABASE_URL=f"sqlite:///{tmp_path}/latchkey.db",
        LATCHKEY_KEYS=new_key(),
    )
    clients = Clients.of(given_, Vitals())

    assert clients.listening.gate is clients.delivery.gate
    assert clients.opening.gate is not clients.delivery.gate  # another token is counted by itself


# --- pace ----------------------------------------------------------------------------------------


def test_a_crowd_that_is_told_in_one_channel_draws_no_limit(house):
    """Slack takes about one post a second of a channel: 47 of fifty at once were refused."""
    left, seconds = 50, 0
    while left:
        while left and not house.post():
            left -= 1
        house.seconds = seconds = seconds + 1

    assert house.slack.refused == 0
    assert seconds <= 55


@given(st.lists(st.one_of(st.just("post"), st.floats(0.1, 4)), max_size=60))
def test_no_more_goes_out_to_a_channel_than_slack_takes(acts):
    house = House()
    for act in acts:
        if act == "post":
            house.post()
        else:
            house.seconds += act

    assert house.slack.refused == 0


def test_a_person_and_their_direct_message_are_one_channel(house):
    for _ in range(limits.RATES["channel"][0]):
        assert house.post("U1") == 0

    assert house.post("D1") > 0
    assert house.gate.full == {"U1", "D1"}
    house.seconds = 3
    assert house.gate.full == set()


def test_what_is_under_way_counts_until_it_was_answered():
    """A post that Slack answers late is counted late, too."""
    seconds = [0.0]
    gate = Gate(now=lambda: seconds[0])
    with gate.passing(POST, "D1"), gate.passing(POST, "D1"), gate.passing(POST, "D1"):
        assert gate.full == {"D1"}
        seconds[0] = 10.0
        with pytest.raises(AtRestError), gate.passing(POST, "D1"):
            raise AssertionError("it went out")
    seconds[0] = 12.9
    assert gate.full == {"D1"}
    seconds[0] = 13.0
    assert gate.full == set()


# --- people at a gate that is closed -------------------------------------------------------------


@pytest.fixture
def closed(door, monkeypatch):
    """Slack has just limited what opens and redraws windows."""
    monkeypatch.setattr(door.slack, "gate", gate := Gate(now=lambda: 0.0))
    for method in ("views.open", "views.push", "views.update"):
        with pytest.raises(SlackApiError), gate.passing(method):
            raise limited(method)
    return door


def told(door, who):
    """Return what the message loop is to say to somebody, beside cards."""
    with door.database.read() as session:
        rows = session.scalars(select(MessageRow)).all()
        return [r.detail for r in rows if r.recipient == who and r.kind == "notice"]


def test_a_command_is_answered_at_once_with_when_to_try_again(closed):
    """It was called a fault of Latchkey's, and Slack was asked all the same."""
    answer = closed.command("priya", "request")

    assert (answer.status, answer.calls, answer.errors) == (200, [], [])
    assert WORDS in answer.said


def test_a_click_is_acknowledged_at_once_and_when_to_try_again_is_said_later(closed):
    """It was not acknowledged: Slack said that the app does not work."""
    for _ in range(3):
        answer = closed.click("priya", ids.REQUEST_ACCESS, "")
        assert (answer.status, answer.calls, answer.errors) == (200, [], [])

    assert told(closed, "priya") == [f"{WORDS} Please try again then."]
    closed.work()
    posted = [said["text"] for method, said in closed.slack.calls if method == POST]
    assert any(WORDS in text for text in posted)


def test_what_is_refused_is_said_later(closed):
    (request,) = (r for r in closed.requests() if r.grantee == "marta")
    answer = closed.click("priya", ids.RETURN, str(request.id))

    assert (answer.status, answer.calls) == (200, [])
    assert len(told(closed, "priya")) == 1
    assert WORDS not in told(closed, "priya")[0]


def test_a_form_that_cannot_be_redrawn_is_told(closed):
    form = {"id": "V1", "type": "modal", "blocks": [], "callback_id": "x", "hash": "1"}
    body = click("priya", ids.PERMISSION, "1") | {"view": form | {"state": {"values": {}}}}
    answer = closed.deliver(body)

    assert (answer.status, answer.calls) == (200, [])
    assert told(closed, "priya") == [f"{WORDS} Please try again then."]


def test_who_is_no_one_is_told_nothing_later(closed):
    stranger = {"user": {"id": "U0TERRY", "team_id": "T0HARBOUR"}}

    assert closed.deliver(click("terry", ids.REQUEST_ACCESS, "") | stranger).status == 503


def test_a_submission_needs_nothing_of_slack(closed, door, monkeypatch):
    monkeypatch.setattr(door.slack, "gate", Gate())
    form = door.form("priya")
    monkeypatch.setattr(door.slack, "gate", closed.slack.gate)
    answer = closed.submit("priya", form, filled(form, justification={"value": "INC-1"}))

    assert (answer.status, answer.errors) == (200, [])


# --- triggers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", REFUSED)
def test_a_window_is_not_opened_again_with_a_trigger_that_was_refused(door, monkeypatch, why):
    """The apology for a window that was not opened was another call with the same trigger."""
    monkeypatch.setitem(door.slack.faults, "views.open", REFUSED[why])

    answer = door.click("priya", ids.REQUEST_ACCESS, "", trigger_id=why)
    again = door.click("priya", ids.REQUEST_ACCESS, "", trigger_id=why)

    assert [method for method, _ in answer.calls] == ["views.open"]
    assert again.calls == []


@pytest.mark.parametrize("why", ["too late", "in words"])
def test_a_trigger_that_was_refused_is_no_fault_of_latchkeys(why):
    """Told in the words that Slack used before, it was one that the administrators heard of."""
    slack, vitals = Slack(lambda: 0.0), Vitals()
    slack.faults["views.open"] = REFUSED[why]

    with pytest.raises(SlackApiError):
        Front(slack, vitals=vitals).views_open(trigger_id="1", view={"type": "modal"})

    assert vitals.given_up.empty()


def test_a_trigger_whose_window_was_refused_opens_another(door, monkeypatch):
    too_large = refusal("views.open", "view_too_large")
    monkeypatch.setitem(door.slack.faults, "views.open", too_large)

    answer = door.click("priya", ids.REQUEST_ACCESS, "", trigger_id="a good one")

    assert [method for method, _ in answer.calls] == ["views.open", "views.open"]
