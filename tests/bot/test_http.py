"""What Latchkey says over HTTP: to Slack, to an orchestrator, to Prometheus."""

import hashlib
import hmac
import json
import threading
import time
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families
from slack_bolt import App
from starlette.applications import Starlette
from starlette.routing import Route

from bot.operations.server import Server
from bot.slack import http
from bot.views import ids
from engine.request import State
from tests.support import web
from tests.support.door import click, command, suggestion
from tests.support.waiting import wait_until

COMMAND = {"command": "/access", "text": "help", "user_id": "U0MARTA", "trigger_id": "1.2.3"}
BODY = urlencode(COMMAND).encode()


@pytest.fixture
def told(houses):
    house = houses("http")
    yield house
    house.clear()


def sign(told, body, stamp):
    return seal(told.house.sandbox.signing_secret, body, stamp)


def seal(secret, body, stamp):
    signed = hmac.new(secret.encode(), b"v0:%s:%s" % (stamp.encode(), body), hashlib.sha256)
    return f"v0={signed.hexdigest()}"


def post(told, body=BODY, *, stamp=None, signature=None, ahead=0.0):
    stamp = stamp or str(int(time.time() + ahead))
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": sign(told, body, stamp) if signature is None else signature,
    }
    url = f"{told.house.url}{http.EVENTS}"
    return web.post(url, content=body, headers=headers)


def get(url, path):
    return web.get(f"{url}{path}")


def test_what_slack_signed_is_answered(told):
    answer = post(told, urlencode({**COMMAND, "text": "help signed"}).encode())

    assert answer.status_code == 200
    assert "request" in answer.json()["text"]


@pytest.mark.parametrize(
    ("team", "known"), [("T0HARBOUR", True), ("T0NORTHGATE", False), ("", False)]
)
def test_who_slack_has_signed_is_the_user_of_a_team(told, team, known):
    """The user id alone was looked at, and another workspace's user was taken for her."""
    answer = post(told, urlencode({**COMMAND, "text": "my", "team_id": team}).encode())

    assert ("does not know you" not in answer.text) is known


@pytest.mark.parametrize(
    "signature",
    ["", "v0=", "v0=" + "0" * 64, "v1=" + "0" * 64, "v0=" + "ü".encode().hex(), "x" * 5000],
)
def test_a_forged_signature_is_refused(told, signature):
    assert post(told, signature=signature).status_code == 401


def test_a_body_changed_on_the_way_is_refused(told):
    stamp = str(int(time.time()))
    signature = sign(told, BODY, stamp)

    assert post(told, BODY + b"&x=1", stamp=stamp, signature=signature).status_code == 401


@pytest.mark.parametrize("ahead", [-301, -86_400, 302, 86_400])
def test_a_stale_signature_is_refused(told, ahead):
    assert post(told, ahead=ahead).status_code == 401


@pytest.mark.parametrize("stamp", ["x", "-1", "1e9", "9" * 300, "9" * 9000, "0x10"])
def test_a_stamp_that_is_no_time_is_refused(told, stamp):
    assert post(told, stamp=stamp).status_code == 401


def test_a_request_without_signature_is_refused(told):
    url = f"{told.house.url}{http.EVENTS}"
    for body in (BODY, b"", b"ssl_check=1&token=x", b"\xff\xfe"):
        assert web.post(url, content=body).status_code == 401


@pytest.fixture
def posting(door):
    """Post to the door by HTTP, all signed in the same second."""
    events, stamp = http.Events(door.app, lambda: "secret"), str(int(time.time()))
    served = Starlette(routes=[Route(http.EVENTS, events.take, methods=["POST"])])

    def post_(payload):
        body = urlencode({"payload": json.dumps(payload)} if "type" in payload else payload)
        made = seal("secret", body.encode(), stamp)
        headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": made}
        url = f"http://127.0.0.1:{server.port}{http.EVENTS}"
        return web.post(url, content=body, headers=headers)

    server = Server(served, "127.0.0.1", 0)
    server.start()
    yield post_
    assert server.stop()


def test_the_same_search_twice_in_a_second_is_answered_twice(posting):
    """The second was refused: the seal of a second is the same for what is the same."""
    searched = suggestion("marta", "customers")

    first, second = posting(searched), posting(searched)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert first.json()["options"]


@pytest.mark.parametrize(
    "what", [command("marta", "request"), click("marta", ids.REQUEST_ACCESS, "")]
)
def test_what_comes_twice_is_done_once_and_answered_twice(door, posting, what):
    """The second was refused by its seal. One of another second opened another window."""
    door.slack.calls.clear()
    what = what | {"trigger_id": "twice"}

    assert posting(what).status_code == 200
    assert posting(what).status_code == 200
    assert [method for method, _ in door.slack.calls] == ["views.open"]
    assert posting(what | {"trigger_id": "another"}).status_code == 200
    assert len(door.slack.calls) == 2


