"""Home tabs that Slack does not take at once."""

from datetime import timedelta

import pytest

from bot.loops.app_home import LOOKED_AT, Homes
from bot.slack.errors import refusal
from bot.slack.gate import Gate
from bot.usecases import identity
from engine.directory import SlackAccount
from tests.support.door import CUSTOMERS, TEAM

FAULTS = {
    "a limit": refusal("views.publish", "ratelimited", 429, {"Retry-After": "30"}),
    "a fault of Slack's": refusal("views.publish", "internal_error", 503),
    "no answer": TimeoutError(),
}
STRANGER = SlackAccount(TEAM, "U0TERRY")


class Tabs:
    """Home tabs, by a clock that a test moves."""

    def __init__(self, door):
        self.door, self.seconds = door, 0.0
        self.homes = Homes(door.services, door.slack, lambda: self.seconds)

    def refresh(self, after):
        """Return what was published."""
        self.seconds += after
        self.door.slack.calls.clear()
        self.homes.refresh()
        return [said["view"] for method, said in self.door.slack.calls]


@pytest.fixture
def tabs(door, monkeypatch):
    made = Tabs(door)
    monkeypatch.setattr(door.slack, "gate", Gate(now=lambda: made.seconds))
    return made


@pytest.mark.parametrize("why", FAULTS)
@pytest.mark.parametrize("nobody", [False, True])
def test_a_tab_whose_publishing_failed_comes_by_itself(door, tabs, monkeypatch, why, nobody):
    """It counted as shown: whoever opened it saw an empty tab until something changed."""
    marta = door.person("marta")
    account, who = (STRANGER, identity.NO_ONE) if nobody else (marta.account, marta)
    with monkeypatch.context() as fails:
        fails.setitem(door.slack.faults, "views.publish", FAULTS[why])
        tabs.homes.open(account, who)
        tabs.refresh(31)

    (view,) = tabs.refresh(31)
    assert ("does not know you" if nobody else CUSTOMERS) in str(view)
    assert tabs.refresh(31) == []


def test_a_tab_that_slack_limits_is_left_alone_until_its_time(door, tabs, monkeypatch):
    marta = door.person("marta")
    with monkeypatch.context() as fails:
        fails.setitem(door.slack.faults, "views.publish", FAULTS["a limit"])
        tabs.homes.open(marta.account, marta)

    assert tabs.refresh(29) == []
    assert len(tabs.refresh(1)) == 1


def test_a_tab_that_slack_never_takes_is_tried_ever_more_rarely(door, tabs, monkeypatch):
    marta = door.person("marta")
    monkeypatch.setitem(door.slack.faults, "views.publish", refusal("views.publish", "not_enabled"))
    tabs.homes.open(marta.account, marta)

    tries = [len(tabs.refresh(1)) for _ in range(600)]

    assert sum(tries) < 12


def test_nobody_looks_at_a_tab_for_ever(door, tabs, monkeypatch):
    marta = door.person("marta")
    monkeypatch.setitem(door.slack.faults, "views.publish", FAULTS["no answer"])
    tabs.homes.open(marta.account, marta)
    later = door.clock.now() + LOOKED_AT + timedelta(seconds=1)
    monkeypatch.setattr(door.clock, "time", later)

    assert tabs.refresh(3600) == []
