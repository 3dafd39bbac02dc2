"""What people do, what the app is told, and what comes of its answer."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.sandbox.client import NotPossible
from tests.sandbox.kit import PEOPLE, SILENCE, button, field, form, modal, opening, plain, section
from tests.support import web

TROUBLE = "We had some trouble connecting. Try again?"


def option(text, value=None):
    return {"text": plain(text), "value": value or text}


def field_of(kind, block_id="what", **element):
    shown = {"type": kind, "action_id": "menu", **element}
    return field(block_id) | {"element": shown}


# --- commands ---------------------------------------------------------------------------------


def test_a_command_is_told_in_full(app, person):
    app.on("/access")

    answer = person.command("/access", "request  <!channel> &c")

    assert answer.ok
    assert 0 < answer.seconds < 1
    envelope = app.seen[-1]
    assert envelope["type"] == "slash_commands"
    assert envelope["accepts_response_payload"] is True
    payload = envelope["payload"]
    assert payload["text"] == "request  <!channel> &c"
    assert payload["user_id"] == person.id
    assert payload["channel_name"] == "directmessage"
    assert payload["team_id"] == "T0ACME"
    assert payload["api_app_id"] == "A0SANDBOX"
    assert payload["is_enterprise_install"] == "false"


@pytest.mark.parametrize(
    "reply", ["Hello", {"text": "Hello"}, {"text": "x", "blocks": [section()]}]
)
def test_a_reply_is_seen_by_who_asked(app, person, reply):
    app.on("/access", lambda _: {"text": reply} if isinstance(reply, str) else reply)

    answer = person.command("/access")

    assert answer.text == "Hello"
    assert [(m.text, m.is_ephemeral) for m in person.messages()] == [("Hello", True)]


def test_a_reply_in_the_channel_is_seen_by_all(app, sandbox):
    guest = sandbox.person("guest")
    app.on("/access", lambda _: {"text": "for all", "response_type": "in_channel"})

    guest.command("/access", channel="general")

    assert sandbox.person("p1").messages("general")[-1].text == "for all"


def test_a_reply_that_slack_refuses_fails(app, person):
    app.on("/access", lambda _: {"blocks": [section("x" * 3001)]})

    assert person.command("/access").error == "invalid_command_response"
    assert person.messages() == []


def test_only_commands_of_the_manifest_exist(person):
    with pytest.raises(NotPossible, match="/acess is not a valid command"):
        person.command("/acess")


def test_who_left_cannot_act(sandbox):
    with pytest.raises(NotPossible):
        sandbox.person("gone").command("/access")


def test_without_a_link_a_command_fails_at_once(sandbox, person):
    sandbox.wait_links(0)

    assert person.command("/access").error == "dispatch_failed"


# --- three seconds ----------------------------------------------------------------------------


def test_an_app_that_does_not_answer_is_reported_after_three_seconds(app, sandbox, api):
    people = [sandbox.person(f"p{n}") for n in range(PEOPLE - 3, PEOPLE + 1)]
    commander, clicker, submitter, searcher = people
    for one in people:
        api("chat.postMessage", channel=one.id, text="x", blocks=[
            {"type": "actions", "elements": [button()]}
        ])  # fmt: skip
    menu = field_of("external_select", min_query_length=0)
    for one, view in ((submitter, form(field())), (searcher, form(menu))):
        app.on("/access", opening(app, view))
        one.command("/access")
    app.on("/access", lambda _: SILENCE)
    submitter.view().set("text", "because")

    acts = [
        lambda: commander.command("/access"),
        lambda: clicker.messages()[0].click("go"),
        lambda: submitter.view().submit(),
        lambda: searcher.view().options("menu"),
    ]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda act: act(), acts))

    assert (answers[0].error, answers[1].error) == ("operation_timeout", TROUBLE)
    assert answers[2].failed == TROUBLE
    assert answers[3] == []
    assert commander.notices() == ['/access failed with the error "operation_timeout"']
    assert [one.notices() for one in people[1:]] == [[TROUBLE]] * 3
    assert submitter.view().banner == TROUBLE
    waited = [entry for entry in sandbox.journal() if entry.get("outcome") == "timeout"]
    assert len(waited) >= 4
    assert all(entry["seconds"] is None for entry in waited)


def test_after_a_failure_the_view_can_be_sent_again(app, show):
    view = show(form())
    view.set("text", "because")
    app.on("view_submission", lambda _: {"response_action": "nonsense"})
    assert view.submit().failed == TROUBLE

    app.on("view_submission")

    assert view.submit().action == "close"


# --- submissions ------------------------------------------------------------------------------


def test_a_submission_carries_the_view_and_its_state(app, show, person):
    view = show(form(private_metadata="r1", callback_id="request"))
    view.set("text", "5 < 6 & 7")
    app.on("view_submission")

    assert view.submit().action == "close"

    payload = app.seen[-1]["payload"]
    assert payload["user"]["id"] == person.id
    assert payload["view"]["id"] == payload["view"]["root_view_id"] == view.id
    assert payload["view"]["previous_view_id"] is None
    assert payload["view"]["private_metadata"] == "r1"
    assert payload["view"]["callback_id"] == "request"
    assert payload["view"]["hash"] == view.raw["hash"]
    assert payload["view"]["state"]["values"] == {
        "why": {"text": {"type": "plain_text_input", "value": "5 < 6 & 7"}}
    }
    assert payload["response_urls"] == []
    assert person.views() == []


def test_the_client_keeps_an_incomplete_form(app, show):
    view = show(form(field(), field("more", optional=True)))
    before = len(app.seen)

    assert view.submit().errors == {"why": "Please complete this required field."}

    assert len(app.seen) == before


@pytest.mark.parametrize(
    ("element", "entered", "complaint"),
    [
        ({"type": "plain_text_input", "min_length": 3}, "ab", "at least 3"),
        ({"type": "plain_text_input", "max_length": 3}, "abcd", "no more than 3"),
        ({"type": "plain_text_input"}, "x" * 3001, "no more than 3000"),
        ({"type": "number_input", "is_decimal_allowed": False}, "1.5", "whole number"),
        ({"type": "number_input", "is_decimal_allowed": True}, "x", "a number"),
        ({"type": "number_input", "is_decimal_allowed": False, "max_value": "8"}, "9", "at most 8"),
        (
            {"type": "number_input", "is_decimal_allowed": False, "min_value": "1"},
            "0",
            "at least 1",
        ),
        ({"type": "email_text_input"}, "anna", "valid email"),
        ({"type": "url_text_input"}, "anna", "valid URL"),
    ],
)
def test_the_client_checks_what_was_typed(show, element, entered, complaint):
    view = show(form(field() | {"element": {"action_id": "text", **element}}))
    view.set("text", entered)

    assert complaint in view.submit().errors["why"]


def test_errors_stand_under_their_fields_until_changed(app, show):
    view = show(form())
    view.set("text", "because")
    app.on("view_submission", lambda _: {"response_action": "errors", "errors": {"why": "No."}})

    sent = view.submit()

    assert (sent.action, sent.errors, sent.failed) == ("errors", {"why": "No."}, "")
    assert view.errors == {"why": "No."}
    view.set("text", "please")
    assert view.errors == {}


@pytest.mark.parametrize(
    "errors",
    [{"what": "no such block"}, {"text": "an action_id"}, {"note": "no input"}, {}, None, "why"],
    ids=["unknown", "action", "section", "empty", "none", "text"],
)
def test_errors_must_name_input_blocks(app, show, errors):
    view = show(form(field(), section(block_id="note")))
    view.set("text", "because")
    app.on("view_submission", lambda _: {"response_action": "errors", "errors": errors})

    sent = view.submit()

    assert (sent.action, sent.errors, sent.failed) == ("", {}, TROUBLE)
    assert view.banner == TROUBLE


def test_update_changes_the_view_in_place(app, show):
    view = show(form())
    view.set("text", "because")
    app.on(
        "view_submission",
        lambda _: {"response_action": "update", "view": modal(title="Done")},
    )

    assert view.submit().action == "update"

    assert (view.title, view.is_open) == ("Done", True)


def test_push_and_clear(app, show, person):
    view = show(form())
    view.set("text", "because")
    app.on("view_submission", lambda _: {"response_action": "push", "view": form(title="Sure?")})
    assert view.submit().action == "push"
    top = person.view()
    assert (top.title, top.raw["previous_view_id"]) == ("Sure?", view.id)
    top.set("text", "yes")
    app.on("view_submission", lambda _: {"response_action": "clear"})

    assert top.submit().action == "clear"

    assert person.views() == []


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "update", "view": modal(title="x" * 25)},
        {"response_action": "update"},
        {"response_action": "push", "view": {"type": "home", "blocks": []}},
        {"response_action": "explode"},
        {"text": "thanks"},
    ],
    ids=["long title", "no view", "home", "unknown", "text"],
)
def test_an_answer_that_slack_refuses_is_trouble(app, show, answer):
    view = show(form())
    view.set("text", "because")
    app.on("view_submission", lambda _: answer)

    assert view.submit().failed == TROUBLE

    assert (view.title, view.is_open) == ("Modal", True)


def test_a_push_onto_a_full_stack_is_trouble(app, show, person):
    view = show(form())
    app.on("view_submission", lambda _: {"response_action": "push", "view": form()})
    for expected in ("push", "push", ""):
        person.view().set("text", "because")
        assert person.view().submit().action == expected

    assert len(person.views()) == 3
    assert view.is_open


@pytest.mark.parametrize("action", ["update", "push"])
def test_an_answer_to_a_view_that_was_closed_meanwhile_is_trouble(app, show, person, action):
    view = show(form())
    view.set("text", "because")

    def answer(_):
        view.close()
        return {"response_action": action, "view": modal()}

    app.on("view_submission", answer)

    assert view.submit().failed == TROUBLE

    assert person.views() == []


def test_only_a_view_with_a_submit_button_on_top_is_sent(show):
    view = show(modal())

    with pytest.raises(NotPossible, match="no submit button"):
        view.submit()


# --- closing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("everything", "cleared"), [(False, False), (True, True)])
def test_closing_is_told_if_asked_for(app, show, person, everything, cleared):
    view = show(modal(notify_on_close=True))
    app.on("view_closed")

    assert view.close(everything=everything).ok

    payload = app.seen[-1]["payload"]
    assert (payload["type"], payload["is_cleared"]) == ("view_closed", cleared)
    assert payload["view"]["id"] == view.id
    assert person.views() == []


def test_closing_is_not_told_otherwise(app, show):
    view = show(modal())
    before = len(app.seen)

    view.close()

    assert len(app.seen) == before


# --- actions ----------------------------------------------------------------------------------


def card(*elements):
    return [section("Decide"), {"type": "actions", "block_id": "b", "elements": list(elements)}]


def test_a_click_in_a_message_is_told_in_full(app, api, person):
    posted = api(
        "chat.postMessage",
        channel=person.id,
        text="x",
        blocks=card(button("yes", "Yes", value="r1", style="primary"), button("no", "No")),
    )
    app.on("block_actions")
    message = person.wait_message("Decide")

    assert message.buttons == [("yes", "Yes", "r1"), ("no", "No", "")]
    assert message.click("Yes").ok

    payload = app.seen[-1]["payload"]
    (action,) = payload["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("yes", "b", "r1")
    assert action["text"] == plain("Yes") | {"emoji": True}
    assert payload["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": posted["channel"],
        "is_ephemeral": False,
    }
    assert payload["message"]["ts"] == posted["ts"]
    assert payload["channel"] == {"id": posted["channel"], "name": "directmessage"}
    assert payload["user"]["id"] == person.id
    assert payload["user"]["team_id"] == "T0ACME"
    assert payload["api_app_id"] == "A0SANDBOX"
    assert payload["trigger_id"]
    assert app.seen[-1]["accepts_response_payload"] is False


def test_equal_buttons_are_told_apart_by_value(app, api, person):
    rows = [
        {"type": "actions", "elements": [button("yes", "Yes", value=value)]} for value in ("a", "b")
    ]
    api("chat.postMessage", channel=person.id, text="x", blocks=rows)
    app.on("block_actions")
    message = person.messages()[0]

    with pytest.raises(NotPossible, match="more than one"):
        message.click("yes")
    with pytest.raises(NotPossible, match="no element"):
        message.click("yes", "c")
    message.click("yes", "b")

    assert app.seen[-1]["payload"]["actions"][0]["value"] == "b"


def test_nobody_clicks_what_is_gone_or_not_theirs(api, person, colleague):
    posted = api("chat.postMessage", channel=person.id, text="x", blocks=card(button()))
    message = person.messages()[0]

    api("chat.update", channel=posted["channel"], ts=posted["ts"], text="x", blocks=[section()])
    with pytest.raises(NotPossible):
        message.click("go")
    with pytest.raises(NotPossible):
        colleague.messages(posted["channel"])


def test_a_menu_in_a_message_tells_at_once(app, api, person):
    menu = {"type": "static_select", "action_id": "pick", "options": [option("One", "1")]}
    more = {"type": "overflow", "action_id": "more", "options": [option("Two", "2")]}
    api("chat.postMessage", channel=person.id, text="x", blocks=card(menu, more))
    app.on("block_actions")
    message = person.messages()[0]

    message.click("pick", "One")
    assert app.seen[-1]["payload"]["actions"][0]["selected_option"]["value"] == "1"
    state = app.seen[-1]["payload"]["state"]["values"]
    assert state["b"]["pick"]["selected_option"]["value"] == "1"
    message.click("more", "2")
    assert app.seen[-1]["payload"]["actions"][0]["selected_option"]["value"] == "2"
    with pytest.raises(NotPossible, match="is not offered"):
        message.click("pick", "3")


def test_fields_tell_only_if_they_are_to(app, show):
    quiet = field("quiet", "quiet")
    loud = field("loud", "loud", dispatch_action=True)
    box = {
        "type": "section",
        "block_id": "s",
        "text": plain("Menu"),
        "accessory": {
            "type": "static_select",
            "action_id": "menu",
            "options": [option("One", "1")],
        },
    }
    view = show(form(quiet, loud, box))
    app.on("block_actions")

    def told():  # and no event that Slack delivers again, as its app was slow
        payloads = [seen["payload"] for seen in app.seen]
        return [payload for payload in payloads if payload.get("type") == "block_actions"]

    before = len(told())

    assert view.set("quiet", "x").seconds is None
    assert len(told()) == before
    assert view.set("loud", "y").seconds > 0
    assert view.set("menu", "One").seconds > 0

    payload = told()[-1]
    assert payload["container"] == {"type": "view", "view_id": view.id}
    values = payload["view"]["state"]["values"]
    assert values["quiet"]["quiet"]["value"] == "x"
    assert values["loud"]["loud"]["value"] == "y"
    assert values["s"]["menu"]["selected_option"]["value"] == "1"


def test_what_a_field_holds_has_its_own_shape(app, show, colleague):
    boxes = [option("A", "a"), option("B", "b")]
    view = show(
        form(
            field_of("checkboxes", "c", action_id="c", options=boxes),
            field_of("radio_buttons", "r", action_id="r", options=boxes),
            field_of("multi_static_select", "m", action_id="m", options=boxes),
            field_of("users_select", "u", action_id="u"),
            field_of("datepicker", "d", action_id="d"),
        )
    )
    view.set("c", ["a", "b"])
    view.set("r", "B")
    view.set("m", ["A"])
    view.set("u", colleague.email)
    view.set("d", "2027-01-31")
    app.on("view_submission")
    assert view.submit().action == "close"

    values = app.seen[-1]["payload"]["view"]["state"]["values"]
    assert [o["value"] for o in values["c"]["c"]["selected_options"]] == ["a", "b"]
    assert values["r"]["r"]["selected_option"]["value"] == "b"
    assert [o["value"] for o in values["m"]["m"]["selected_options"]] == ["a"]
    assert values["u"]["u"] == {"type": "users_select", "selected_user": colleague.id}
    assert values["d"]["d"]["selected_date"] == "2027-01-31"


def test_a_forged_action_is_what_the_test_says(app, person):
    app.on("block_actions")

    forged = {"actions": [{"action_id": "approve", "value": "r9"}], "message": {"ts": "1.2"}}
    assert person.raw_action(forged).ok

    payload = app.seen[-1]["payload"]
    assert payload["actions"][0]["type"] == "button"
    assert (payload["actions"][0]["value"], payload["message"]) == ("r9", {"ts": "1.2"})
    assert payload["user"]["id"] == person.id


# --- external menus ---------------------------------------------------------------------------

GROUPS = [
    {"label": plain("Databases"), "options": [option("orders", "1"), option("people", "2")]},
    {"label": plain("Servers"), "options": [option("web", "3")]},
]


def test_an_external_menu_asks_as_one_types(app, show, person):
    view = show(form(field_of("external_select", min_query_length=2)))
    app.on("block_suggestion", lambda _: {"option_groups": GROUPS})

    with pytest.raises(NotPossible, match="from 2 characters on"):
        view.options("menu", "o")
    found = view.options("menu", "or")

    assert [o["value"] for o in found] == ["1", "2", "3"]
    payload = app.seen[-1]["payload"]
    assert (payload["action_id"], payload["block_id"], payload["value"]) == ("menu", "what", "or")
    assert payload["view"]["id"] == view.id
    assert payload["user"]["id"] == person.id


def test_an_external_menu_asks_from_three_characters_on_if_it_does_not_say(app, show):
    view = show(form(field_of("external_select")))
    app.on("block_suggestion", lambda _: {"options": []})

    with pytest.raises(NotPossible):
        view.options("menu", "or")
    assert view.options("menu", "ord") == []


def test_only_what_was_offered_is_chosen(app, show):
    view = show(form(field_of("external_select", min_query_length=0)))
    app.on(
        "block_suggestion",
        lambda payload: {"options": [option("orders", "1")] if "ord" in payload["value"] else []},
    )

    with pytest.raises(NotPossible, match="is not offered"):
        view.set("menu", "people")
    view.set("menu", "orders")

    chosen = view.raw["state"]["values"]["what"]["menu"]["selected_option"]
    assert (chosen["text"]["text"], chosen["value"]) == ("orders", "1")


def test_an_external_menu_in_a_message_asks_too(app, api, person):
    menu = {"type": "external_select", "action_id": "menu", "min_query_length": 0}
    api("chat.postMessage", channel=person.id, text="x", blocks=card(menu))
    app.on("block_suggestion", lambda _: {"option_groups": GROUPS}).on("block_actions")

    person.messages()[0].click("menu", "web")

    suggestion, action = (envelope["payload"] for envelope in app.seen[-2:])
    assert suggestion["container"]["type"] == "message"
    assert action["actions"][0]["selected_option"]["value"] == "3"


@pytest.mark.parametrize(
    "answer",
    [
        {"options": [option("x", str(n)) for n in range(101)]},
        {"options": [option("x" * 76)]},
        {"options": [], "option_groups": []},
        {"text": "none"},
        None,
    ],
    ids=["101", "long", "both", "text", "nothing"],
)
def test_options_that_slack_refuses_are_trouble(app, show, person, answer):
    view = show(form(field_of("external_select", min_query_length=0)))
    app.on("block_suggestion", lambda _: answer)

    assert view.options("menu") == []
    assert person.notices() == [TROUBLE]


# --- Home, response_url -----------------------------------------------------------------------


def test_opening_home_is_an_event(app, api, person):
    app.on("app_home_opened")
    person.open_home()
    first = app.seen[-1]
    api("views.publish", user_id=person.id, view={"type": "home", "blocks": [section()]})

    person.open_home()

    assert first["type"] == "events_api"
    assert (first["retry_attempt"], first["accepts_response_payload"]) == (0, False)
    assert first["payload"]["type"] == "event_callback"
    event = first["payload"]["event"]
    assert (event["type"], event["user"], event["tab"]) == ("app_home_opened", person.id, "home")
    assert "view" not in event
    assert app.seen[-1]["payload"]["event"]["view"]["type"] == "home"
    assert app.seen[-1]["payload"]["event_id"] != first["payload"]["event_id"]


def test_a_response_url_answers_five_times(app, api, person):
    api("chat.postMessage", channel=person.id, text="x", blocks=card(button()))
    app.on("block_actions")
    person.messages()[0].click("go")
    url = app.seen[-1]["payload"]["response_url"]

    def respond(**said):
        return web.post(url, json=said)

    assert respond(text="changed", replace_original=True, blocks=[]).text == "ok"
    assert [message.text for message in person.messages()] == ["changed"]
    assert respond(text="psst").text == "ok"
    assert person.messages()[-1].is_ephemeral
    assert respond(delete_original=True).text == "ok"
    assert respond(blocks=[{"type": "x"}]).text == "invalid_blocks"
    assert [respond(text="x").text, respond(text="x").text] == ["ok", "expired_url"]
