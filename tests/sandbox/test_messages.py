"""Threads, reactions, shortcuts, ephemeral messages, escaping: what people and apps do to them."""

import pytest

from bot.sandbox.client import NotPossible
from tests.sandbox.kit import App, button, form, section
from tests.support import web


@pytest.fixture
def anna(wide):
    return wide.sandbox.person(wide.fresh())


@pytest.fixture
def app(wide):
    app = App(wide.sandbox, wide.api)
    app.link()
    yield app
    app.close()


@pytest.fixture
def posted(wide, anna):
    """A message of the app's, as the person sees it."""

    def posted(text="x", **more):
        wide.api("chat.postMessage", channel=anna.id, text=text, **more)
        return anna.messages()[-1]

    return posted


# --- threads ----------------------------------------------------------------------------------


def test_replies_stand_in_their_thread(wide, anna, posted):
    first = posted("first")
    anna.post("aside")
    reply = first.reply("an answer")
    wide.api("chat.postMessage", channel=first.raw["channel"], thread_ts=first.ts, text="another")

    assert [m.text for m in anna.messages()] == ["first", "aside"]
    assert [m.text for m in first.replies()] == ["an answer", "another"]
    raw = first.refresh().raw
    assert (raw["reply_count"], raw["reply_users_count"]) == (2, 2)
    assert raw["reply_users"] == [anna.id, "U0SANDBOX"]
    assert raw["thread_ts"] == first.ts == reply.raw["thread_ts"]
    assert raw["latest_reply"] > reply.ts


def test_a_thread_is_read_oldest_first_and_history_leaves_it_out(wide, posted):
    first = posted("first")
    for n in range(3):
        first.reply(f"r{n}")
    where = {"channel": first.raw["channel"]}

    thread = wide.api.form("conversations.replies", **where, ts=first.ts, limit=2)
    rest = wide.api.form(
        "conversations.replies",
        **where,
        ts=first.ts,
        cursor=thread["response_metadata"]["next_cursor"],
    )

    assert [m["text"] for m in thread["messages"] + rest["messages"]] == ["first", "r0", "r1", "r2"]
    assert [m["text"] for m in wide.api("conversations.history", **where)["messages"]] == ["first"]


def test_a_deleted_reply_is_counted_no_more(wide, posted):
    first = posted("first")
    where = {"channel": first.raw["channel"]}
    reply = wide.api("chat.postMessage", **where, thread_ts=first.ts, text="oops")
    assert first.refresh().raw["reply_count"] == 1

    wide.api("chat.delete", **where, ts=reply["ts"])

    assert "reply_count" not in first.refresh().raw
    assert first.replies() == []


def test_a_broadcast_reply_stands_in_the_channel_too(wide, anna, posted):
    first = posted("first")
    first.reply("quiet")
    first.reply("by hand", broadcast=True)
    where = {"channel": first.raw["channel"], "thread_ts": first.ts}

    answer = wide.api("chat.postMessage", **where, text="by the app", reply_broadcast=True)

    assert [m.text for m in anna.messages()] == ["first", "by hand", "by the app"]
    assert answer["message"]["subtype"] == "thread_broadcast"
    assert len(first.replies()) == 3


def test_a_reply_can_be_broadcast_later(wide, anna, posted):
    first = posted("first")
    where = {"channel": first.raw["channel"]}
    reply = wide.api("chat.postMessage", **where, thread_ts=first.ts, text="quiet")

    assert wide.api("chat.update", **where, ts=reply["ts"], text="loud", reply_broadcast=True)["ok"]

    assert [m.text for m in anna.messages()] == ["first", "loud"]


def test_only_first_messages_have_threads(wide, anna, posted):
    first = posted("first")
    reply = first.reply("an answer")
    where = {"channel": first.raw["channel"], "text": "x"}

    deeper = wide.api("chat.postMessage", **where, thread_ts=reply.ts)
    hidden = wide.api("chat.postEphemeral", **where, user=anna.id)["message_ts"]

    assert deeper["error"] == "cannot_reply_to_message"
    answer = wide.api("chat.postMessage", **where, thread_ts=hidden)
    assert answer["error"] == "cannot_reply_to_message"
    with pytest.raises(NotPossible, match="no thread"):
        reply.reply("deeper")


def test_an_ephemeral_reply_is_for_one_and_counts_nowhere(wide, anna, posted):
    first = posted("first")
    where = {"channel": first.raw["channel"], "thread_ts": first.ts}

    wide.api("chat.postEphemeral", **where, user=anna.id, text="psst")

    assert [(m.text, m.is_ephemeral) for m in first.replies()] == [("psst", True)]
    assert "reply_count" not in first.refresh().raw


def test_a_permalink_names_message_and_thread(wide, posted):
    first = posted("first")
    reply = first.reply("an answer")
    channel = first.raw["channel"]

    def link(ts):
        answer = wide.api.form("chat.getPermalink", channel=channel, message_ts=ts)
        return answer["permalink"]

    path = f"https://sandbox.slack.com/archives/{channel}/p"
    assert link(first.ts) == path + first.ts.replace(".", "")
    assert link(reply.ts).endswith(f"?thread_ts={first.ts}&cid={channel}")


# --- reactions --------------------------------------------------------------------------------


