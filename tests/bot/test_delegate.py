"""Somebody's right to approve, lent to another: said, told, used, ended."""

from datetime import timedelta

import pytest

from bot.views import ids
from engine.request import State
from engine.window import end_in_words
from tests.support.door import click_in, filled, slack_id

WAITS = 3  # Anil's, that Selin or Viktor may decide
PAYMENTS = "ledger/accounts/payments"


def mention(who: str) -> str:
    return f"<@{slack_id(who)}|{who}>"


def lend(door, by="selin", to="priya", until="for 2 days", why="because leave"):
    return door.command(by, f"delegate {mention(to)} {until} {why}")


def form(door, who, typed=""):
    (view,) = door.command(who, f"delegate {typed}".strip()).views
    return view


def send(door, who, view, to="", **texts):
    values = {action: {"value": text} for action, text in texts.items()}
    entered = filled(view, **values)
    if to:
        entered[ids.PERSON][ids.PERSON]["selected_user"] = slack_id(to)
    return door.submit(who, view, entered)


def is_open(door, who, request=WAITS):
    return who in {a.person for a in door.request(request).asks if a.open}


def standing(door):
    here = door.services.company().directory.at(door.clock.now())
    return [(d.delegator, d.delegate) for d in here.standing]


# --- both ways into Slack ------------------------------------------------------------------------


def test_a_right_is_lent_used_and_ended(told):
    selin, priya, anil = (told.person(name) for name in ("selin", "priya", "anil"))

    said = selin.command(
        "/access", f"delegate <@{priya.id}|priya> until tomorrow because leave, *back* on Monday"
    )

    assert "can approve and reject for you until" in said.text
    for who, words in ((selin, "can approve and reject for you"), (priya, "You can approve and")):
        told.until(
            lambda who=who, words=words: any(
                words in m.text and "leave, *back* on Monday" in m.text for m in who.messages()
            ),
            f"{who.name} is told",
        )
    code = told.ask(anil, path=PAYMENTS).code
    asked = told.card(priya, code, button="approve")
    assert ", for Selin" in asked.text
    assert not told.decide(priya, code).errors
    assert ", for " in told.card(anil, code, "Approved by").text

    assert selin.command("/access", "delegate").ok
    listed = selin.wait_view("Delegations")
    assert "until" in listed.text
    listed.click("End")
    told.until(lambda: "Nobody." in listed.refresh().text, "the list is empty")
    told.until(
        lambda: any("You do not decide for Selin" in m.text for m in priya.messages()),
        "the delegate is told",
    )


def test_what_is_typed_with_a_name_alone_is_finished_in_a_form(told):
    selin, priya, anil = (told.person(name) for name in ("selin", "priya", "anil"))
    code = told.ask(anil, path=PAYMENTS).code
    assert selin.command("/access", "delegate @priya until Fri 32 because leave").ok
    view = selin.wait_view("Delegate")

    assert "leave" in str(view.raw["blocks"])
    view.set("person", priya.id)
    assert "not understood" in str(view.submit().errors["until"])
    view.set("until", "for 2 days")
    assert not told.send(view).errors

    told.card(priya, code, ", for Selin", button="approve")
    assert selin.command("/access", f"delegate end <@{priya.id}>").ok
    told.card(priya, code, "do not decide for them any more", without="approve")


# --- one by one ----------------------------------------------------------------------------------


def test_both_are_told_and_the_delegate_is_asked_and_may(door):
    assert "can approve and reject for you until" in lend(door).said
    door.work()

    assert is_open(door, "priya")
    door.submit("priya", door.click("priya", ids.APPROVE, str(WAITS)).views[0])
    assert door.request(WAITS).state is State.GRANTING
    assert door.request(WAITS).approvals[0].through == ("selin",)


def test_at_its_end_it_is_over_and_the_click_comes_too_late(door):
    lend(door, until="for 5 min")
    door.work()
    door.clock.move(timedelta(minutes=5))

    late = door.click("priya", ids.APPROVE, str(WAITS))

    assert "not an approver of this request (any more)" in late.said
    assert door.request(WAITS).state is State.PENDING


def test_the_clock_ends_it_and_closes_what_was_asked(door):
    lend(door, until="for 5 min")
    door.work()
    assert is_open(door, "priya")

    door.clock.move(timedelta(minutes=5))
    door.work()

    assert not is_open(door, "priya")
    assert door.request(WAITS).state is State.PENDING
    assert door.services.company().directory.delegations == ()


