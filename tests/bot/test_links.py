"""Socket Mode links: how they are renewed, and what becomes of what is on its way meanwhile."""

import json
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from slack_bolt import App
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from bot.runtime.metrics import Vitals
from bot.sandbox.client import Sandbox
from bot.sandbox.house import COMPANY, MANIFESTS
from bot.slack import errors, socket_mode
from bot.slack.client import Client
from bot.slack.socket_mode import Links
from tests.support.waiting import wait_until

PEOPLE = ("marta", "priya", "diego", "fatou", "henrik", "ravi")


class Bot:
    """An app that answers a command with what was said; `hold` lets it wait in the middle."""

    def __init__(self, sandbox):
        client = WebClient(sandbox.bot_token, base_url=sandbox.api_url)
        self.app = App(
            client=client,
            signing_secret=sandbox.signing_secret,
            token_verification_enabled=False,
            process_before_response=True,
        )
        self.app.command("/access")(self.answer)
        self.seen = []
        self.changed = threading.Condition()
        self.hold = threading.Event()
        self.hold.set()
        self.held = threading.Event()
        web = Client(lambda: sandbox.app_token, sandbox.api_url, 10, Vitals())
        self.links = Links(self.app, web, apart=0)

    def wait_for(self, more):
        with self.changed:
            enough = len(self.seen) + more
            assert self.changed.wait_for(lambda: len(self.seen) >= enough, 60)

    def answer(self, ack, body):
        with self.changed:
            self.seen.append(body["text"])
            self.changed.notify_all()
        self.held.set()
        self.hold.wait(30)
        ack(text=f"heard {body['text']}")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=tmp_path_factory.mktemp("sandbox") / "clock",
        rate_factor=0,
    ) as started:
        yield started


@pytest.fixture
def bot(sandbox, monkeypatch):
    monkeypatch.setattr(socket_mode, "PING_EVERY", 0.1)
    monkeypatch.setattr(socket_mode, "PONG_WITHIN", 1.0)
    monkeypatch.setattr(socket_mode, "SHORT_LIFE", 0.0)
    monkeypatch.setattr(socket_mode, "LONGEST_PAUSE", 0.1)
    bot = Bot(sandbox)
    bot.links.start()
    # The sandbox sees a link a moment before its maker does: an outage would come in between.
    wait_until(lambda: bot.links.live == 2, "both links are there")
    sandbox.wait_links(2)
    yield bot
    sandbox.clear_faults()
    bot.links.stop()
    sandbox.wait_links(0)


@pytest.fixture
def people(sandbox):
    return [sandbox.person(f"{name}@harbourpine.example") for name in PEOPLE]


@pytest.mark.parametrize("how_many", ["one", "all"])
def test_a_deaf_link_is_replaced(sandbox, bot, people, how_many):
    """F37: a link stays open and nothing passes any more; for hours nobody noticed."""
    mark = sandbox.mark()
    assert people[0].command("/access", "before").ok
    number = sandbox.journal(mark)[0]["link"] if how_many == "one" else None

    sandbox.deafen(number)

    sandbox.wait_links(2)
    in_a_row = 0  # Slack still sends to the deaf one, until it sees that it was closed
    while in_a_row < 4:
        answer = people[0].command("/access", "is it there?")
        assert answer.text == "heard is it there?" or not answer.ok
        in_a_row = in_a_row + 1 if answer.ok else 0
    wait_until(lambda: bot.links.live == 2, "the app knows of both of its links")


def talk(people, bot, sandbox, act):
    """Let everybody talk while `act` happens; return what had no answer."""
    over = threading.Event()
    unanswered = set()

    def chat(person):
        for number in range(10_000):
            text = f"{person.name} {number}"
            if not person.command("/access", text).ok:
                unanswered.add(text)
            if over.is_set():
                return

    with ThreadPoolExecutor(len(people)) as pool:
        chats = [pool.submit(chat, person) for person in people]
        try:
            for _ in range(3):
                act()
                sandbox.wait_links(2)
                bot.wait_for(20)  # who was not heard waits for as long as Slack does
        finally:
            over.set()
        for chatting in chats:
            chatting.result()
    return unanswered


