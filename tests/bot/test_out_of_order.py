"""What people are told while a system is out of order in this process."""

import socket

import pytest
from slack_sdk.errors import SlackApiError
from starlette.applications import Starlette

from bot.loops.upkeep import Upkeep
from bot.operations.server import Servers
from bot.slack.client import Client
from bot.usecases import credentials, reached
from bot.usecases.alarms import Alarms
from bot.usecases.reached import Reach
from bot.views import ids
from engine.alarms import WELL_AGAIN
from engine.request import State
from storage import alarms as storage_alarms
from tests.support.door import STOCK, SYSTEM, filled
from tests.support.front import Front


@pytest.fixture
def away(door):
    """A door whose only system is out of order."""
    system = door.services.connected.pop(SYSTEM)
    yield door
    door.services.connected[SYSTEM] = system


def test_who_asks_for_something_there_is_told_and_it_waits(away):
    form = away.form("kofi", STOCK)
    assert "Production PostgreSQL is out of order just now" in str(form)

    answer = away.submit("kofi", form, filled(form, justification={"value": "INC-1"}))
    assert not answer.errors
    away.work()

    (request, *_) = away.requests()
    assert (request.grantee, request.state) == ("kofi", State.GRANTING)


def test_a_login_there_is_not_shown_and_not_changed(away):
    """Who pressed the button got an error, or an empty list."""
    request = next(r for r in away.requests() if r.state is State.ACTIVE)
    before = away.rows()["account"]

    for answer in (
        credentials.show(away.services, away.person("marta"), request.id),
        credentials.reset(away.services, away.person("marta"), away.account(request)),
    ):
        assert answer is credentials.OUT_OF_ORDER
    assert not away.click("marta", ids.CREDENTIALS, str(request.id)).errors
    assert away.rows()["account"] == before


def test_it_begins_when_the_system_works_again(door):
    system = door.services.connected.pop(SYSTEM)
    try:
        request = door.ask("kofi", STOCK)
        door.work()
    finally:
        door.services.connected[SYSTEM] = system

    door.work()

    assert door.request(request.id).state is State.ACTIVE


def test_administrators_are_told_of_an_address_that_cannot_be_had(door):
    services, parts = door.services, door.program
    servers, alarms = Servers(services.vitals.faults), Alarms(services)
    upkeep = Upkeep(
        services,
        parts.watch,
        alarms,
        parts.anchors,
        None,
        faults={},
        unread=dict,
        missed=lambda: servers.missed(0.0),
    )
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        servers.add("LATCHKEY_PROBES", Starlette(), theirs.getsockname())
        servers.serve()
        upkeep.look()
        upkeep.look()

    told = [m for m in door.rows()["message"] if "LATCHKEY_PROBES: nothing" in str(m)]
    assert sorted(m["recipient"] for m in told) == ["ines", "viktor"]  # once each
    assert all("Access ends on time" in str(m) for m in told)
    door.services.vitals.faults.clear("LATCHKEY_PROBES")


def upkeep_of(door) -> Upkeep:
    services, parts = door.services, door.program
    given = {"faults": {}, "unread": dict, "missed": tuple}
    return Upkeep(services, parts.watch, Alarms(services), parts.anchors, None, **given)


def alarms(door, words: str) -> list[str]:
    """Return what every administrator was told."""
    rows = [m for m in door.rows()["message"] if m["kind"] == "alarm" and words in m["detail"]]
    told = {who: [m["detail"] for m in rows if m["recipient"] == who] for who in ("ines", "viktor")}
    assert told["ines"] == told["viktor"]
    return told["ines"]


def test_administrators_are_told_once_of_what_slack_does_not_let_the_app_do(door):
    """It was tried again and again, with a line in the log for each."""
    upkeep = upkeep_of(door)
    client = Client(lambda: "", "http://127.0.0.1:9/", 1, door.services.vitals)
    for _ in range(2):
        with pytest.raises(SlackApiError):
            client.users_list()
        upkeep.look()

    (said,) = alarms(door, "Slack refuses users.list: not_authed")
    assert "latchkey doctor" in said
    with door.database.read() as session:
        standing = storage_alarms.standing(session, ("slack",), door.clock.now())
    assert standing == [said]

    client = Front(Users(), vitals=door.services.vitals)
    client.users_list()
    upkeep.look()
    (said,) = alarms(door, "Slack refuses users.list: not_authed")
    assert said.startswith(WELL_AGAIN)
    with door.database.read() as session:
        assert storage_alarms.standing(session, ("slack",), door.clock.now()) == []


class Users:
    def users_list(self, **_):
        return {"ok": True}

    def chat_postMessage(self, **_):  # noqa: N802  (Slack's own name)
        raise SlackApiError("refused", {"ok": False, "error": "invalid_blocks"})


def test_administrators_are_told_once_of_what_slack_never_takes(door):
    """It was dropped, with a line in the log."""
    upkeep, client = upkeep_of(door), Front(Users(), vitals=door.services.vitals)
    for _ in range(3):
        with pytest.raises(SlackApiError):
            client.chat_postMessage(channel="D1", text="x")
        upkeep.look()

    (said,) = alarms(door, "chat.postMessage: invalid_blocks")
    with door.database.read() as session:
        standing = storage_alarms.standing(session, ("slack", "refused"), door.clock.now())
    assert standing == [said]


def test_administrators_are_told_whom_slack_takes_no_message_for(door):
    upkeep, priya = upkeep_of(door), door.person("priya")
    reached.note(door.services, [Reach(priya.id, priya.account, "messages_tab_disabled")])
    upkeep.look()
    upkeep.look()

    (said,) = alarms(door, priya.email)
    assert "switch on the Messages Tab" in said
    reached.note(door.services, [Reach(priya.id, priya.account, "")])
    upkeep.look()
    (said,) = alarms(door, priya.email)
    assert said.startswith(WELL_AGAIN)


def test_administrators_are_told_of_a_secret_of_the_settings_that_cannot_be_read_any_more(door):
    """Nobody was: the next start gave up, or a changed password locked Latchkey out."""
    services, parts = door.services, door.program
    unread = {"SLACK_BOT_TOKEN": "", "LATCHKEY_DATABASE_URL": "/run/x cannot be read: gone"}
    upkeep = Upkeep(
        services,
        parts.watch,
        Alarms(services),
        parts.anchors,
        None,
        faults={},
        unread=lambda: unread,
        missed=tuple,
    )
    upkeep.look()
    upkeep.look()

    said = "LATCHKEY_DATABASE_URL cannot be read any more: /run/x cannot be read: gone"
    told = [m for m in door.rows()["message"] if said in str(m)]
    assert sorted(m["recipient"] for m in told) == ["ines", "viktor"]  # once each
    assert services.vitals.faults()["the secret LATCHKEY_DATABASE_URL"] == said

    unread["LATCHKEY_DATABASE_URL"] = ""
    upkeep.look()
    assert not [name for name in services.vitals.faults() if name.startswith("the secret")]
