"""Sockets of the app that are not ours: what Slack counts, told when it lasts."""

import threading
from contextlib import ExitStack

import pytest
from slack_sdk import WebClient
from structlog.testing import capture_logs
from websockets.sync.client import connect

from bot.runtime.metrics import Vitals
from bot.sandbox.client import Sandbox
from bot.sandbox.house import COMPANY, MANIFESTS
from bot.slack import socket_mode, strangers
from bot.slack.strangers import TOLERATED, Crowd, sentence
from tests.bot.test_links import Bot
from tests.support.waiting import wait_until


class Told:
    """Links that were told of so many others at some moment; `renew` is counted."""

    def __init__(self):
        self.others = None
        self.renewed = 0

    def renew(self):
        self.renewed += 1


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def look(told, clock):
    counted = Crowd(told, Vitals(), now=lambda: clock[0])

    def look(others, *, living=1, after=0.0):
        clock[0] += after
        told.others = clock[0], others
        return again(2 * living)

    def again(explained, age=None):
        counted.look(explained, age)
        return counted.strangers

    look.again = again
    return look


def test_what_our_replicas_explain_is_no_stranger(look, told):
    assert look(4, living=3) == 0
    assert look(4, living=3, after=2 * TOLERATED) == 0
    assert told.renewed == 0


def test_strangers_are_told_once_they_have_been_there_for_five_minutes(look):
    with capture_logs() as said:
        assert look(3, living=1) == 0
        assert look(3, living=1, after=TOLERATED - 1) == 0
        assert look(3, living=1, after=1) == 3
        assert look(3, living=1, after=10) == 3
        assert look(0, living=1, after=10) == 0

    events = [line["event"] for line in said]
    assert events == ["others take clicks", "others take clicks no more"]
    assert "3 more sockets" in said[0]["why"]
    assert "1 more socket of" in sentence(1)


def test_a_count_that_is_too_high_is_asked_for_again_before_anybody_is_told(look, told, clock):
    """A process that was just replaced is counted for a while; Slack counts only at a greeting."""
    look(2, living=1)
    clock[0] += TOLERATED

    assert look.again(2) == 0
    assert look.again(2) == 0
    assert told.renewed == 1

    assert look(0, living=1, after=1) == 0


def test_who_comes_after_our_links_is_counted_all_the_same(look, told, clock):
    """Slack says it at a greeting alone, and links live for hours: theirs was not asked for."""
    look(0)
    clock[0] += TOLERATED - 1
    look.again(2)
    assert told.renewed == 0
    clock[0] += 1
    look.again(2)
    look.again(2)
    assert told.renewed == 1


def test_replicas_do_not_all_ask(look, told, clock):
    """Slack lets an app open a link perhaps once a minute."""
    look(2, living=2)
    clock[0] += TOLERATED
    look.again(4, 10.0)
    assert told.renewed == 0
    look.again(4, TOLERATED)
    assert told.renewed == 1


@pytest.fixture
def slack(tmp_path):
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=tmp_path / "clock",
        rate_factor=0,
    ) as sandbox:
        yield sandbox


def test_links_tell_their_own_from_those_of_another_program(slack, monkeypatch):
    """Clicks went to whoever else held a socket, and nothing here said so."""
    monkeypatch.setattr(socket_mode, "PING_EVERY", 0.1)
    monkeypatch.setattr(socket_mode, "SHORT_LIFE", 0.0)
    monkeypatch.setattr(strangers, "TOLERATED", 0.0)
    bot = Bot(slack)
    vitals = Vitals()
    counted = Crowd(bot.links, vitals)
    web = WebClient(slack.app_token, base_url=slack.api_url, retry_handlers=[])
    with ExitStack() as others:
        others.callback(bot.links.stop)
        bot.links.start()
        slack.wait_links(2)
        wait_until(lambda: bot.links.others)

        def alone() -> bool:
            """What the first was told may be from when the second was not known here yet."""
            if bot.links.others[1]:
                bot.links.renew()
            return not bot.links.others[1]

        wait_until(alone)
        for _ in range(3):
            url = web.apps_connections_open(app_token=slack.app_token)["url"]
            other = others.enter_context(connect(url))
            threading.Thread(target=lambda there=other: list(there), daemon=True).start()

        with capture_logs() as said:
            bot.links.renew()
            wait_until(lambda: counted.look(2) and counted.strangers == 3)

        assert [line["event"] for line in said if line["log_level"] == "error"] == [
            "others take clicks"
        ]
        assert vitals.registry.get_sample_value("latchkey_slack_strangers") == 3
        assert counted.look(6)
        assert counted.strangers == 0
