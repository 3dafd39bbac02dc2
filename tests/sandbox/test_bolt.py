"""Slack's own frameworks hold a conversation with the sandbox, and hear nothing strange in it."""

import pytest

from bot.sandbox.client import Sandbox
from tests.sandbox import bolts

SOCKET_MODE = {
    "Python, built-in": bolts.python_builtin,
    "Python, aiohttp": bolts.python_aiohttp,
    "JavaScript": bolts.javascript,
}


@pytest.fixture(scope="module", params=[*SOCKET_MODE, "Python, signed HTTP"])
def slack(request, wide):
    """A sandbox that talks to one of the frameworks."""
    if request.param not in SOCKET_MODE:
        server = bolts.server()
        with (
            Sandbox.start(**wide.files, rate_factor=0, events_url=server.url) as sandbox,
            bolts.python_http(sandbox, server),
        ):
            yield sandbox
        return
    wide.sandbox.give_up_events()
    with SOCKET_MODE[request.param](wide.sandbox):
        wide.sandbox.wait_links(1, timeout=20)
        yield wide.sandbox
    wide.sandbox.wait_links(0)


def test_without_node_the_cure_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(RuntimeError, match="install the packages nodejs and npm"):
        bolts.node()


@pytest.fixture
def anna(slack, wide):
    return slack.person(wide.fresh())


@pytest.fixture
def bert(slack, wide):
    return slack.person(wide.fresh())


def request(view, reason):
    view.set("database", "orders")
    view.set("reason", reason)
    return view.submit()


def test_from_the_command_to_the_updated_card(anna, bert):
    answer = anna.command("/access", bert.id)
    assert answer.ok
    assert answer.seconds < 2

    view = anna.wait_view("Request access")
    assert [o["value"] for o in view.options("database", "ord")] == ["db-orders", "db-orders-test"]
    assert request(view, "go").errors == {"why": "Say a little more."}
    assert request(view, "incident 7 & 8").action == "close"
    assert anna.views() == []

    card = bert.wait_message("incident 7")
    assert card.text.startswith(f"@{anna.real_name} asks for db-orders: incident 7 & 8")
    assert card.buttons == [("approve", "Approve", anna.id)]
    assert card.click("Approve").ok
    assert card.text == f"Approved by @{bert.real_name}"
    assert card.buttons == []
    assert anna.wait_message("You have it.").raw["bot_id"]


def test_shortcuts_do_what_commands_do(anna):
    assert anna.shortcut("ask").ok
    assert request(anna.wait_view("Request access"), "by shortcut").action == "close"
    card = anna.wait_message("by shortcut")

    assert anna.message_shortcut("about", card).ok

    card = anna.wait_message("by shortcut", where=lambda raw: raw.get("reply_count") == 1)
    (reply,) = card.replies()
    assert reply.text == f"About: {card.text.splitlines()[0]}"


def test_messages_are_heard_and_answered_in_their_thread(anna):
    hello = anna.post("hello there")

    anna.wait_message("hello there", where=lambda raw: raw.get("reply_count") == 1)

    assert [reply.text for reply in hello.replies()] == [f"Hello @{anna.real_name}"]


def test_home_is_published_when_opened(anna):
    assert anna.home() is None

    assert anna.open_home().ok

    assert anna.wait_home("Hi").raw["type"] == "home"