def test_reactions_are_kept_by_emoji_and_person(wide, anna, posted):
    seen = posted()
    where = {"channel": seen.raw["channel"], "timestamp": seen.ts}
    seen.react("eyes")
    wide.api("reactions.add", **where, name="eyes")
    wide.api("reactions.add", **where, name="+1::skin-tone-3")

    assert seen.refresh().reactions == {
        "eyes": [anna.id, "U0SANDBOX"],
        "+1::skin-tone-3": ["U0SANDBOX"],
    }
    assert wide.api("reactions.remove", **where, name="eyes")["ok"]
    seen.unreact("eyes")
    shown = wide.api.form("reactions.get", **where)["message"]["reactions"]
    assert [(one["name"], one["count"]) for one in shown] == [("+1::skin-tone-3", 1)]
    with pytest.raises(NotPossible, match="no_reaction"):
        seen.unreact("eyes")


# --- shortcuts --------------------------------------------------------------------------------


def test_a_global_shortcut_can_open_a_view(app, anna):
    def answer(payload):
        app.api("views.open", trigger_id=payload["trigger_id"], view=form(title="Shortcut"))

    app.on("shortcut", answer)

    assert anna.shortcut("ask").ok

    payload = app.seen[-1]["payload"]
    assert (payload["callback_id"], payload["user"]["id"]) == ("ask", anna.id)
    assert not {"channel", "message", "response_url"} & set(payload)
    assert app.seen[-1]["accepts_response_payload"] is False
    assert anna.view().title == "Shortcut"


def test_a_message_shortcut_carries_the_message(app, anna, posted):
    app.on("message_action")
    seen = posted("look")

    assert anna.message_shortcut("about", seen).ok

    payload = app.seen[-1]["payload"]
    assert (payload["callback_id"], payload["message_ts"]) == ("about", seen.ts)
    assert payload["message"]["text"] == "look"
    assert payload["channel"] == {"id": seen.raw["channel"], "name": "directmessage"}
    assert web.post(payload["response_url"], json={"text": "hi"}).text == "ok"
    assert anna.messages()[-1].is_ephemeral


def test_shortcuts_are_those_of_the_manifest(sandbox, anna, posted):
    for act in (
        lambda: anna.shortcut("about"),
        lambda: anna.message_shortcut("ask", posted()),
        lambda: sandbox.person("p1").shortcut("ask"),
    ):
        with pytest.raises(NotPossible, match="manifest has no"):
            act()


def test_a_shortcut_that_nobody_answers_is_trouble(anna):
    assert anna.shortcut("ask").error == "We had some trouble connecting. Try again?"


# --- escaping ---------------------------------------------------------------------------------


def test_a_click_brings_the_message_escaped(app, posted):
    """bolt-python#513: & < > come back as entities, in plain_text and mrkdwn alike."""
    app.on("block_actions")
    blocks = [
        section("5 < 6 & <https://x.example?a=1&b=2|it> is &lt;b&gt; for <@U1>"),
        {"type": "actions", "elements": [button("go", "A & B > C", value="a & b")]},
    ]
    seen = posted("1 & 2", blocks=blocks)

    seen.click("A & B > C")

    payload = app.seen[-1]["payload"]
    copy = payload["message"]
    assert copy["text"] == "1 &amp; 2"
    assert copy["blocks"][0]["text"]["text"] == (
        "5 &lt; 6 &amp; <https://x.example?a=1&b=2|it> is &lt;b&gt; for <@U1>"
    )
    assert copy["blocks"][1]["elements"][0]["text"]["text"] == "A &amp; B &gt; C"
    assert payload["actions"][0]["value"] == "a & b"
    assert seen.text.startswith("5 < 6 & it is <b> for @U1")


def test_a_copy_that_is_sent_back_reads_the_same(wide, posted):
    seen = posted("1 & 2")
    where = {"channel": seen.raw["channel"], "ts": seen.ts}
    copy = wide.api("conversations.history", channel=where["channel"])["messages"][0]

    wide.api("chat.update", **where, text=copy["text"])

    assert seen.refresh().text == "1 & 2"


def test_what_people_type_is_escaped_and_mentions_are_ids(anna):
    written = anna.post("a < b & c, @p1 in #general, <!channel>")

    assert written.raw["text"] == ("a &lt; b &amp; c, <@U10001> in <#C0IN>, &lt;!channel&gt;")
    assert written.text == "a < b & c, @Person 1 in #general, <!channel>"


# --- what people may not ------------------------------------------------------------------------


def test_nobody_writes_where_nobody_can(wide, anna):
    old, silent = wide.sandbox.person("p1"), {"text": " "}

    with pytest.raises(NotPossible, match="empty"):
        anna.post(**silent)
    with pytest.raises(NotPossible, match="is not in"):
        anna.post("x", channel="vault")
    with pytest.raises(NotPossible, match="is not in"):
        old.post("x", channel="old")


def test_an_app_changes_only_what_is_its_own(wide, anna):
    written = anna.post("mine")
    where = {"channel": written.raw["channel"], "ts": written.ts}

    assert wide.api("chat.update", **where, text="x")["error"] == "cant_update_message"
    assert wide.api("chat.delete", **where)["error"] == "cant_delete_message"


def test_a_response_url_can_answer_in_the_thread(app, posted):
    app.on("block_actions")
    seen = posted(blocks=[{"type": "actions", "elements": [button()]}])
    seen.click("go")
    url = app.seen[-1]["payload"]["response_url"]

    said = {"text": "in the thread", "response_type": "in_channel", "thread_ts": seen.ts}
    assert web.post(url, json=said).text == "ok"

    assert [(m.text, m.is_ephemeral) for m in seen.replies()] == [("in the thread", False)]
