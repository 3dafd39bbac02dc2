"""The approver's form while it is filled in: unfolded, and with what follows from what is typed."""

import pytest

from bot.views import ids
from bot.views.decide_modals import is_whole
from bot.views.request_modal import block_of
from engine.request import State
from tests.support.door import click_in, filled, modal

FORGED = "Fine.\n*Approved* by @Ines\r\n\u2028> Go on"


@pytest.fixture
def waits(door):
    """A request that Priya may decide."""
    return door.ask("ravi")


def opened(door, waits, action=ids.APPROVE):
    (form,) = door.click("priya", action, str(waits.id)).views
    return form


def typed(door, form, text):
    """Type it into the field for a shorter time; return the form that follows, if one does."""
    body = click_in("priya", form, ids.SHORTER, text)
    body["actions"][0] |= {"type": "plain_text_input"}
    body["view"]["state"]["values"] = filled(form, **{ids.SHORTER: {"value": text}})
    answer = door.deliver(body)
    assert not answer.errors
    return answer.views[0] if answer.views else None


def asks_to_keep(form):
    return block_of(form["blocks"], ids.KEEP) is not None


@pytest.mark.parametrize("action", [ids.APPROVE, ids.REJECT])
def test_the_rest_of_the_card_is_shown_in_the_same_form(door, waits, action):
    form = opened(door, waits, action)
    (button,) = [e for b in form["blocks"] if b["type"] == "actions" for e in b["elements"]]

    answer = door.deliver(click_in("priya", form, ids.WHOLE, button["value"]))

    (whole,) = answer.views
    assert [method for method, _ in answer.calls] == ["views.update"]
    assert whole["callback_id"] == form["callback_id"]
    assert is_whole(whole["private_metadata"])
    assert "System" in answer.said
    assert block_of(whole["blocks"], ids.REASON) == block_of(form["blocks"], ids.REASON)
    assert not door.submit("priya", whole, filled(whole)).payload
    assert door.request(waits.id).state in {State.GRANTING, State.REJECTED}


def test_extensions_are_asked_about_while_a_shorter_time_stands_there(door, waits):
    form = opened(door, waits)
    assert not asks_to_keep(form)
    assert typed(door, form, "2") is None

    shorter = typed(door, form, "20 min")

    assert asks_to_keep(shorter)
    assert typed(door, shorter, "25 min") is None
    assert not asks_to_keep(typed(door, shorter, ""))


def test_what_is_typed_leaves_the_form_unfolded(door, waits):
    form = opened(door, waits) | {"private_metadata": f"{waits.id}/whole"}

    assert is_whole(typed(door, form, "20 min")["private_metadata"])


def test_whoever_types_into_a_settled_request_is_told_who_decided(door, waits):
    form = opened(door, waits)
    door.submit("priya", modal(ids.REJECT_MODAL, str(waits.id)))

    said = typed(door, form, "20 min")

    assert "rejected this request" in str(said["blocks"])


@pytest.mark.parametrize("value", ["", "0", "x/whole", "999999", "1/2/3"])
def test_a_form_of_no_request_is_answered(door, value):
    for action in (ids.WHOLE, ids.SHORTER):
        for body in (
            click_in("priya", modal(ids.REJECT_MODAL, value), action, value),
            click_in("priya", {"type": "home"}, action, value),
        ):
            assert not door.deliver(body).errors
    assert not door.click("priya", ids.WHOLE, value).errors


@pytest.mark.parametrize("callback", [ids.APPROVE_MODAL, ids.REJECT_MODAL])
def test_a_reason_is_one_line(door, waits, callback):
    """Slack's field has one line, and whoever sends something else is not kept from it by that."""
    values = {ids.REASON: {ids.REASON: {"value": FORGED}}}
    door.submit("priya", modal(callback, str(waits.id)), values)

    request = door.request(waits.id)
    reasons = [a.reason for a in request.approvals] + [request.decided.reason]
    assert set(reasons) == {"Fine. *Approved* by @Ines > Go on"}
    bodies = [row["body"] for row in door.rows()["audit"] if "Approved" in str(row["body"])]
    assert [body["reason"] for body in bodies] == [reasons[0]]


def test_a_justification_keeps_its_lines(door):
    made = door.ask("ravi", why="one\n\ntwo")

    assert made.justification == "one\n\ntwo"


def test_what_is_wanted_is_one_line(door):
    """A wish's words made lines of their own in what the administrators are told."""
    answer = door.command("kofi", "why no\nsuch\u2028thing")
    value = next(
        e["value"]
        for b in answer.views[0]["blocks"]
        if b["type"] == "actions"
        for e in b["elements"]
        if e["action_id"] == ids.WISH
    )
    (form,) = door.deliver(click_in("kofi", answer.views[0], ids.WISH, value)).views
    door.submit("kofi", form, filled(form, **{ids.REASON: {"value": "a\nb"}}))

    (row,) = door.rows()["wish"]
    assert (row["called"], row["reason"]) == ("no such thing", "a\nb")
