"""The Web API's door and its methods: tokens, bodies, scopes, membership, Slack's error codes."""

import json
import socket
from urllib.parse import urlsplit

import pytest
import yaml

from bot.sandbox.client import Sandbox
from tests.sandbox.kit import MANIFEST, PEOPLE, Api, section


def error(answer):
    assert answer["ok"] is False
    return answer["error"]


# --- the door ---------------------------------------------------------------------------------


def test_without_a_token_nobody_is_authed(api):
    assert api.http.post("auth.test").json() == {"ok": False, "error": "not_authed"}


def test_an_app_that_dies_in_the_middle_of_a_call_is_no_fault_of_slack(files, capfd):
    """A traceback stood in the sandbox's log for each bot that was killed."""
    with Sandbox.start(**files, rate_factor=0) as sandbox:
        address = urlsplit(sandbox.url)
        with socket.create_connection((address.hostname, address.port)) as call:
            call.sendall(
                b"POST /api/auth.test HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\n{"
                % address.netloc.encode()
            )
    assert "Traceback" not in capfd.readouterr().err


def test_an_unknown_token_is_invalid(api):
    assert error(api("auth.test", token="xoxb-1")) == "invalid_auth"


@pytest.mark.parametrize("method", ["chat.postMessage", "views.open", "users.list"])
def test_the_app_token_opens_links_only(api, sandbox, method):
    assert error(api(method, token=sandbox.app_token)) == "not_allowed_token_type"


def test_the_bot_token_opens_no_links(api):
    assert error(api("apps.connections.open")) == "not_allowed_token_type"


def test_a_token_may_come_in_the_body(api, sandbox):
    assert api.http.post("auth.test", data={"token": sandbox.bot_token}).json()["ok"]
    assert "token" not in sandbox.journal()[-1]["arguments"]


def test_an_empty_json_body_is_no_arguments(api):
    headers = {"content-type": "application/json"}

    answer = api.http.post(
        "auth.test", headers=headers | dict(api.post("auth.test").request.headers)
    )

    assert answer.json()["user_id"] == "U0SANDBOX"


def test_json_and_forms_say_the_same(api, person):
    blocks = [section("as JSON")]

    assert api("chat.postMessage", channel=person.id, text="x", blocks=blocks)["ok"]
    assert api.form("chat.postMessage", channel=person.id, text="x", blocks=json.dumps(blocks))[
        "ok"
    ]

    assert [message.text for message in person.messages()] == ["as JSON"] * 2


def test_reading_methods_take_a_query(api):
    bearer = {"authorization": f"Bearer {api.sandbox.bot_token}"}

    answer = api.http.get("users.info", params={"user": "U0GUEST"}, headers=bearer)

    assert answer.json()["user"]["name"] == "guest"


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ("{", "application/json", "invalid_json"),
        ("[]", "application/json", "json_not_object"),
        ("x", "text/plain", "invalid_post_type"),
    ],
)
def test_a_body_that_is_neither_is_refused(api, body, kind, code):
    answer = api.http.post("auth.test", content=body, headers={"content-type": kind})

    assert error(answer.json()) == code


def test_some_methods_read_no_json(api, person):
    assert error(api("users.info", user=person.id)) == "invalid_arguments"
    assert api.form("users.info", user=person.id)["user"]["id"] == person.id


def test_unknown_arguments_are_tolerated(api, person):
    assert api("chat.postMessage", channel=person.id, text="x", colour="red")["ok"]


def test_missing_arguments_are_named(api):
    answer = api("chat.postMessage", text="x")

    assert error(answer) == "invalid_arguments"
    assert answer["response_metadata"]["messages"] == ["[ERROR] missing required field: channel"]


def test_an_unknown_method_is_named(api):
    assert error(api("chat.shout")) == "unknown_method"


def test_api_test_echoes_without_a_token(api):
    assert api.http.post("api.test", json={"foo": "bar"}).json()["args"] == {"foo": "bar"}
    assert error(api("api.test", error="my_error")) == "my_error"


# --- scopes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scopeless(files, tmp_path_factory):
    manifest = yaml.safe_load(MANIFEST.read_text())
    manifest["oauth_config"]["scopes"] = {"bot": ["commands", "users:read"]}
    path = tmp_path_factory.mktemp("scopeless") / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    with Sandbox.start(**files | {"manifest": path}, rate_factor=0) as sandbox:
        api = Api(sandbox)
        yield api
        api.http.close()


