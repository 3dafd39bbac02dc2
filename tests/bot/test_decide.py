"""Approving and rejecting: who may, when, and what everybody sees afterwards."""

from datetime import timedelta

import pytest

from engine.request import GrantState, State
from tests.support.story import CUSTOMERS, ORDERS


def test_an_approval_shows_on_every_copy_with_its_reason_and_without_buttons(told):
    """F23: a decision left live buttons on the other copies."""
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    code = told.ask(marta).code
    told.card(sam, code, button="approve")
    assert not told.decide(priya, code, reason="Checked with Noor & co").errors
    told.wait(code, State.ACTIVE)
    for who in (marta, sam, priya):
        card = told.card(who, code, "Checked with Noor & co", without="approve")
        assert "pproved by" in card.text
    assert not told.card(sam, code, "approved", without="approve").buttons


def test_one_rejection_ends_the_request_and_says_why(told):
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    code = told.ask(marta).code
    told.decide(priya, code, "reject", reason="use the replica")
    told.wait(code, State.REJECTED)
    assert "use the replica" in told.card(marta, code, "rejected").text
    assert not told.card(sam, code, "rejected", without="approve").buttons


def test_a_second_click_comes_too_late_and_is_told_who_decided(told):
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    code = told.ask(marta).code
    card = told.card(sam, code, button="approve")
    card.click("approve")
    late = sam.wait_view("Approve access")
    told.decide(priya, code)
    told.wait(code, State.ACTIVE)
    late.submit()
    said = sam.view().text
    assert "Priya Venkataraman approved this request" in said
    assert sum(line.action == "approved" for line in told.desk.history(told.request(code))) == 1


def test_a_click_on_an_old_card_is_told_who_decided(told):
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    request = told.ask(marta)
    told.card(sam, request.code, button="approve")
    told.decide(priya, request.code, "reject", reason="no")
    told.wait(request.code, State.REJECTED)
    sam.raw_action({"actions": [{"action_id": "approve", "value": str(request.id)}]})
    assert "Priya Venkataraman rejected this request" in sam.wait_view("Not decided").text


@pytest.mark.parametrize("who", ["marta", "kofi", "casey"])
def test_a_forged_click_by_no_approver_decides_nothing(told, who):
    """Slack lets anybody's client send an action; who may decide is asked at the click."""
    request = told.ask(told.person("marta"))
    person = told.person(who)
    person.raw_action({"actions": [{"action_id": "approve", "value": str(request.id)}]})
    assert person.wait_view("Not decided")
    assert told.request(request.code).state is State.PENDING


@pytest.mark.parametrize("value", ["", "0", "99999", "-1", "x", "1/2/3", "9" * 400, "٣"])
def test_a_click_for_a_request_that_does_not_exist_gets_a_sentence(told, value):
    """F18: a request that was not known was answered by silence."""
    priya = told.person("priya")
    before = priya.notices()
    for action in ("approve", "reject", "cancel", "extend", "return", "credentials"):
        priya.raw_action({"actions": [{"action_id": action, "value": value}]})
        assert priya.wait_view().text
        priya.view().close()
    assert priya.notices() == before


def test_nobody_approves_their_own_request(told):
    priya, sam = told.person("priya"), told.person("sam.leigh")
    request = told.ask(priya, path=ORDERS)
    told.card(sam, request.code, button="approve")
    mine = [m for m in priya.messages() if request.code in m.text]
    assert not any("approve" in [action for action, _, _ in m.buttons] for m in mine)
    priya.raw_action({"actions": [{"action_id": "approve", "value": str(request.id)}]})
    assert "own request" in priya.wait_view("Not decided").text
    assert told.request(request.code).state is State.PENDING


def test_a_flow_that_wants_a_reason_does_not_approve_without(told):
    jonas, amara = told.person("jonas"), told.person("amara")
    code = told.ask(jonas, path=ORDERS, permission="read-write").code
    told.press(amara, code, "approve")
    modal = amara.wait_view("Approve access")
    assert list(modal.submit().errors) == ["reason"]
    modal.set("reason", "go")
    assert not modal.submit().errors
    told.wait(code, State.ACTIVE)


