"""What answers is not Slack, or not whole: no row gets stuck, nothing is posted twice.

A sign-in page of the network, a proxy that cuts off, a limit that names no time.
"""

import http.server
import socketserver
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from slack_sdk.errors import SlackApiError

from bot.runtime.metrics import Vitals
from bot.sandbox.client import Sandbox
from bot.sandbox.house import MANIFESTS
from bot.slack import bounded
from bot.slack import client as slack_
from bot.slack.client import NO_ANSWER, Client, OddAnswerError, said
from bot.slack.errors import UNSAID, asked_to_wait, error_code
from bot.slack.gate import Gate
from storage.messages import LOOK_AFTER
from storage.tables import MessageRow
from tests.support.front import MANY
from tests.support.inside import COMPANY, Inside
from tests.support.places import give_away  # noqa: F401

HTML = {"headers": "content-type: text/html"}
JSON = "content-type: application/json"
PAGE = {"status": 200, **HTML}
ODD = {
    "a page": PAGE,
    "a page after it was done": {**PAGE, "done": True},
    "a page of a proxy": {"status": 502, **HTML},
    "a page of a proxy after it was done": {"status": 502, **HTML, "done": True},
    "nothing": {"status": 200, "body": "", "headers": JSON},
    "a list": {"status": 200, "body": "[1]", "headers": JSON},
    "a text": {"status": 200, "body": '"ok"', "headers": JSON},
    "a number": {"status": 200, "body": "7", "headers": JSON},
    "null": {"status": 200, "body": "null", "headers": JSON},
    "without what is needed": {"status": 200, "body": '{"ok": true}', "headers": JSON},
    "of other kinds": {
        "status": 200,
        "body": '{"ok": true, "ts": 5, "channel": [], "url": {}, "members": 7, "team_id": [],'
        ' "messages": {}, "user": 3, "response_metadata": []}',
        "headers": JSON,
    },
    "half": {"status": 200, "body": '{"ok": true, "ts', "headers": JSON},
    "no UTF-8": {"status": 200, "body": '{"ok": true, "ts": "\xff"}', "headers": JSON},
    "no known encoding": {
        "status": 200,
        "body": '{"ok": true}',
        "headers": "content-type: application/json; charset=klingon",
    },
    "packed": {"status": 200, "body": "\x1f\x8b", "headers": "content-type: application/gzip"},
    "too deep": {"status": 200, "body": "[" * 100_000, "headers": JSON},
}
LIMITS = {
    "soon": "soon",
    "negative": "-1",
    "huge": "1e9",
    "endless": "inf",
    "no number": "nan",
    "a date": "Sat, 28 Nov 2026 19:00:00 GMT",
    "twice": "1, 1",
    "two lines": "1\nretry-after: 1",
    "none": "",
}
METHODS = {
    "auth.test": lambda c: c.auth_test(),
    "apps.connections.open": lambda c: c.apps_connections_open(app_token="xapp-1"),
    "chat.postMessage": lambda c: c.chat_postMessage(channel="C1", text="x"),
    "chat.update": lambda c: c.chat_update(channel="C1", ts="1.0", text="x"),
    "conversations.history": lambda c: c.conversations_history(channel="C1"),
    "conversations.open": lambda c: c.conversations_open(users="U1"),
    "users.info": lambda c: c.users_info(user="U1"),
    "users.list": lambda c: c.users_list(),
    "views.open": lambda c: c.views_open(trigger_id="1", view={"type": "modal"}),
    "views.publish": lambda c: c.views_publish(user_id="U1", view={"type": "home"}),
    "views.push": lambda c: c.views_push(trigger_id="1", view={"type": "modal"}),
    "views.update": lambda c: c.views_update(view_id="V1", view={"type": "modal"}),
}


def spoil(sandbox, method, kind, **more):
    if kind in LIMITS:
        line = f"retry-after: {LIMITS[kind]}" if LIMITS[kind] else ""
        sandbox.fault(method, "odd", status=429, headers=f"{HTML['headers']}\n{line}", **more)
    else:
        sandbox.fault(method, "odd", **ODD[kind], **more)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml",
        workspace=COMPANY / "workspace.yaml",
        clock=tmp_path_factory.mktemp("sandbox") / "clock",
        rate_factor=0,
    ) as started:
        yield started