@pytest.mark.parametrize(
    ("method", "arguments", "needed"),
    [
        ("chat.postMessage", {"channel": "U10001", "text": "x"}, "chat:write"),
        ("chat.update", {"channel": "D10001", "ts": "1", "text": "x"}, "chat:write"),
        ("chat.delete", {"channel": "D10001", "ts": "1"}, "chat:write"),
        ("conversations.open", {"users": "U10001"}, "im:write,mpim:write"),
        ("users.lookupByEmail", {"email": "p1@acme.example"}, "users:read.email"),
    ],
)
def test_a_missing_scope_is_named(scopeless, method, arguments, needed):
    answer = scopeless.form(method, **arguments)

    assert error(answer) == "missing_scope"
    assert answer["needed"] == needed
    assert answer["provided"] == "commands,users:read"


def test_addresses_need_a_scope_of_their_own(scopeless, api):
    assert "email" not in scopeless.form("users.info", user="U10001")["user"]["profile"]
    assert api.form("users.info", user="U10001")["user"]["profile"]["email"]


def test_the_kind_of_conversation_decides_the_scope(api, person):
    dm = api("conversations.open", users=person.id)["channel"]["id"]

    assert api("conversations.history", channel=dm)["ok"]
    assert api("conversations.history", channel="C0IN")["needed"] == "channels:history"
    assert api.form("conversations.info", channel=dm)["error"] == "missing_scope"


# --- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("C0NONE", "channel_not_found"),
        ("C0OUT", "not_in_channel"),
        ("C0SECRET", "channel_not_found"),
        ("C0OLD", "is_archived"),
        ("U0GONE", "channel_not_found"),
        ("U0ROBOT", "channel_not_found"),
    ],
)
def test_a_message_needs_somewhere_to_go(api, channel, code):
    assert error(api("chat.postMessage", channel=channel, text="x")) == code


def test_a_member_may_post(api):
    assert api("chat.postMessage", channel="C0IN", text="x")["ok"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({}, "no_text"),
        ({"text": " "}, "no_text"),
        ({"text": "x", "blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": {}}, None),
        ({"text": "x", "blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [section("x" * 3000)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "attachments": [{}] * 100}, None),
        ({"text": "x", "attachments": [{}] * 101}, "too_many_attachments"),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
        (
            {"text": "x", "metadata": {"event_type": "a b", "event_payload": {}}},
            "invalid_metadata_schema",
        ),
    ],
)
def test_content_is_judged(api, person, content, code):
    answer = api("chat.postMessage", channel=person.id, **content)

    assert answer.get("error") == code


def test_text_is_cut_when_posted_and_refused_when_updated(api, person):
    posted = api("chat.postMessage", channel=person.id, text="x" * 40_001)
    where = {"channel": posted["channel"], "ts": posted["ts"]}

    assert len(posted["message"]["text"]) == 40_000
    assert api("chat.update", **where, text="x" * 4000)["ok"]
    assert error(api("chat.update", **where, text="x" * 4001)) == "msg_too_long"


def test_an_update_keeps_what_it_does_not_name(api, person):
    metadata = {"event_type": "card", "event_payload": {"id": 1}}
    posted = api(
        "chat.postMessage", channel=person.id, text="x", blocks=[section("old")], metadata=metadata
    )
    where = {"channel": posted["channel"], "ts": posted["ts"]}

    api("chat.update", **where, text="new")
    assert person.wait_message("old").raw["metadata"] == metadata
    api("chat.update", **where, text="new", blocks=[], metadata={})

    assert "metadata" not in person.wait_message("new").raw


def test_only_what_is_there_can_be_updated_or_deleted(api, person):
    posted = api("chat.postMessage", channel=person.id, text="x")
    where = {"channel": posted["channel"], "ts": posted["ts"]}

    assert error(api("chat.update", channel=person.id, ts="1", text="x")) == "channel_not_found"
    assert error(api("chat.update", **where | {"ts": "1"}, text="x")) == "message_not_found"
    assert api("chat.delete", **where)["ok"]
    assert error(api("chat.delete", **where)) == "message_not_found"
    assert person.messages() == []


def test_an_ephemeral_message_is_for_one_and_cannot_be_changed(api, sandbox, person):
    guest = sandbox.person("guest")
    shown = {"channel": "C0IN", "text": "psst"}

    posted = api("chat.postEphemeral", user="U0GUEST", **shown)

    assert guest.messages("general")[-1].is_ephemeral
    assert "psst" not in [message.text for message in sandbox.person("p1").messages("general")]
    update = api("chat.update", channel="C0IN", ts=posted["message_ts"], text="x")
    assert error(update) == "message_not_found"
    assert error(api("chat.postEphemeral", user=person.id, **shown)) == "user_not_in_channel"
    assert error(api("chat.postEphemeral", user="U0GUEST", channel="C0OUT", text="x")) == (
        "not_in_channel"
    )


# --- conversations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("users", "code"),
    [
        ("", "users_list_not_supplied"),
        (" , ", "not_enough_users"),
        ("U0NOBODY", "user_not_found"),
        ("U0GONE", "user_disabled"),
        ("U0ROBOT", "cannot_dm_bot"),
        ("U10001,U10002", "missing_scope"),
        (",".join(f"U1000{n}" for n in range(1, 10)), "too_many_users"),
    ],
)
def test_only_living_people_can_be_written_to(api, users, code):
    assert error(api("conversations.open", users=users)) == code


