"""What the fuzzer has found, and what it was looking for, each by its name."""

import pytest

from bot.slack import payloads
from bot.views import ids
from bot.views.request_modal import wished
from engine.request import State
from tests.support.door import (
    CUSTOMERS,
    PAYMENTS,
    choice,
    click,
    click_in,
    command,
    filled,
    home,
    modal,
    submission,
    suggestion,
)

UNKEPT = "\x00INC-1 \ud83d\x00"


def test_a_justification_that_no_database_keeps_is_kept_without_what_it_cannot(door):
    """PostgreSQL refuses NUL and halves of characters: the submission ended in an apology."""
    form = door.form("marta", PAYMENTS)
    answer = door.submit("marta", form, filled(form, justification={"value": UNKEPT}))
    assert not answer.errors
    assert door.requests()[0].justification == "INC-1"


def test_a_reason_that_no_database_keeps_is_kept_without_what_it_cannot(door):
    """The same of an approver's reason."""
    waits = door.requests()[0]
    values = {ids.REASON: {ids.REASON: {"value": UNKEPT}}}
    answer = door.submit("selin", modal(ids.APPROVE_MODAL, str(waits.id)), values)
    assert not answer.errors
    assert door.request(waits.id).approvals[0].reason == "INC-1"


@pytest.mark.parametrize("typed", [UNKEPT, "\x00", "\ud800", "a\x00" * 200])
def test_a_search_for_what_no_database_keeps_is_a_search(door, typed):
    """PostgreSQL refused the query: the menu stayed empty, the log had a stack trace."""
    assert not door.deliver(suggestion("marta", typed)).errors
    assert not door.command("marta", f"request {typed}").errors


def test_a_search_for_thousands_of_words_finds_nothing(door):
    """SQLite takes an expression 1,000 deep: the person read that the database is away."""
    typed = " ".join(f"w{n}" for n in range(2000))
    (option,) = door.deliver(suggestion("marta", typed)).payload["options"]
    assert wished(option["value"])
    assert "Nothing that you can request" in door.command("marta", f"request {typed}").said
    found = door.deliver(suggestion("marta", "a " * 2000)).payload["options"]
    assert [o["text"]["text"] for o in found]


@pytest.mark.parametrize("text", [f"a{' ' * 9000}b", "\n" * 9000 + "x", "for " * 3000, ":" * 9000])
def test_white_space_by_the_metre_is_read_at_once(door, text):
    """Reading it took time by the square of its length: a second at 6,000 spaces."""
    assert door.command("marta", f"request {text}").views


@pytest.mark.parametrize("gap", ["\n", "\t", "\u00a0", "  "])
def test_a_command_is_told_from_its_text_by_any_white_space(door, gap):
    """`request` with a line break after it was a command that nobody knew."""
    answer = door.command("marta", f"request{gap}read on {CUSTOMERS}")
    assert "Read the shop's orders" in answer.said


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        [],
        {"resource": None},
        {"resource": {"resource": None}},
        {"resource": {"resource": {"selected_option": None}}},
        {"resource": {"resource": {"selected_option": {"value": 7}}}},
        {"resource": {"resource": {"selected_option": {"value": "9" * 400}}}},
        {"resource": {"resource": {"selected_option": {"value": str(2**63)}}}},
        {"justification": {"justification": {"value": ["a list"]}}},
        {"duration/1 h": {"duration": "no field"}},
    ],
)
@pytest.mark.parametrize("callback", [ids.REQUEST_MODAL, ids.APPROVE_MODAL, ids.REJECT_MODAL])
def test_fields_that_make_no_sense_are_empty_ones(door, values, callback):
    """They raised TypeError, KeyError or AttributeError: the answer was an apology."""
    body = submission("marta", modal(callback, "99"), {})
    body["view"]["state"] = None if values is None else {"values": values}
    answer = door.deliver(body)
    assert not answer.errors
    assert answer.said


