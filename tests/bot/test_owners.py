"""Owners as approvers, as people see them: in the form, on the cards, and when it changes hands."""

import pytest

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.flow import ApprovalRule, ApproverGroup
from engine.request import State

OWNERS = ApproverGroup("Owners", ConditionGroup((Condition("owner", Comparator.IS, ()),)))


@pytest.fixture
def owners(told):
    """The bundle's owners decide: Noor of the stock, the database administrators of the rest."""
    told.owned(stock="noor@harbourpine.example")
    with told.flow("Warehouse incident", approval=ApprovalRule((OWNERS,))):
        yield
    told.owned(stock="")


def form_of_the_bundle(told, who):
    form = told.form(who)
    form.set("resource", told.offered(who, form, "Warehouse incident"))
    who.wait_view(where=lambda v: "Access flow" in str(v["blocks"]))
    form = who.view()
    form.set("justification", "INC-42")
    return form


def ask(told, who):
    assert told.send(form_of_the_bundle(told, who)).action == "close"
    return told.desk.requests(live=True)[-1].code


@pytest.mark.usefixtures("owners")
def test_each_owner_approves_what_is_theirs(told):
    maya, noor, priya = (told.person(n) for n in ("maya", "noor", "priya"))
    form = form_of_the_bundle(told, maya)
    assert "Noor van Dijk (the owner of orders/warehouse/stock)" in form.text
    form.close(everything=True)

    code = ask(told, maya)
    assert "the owner of orders/warehouse/stock" in told.card(noor, code, button="approve").text
    assert "the owner of orders/shop/orders" in told.card(priya, code, button="approve").text
    told.card(maya, code, "the owner of orders/warehouse/stock")

    told.decide(priya, code)
    told.card(maya, code, "Still needed: the owner of orders/warehouse/stock.")
    assert told.request(code).state is State.PENDING
    told.decide(noor, code)
    told.wait(code, State.ACTIVE)


@pytest.mark.usefixtures("owners")
def test_one_owner_rejects_it_for_all(told):
    maya, noor = told.person("maya"), told.person("noor")
    code = ask(told, maya)

    told.decide(noor, code, "reject", reason="Ask for the replica")

    told.wait(code, State.REJECTED)
    told.card(maya, code, "Ask for the replica")


@pytest.mark.usefixtures("owners")
def test_whoever_may_decide_leaves_out_whoever_s_it_is(told):
    maya, priya = told.person("maya"), told.person("priya")
    code = ask(told, maya)
    things = {told.thing(g.entitlement): str(g.id) for g in told.request(code).grants}
    told.press(priya, code, "approve")
    modal = priya.wait_view("Approve access")

    modal.set("things", [id_ for path, id_ in things.items() if path != "orders/warehouse/stock"])

    assert told.send(modal).action != "errors"
    told.wait(code, State.ACTIVE)


@pytest.mark.usefixtures("owners")
def test_whose_it_is_since_is_asked_and_the_old_card_says_so(told):
    maya, noor, greta = (told.person(n) for n in ("maya", "noor", "greta"))
    code = ask(told, maya)
    told.card(noor, code, button="approve")

    told.owned(stock="greta")

    told.card(greta, code, "the owner of orders/warehouse/stock", button="approve")
    told.card(noor, code, "no longer among those who may decide", without="approve")
    noor.raw_action({"actions": [{"action_id": "approve", "value": str(told.request(code).id)}]})
    assert "You are not an approver" in noor.wait_view("Not decided").text


@pytest.mark.usefixtures("owners")
def test_an_owner_does_not_decide_their_own_request(told):
    maya, ines, priya = (told.person(n) for n in ("maya", "ines", "priya"))
    told.owned(stock="maya")

    code = ask(told, maya)

    told.card(ines, code, "since nobody who owns orders/warehouse/stock can be asked")
    told.decide(priya, code)
    assert told.request(code).state is State.PENDING
    told.decide(ines, code)
    told.wait(code, State.ACTIVE)
