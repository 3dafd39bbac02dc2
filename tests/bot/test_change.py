"""Changing a request that waits: the old one is cancelled and the new one made in one step."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bot.views import ids
from engine.request import LIVE, State
from tests.support.door import CUSTOMERS, PAYMENTS, choice, filled, modal, submission

WAITS = "3"  # Anil's, that Selin or Viktor may decide
VIEWS = itertools.count(1000)


def opened(door, value=WAITS, who="anil"):
    return door.click(who, ids.CHANGE, value).views[0]


def sent(door, form, who="anil", id_="", **changed):
    view = {"id": id_ or f"V{next(VIEWS)}", **form}
    return door.deliver(submission(who, view, filled(form, **changed)))


def new(door):
    """Return the request that was made instead of the one that waited."""
    return next(r for r in door.requests() if r.instead_of == 3)


def why(text):
    return {"value": text}


def test_a_request_is_changed_and_each_names_the_other(told):
    anil, selin = told.person("anil"), told.person("selin")
    old = told.ask(anil, path="ledger/accounts/payments", duration="1h")
    told.card(selin, old.code, button="approve")

    told.press(anil, old.code, "change_request")
    form = anil.wait_view("Change request")
    assert "INC-42" in str(form.raw["blocks"])
    form.set("duration", "30 min")
    form.set("justification", "INC-43")
    assert told.send(form).action == "close"

    told.wait(old.code, State.CANCELLED)
    new = told.desk.requests(live=True)[0]
    assert told.request(old.code).changed_to == new.id
    assert new.instead_of == old.id
    told.card(anil, old.code, f"Changed to {new.code}", without="change_request")
    told.card(selin, old.code, f"Changed to {new.code}", without="approve")
    asked = told.card(selin, new.code, f"instead of {old.code}", button="approve")
    assert "INC-43" in asked.text
    said = [line.action for line in told.desk.history(told.request(old.code))]
    assert said == ["submitted", "cancelled"]
    told.decide(selin, new.code)
    told.wait(new.code, State.ACTIVE)


def test_the_form_is_filled_in_with_what_was_asked_for(door):
    form = opened(door)

    assert (form["title"]["text"], form["submit"]["text"]) == ("Change request", "Change")
    values = str(filled(form))
    for asked in (PAYMENTS, door.request(3).justification, "1 h"):
        assert asked in values
    assert str(door.entitlement(PAYMENTS)) in values


def test_what_is_sent_as_it_was_changes_nothing(door):
    answer = sent(door, opened(door))

    assert "Nothing was changed" in answer.said
    assert [r.state for r in door.requests()].count(State.PENDING) == 1
    assert door.request(3).state is State.PENDING


@pytest.mark.parametrize("changed", [
    {ids.JUSTIFICATION: {"value": "INC-43"}}, {ids.DURATION: {"value": "20 min"}},
])  # fmt: skip
def test_another_reason_or_time_is_a_change_of_the_same_thing(door, changed):
    """Of the same thing there is one open request at a time: the old one is gone first."""
    assert not sent(door, opened(door), **changed).said

    old, instead = door.request(3), new(door)
    assert (old.state, old.changed_to) == (State.CANCELLED, instead.id)
    assert instead.state is State.PENDING
    assert (instead.requestor, instead.entitlements) == (old.requestor, old.entitlements)


def test_another_thing_is_asked_for_instead(door):
    form, path = opened(door), str(door.resource(CUSTOMERS))
    values = filled(form, resource={"selected_option": {"value": path}})
    redrawn = door.deliver(choice("anil", form, ids.RESOURCE, path, values)).views[0]
    permission = {"selected_option": {"value": str(door.entitlement(CUSTOMERS))}}
    values = filled(redrawn, permission=permission)
    redrawn = door.deliver(
        choice("anil", redrawn, ids.PERMISSION, str(door.entitlement(CUSTOMERS)), values)
    ).views[0]
    assert redrawn["private_metadata"].endswith(f" {WAITS}")

    assert not sent(door, redrawn).said

    assert new(door).entitlements == (door.entitlement(CUSTOMERS),)
    assert door.request(3).state is State.CANCELLED


@pytest.mark.parametrize("changed", [
    {ids.JUSTIFICATION: {"value": ""}}, {ids.DURATION: {"value": "20 years"}},
    {ids.DURATION: {"value": "soon"}}, {ids.JUSTIFICATION: {"value": "x" * 1001}},
])  # fmt: skip
def test_where_the_new_one_is_refused_the_old_one_stays(door, changed):
    before = door.request(3)

    assert sent(door, opened(door), **changed).payload["errors"]

    assert door.request(3) == before
    assert len(door.requests()) == 3


def test_where_the_new_one_is_like_another_that_is_open_the_old_one_stays(door):
    other = door.ask("anil", CUSTOMERS)
    form = opened(door, str(other.id))

    answer = sent(door, form | {"private_metadata": form["private_metadata"].replace(
        f" {other.id}", f" {WAITS}"
    )})  # fmt: skip

    assert "asks for the same already" in answer.said
    assert [door.request(id_).state for id_ in (3, other.id)] == [State.PENDING] * 2


@pytest.mark.parametrize("callback", [ids.APPROVE_MODAL, ids.REJECT_MODAL])
def test_what_was_decided_meanwhile_is_not_changed(door, callback):
    form = opened(door)
    door.submit("selin", modal(callback, WAITS))
    decided = door.request(3)

    answer = sent(door, form, justification=why("INC-43"))

    assert "Selin" in answer.said
    assert "this request" in answer.said
    assert door.request(3) == decided
    assert len(door.requests()) == 3
    assert "this request" in door.click("anil", ids.CHANGE, WAITS).said


def test_a_change_that_is_delivered_again_is_one(door):
    form = opened(door)
    for _ in range(2):
        assert not sent(door, form, id_="V-change", justification=why("INC-43")).said

    assert [r.instead_of for r in door.requests() if r.state is State.PENDING] == [3]


@pytest.mark.parametrize("who", ["marta", "selin", "priya", "ines", "casey", "dana"])
def test_nobody_changes_what_others_asked_for(door, who):
    before = door.request(3)
    assert door.click(who, ids.CHANGE, WAITS).said

    form = opened(door)
    assert sent(door, form, who, justification=why("INC-43")).said

    assert door.request(3) == before


def test_who_has_as_much_open_as_one_can_may_change_it(door):
    door.program.services = replace(door.services, open_submissions=1)
    open_ = [r for r in door.requests() if r.requestor == "anil" and r.state in LIVE]
    assert len(open_) == 1

    assert not sent(door, opened(door), justification=why("INC-43")).said
    assert new(door).state is State.PENDING


def test_a_change_and_an_approval_at_once_are_one_of_the_two(door):
    """Never both: nothing is granted of what was changed, and what is granted is not changed."""
    form = opened(door)
    acts = [
        lambda: sent(door, form, justification=why("INC-43")),
        lambda: door.submit("selin", modal(ids.APPROVE_MODAL, WAITS)),
    ]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result()

    old = door.request(3)
    if old.state is State.CANCELLED:
        assert new(door).state is State.PENDING
    else:
        assert old.state is State.GRANTING
        assert len(door.requests()) == 3
