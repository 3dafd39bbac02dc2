"""Signed HTTP requests instead of links: what arrives, and how often."""

import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from slack_bolt import App
from slack_bolt.request import BoltRequest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from bot.sandbox.client import Sandbox
from tests.sandbox.kit import Api, form, modal


class Endpoint(ThreadingHTTPServer):
    """An app's request URL: keeps what comes, and answers what `reply` says."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen = []
        self.reply = lambda _: (200, "", {})
        self.url = f"http://127.0.0.1:{self.server_port}/slack/events"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        request = {"headers": dict(self.headers.items()), "body": body}
        self.server.seen.append(request)
        status, said, headers = self.server.reply(request)
        self.send_response(status)
        for name, value in {"content-length": str(len(said.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served(files):
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.serve_forever)
    thread.start()
    with Sandbox.start(**files, rate_factor=0, events_url=endpoint.url) as sandbox:
        yield endpoint, sandbox
    endpoint.shutdown()
    thread.join()
    endpoint.server_close()


@pytest.fixture
def endpoint(served):
    endpoint = served[0]
    endpoint.seen.clear()
    endpoint.reply = lambda _: (200, "", {})
    return endpoint


@pytest.fixture
def anna(served):
    return served[1].person("p1")


def test_a_command_is_a_signed_form(endpoint, served, anna):
    assert anna.command("/access", "request").seconds > 0

    (request,) = endpoint.seen
    fields = {key: value for key, (value,) in parse_qs(request["body"]).items()}
    assert (fields["command"], fields["text"]) == ("/access", "request")
    assert request["headers"]["content-type"] == "application/x-www-form-urlencoded"
    stamp = request["headers"]["x-slack-request-timestamp"]
    assert abs(time.time() - int(stamp)) < 5
    signed = f"v0:{stamp}:{request['body']}".encode()
    digest = hmac.new(served[1].signing_secret.encode(), signed, hashlib.sha256).hexdigest()
    assert request["headers"]["x-slack-signature"] == f"v0={digest}"
    assert SignatureVerifier(served[1].signing_secret).is_valid_request(
        request["body"], {k.lower(): v for k, v in request["headers"].items()}
    )


def test_a_reply_is_text_or_json(endpoint, anna):
    for said in ("Hello", json.dumps({"text": "Hello"})):
        endpoint.reply = lambda _, said=said: (200, said, {})

        assert anna.command("/access").text == "Hello"


def test_an_interaction_is_json_in_a_form(endpoint, anna):
    anna.raw_action({"actions": [{"action_id": "go"}]})

    payload = json.loads(parse_qs(endpoint.seen[0]["body"])["payload"][0])
    assert (payload["type"], payload["user"]["id"]) == ("block_actions", anna.id)


def test_failures_are_shown_as_slack_does(endpoint, anna):
    endpoint.reply = lambda _: (500, "", {})

    assert anna.command("/access").error == "http_service_error"


def test_an_event_comes_again_until_it_is_taken(endpoint, served, anna):
    statuses = iter([500, 503, 200])
    endpoint.reply = lambda _: (next(statuses), "", {})
    last = served[1].mark()

    anna.open_home()

    served[1].wait_journal(lambda entry: entry.get("outcome") == "acked", since=last)
    headers = [request["headers"] for request in endpoint.seen]
    assert [one.get("x-slack-retry-num") for one in headers] == [None, "1", "2"]
    assert headers[1]["x-slack-retry-reason"] == "http_error"
    assert headers[0]["content-type"] == "application/json"
    bodies = {request["body"] for request in endpoint.seen}
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["event"]["type"] == "app_home_opened"


def test_an_event_is_given_up_after_three_more_tries(endpoint, served, anna):
    endpoint.reply = lambda _: (500, "", {})

    anna.open_home()

    served[1].wait_journal(lambda entry: entry.get("retry") == 3 and entry["outcome"] == "http_500")
    assert len(endpoint.seen) == 4


def test_an_app_may_refuse_to_be_told_again(endpoint, served, anna):
    endpoint.reply = lambda _: (500, "", {"x-slack-no-retry": "1"})
    last = served[1].mark()

    anna.open_home()
    anna.open_home()

    assert [entry["retry"] for entry in served[1].journal(last)] == [0, 0]


def test_bolt_takes_the_requests_for_slacks(endpoint, served, anna):
    api = Api(served[1])
    client = WebClient(served[1].bot_token, base_url=served[1].api_url)
    app = App(
        client=client,
        signing_secret=served[1].signing_secret,
        token_verification_enabled=False,
        process_before_response=True,
    )

    @app.command("/access")
    def open_form(ack, body):
        api("views.open", trigger_id=body["trigger_id"], view=form(callback_id="f"))
        ack()

    @app.view("f")
    def submit(ack):
        ack(response_action="update", view=modal(title="Done"))

    def reply(request):
        answer = app.dispatch(BoltRequest(body=request["body"], headers=request["headers"]))
        return answer.status, answer.body, {}

    endpoint.reply = reply
    assert anna.command("/access").ok
    view = anna.wait_view("Modal")
    view.set("text", "because")
    assert view.submit().action == "update"

    assert view.title == "Done"
    api.http.close()
