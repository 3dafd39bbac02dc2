"""One person cannot fill the place: whatever they send at once, others are answered meanwhile."""

import asyncio
import hashlib
import hmac
import itertools
import json
import threading
import time
from concurrent.futures import Future
from urllib.parse import urlencode

import httpx
import pytest
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.routing import Route

from bot.slack import http
from bot.slack.socket_mode import Links
from bot.usecases import look, requestable
from tests.support.door import command, suggestion
from tests.support.waiting import wait_until

LONG = 30.0  # seconds, in which all that is to happen does
MANY = 25  # more than there are listeners
SECRET = "signing-secret"


class Socket:
    """Envelopes, as a link brings them, and what it is told to send back."""

    def __init__(self, app):
        self.links = Links(app, WebClient("xapp-x"))
        self.answers = {}
        self.numbers = itertools.count()

    def send(self, payload):
        name = f"e{next(self.numbers)}"
        answer = self.answers[name] = Future()
        self.links.take(self, {"envelope_id": name, "payload": payload})
        return answer

    def say(self, said):
        self.answers[said["envelope_id"]].set_result(said.get("payload"))
        return True

    def close(self):
        assert self.links.stop(LONG)


class Posts:
    """Requests, as Slack signs and posts them."""

    def __init__(self, app):
        events = http.Events(app, lambda: SECRET)
        served = Starlette(routes=[Route(http.EVENTS, events.take, methods=["POST"])])
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(served), base_url="http://latchkey", timeout=2 * LONG
        )
        self.numbers = itertools.count()
        self.answers = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def send(self, payload):
        self.answers.append(asyncio.run_coroutine_threadsafe(self.post(payload), self.loop))
        return self.answers[-1]

    async def post(self, payload):
        said = {"payload": json.dumps(payload)} if "type" in payload else payload
        body = urlencode(said | {"nth": next(self.numbers)}).encode()
        stamp = str(int(time.time()))
        signed = hmac.new(
            SECRET.encode(), b"v0:%s:%s" % (stamp.encode(), body), hashlib.sha256
        ).hexdigest()
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": f"v0={signed}",
        }
        answer = await self.client.post(http.EVENTS, content=body, headers=headers)
        assert answer.status_code == 200
        return answer.json() if answer.content else None

    def close(self):
        for answer in self.answers:  # one that is left would ask what the next test is about
            answer.result(LONG)
        asyncio.run_coroutine_threadsafe(self.client.aclose(), self.loop).result(LONG)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LONG)
        self.loop.close()


@pytest.fixture
def app(doors):
    return doors("sqlite").app


@pytest.fixture(params=[Socket, Posts], ids=["socket", "http"])
def slack(app, request):
    way = request.param(app)
    yield way
    way.close()


class Store:
    """What a use case asks of the store: it hangs until it is released."""

    def __init__(self):
        self.released = threading.Event()
        self.asked = []

    def hangs(self, answer):
        def ask(_services, person, words="", *_, **__):
            self.asked.append((person.id, words))
            assert self.released.wait(LONG)
            return answer

        return ask


@pytest.fixture
def store(app, monkeypatch):
    del app  # it was opened when its store answered
    hung = Store()
    monkeypatch.setattr(requestable, "options", hung.hangs([]))
    monkeypatch.setattr(look, "my_access", hung.hangs([]))
    yield hung
    hung.released.set()


def searches(who, many):
    return [suggestion(who, f"orders {n}") for n in range(many)]


HARD = {
    "searches": searches("marta", MANY),
    "commands with words": [command("marta", f"request read on orders {n}") for n in range(MANY)],
    "commands": [command("marta", "my")] * MANY,
}


@pytest.mark.parametrize("sent", HARD.values(), ids=HARD)
def test_what_one_person_has_hanging_keeps_no_other_waiting(slack, store, sent):
    """Twenty searches that hung took all listeners: nobody's click was answered."""
    hanging = [slack.send(payload) for payload in sent]
    wait_until(lambda: store.asked)

    answered = slack.send(command("priya", "help")).result(LONG)

    assert "request" in answered["text"]
    assert {who for who, _ in store.asked} == {"marta"}
    store.released.set()
    for answer in hanging:
        answer.result(LONG)


def test_of_ones_own_searches_the_newest_alone_waits_and_takes_no_listener(slack, store):
    first, *between, last = [slack.send(payload) for payload in searches("marta", 13)]
    wait_until(lambda: store.asked)

    for answer in between:
        assert answer.result(LONG) == {"options": []}
    assert "request" in slack.send(command("marta", "help")).result(LONG)["text"]
    assert not first.done()
    assert not last.done()

    store.released.set()
    assert "orders 0" in str(first.result(LONG))  # nothing is called so: they may wish for it
    assert "orders 12" in str(last.result(LONG))
    assert store.asked == [("marta", "orders 0"), ("marta", "orders 12")]


def test_commands_that_search_are_all_answered(slack, store):
    """Slack shows the answer to each: none is left out for a newer one."""
    sent = [command("marta", f"request read on orders {n}") for n in range(5)]
    answers = [slack.send(payload) for payload in sent]
    wait_until(lambda: store.asked)
    slack.send(suggestion("marta", "x"))

    store.released.set()

    for answer in answers:
        answer.result(LONG)
    assert [words for _, words in store.asked if words != "x"] == [f"orders {n}" for n in range(5)]


def test_a_search_of_another_goes_beside_one_that_hangs(slack, store):
    for payload in searches("marta", MANY):
        slack.send(payload)

    slack.send(suggestion("priya", "stock"))

    wait_until(lambda: "stock" in {words for _, words in store.asked})


def test_what_waits_when_the_links_stop_is_acknowledged(app, store):
    socket = Socket(app)
    answers = [socket.send(command("marta", "my")) for _ in range(9)]
    wait_until(lambda: len(store.asked) == 2)
    stopped = Future()
    stopping = threading.Thread(target=lambda: stopped.set_result(socket.links.stop(LONG)))
    stopping.start()
    wait_until(socket.links.stopping.is_set)

    store.released.set()

    for answer in answers:
        answer.result(LONG)
    assert stopped.result(LONG)
    stopping.join()