def test_nothing_is_lost_when_slack_renews_the_links(sandbox, bot, people):
    """The SDK's own client lost the first envelope of each burst."""
    lost = talk(people, bot, sandbox, lambda: sandbox.disconnect("warning", close_old=False))

    assert not lost


def test_what_reached_the_app_is_acknowledged_even_when_slack_closes_all_links(
    sandbox, bot, people
):
    lost = talk(people, bot, sandbox, lambda: sandbox.disconnect(close_old=True))

    assert not lost & set(bot.seen)
    assert all(person.command("/access", "again").ok for person in people)


def test_an_acknowledgement_travels_over_another_link_when_its_own_has_gone(sandbox, bot, people):
    bot.hold.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(people[0].command, "/access", "slow")
        assert bot.held.wait(30)

        sandbox.disconnect(close_old=True)
        sandbox.wait_links(2)
        bot.hold.set()

        assert answer.result().text == "heard slow"


def test_a_command_under_way_is_answered_when_the_links_stop(bot, people):
    bot.hold.clear()
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(people[0].command, "/access", "last")
        assert bot.held.wait(30)
        stopped = pool.submit(bot.links.stop)
        bot.hold.set()

        assert answer.result().text == "heard last"
        assert stopped.result()


@pytest.mark.usefixtures("bot")
def test_an_outage_of_slack_is_said_once_and_links_come_back(sandbox, people):
    sandbox.wait_links(2)  # one that is just being opened would outlive the outage
    sandbox.fault("apps.connections.open", "error", times=None, status=503)
    mark = sandbox.mark()
    with capture_logs() as logs:
        sandbox.disconnect(close_old=True)
        for _ in range(4):
            tried = sandbox.wait_journal(lambda e: e.get("status") == 503, since=mark)
            mark = tried["n"]
        sandbox.clear_faults()
        sandbox.wait_links(2)
        # The sandbox sees the link a moment before its maker says so.
        wait_until(lambda: "linked to slack" in [line["event"] for line in logs])

    said = [line["event"] for line in logs if line["log_level"] != "debug"]
    assert said.count("no link to slack") == 1
    assert said.count("linked to slack") == 1
    assert people[0].command("/access", "back").ok


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize(
    ("said", "kind"),
    [("rate_limited", {"retry_after": 1}), ("slack_error", {"code": "internal_error"})],
)
def test_a_refused_opening_is_tried_again(sandbox, people, said, kind):
    sandbox.wait_links(2)
    sandbox.fault("apps.connections.open", said, times=2, **kind)

    sandbox.disconnect(close_old=True)

    sandbox.wait_links(2)
    assert people[0].command("/access", "again").ok


ODD_OPENINGS = {
    "soon": (429, "", "retry-after: soon"),
    "negative": (429, "", "retry-after: -1"),
    "endless": (429, "", "retry-after: inf"),
    "no number": (429, "", "retry-after: nan"),
    "huge": (429, "", "retry-after: 1e9"),
    "two lines": (429, "", "retry-after: 0\nretry-after: 0"),
    "a page": (200, "<html>Sign in</html>", "content-type: text/html"),
    "a page of a proxy": (502, "<html>Bad gateway</html>", "content-type: text/html"),
    "no address": (200, '{"ok": true}', "content-type: application/json"),
    "an odd address": (200, '{"ok": true, "url": "wss://["}', "content-type: application/json"),
    "no such place": (200, '{"ok": true, "url": "http://x"}', "content-type: application/json"),
    "a list": (200, "[1]", "content-type: application/json"),
    "no UTF-8": (200, '{"ok": "\xff"}', "content-type: application/json"),
}


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize("said", ODD_OPENINGS)
def test_an_odd_answer_to_an_opening_ends_no_link_for_good(sandbox, people, monkeypatch, said):
    """`Retry-After: soon` ended the thread that keeps a link, and so the link, for ever."""
    monkeypatch.setattr(errors, "UNSAID", timedelta(seconds=0.1))
    status, body, headers = ODD_OPENINGS[said]
    sandbox.fault(
        "apps.connections.open", "odd", times=4, status=status, body=body, headers=headers
    )

    sandbox.disconnect(close_old=True)

    sandbox.wait_links(2)
    assert people[0].command("/access", "again").ok


