"""Misbehaviour of the Web API, kind by kind, and what the journal tells of it."""

import subprocess
import sys

import httpx
import pytest

from bot.sandbox.faults import KINDS


@pytest.fixture
def post(api, person):
    """Post a message, giving up after a moment."""

    def post(text="x"):
        arguments = {"channel": person.id, "text": text}
        return api.post("chat.postMessage", json=arguments, timeout=0.3)

    return post


@pytest.fixture
def victim():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def last_call(sandbox):
    return [entry for entry in sandbox.journal() if entry["kind"] == "call"][-1]


def test_rate_limited(sandbox, post, person):
    sandbox.fault("chat.postMessage", "rate_limited", retry_after=7)

    limited = post()

    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert limited.json() == {"ok": False, "error": "ratelimited"}
    assert person.messages() == []
    assert post().json()["ok"]


def test_error(sandbox, post, person):
    sandbox.fault("chat.postMessage", "error", status=502)

    assert post().status_code == 502

    assert person.messages() == []


def test_slack_error(sandbox, post, person):
    sandbox.fault("chat.postMessage", "slack_error", code="channel_not_found")

    assert post().json() == {"ok": False, "error": "channel_not_found"}

    assert person.messages() == []
    assert last_call(sandbox)["rule"] == "fault"


def test_slow(sandbox, post, person):
    sandbox.fault("chat.postMessage", "slow", seconds=0.1)

    assert post().elapsed.total_seconds() >= 0.1

    assert len(person.messages()) == 1


@pytest.mark.parametrize(("kind", "messages"), [("done_but_timeout", 1), ("hang", 0)])
def test_no_answer(sandbox, post, person, kind, messages):
    sandbox.fault("chat.postMessage", kind)

    with pytest.raises(httpx.ReadTimeout):
        post()

    assert len(person.messages()) == messages
    call = last_call(sandbox)
    assert (call["fault"], call["status"], call["done"]) == (kind, None, messages == 1)


@pytest.mark.parametrize(("kind", "messages"), [("kill_before", 0), ("kill_after", 1)])
def test_kill(sandbox, post, person, victim, kind, messages):
    sandbox.fault("chat.postMessage", kind, pid=victim.pid)

    with pytest.raises(httpx.ReadTimeout):
        post()

    assert victim.wait(30) == -9
    assert len(person.messages()) == messages


def test_kill_of_who_is_dead_already(sandbox, post, victim):
    victim.kill()
    victim.wait(30)
    sandbox.fault("chat.postMessage", "kill_before", pid=victim.pid)

    with pytest.raises(httpx.ReadTimeout):
        post()

    assert post().json()["ok"]


def test_times_and_skip(sandbox, post):
    sandbox.fault("chat.postMessage", "error", times=2, skip=1)

    assert [post().status_code for _ in range(4)] == [200, 503, 503, 200]


def test_everything_until_cleared(sandbox, api, post):
    sandbox.fault("*", "error", times=None)
    assert [post().status_code, api.post("auth.test").status_code] == [503, 503]

    sandbox.clear_faults()

    assert [post().status_code, api.post("auth.test").status_code] == [200, 200]


def test_every_kind_is_known_by_name(sandbox):
    for kind in KINDS:
        sandbox.fault("no.method", kind)
    with pytest.raises(Exception, match="the kinds of faults are"):
        sandbox.fault("no.method", "explode")
    with pytest.raises(ValueError, match="colour"):
        sandbox.fault("no.method", "slow", colour="red")


def test_the_journal_tells_calls_and_who_refused_them(sandbox, api, person):
    last = sandbox.mark()
    api("chat.postMessage", channel=person.id, text="x")
    api("chat.postMessage", channel="C0NONE", text="x")
    api("chat.postMessage", text="x")
    api("chat.postMessage", token="xoxb-0")

    # An event that Slack delivers again, as its app was slow, stands between them.
    calls = [entry for entry in sandbox.journal(last) if entry.get("method") == "chat.postMessage"]
    done, *refused = calls

    assert (done["status"], done["done"]) == (200, True)
    assert done["arguments"] == {"channel": person.id, "text": "x"}
    assert done["answer"]["ts"] == person.messages()[0].ts
    assert 0 < done["seconds"] < 1
    assert [(entry["rule"], entry["error"]) for entry in refused] == [
        ("state", "channel_not_found"),
        ("arguments", "invalid_arguments"),
        ("auth", "invalid_auth"),
    ]


@pytest.mark.parametrize("done", [False, True])
def test_odd(sandbox, post, person, done):
    lines = "content-type: text/html\nretry-after: 1\nretry-after: 1"
    sandbox.fault("chat.postMessage", "odd", status=200, body="<p>\xff", headers=lines, done=done)

    odd = post()

    assert (odd.status_code, odd.content) == (200, b"<p>\xff")
    assert odd.headers.get_list("retry-after") == ["1", "1"]
    assert odd.headers["content-type"] == "text/html"
    assert len(person.messages()) == done