def caller(sandbox):
    """Return a client that Slack has answered nothing yet."""
    return Client(lambda: sandbox.bot_token, sandbox.api_url, 5, Vitals())


@pytest.fixture
def client(sandbox):
    yield caller(sandbox)
    sandbox.clear_faults()


def fault_of(call, client):
    try:
        call(client)
    except NO_ANSWER as fault:
        return fault
    return None


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("method", METHODS)
def test_a_call_raises_nothing_but_what_is_expected_of_one(sandbox, method):
    """The SDK let AttributeError, UnicodeDecodeError and RecursionError through."""
    for kind in (*ODD, *LIMITS):
        spoil(sandbox, method, kind)
        fault = fault_of(METHODS[method], caller(sandbox))
        assert fault or kind in {"without what is needed", "of other kinds"}, kind
        if isinstance(fault, SlackApiError):
            assert len(error_code(fault)) < 61
            assert (asked_to_wait(fault) is not None) is (kind in LIMITS)


@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_is_waited_for_whatever_it_says(sandbox, client, kind):
    spoil(sandbox, "chat.postMessage", kind)
    with pytest.raises(SlackApiError) as limited:
        METHODS["chat.postMessage"](client)
    wait = asked_to_wait(limited.value)
    assert wait == (timedelta(seconds=1) if kind in {"twice", "two lines"} else UNSAID)


def test_a_text_of_an_answer_is_one():
    assert said({"channel": {"id": "D1"}}, "channel", "id") == "D1"
    for answer in ({}, {"channel": []}, {"channel": {"id": 5}}, {"channel": {"id": ""}}, None, []):
        with pytest.raises(OddAnswerError):
            said(answer, "channel", "id")


def test_an_odd_answer_tells_nothing_of_what_was_sent(sandbox):
    """An error of the library below holds the whole header, with the token."""
    with pytest.raises(NO_ANSWER) as odd:
        Client(lambda: "xoxb-secret\n", sandbox.api_url, 5, Vitals()).auth_test()
    assert "secret" not in str(odd.value)
    assert odd.value.__cause__ is None


HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "a head": (b"", b"HTTP/1.1 200 OK\r\n", b"x"),
    "a body": (HEAD % 200 + b"Content-Length: 99999999\r\n\r\n", b"", b" "),
    "a body of an error": (HEAD % 500 + b"\r\n", b"", b" "),
    "a large body": (HEAD % 200 + b"\r\n", b"", b" " * 65536),
    "a large body of an error": (HEAD % 429 + b"\r\n", b"", b" " * 65536),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_that_does_not_end_is_none(kind, monkeypatch):
    """Byte by byte it kept a link from being opened; at full speed it took all memory there was."""
    monkeypatch.setattr(bounded, "MOST", 1_000_000)
    first, then, on = ENDLESS[kind]
    sent = [0]

    class Drips(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            with suppress(OSError):
                self.request.sendall(first + then)
                while True:
                    sent[0] += self.request.send(on)
                    if len(on) == 1:
                        time.sleep(0.01)  # that it drips is what is tested

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drips) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = f"http://127.0.0.1:{server.server_address[1]}/api/"
        fault = fault_of(lambda c: c.auth_test(), Client(lambda: "xoxb-1", api, 1, Vitals()))
        server.shutdown()

    assert fault
    assert not isinstance(fault, SlackApiError)
    assert sent[0] < 20_000_000  # with what the system's buffers take


def test_a_token_that_was_changed_is_used_from_the_next_call_on(sandbox):
    """It was read at the start only: a file that was rotated needed a restart."""
    token = ["xoxb-revoked"]
    client = Client(lambda: token[0], sandbox.api_url, 5, Vitals())
    assert error_code(fault_of(lambda c: c.auth_test(), client)) == "invalid_auth"

    token[0] = sandbox.bot_token
    assert client.auth_test()["ok"]
    answer = Client(lambda: sandbox.app_token, sandbox.api_url, 5, Vitals()).api_call(
        "apps.connections.open"
    )
    assert answer["url"]


def test_an_odd_answer_makes_nobody_a_stranger(sandbox, client):
    """One answer without a team was kept: from then on everybody was of another company."""
    user = {"id": "U1", "team_id": sandbox_team(sandbox)}
    spoil(sandbox, "auth.test", "without what is needed")
    with pytest.raises(OddAnswerError):
        slack_.marked(client, user)
    assert not slack_.marked(client, user)["is_stranger"]