def test_who_asked_is_no_delegate_for_their_own_request(door):
    lend(door, to="anil")
    door.work()

    assert not is_open(door, "anil")
    assert "Nobody decides their own request" in door.click("anil", ids.APPROVE, str(WAITS)).said


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("for 31 days because leave", "too long"),
        ("until 2020-01-01 because leave", "past"),
        ("until someday because leave", "“someday” is not understood"),
        (f"for 2 days because {'x' * 125}", "at most 124 characters"),
    ],
)
def test_what_is_refused_is_said_and_nothing_is_lent(door, typed, says):
    assert says in door.command("selin", f"delegate {mention('priya')} {typed}").said
    assert standing(door) == []


@pytest.mark.parametrize("whom", ["<@U0NOBODY>", mention("selin")])
def test_nobody_and_oneself_are_refused(door, whom):
    said = door.command("selin", f"delegate {whom} for 2 days because leave").said

    assert "Choose somebody" in said
    assert standing(door) == []


def test_a_circle_and_a_second_one_are_refused(door):
    lend(door)

    assert "circle" in lend(door, by="priya", to="selin").said
    assert "already" in lend(door).said
    assert standing(door) == [("selin", "priya")]


@pytest.mark.parametrize("typed", ["", "list", "end @priya", "end"])
def test_alone_it_lists_what_was_lent_and_received(door, typed):
    lend(door)

    given, received = (str(form(door, who, typed)) for who in ("selin", "priya"))

    assert "Who decides for you" in given
    assert slack_id("priya") in given
    assert slack_id("selin") in received


@pytest.mark.parametrize("by", ["selin", "priya", "administrator"])
def test_either_of_the_two_and_an_administrator_end_it(door, by):
    lend(door)
    door.work()
    who = min(door.services.company().admins - {"selin", "priya"}) if "adm" in by else by
    view = form(door, who)
    (number,) = [str(d.id) for d in door.services.company().directory.delegations]
    assert ids.END_DELEGATION in str(view)

    answer = door.deliver(click_in(who, view, ids.END_DELEGATION, number))

    assert standing(door) == []
    assert ids.END_DELEGATION not in str(answer.views)
    door.work()
    assert not is_open(door, "priya")


def test_nobody_else_ends_it_nor_sees_it(door):
    lend(door)
    (number,) = [str(d.id) for d in door.services.company().directory.delegations]
    view = form(door, "anil")

    assert ids.END_DELEGATION not in str(view)
    said = door.deliver(click_in("anil", view, ids.END_DELEGATION, number))
    assert "not yours" in said.said
    assert standing(door) == [("selin", "priya")]


@pytest.mark.parametrize(
    ("typed", "missing"),
    [("@priya for 2 days because leave", "person"), (mention("priya"), "until")],
)
def test_what_is_not_whole_opens_the_form_with_what_was_said(door, typed, missing):
    view = form(door, "selin", typed)
    assert view["callback_id"] == ids.DELEGATE_MODAL

    texts = {"until": "for 2 days", "reason": "leave"} if missing == "until" else {}
    assert not send(door, "selin", view, to="priya", **texts).said

    assert standing(door) == [("selin", "priya")]


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ({"until": "someday", "reason": "leave"}, ids.UNTIL),
        ({"until": "for 40 days", "reason": "leave"}, ids.UNTIL),
        ({"until": "for 2 days", "reason": " "}, ids.REASON),
        ({"until": "for 2 days", "reason": "x" * 125}, ids.REASON),
    ],
)
def test_the_form_says_what_is_wrong_at_its_field(door, texts, field):
    answer = send(door, "selin", form(door, "selin", mention("priya")), to="priya", **texts)

    assert [*answer.payload["errors"]] == [field]
    assert standing(door) == []


def test_whoever_cannot_be_known_is_refused_in_the_form(door):
    answer = send(door, "selin", form(door, "selin", mention("priya")), until="x", reason="x")

    assert answer.payload["errors"]


def test_until_is_by_the_clocks_of_who_lends(door):
    lend(door, until="until tomorrow")

    (one,) = door.services.company().directory.delegations
    zone = door.services.company().directory.people["selin"].zone
    assert end_in_words(one.until, zone).startswith("the end of ")