def test_a_link_that_fails_by_a_defect_is_replaced(sandbox, bot, people, monkeypatch):
    """Whatever ends the watch over a link, another takes its place."""
    watch, failed = socket_mode.Link.watch, threading.Event()

    def broken(link):
        if not failed.is_set():
            failed.set()
            raise TypeError
        return watch(link)

    monkeypatch.setattr(socket_mode.Link, "watch", broken)
    sandbox.disconnect(close_old=True)

    wait_until(failed.is_set)
    wait_until(lambda: bot.links.live == 2)
    assert people[0].command("/access", "again").ok


NO_SENSE = ["", "x", "[]", "null", "7", "[" * 9000, '{"envelope_id": null}', '{"type": 5}']
NO_PAYLOAD = [None, [], "x", 7, {}, {"type": "no such type"}, {"command": "/access"}]


def hearing():
    app = App(
        client=WebClient("xoxb-x"),
        signing_secret="s",
        token_verification_enabled=False,
        process_before_response=True,
        authorize=lambda: AuthorizeResult(enterprise_id=None, team_id=None, bot_token="xoxb-x"),
    )
    app.command("/access")(lambda ack, body: ack(text=f"heard {body['text']}"))
    return app


def test_frames_that_make_no_sense_neither_end_the_link_nor_the_listening():
    """A frame that was no JSON ended the link, and an envelope without payload was lost unsaid."""
    taken = queue.Queue()
    frames = [*NO_SENSE, *(json.dumps({"envelope_id": "e", "payload": p}) for p in NO_PAYLOAD)]

    def say(connection):
        for frame in frames:
            connection.send(frame)
        sound = {"command": "/access", "user_id": "U1", "trigger_id": "1", "text": "hello"}
        connection.send(json.dumps({"envelope_id": "sound", "payload": sound}))
        taken.put(json.loads(connection.recv(timeout=30)))

    app = hearing()
    with serve(say, "127.0.0.1", 0, ping_interval=None) as server, capture_logs() as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        opened = Links(app, WebClient("xapp-x"), apart=60)
        link = socket_mode.Link(f"ws://127.0.0.1:{port}", opened.take)
        said = taken.get(timeout=30)
        link.leave(after=0)
        opened.stop()
        server.shutdown()

    assert said == {"envelope_id": "sound", "payload": {"text": "heard hello"}}
    assert not [line for line in log if line["log_level"] == "error"]


def test_a_link_that_opens_while_the_others_are_closed_is_closed_as_well():
    """It came after those that `stop` knew of: it stayed, and Slack went on sending to it."""
    asked, go, closed = threading.Event(), threading.Event(), threading.Event()

    def listen(connection):
        with suppress(ConnectionClosed):
            connection.recv(timeout=30)
        closed.set()

    with serve(listen, "127.0.0.1", 0, ping_interval=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        class Slow(WebClient):
            def api_call(self, *_, **__):
                asked.set()
                go.wait(30)
                return {"url": f"ws://127.0.0.1:{server.socket.getsockname()[1]}"}

        opened = Links(hearing(), Slow("xapp-x"), apart=60)
        opened.start()
        assert asked.wait(30)
        opened.stop()
        go.set()

        assert closed.wait(30)
        assert opened.live == 0
        server.shutdown()