def sandbox_team(sandbox):
    own = Client(lambda: sandbox.bot_token, sandbox.api_url, 5, Vitals()).auth_test()
    return own["team_id"]


def test_an_answer_that_is_cut_off_is_no_answer():
    """Fewer bytes came than were announced."""

    class Cut(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"ok": true')

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(
            lambda: "xoxb-1", f"http://127.0.0.1:{server.server_port}/api/", 5, Vitals()
        )
        with pytest.raises(NO_ANSWER):
            client.auth_test()
        server.shutdown()


# --- the message loop ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inside(sandbox, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    made = Inside(sandbox, folder / "clock", f"sqlite:///{folder}/latchkey.db")
    yield made
    made.close()


@pytest.fixture
def bot(inside, sandbox):
    yield inside
    sandbox.clear_faults()
    settle(inside)


def settle(inside, rounds=6):
    """Send what there is to send, as if the pauses between the tries were over."""
    for _ in range(rounds):
        past = datetime.now(UTC) - LOOK_AFTER - timedelta(seconds=1)
        with inside.database.write() as tx:
            tx.connection().exec_driver_sql(
                "update message set due_at = ?, attempted_at = "
                "case when attempted_at is null then null else ? end where shown < wanted",
                (past.replace(tzinfo=None).isoformat(" "),) * 2,
            )
        forget_limits(inside)
        inside.run("messages")
        if not unsent(inside):
            return


def forget_limits(inside):
    clients = inside.program.clients
    clients.listening.gate = clients.delivery.gate = Gate(MANY)


def unsent(inside):
    with inside.database.read() as session:
        rows = session.execute(MessageRow.__table__.select()).all()
    return [row for row in rows if row.shown < row.wanted]


def cards(person, text):
    return [m for m in person.messages() if text in m.text]


def ask(sandbox, why):
    marta = sandbox.person("marta@harbourpine.example")
    assert marta.command("/access", f"request read on orders/shop/customers: {why}").ok
    assert not marta.wait_view("Request access").submit().errors
    return marta


def withdraw(inside, marta, why):
    (card,) = cards(marta, why)
    assert card.click("cancel").ok
    inside.run("messages")


@pytest.mark.parametrize("kind", [*ODD, "soon", "endless", "two lines"])
def test_a_card_is_posted_once_whatever_is_answered(sandbox, bot, kind):
    """A page in place of an answer counted as a refusal: what Slack had posted was posted again.

    And an answer without the message's time was stored as the text “None”.
    """
    why = f"INC ({kind})"
    spoil(sandbox, "chat.postMessage", kind, times=2)
    marta = ask(sandbox, why)
    bot.run("messages")
    sandbox.clear_faults()
    settle(bot)

    priya = sandbox.person("priya@harbourpine.example")
    assert unsent(bot) == []
    assert len(cards(marta, why)) == 1
    assert len(cards(priya, why)) == 1
    withdraw(bot, marta, why)


@pytest.mark.parametrize("method", ["chat.update", "conversations.history", "conversations.open"])
@pytest.mark.parametrize("kind", ["a page", "a page of a proxy", "of other kinds", "soon"])
def test_a_card_is_brought_up_to_date_in_the_end(sandbox, bot, method, kind):
    why = f"INC ({method}, {kind})"
    if method != "chat.update":
        sandbox.fault("chat.postMessage", "odd", **ODD["a page after it was done"])
    spoil(sandbox, method, kind, times=2)
    marta = ask(sandbox, why)
    bot.run("messages")
    settle(bot)
    withdraw(bot, marta, why)
    settle(bot)

    assert unsent(bot) == []
    (card,) = cards(marta, why)
    assert "Request cancelled" in card.text


@pytest.mark.parametrize(
    "kind", ["a page", "a page of a proxy", "of other kinds", "a list", "soon"]
)
@pytest.mark.parametrize("method", ["views.open", "views.publish", "users.info", "users.list"])
def test_what_people_do_meanwhile_is_answered(sandbox, bot, method, kind):
    spoil(sandbox, method, kind, times=1)
    marta = sandbox.person("marta@harbourpine.example")

    assert marta.command("/access", "request").ok
    bot.program.homes.refresh()
    bot.run("jobs")

    sandbox.clear_faults()
    assert marta.command("/access", "my").ok
