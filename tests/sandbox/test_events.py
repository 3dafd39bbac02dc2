"""Events: told to an app that subscribes to them, may have them, and is there."""

import itertools

import pytest
import yaml

from bot.sandbox.client import NotPossible, Sandbox
from tests.sandbox.kit import App, button, everything, upload
from tests.support import web

NEW = itertools.count(1)


class Ear:
    """Hears events: an app that acknowledges each, as the journal knows it."""

    def __init__(self, wide):
        self.app = App(wide.sandbox, wide.api)
        self.sandbox = wide.sandbox
        self.app.link()
        self.mark = self.sandbox.mark()

    def hears(self, kind, **like):
        """Wait for an event like this, and return it."""

        def is_it(entry):
            event = entry.get("payload", {}).get("event", {})
            return event.get("type") == kind and all(event.get(k) == v for k, v in like.items())

        return self.sandbox.wait_journal(is_it, since=self.mark)["payload"]["event"]

    def heard(self):
        entries = self.sandbox.journal(self.mark)
        return [e["payload"]["event"] for e in entries if e.get("type") == "events_api"]


KINDS = (
    "app_home_opened",
    "app_mention",
    "member_joined_channel",
    "member_left_channel",
    "message",
    "reaction_added",
    "reaction_removed",
    "subteam_created",
    "subteam_members_changed",
    "subteam_updated",
    "team_join",
    "user_change",
)


@pytest.fixture
def ear(wide):
    ear = Ear(wide)
    for kind in KINDS:
        ear.app.on(kind)
    yield ear
    ear.app.close()


@pytest.fixture
def anna(wide):
    return wide.sandbox.person(wide.fresh())


@pytest.fixture
def bert(wide):
    return wide.sandbox.person("p1")  # who is in every channel


# --- messages ---------------------------------------------------------------------------------


def test_what_people_write_to_the_app_is_told(ear, anna):
    written = anna.post("1 & 2")

    event = ear.hears("message", user=anna.id)
    assert (event["ts"], event["channel_type"]) == (written.ts, "im")
    assert event["channel"] == written.raw["channel"]
    assert event["text"] == "1 &amp; 2"
    assert "bot_id" not in event


def test_the_apps_own_messages_are_told_too(ear, wide, anna):
    ts = wide.api("chat.postMessage", channel=anna.id, text="mine")["ts"]

    assert ear.hears("message", ts=ts)["bot_id"] == "B0SANDBOX"


def test_changes_and_deletions_are_told(ear, wide, anna):
    posted = wide.api("chat.postMessage", channel=anna.id, text="old")
    where = {"channel": posted["channel"], "ts": posted["ts"]}
    wide.api("chat.update", **where, text="new")
    wide.api("chat.delete", **where)

    changed = ear.hears("message", subtype="message_changed")
    assert (changed["previous_message"]["text"], changed["message"]["text"]) == ("old", "new")
    deleted = ear.hears("message", subtype="message_deleted")
    assert (deleted["deleted_ts"], deleted["hidden"]) == (posted["ts"], True)


def test_what_a_response_url_does_is_told(ear, wide, anna):
    blocks = [{"type": "actions", "elements": [button()]}]
    wide.api("chat.postMessage", channel=anna.id, text="old", blocks=blocks)
    ear.app.on("block_actions")
    anna.messages()[-1].click("go")
    url = ear.app.seen[-1]["payload"]["response_url"]

    web.post(url, json={"text": "new", "replace_original": True})
    assert ear.hears("message", subtype="message_changed")["message"]["text"] == "new"
    web.post(url, json={"delete_original": True})
    assert ear.hears("message", subtype="message_deleted")["previous_message"]["text"] == "new"


@pytest.mark.parametrize(("channel", "kind"), [("general", "channel"), ("vault", "group")])
def test_channels_are_told_from_inside(ear, bert, channel, kind):
    written = bert.post("here", channel=channel)

    assert ear.hears("message", ts=written.ts)["channel_type"] == kind


def test_conversations_of_several_are_told(ear, wide, anna, bert):
    both = wide.api("conversations.open", users=f"{anna.id},{bert.id}")["channel"]["id"]

    written = anna.post("to both of you", channel=both)

    assert ear.hears("message", ts=written.ts)["channel_type"] == "mpim"


def test_channels_that_the_app_is_not_in_and_ephemeral_messages_are_not_told(ear, wide, anna, bert):
    for channel in ("random", "secret"):
        bert.post("not for the app", channel=channel)
    wide.api("chat.postEphemeral", channel=anna.id, user=anna.id, text="not for the app")
    last = anna.post("last")

    ear.hears("message", ts=last.ts)
    assert "not for the app" not in {event.get("text") for event in ear.heard()}


