"""Rate limits: tiers per method, one message a second per channel, one factor for all windows."""

import json
import subprocess
import sys

import pytest

from bot.sandbox import limits
from bot.sandbox.api import METHODS
from bot.sandbox.client import Sandbox
from bot.sandbox.rates import Rates
from bot.sandbox.server import PATIENCE_FACTOR
from tests.sandbox.kit import Api

TIERS = {
    "api.test": "tier 4",
    "apps.connections.open": "tier 1 with burst",
    "auth.test": "special",
    "bots.info": "tier 3",
    "chat.delete": "tier 3",
    "chat.getPermalink": "special",
    "chat.postEphemeral": "tier 4",
    "chat.postMessage": "special",
    "chat.update": "tier 3",
    "conversations.create": "tier 2",
    "conversations.history": "tier 3",
    "conversations.info": "tier 3",
    "conversations.invite": "tier 3",
    "conversations.join": "tier 3",
    "conversations.kick": "tier 3",
    "conversations.list": "tier 2",
    "conversations.members": "tier 4",
    "conversations.open": "tier 3",
    "conversations.replies": "tier 3",
    "files.completeUploadExternal": "tier 4",
    "files.delete": "tier 3",
    "files.getUploadURLExternal": "tier 4",
    "files.info": "tier 4",
    "reactions.add": "tier 3",
    "reactions.get": "tier 3",
    "reactions.remove": "tier 2",
    "team.info": "tier 3",
    "usergroups.create": "tier 2",
    "usergroups.disable": "tier 2",
    "usergroups.enable": "tier 2",
    "usergroups.list": "tier 2",
    "usergroups.update": "tier 2",
    "usergroups.users.list": "tier 2",
    "usergroups.users.update": "tier 2",
    "users.conversations": "tier 3",
    "users.info": "tier 4",
    "users.list": "tier 2",
    "users.lookupByEmail": "tier 3",
    "views.open": "tier 4",
    "views.publish": "tier 4",
    "views.push": "tier 4",
    "views.update": "tier 4",
}


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

    return Clock


@pytest.mark.parametrize("tier", limits.RATES)
def test_a_window_holds_so_many_calls(clock, tier):
    calls, seconds = limits.RATES[tier]
    limited = Rates(clock=lambda: clock.now)

    assert [limited.wait("m", tier) for _ in range(calls)] == [0] * calls
    assert limited.wait("m", tier) == seconds
    assert limited.wait("other", tier) == 0
    clock.now += seconds - 1
    assert limited.wait("m", tier) == 1
    clock.now += 1
    assert limited.wait("m", tier) == 0


def test_a_factor_scales_windows_and_zero_limits_nothing(clock):
    quick, free = Rates(0.1, lambda: clock.now), Rates(0)
    for _ in range(20):
        assert quick.wait("m", "tier 2") == free.wait("m", "tier 2") == 0

    assert quick.wait("m", "tier 2") == 6
    assert free.wait("m", "tier 2") == 0
    clock.now += 6
    assert quick.wait("m", "tier 2") == 0


def test_methods_have_their_tiers():
    assert {name: method.tier for name, method in METHODS.items()} == TIERS


@pytest.fixture(scope="module")
def limited(files):
    with Sandbox.start(**files) as sandbox:
        api = Api(sandbox)
        yield api
        api.http.close()


def test_a_channel_takes_a_message_a_second(limited):
    dm = limited("conversations.open", users="U10001")["channel"]["id"]
    destinations = [dm, "U10001", dm, "U10001"]  # one channel, by two names
    answers = [
        limited.post("chat.postMessage", json={"channel": one, "text": "x"}) for one in destinations
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json() == {"ok": False, "error": "ratelimited"}
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
    other = {"channel": "U10002", "text": "x"}
    assert limited.post("chat.postMessage", json=other).status_code == 200


def test_a_refused_call_counts_too(limited):
    for _ in range(50):
        assert limited.post("chat.delete", json={}).json()["error"] == "invalid_arguments"

    assert limited.post("chat.delete", json={}).status_code == 429
    assert limited.sandbox.journal()[-1]["rule"] == "rate"


@pytest.mark.parametrize("kind", ["rate", "patience"])
@pytest.mark.parametrize(("factor", "told"), [("1", False), ("0.5", True)])
def test_a_factor_is_told_wherever_it_is_not_one(files, kind, factor, told, monkeypatch):
    monkeypatch.delenv(PATIENCE_FACTOR, raising=False)
    command = [sys.executable, "-m", "bot.sandbox", f"--{kind}-factor", factor]
    for name, path in files.items():
        command += [f"--{name}", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        identity = json.loads(process.stdout.readline())
        process.terminate()
        _, warned = process.communicate(timeout=30)

    assert ("0.5 times the" in warned) is told
    assert identity.get(f"{kind}_factor") == (0.5 if told else None)
    assert set(identity) >= {"url", "bot_token", "app_token", "signing_secret", "pid"}
    assert identity["bot_token"].startswith("xoxb-")
    assert identity["app_token"].startswith("xapp-")
    assert process.returncode == 0