def test_a_signing_secret_that_was_changed_is_used_from_the_next_request_on(monkeypatch):
    """It was read at the start only: with a new one every click was refused until a restart."""
    monkeypatch.setattr(http, "RENEW_EVERY", 0.1)
    secret = ["before"]
    app = App(signing_secret="x", token="xoxb-x", token_verification_enabled=False)
    events = http.Events(app, lambda: secret[0])
    served = Starlette(routes=[Route(http.EVENTS, events.take, methods=["POST"])])
    server, stamp = Server(served, "127.0.0.1", 0), str(int(time.time()))

    def status(signed_with, body):
        made = seal(signed_with, body, stamp)
        headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": made}
        url = f"http://127.0.0.1:{server.port}{http.EVENTS}"
        return web.post(url, content=body, headers=headers).status_code

    server.start()
    try:
        assert status("before", b"{1") == 400  # let in: it makes no sense
        assert status("after", b"{2") == 401
        secret[0] = "after"
        assert status("after", b"{2") == 400
        assert status("before", b"{3") == 401
        secret[0] = "newest"
        wait_until(  # what is revoked does not wait for what is new
            lambda: status("after", b"{%f" % time.monotonic()) != 400, "the former is refused"
        )
        assert status("newest", b"{4") == 400
    finally:
        assert server.stop()


def test_forged_requests_hang_no_thread_each_while_the_secret_cannot_be_read(monkeypatch):
    """Whoever reached the door could have one more thread hang each second."""
    monkeypatch.setattr(http, "RENEW_WITHIN", 0.05)
    asked, go = [], threading.Event()

    def secret():
        asked.append(threading.get_ident())
        if len(asked) > 1:
            go.wait(60)
        return "secret"

    app = App(signing_secret="x", token="xoxb-x", token_verification_enabled=False)
    events = http.Events(app, secret)
    server = Server(Starlette(routes=[Route(http.EVENTS, events.take, methods=["POST"])]), "", 0)
    server.start()
    try:
        for number in range(5):
            body, stamp = f"{{{number}".encode(), str(int(time.time()))
            headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": "v0=" + "0" * 64}
            url = f"http://127.0.0.1:{server.port}{http.EVENTS}"
            answer = web.post(url, content=body, headers=headers)
            assert answer.status_code == 401
        assert len(asked) == 2  # at the start, and once since
    finally:
        go.set()
        assert server.stop()


def test_a_body_that_slack_would_not_send_is_refused(told):
    assert post(told, b"x" * (http.LARGEST + 1)).status_code == 413
    assert get(told.house.url, "/healthz").status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"payload=%7B", b"payload=[]", b"\xff", b"{", b"[]", b"null", b"\0", b"a=b" * 9999],
)
def test_a_signed_body_that_makes_no_sense_is_refused(told, body):
    """It was taken for a fault of Latchkey's own: the log had a stack trace for each."""
    before = len(told.house.bot.log)
    assert post(told, body).status_code in {400, 401}
    assert "Traceback" not in told.house.bot.log[before:]
    assert get(told.house.url, "/healthz").status_code == 200


def test_slack_may_look_at_the_address_before_it_uses_it(told):
    assert post(told, b"ssl_check=1&token=x").status_code == 200
    answer = post(told, b'{"type": "url_verification", "challenge": "c", "token": "x"}')
    assert answer.json() == {"challenge": "c"}


def test_a_running_bot_is_alive_and_ready(houses):
    for way in ("socket", "http"):
        for url in (houses(way).house.url, houses(way).house.probes):
            for path in ("/healthz", "/readyz"):
                answer = get(url, path)
                assert (answer.status_code, answer.json()) == (200, {"ok": True})


@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_outsiders_are_told_no_numbers_where_there_is_an_address_for_them(told, path):
    assert get(told.house.url, path).status_code == 404


def test_nobody_comes_in_by_the_address_for_probes(told):
    assert web.post(f"{told.house.probes}{http.EVENTS}").status_code == 404


def test_there_is_no_way_in_by_http_unless_it_is_asked_for(houses):
    assert post(houses("socket")).status_code == 404


def numbers(told):
    """Return every sample by its name and labels."""
    found = get(told.house.probes, "/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    return {
        (s.name, *sorted(s.labels.values())): s.value
        for family in text_string_to_metric_families(found.text)
        for s in family.samples
    }


def test_a_life_is_counted(told):
    before = numbers(told)
    marta, priya = told.person("marta"), told.person("priya")
    request = told.active(marta, priya)
    told.press(marta, request.code, "return")
    told.wait(request.code, State.RETURNED)
    told.card(marta, request.code, "returned", button="request_again")
    after = numbers(told)

    def more(*name):
        return after[name] - before.get(name, 0)

    assert more("latchkey_requests", "returned") == 1
    assert more("latchkey_decisions_total", "approved") == 1
    assert more("latchkey_time_to_decision_seconds_count") == 1
    assert more("latchkey_grants_total", "held", "orders-db") >= 1
    assert more("latchkey_revokes_total", "absent", "orders-db") == 1
    assert more("latchkey_slack_calls_total", "chat.postMessage", "ok") >= 2
    assert after["latchkey_overdue_accounts",] == 0
    assert after["latchkey_oldest_overdue_seconds",] == 0
    assert {name[1] for name in after if name[0] == "latchkey_loop_lag_seconds"} == {
        *(
            "access",
            "clock",
            "clocks",
            "doors",
            "heartbeat",
            "jobs",
            "messages",
            "search",
            "systems",
        )
    }


def test_slacks_errors_are_counted_by_their_name(told):
    told.house.sandbox.fault("users.info", "slack_error", code="user_not_found")
    told.house.sandbox.person("terry").command("/access", "my")

    assert numbers(told)["latchkey_slack_calls_total", "user_not_found", "users.info"] >= 1