def test_a_shorter_time_holds_and_takes_the_extensions_with_it(told):
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta, duration="2h").code
    assert not told.decide(priya, code, shorter="20 min").errors
    request = told.wait(code, State.ACTIVE)
    assert request.duration == timedelta(minutes=20)
    assert request.extensions_left == 0


@pytest.mark.parametrize("typed", ["5h", "1 min", "tomorrow", "-3"])
def test_a_time_that_is_not_shorter_is_said_at_its_field(told, typed):
    marta, priya = told.person("marta"), told.person("priya")
    code = told.ask(marta).code
    assert list(told.decide(priya, code, shorter=typed).errors) == ["shorter"]
    assert told.request(code).state is State.PENDING


def test_an_approver_who_is_one_no_more_cannot_decide(told):
    """F26: somebody disabled could still approve.

    Deactivated between the card and the click: the modal that is open decides nothing.
    """
    marta, sam = told.person("marta"), told.person("sam.leigh")
    code = told.ask(marta).code
    told.press(sam, code, "approve")
    modal = sam.wait_view("Approve access")
    with told.deactivated("samleigh"):
        modal.submit()
        assert "not active" in sam.view().text
        assert told.request(code).state is State.PENDING
        told.card(sam, code, "no longer", without="approve")


def test_a_requestor_who_leaves_takes_the_request_along(told):
    ravi, priya = told.person("ravi"), told.person("priya")
    code = told.ask(ravi).code
    told.card(priya, code, button="approve")
    with told.deactivated("ravi"):
        told.wait(code, State.CANCELLED)
        told.card(priya, code, "cancelled", without="approve")


def test_when_nobody_answers_the_next_tier_is_asked_and_its_approval_counts(told):
    anil, jonas = told.person("anil"), told.person("jonas")
    code = told.ask(anil, path="ledger/accounts/payments").code
    assert not any(code in m.text for m in jonas.messages())
    told.house.sandbox.advance(16 * 60)
    card = told.card(jonas, code, button="approve")
    assert "escalation" in card.text
    told.decide(jonas, code)
    told.wait(code, State.ACTIVE)


def test_a_request_that_nobody_decides_lapses(told):
    """F21: a card said approved when the request had lapsed and nothing was granted."""
    anil, selin = told.person("anil"), told.person("selin")
    code = told.ask(anil, path="ledger/accounts/cards").code
    told.card(selin, code, button="approve")
    told.house.sandbox.advance(8 * 3600 + 60)
    told.wait(code, State.TIMED_OUT)
    told.card(selin, code, "timed out", without="approve")
    told.card(anil, code, "timed out")


def test_an_approval_by_two_at_the_same_moment_is_one_decision(told):
    """F1: of two approvers who clicked at once one saw an error, and two timers ran."""
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    code = told.ask(marta, path=CUSTOMERS).code
    modals = []
    for who in (priya, sam):
        told.press(who, code, "approve")
        modals.append(who.wait_view("Approve access"))
    told.at_once([modal.submit for modal in modals])
    told.wait(code, State.ACTIVE)
    history = [line.action for line in told.desk.history(told.request(code))]
    assert history.count("approved") == 1
    assert history.count("granted") == 1


def test_an_alarm_leads_an_administrator_to_the_request_and_to_its_end(told):
    """The alarm was a sentence: what could be done about it had to be typed somewhere else."""
    anil, viktor = told.person("anil"), told.person("viktor")
    request = told.ask(anil, path="ledger/accounts/payments")
    told.house.sandbox.advance(46 * 60)
    alarm = told.card(viktor, request.code, "Nobody has decided", button="show_request")
    assert f"{anil.real_name} asked for read on ledger/accounts/payments" in alarm.text

    alarm.click("show_request")
    modal = viktor.wait_view(request.code)
    assert "Waiting for approval" in modal.text
    assert "reason" in modal.submit().errors  # whoever ends what others asked for says why
    modal.set("reason", "Use the replica")
    assert not modal.submit().errors

    told.wait(request.code, State.CANCELLED)
    assert "Use the replica" in told.card(anil, request.code, "cancelled").text
    alarm.click("show_request")
    over = viktor.wait_view(where=lambda v: "Request cancelled" in str(v["blocks"]))
    assert not over.raw.get("submit")
    over.close(everything=True)