def test_a_dm_is_opened_once(api, person):
    first = api("conversations.open", users=person.id)["channel"]["id"]

    assert api("conversations.open", users=person.id)["channel"]["id"] == first
    assert api("chat.postMessage", channel=person.id, text="x")["channel"] == first


def test_history_is_newest_first_and_paged(api, person):
    stamps = [api("chat.postMessage", channel=person.id, text=f"m{n}")["ts"] for n in range(5)]
    dm = api("conversations.open", users=person.id)["channel"]["id"]

    def texts(**more):
        answer = api("conversations.history", channel=dm, **more)
        return [message["text"] for message in answer["messages"]], answer["response_metadata"]

    page, next_ = texts(limit=3)
    assert page == ["m4", "m3", "m2"]
    assert texts(limit=3, cursor=next_["next_cursor"])[0] == ["m1", "m0"]
    assert texts(oldest=stamps[1], latest=stamps[3])[0] == ["m2"]
    assert texts(oldest=stamps[1], latest=stamps[3], inclusive=True)[0] == ["m3", "m2", "m1"]
    assert error(api("conversations.history", channel=dm, limit=1001)) == "invalid_limit"
    assert error(api("conversations.history", channel=dm, cursor="x")) == "invalid_cursor"
    assert error(api("conversations.history", channel=dm, oldest="x")) == "invalid_ts_oldest"


def test_history_shows_metadata_when_asked(api, person):
    metadata = {"event_type": "card", "event_payload": {"id": 7}}
    dm = api("chat.postMessage", channel=person.id, text="x", metadata=metadata)["channel"]

    asked = api("conversations.history", channel=dm, include_all_metadata=True)
    plain = api("conversations.history", channel=dm)

    assert asked["messages"][0]["metadata"] == metadata
    assert "metadata" not in plain["messages"][0]


def test_history_lags_if_told_to(api, sandbox, person):
    dm = api("chat.postMessage", channel=person.id, text="x")["channel"]

    sandbox.lag_history(60)
    assert api("conversations.history", channel=dm)["messages"] == []
    sandbox.lag_history(0)

    assert len(api("conversations.history", channel=dm)["messages"]) == 1


# --- people -----------------------------------------------------------------------------------


def test_people_are_found_by_address_unless_they_left(api):
    assert api.form("users.lookupByEmail", email="P1@Acme.example")["user"]["id"] == "U10001"
    for email in ("gone@acme.example", "robot@acme.example", "who@acme.example"):
        assert error(api.form("users.lookupByEmail", email=email)) == "users_not_found"


def test_people_are_shown_as_what_they_are(api):
    def shown(user):
        return api.form("users.info", user=user)["user"]

    assert shown("U0GUEST")["is_restricted"]
    assert shown("U0GONE")["deleted"]
    assert shown("U0ROBOT")["is_bot"]
    assert shown("U0OTHER")["is_stranger"]
    assert shown("U0OTHER")["team_id"] != "T0ACME"
    assert not shown("U0NEW")["is_email_confirmed"]
    assert error(api.form("users.info", user="U0NOBODY")) == "user_not_found"


def test_the_list_of_people_is_paged(api):
    seen, cursor = [], ""
    while True:
        answer = api.form("users.list", limit=150, cursor=cursor)
        seen += [member["id"] for member in answer["members"]]
        cursor = answer["response_metadata"]["next_cursor"]
        if not cursor:
            break

    assert len(seen) == len(set(seen)) == PEOPLE + 6 + 1  # the special ones, and the app
