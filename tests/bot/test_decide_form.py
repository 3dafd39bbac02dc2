"""The approver's form while it is filled in: unfolded, and with what follows from what is typed."""

from dataclasses import replace

import pytest

from bot.sandbox.blocks import judge_view
from bot.views import ids
from bot.views.decide_modals import approve_modal, is_whole, leaving_out
from bot.views.request_modal import block_of
from engine.inventory import EntitlementId
from engine.request import State
from tests.support.builders import BEN, entitlement, flow, life
from tests.support.door import click_in, filled, modal, suggestion
from tests.support.scenes import seen

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


SIGNS = ["🙂", "é", "字"]
FORMS = [(ids.APPROVE_MODAL, "priya"), (ids.REJECT_MODAL, "priya"), (ids.END_MODAL, "ines")]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(("callback", "who"), FORMS)
def test_a_reason_has_at_most_124_code_points_whatever_they_take(door, waits, callback, who, sign):
    """An emoji is one, though Slack counts it as two; what stands around it is none."""
    form = modal(callback, str(waits.id)) | {"blocks": approve_modal(asking_for(1))["blocks"]}
    reason = f" \n{sign * 124}\t "

    for over, text in ((1, sign * 125), (10, reason + "x" * 9), (376, sign * 500)):
        answer = door.submit(who, form, {ids.REASON: {ids.REASON: {"value": text}}})
        assert f"this has {124 + over}, {over} too many." in answer.payload["errors"][ids.REASON]
    assert door.request(waits.id).state is State.PENDING

    assert not door.submit(who, form, {ids.REASON: {ids.REASON: {"value": reason}}}).payload
    now = door.request(waits.id)
    assert (now.decided or now.ended).reason == sign * 124


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


# --- for fewer things ----------------------------------------------------------------------------


def asking_for(many):
    numbers = range(1, many + 1)
    scene = seen(life(State.PENDING, flow(), *numbers), BEN)
    return replace(scene, entitlements={EntitlementId(n): entitlement(n) for n in numbers})


def field_of(form, action):
    return next(
        (b["element"] for b in form["blocks"] if b.get("element", {}).get("action_id") == action),
        None,
    )


def test_one_thing_is_approved_or_not():
    form = approve_modal(asking_for(1))
    assert field_of(form, ids.THINGS) is None
    assert field_of(form, ids.LEAVE_OUT) is None


def test_each_of_a_few_has_a_box_that_is_ticked():
    boxes = field_of(approve_modal(asking_for(10)), ids.THINGS)
    assert boxes["type"] == "checkboxes"
    assert [o["text"]["text"] for o in boxes["options"]] == [
        f"read on orders/t{n}" for n in range(1, 11)
    ]
    assert boxes["initial_options"] == boxes["options"]


@pytest.mark.parametrize(
    ("many", "kind"),
    [(11, "multi_static_select"), (100, "multi_static_select"), (101, "multi_external_select")],
)
def test_of_many_some_are_left_out_by_a_menu_or_a_search(many, kind):
    form = approve_modal(asking_for(many))
    menu = field_of(form, ids.LEAVE_OUT)
    assert menu["type"] == kind
    assert menu["max_selected_items"] == 100
    assert not judge_view(form, "modal")


def test_what_is_left_out_is_searched_for_by_its_words():
    found = leaving_out(asking_for(120), "READ t11")
    assert [o["text"]["text"] for o in found] == [
        f"read on orders/t{n}" for n in (11, *range(110, 120))
    ]


def test_who_searches_for_what_to_leave_out_is_asked_who_they_are(door, waits):
    form = opened(door, waits)
    for who, found in (("priya", 1), ("marta", 0)):
        answer = door.deliver(suggestion(who, "", ids.LEAVE_OUT) | {"view": form})
        assert len(answer.payload["options"]) == found