def test_an_administrator_revokes_what_runs_from_the_same_button(told):
    marta, priya, ines = (told.person(n) for n in ("marta", "priya", "ines"))
    request = told.active(marta, priya)
    login = told.credentials(marta, request.code)

    ines.raw_action({"actions": [{"action_id": "show_request", "value": str(request.id)}]})
    modal = ines.wait_view(request.code)
    modal.set("reason", "The laptop was stolen")
    assert not modal.submit().errors

    told.wait(request.code, State.REVOKED)
    assert not told.works(login)
    assert "The laptop was stolen" in told.card(marta, request.code, "revoked").text


@pytest.mark.parametrize("who", ["marta", "priya", "kofi"])
def test_nobody_but_an_administrator_is_shown_a_request_that_way(told, who):
    request = told.ask(told.person("marta"))
    asks = told.person(who)

    asks.raw_action({"actions": [{"action_id": "show_request", "value": str(request.id)}]})

    assert "There is no such request" in asks.wait_view("Not shown").text


def test_two_of_one_group_and_one_of_another_have_to_approve(told):
    """The lead of technology alone cannot let it pass, nor one of security twice."""
    jonas, amara = told.person("jonas"), told.person("amara")
    selin, tomasz = told.person("selin"), told.person("tomasz")
    form = told.fill(jonas, path="web-prod", permission="AdministratorAccess")
    assert "2 of Security, but for who leads it (Selin Yıldızer and Tomasz Królewiak)" in form.text
    code = told.ask(jonas, path="web-prod", permission="AdministratorAccess").code

    told.decide(amara, code, reason="INC-7")
    told.card(jonas, code, "Still needed: 2 more of Security, but for who leads it.")
    told.decide(selin, code, reason="INC-7")
    told.card(tomasz, code, "Still needed: 1 more of Security, but for who leads it.")
    told.card(selin, code, without="approve")
    assert told.request(code).state is State.PENDING

    told.decide(tomasz, code, reason="INC-7")
    told.wait(code, State.GRANTING, State.REVOKING, State.FAILED)  # no connector can give it
    assert {a.person for a in told.request(code).approvals} == {"amara", "selin", "tomasz"}


def test_an_approval_can_be_withdrawn_while_others_have_to_decide(told):
    jonas, amara, selin = (told.person(name) for name in ("jonas", "amara", "selin"))
    code = told.ask(jonas, path="web-prod", permission="AdministratorAccess").code
    told.decide(amara, code, reason="INC-7")
    told.card(jonas, code, "Amara")
    told.card(amara, code, "others still have to", button="withdraw_approval", without="approve")

    assert told.press(amara, code, "withdraw_approval").ok
    told.card(amara, code, button="approve", without="withdraw_approval")
    assert told.request(code).approvals == ()
    told.card(selin, code, button="approve", without="withdraw_approval")

    told.decide(amara, code, reason="INC-7")
    told.card(amara, code, button="withdraw_approval")
    told.decide(amara, code, "reject", reason="On second thought.")
    told.wait(code, State.REJECTED)
    told.card(jonas, code, "On second thought.")


def ask_for_the_bundle(told, who):
    form = told.form(who)
    form.set("resource", told.offered(who, form, "Warehouse incident"))
    who.wait_view(where=lambda v: "Access flow" in str(v["blocks"]))
    form = who.view()
    form.set("justification", "INC-42")
    assert told.send(form).action == "close"
    return told.desk.requests(live=True)[-1]


def test_an_approver_leaves_out_some_of_what_was_asked_for(told):
    maya, priya = told.person("maya"), told.person("priya")
    asked = ask_for_the_bundle(told, maya)
    told.press(priya, asked.code, "approve")
    modal = priya.wait_view("Approve access")
    left_out, *rest = (str(grant.id) for grant in asked.grants)

    modal.set("things", [])
    refused = told.send(modal)
    assert refused.errors["things"].startswith("Nothing would be left of it.")
    priya.view().set("things", rest)
    assert told.send(priya.view()).action != "errors"

    running = told.wait(asked.code, State.ACTIVE)
    states = {str(g.id): g.state for g in running.grants}
    assert states.pop(left_out) is GrantState.REFUSED
    told.until(lambda: all(g.ever_begun for g in told.request(asked.code).grants[1:]), "the rest")
    assert not told.request(asked.code).grants[0].ever_begun
    told.card(maya, asked.code, "not given: Priya Venkataraman left it out")