def test_a_mention_is_told_twice(ear, bert):
    bert.post("@latchkey help", channel="general")

    assert ear.hears("app_mention")["text"] == "<@U0SANDBOX> help"
    assert ear.hears("message")["text"] == "<@U0SANDBOX> help"


def test_reactions_are_told(ear, wide, anna):
    wide.api("chat.postMessage", channel=anna.id, text="x")
    seen = anna.messages()[-1]
    seen.react("eyes")
    seen.unreact("eyes")

    for kind in ("reaction_added", "reaction_removed"):
        event = ear.hears(kind)
        assert (event["user"], event["reaction"]) == (anna.id, "eyes")
        assert event["item"] == {"type": "message", "channel": seen.raw["channel"], "ts": seen.ts}
        assert event["item_user"] == "U0SANDBOX"


def test_a_shared_file_comes_with_its_message(ear, wide, bert):
    bert.upload("notes.txt", b"hello", channel="general")

    (file,) = ear.hears("message", user=bert.id)["files"]
    assert (file["name"], file["size"]) == ("notes.txt", 5)
    upload(wide.api, b"hello", channel_id="C0IN", initial_comment="from the app")
    assert ear.hears("message", text="from the app")["files"][0]["user"] == "U0SANDBOX"


# --- channels, people, groups -----------------------------------------------------------------


def test_coming_and_going_is_told(ear, wide, anna, bert):
    anna.join("general")
    event = ear.hears("member_joined_channel", user=anna.id)
    assert (event["channel"], event["channel_type"], event.get("inviter")) == ("C0IN", "C", None)

    anna.leave("general")
    assert ear.hears("member_left_channel", user=anna.id)["channel"] == "C0IN"

    wide.api("conversations.invite", channel="C0VAULT", users=anna.id)
    assert ear.hears("member_joined_channel", channel="C0VAULT")["inviter"] == "U0SANDBOX"
    wide.api("conversations.kick", channel="C0VAULT", user=anna.id)
    assert ear.hears("member_left_channel", channel="C0VAULT")["user"] == anna.id

    name = wide.api("conversations.create", name=f"new-{next(NEW)}")["channel"]["name"]
    bert.join(name)
    bert.invite(anna.name, name)
    assert ear.hears("member_joined_channel", inviter=bert.id)["user"] == anna.id


def test_people_come_and_change(ear, wide):
    new = f"U0HIRE{next(NEW)}"
    hired = wide.sandbox.add_person(new, name=new.lower(), real_name="Hal Hired", email="h@x.y")
    assert ear.hears("team_join")["user"]["profile"]["email"] == "h@x.y"

    wide.sandbox.change_person(hired.id, deleted=True)

    assert ear.hears("user_change")["user"]["deleted"]
    with pytest.raises(NotPossible):
        hired.command("/access")


def test_groups_come_and_change(ear, wide, anna):
    name = f"group-{next(NEW)}"
    group = wide.api("usergroups.create", name=name)["usergroup"]["id"]
    assert ear.hears("subteam_created")["subteam"]["handle"] == name

    wide.api("usergroups.users.update", usergroup=group, users=[anna.id, "U10001"])
    event = ear.hears("subteam_members_changed", subteam_id=group)
    assert event["added_users"] == sorted([anna.id, "U10001"])
    assert event["removed_users_count"] == 0

    wide.api("usergroups.disable", usergroup=group)
    assert ear.hears("subteam_updated")["subteam"]["date_delete"]


def test_each_tab_of_the_app_is_told(ear, anna):
    anna.open_home()
    assert ear.hears("app_home_opened", tab="home")["user"] == anna.id

    anna.open_home(tab="messages")
    assert "view" not in ear.hears("app_home_opened", tab="messages")


# --- who is told ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["no event", "no scope"])
def deaf(request, wide, tmp_path_factory):
    """A sandbox whose app lacks the one or the other."""
    manifest = everything()
    if request.param == "no event":
        manifest["settings"]["event_subscriptions"]["bot_events"] = []
    else:
        manifest["oauth_config"]["scopes"] = {"bot": ["commands", "chat:write", "im:write"]}
    path = tmp_path_factory.mktemp("deaf") / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    with Sandbox.start(**wide.files | {"manifest": path}, rate_factor=0) as sandbox:
        yield sandbox


def test_nobody_is_told_without_event_or_scope(deaf):
    anna = deaf.person("p1")
    anna.post("hello").react("eyes")
    anna.post("@latchkey hello", channel="general")
    deaf.person("p2").join("general")
    deaf.add_person("U0HIRED", name="hired", real_name="Hal Hired")
    deaf.change_person("hired", title="Boss")

    assert [entry for entry in deaf.journal() if entry["kind"] == "delivery"] == []