@pytest.mark.parametrize("id_", [2**31 - 1, 2**31, 2**63, 10**15 - 1, 10**400])
def test_an_id_larger_than_any_is_nobodys(door, id_):
    """PostgreSQL's integers end at 2,147,483,647: beyond, the answer was an apology."""
    value = str(id_)
    for action in sorted({*ids.OF_A_REQUEST, ids.SAVED, ids.RESET}):
        answer = door.click("marta", action, value)
        assert answer.said
        assert not answer.errors
    assert "no such request" in door.submit("selin", modal(ids.APPROVE_MODAL, value)).said
    entered = {
        a: {a: {"selected_option": {"value": value}}} for a in (ids.RESOURCE, ids.PERMISSION)
    }
    for body in (
        choice("marta", modal(ids.REQUEST_MODAL), ids.RESOURCE, value, entered),
        submission("marta", modal(ids.REQUEST_MODAL), entered),
    ):
        answer = door.deliver(body)
        assert answer.said
        assert not answer.errors


@pytest.mark.parametrize("action", [ids.SAVED, ids.RESET, ids.RESOURCE, ids.PERMISSION])
def test_a_button_of_a_modal_pressed_elsewhere_is_answered_in_a_modal(door, action):
    """It was looked for in the modal that it belongs to, and there was none."""
    answer = door.click("marta", action, "1")
    assert not answer.errors
    assert [method for method, _ in answer.calls] == ["views.open"]
    at_home = click_in("marta", {"type": "home"}, action, "1")
    assert [method for method, _ in door.deliver(at_home).calls] == ["views.open"]


def test_what_is_no_longer_listened_for_is_answered(door):
    """A button of an older version was answered by Slack's warning sign alone."""
    assert "another version" in door.click("marta", "launch", "1").said
    assert "another version" in door.submit("marta", modal("launch")).said
    assert "another version" in door.command("marta", command="/launch").said
    assert door.deliver(suggestion("marta", "x", "launch")).payload == {"options": []}
    shortcut = {**click("marta", "x", "x"), "type": "shortcut", "callback_id": "launch"}
    assert "another version" in door.deliver(shortcut).said


def test_a_choice_of_somebody_who_may_nothing_is_answered(door):
    """The form stayed as it was, and said nothing."""
    body = choice("nobody", modal(ids.REQUEST_MODAL), ids.RESOURCE, "1", {})
    assert "Slack could not tell who you are" in door.deliver(body).said


@pytest.mark.parametrize(
    ("body", "spoilt"),
    [
        (command("marta"), {"user_id": None}),
        (command("marta"), {"trigger_id": 5}),
        (click("marta", "approve", "1"), {"actions": []}),
        (click("marta", "approve", "1"), {"actions": [None]}),
        (click("marta", "approve", "1"), {"user": None}),
        (click("marta", "approve", "1"), {"team": 5}),
        (click("marta", "approve", "1"), {"view": []}),
        (click("marta", "approve", "1"), {"view": {"type": "modal"}}),
        (submission("marta", modal("request"), {}), {"view": None}),
        (submission("marta", modal("request"), {}), {"view": {"callback_id": "request"}}),
        (suggestion("marta", "x"), {"user": "U0MARTA"}),
        (home("marta"), {"event": {"type": "app_home_opened", "tab": "home"}}),
        (home("marta"), {"event": "x"}),
        (home("marta"), {"authorizations": 7}),
    ],
)
def test_what_slack_does_not_send_is_refused_at_the_door(door, body, spoilt):
    """It got as far as Bolt, which raised, or as the listeners: the log had a stack trace."""
    answer = door.deliver(body | spoilt)
    assert answer.status == 400
    assert not answer.errors


def test_what_is_no_payload_is_refused(door):
    short = ["", "{", "[]", "payload=", "payload=null", "payload=%5B%5D", "=", "\x00"]
    long = ["[" * 9000, "{" * 9000, '{"a":' * 9000, '{"type": ' + "9" * 9000 + "}", "&" * 100]
    for posted in (*short, *long):
        answer = door.deliver(posted)
        assert answer.status == 400
        assert not answer.errors


def test_a_command_of_nobody_at_all_is_answered(door):
    """An empty user id was taken for none, and looked for elsewhere."""
    answer = door.command("marta", "my", user_id="")
    assert "Slack could not tell who you are" in answer.said
    assert not answer.errors


def test_what_is_nested_deeper_than_anything_of_slacks_is_refused(door):
    """As deep as JSON is read, but deeper than what reads on can follow."""
    deep: object = "x"
    for _ in range(payloads.DEEPEST + 1):
        deep = [deep]
    assert door.deliver(command("marta") | {"x": deep}).status == 400
    assert door.requests()[0].state is State.PENDING
