"""Clicks forged in every way that Slack would sign: the answer depends only on who clicked, and on
what is true now.

In the beginning Marta has access (1), Anil had it (2) and waits for Selin or Viktor (3).
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from bot.views import ids
from engine.directory import PersonStatus
from engine.request import State
from storage import sync
from storage.tables import PersonRow
from tests.support.door import CUSTOMERS, PAYMENTS, STOCK, click, filled, modal, slack_id

HAS, HAD, WAITS = "1", "2", "3"
DECISIONS = [ids.APPROVE_MODAL, ids.REJECT_MODAL]
OF_THE_PARTIES = [
    ids.NUDGE,
    ids.CHANGE,
    ids.ANSWER,
    ids.QUESTIONS,
    ids.CANCEL,
    ids.EXTEND,
    ids.RETURN,
    ids.CREDENTIALS,
]
NO_ONE = ["casey", "dana", "terry", "alex", "deploybot"]  # guest, left, unlisted, another's, bot


def untouched(door, answer):
    """See that it was answered, changed nothing, and broke nothing."""
    assert answer.said.strip()
    assert not answer.errors
    assert not door.put_back()
    return answer.said


def change(door, id_, **values):
    """Let something about a person change in the directory."""
    with door.database.write() as tx:
        listed = door.services.companies.current(tx).directory
        people = [replace(p, **values) if p.id == id_ else p for p in listed.people.values()]
        sync.people(tx, people, listed.groups.values(), door.clock.now())


@pytest.mark.parametrize("callback", DECISIONS)
@pytest.mark.parametrize("who", ["marta", "anil", "priya", "kofi", *NO_ONE])
def test_a_decision_by_who_may_not_decide_decides_nothing(door, who, callback):
    """The modal's metadata names the request: anybody's client could put any there."""
    untouched(door, door.submit(who, modal(callback, WAITS)))
    untouched(door, door.click(who, callback, WAITS))


@pytest.mark.parametrize("number", [HAS, HAD, WAITS])
@pytest.mark.parametrize("who", ["marta", "anil", "priya", "selin", *NO_ONE])
def test_an_approval_that_was_not_given_is_not_withdrawn(door, who, number):
    untouched(door, door.click(who, ids.WITHDRAW, number))


@pytest.mark.parametrize("callback", DECISIONS)
@pytest.mark.parametrize("metadata", ["", "0", "4", "-3", "3.0", "x", None, "9" * 400, "٤", 5, []])
def test_a_decision_on_what_does_not_exist_is_said_to_be_so(door, callback, metadata):
    assert "no such request" in untouched(door, door.submit("selin", modal(callback, metadata)))


def test_a_modal_whose_metadata_was_switched_decides_what_it_names_if_one_may(door):
    """Selin may decide on payments; on customers, which the metadata then names, she may not."""
    other = door.ask("ravi", CUSTOMERS)
    assert "not an approver" in door.submit("selin", modal(ids.APPROVE_MODAL, str(other.id))).said
    assert door.request(other.id).state is State.PENDING
    door.submit("selin", modal(ids.APPROVE_MODAL, WAITS))
    assert [r.state for r in door.requests()[:2]] == [State.PENDING, State.GRANTING]


@pytest.mark.parametrize("lost", [{"status": PersonStatus.INACTIVE}, {"groups": frozenset()}])
def test_an_approver_who_lost_the_right_with_the_modal_open_approves_nothing(door, lost):
    """F26: the right was looked up when the card was sent."""
    opened = door.click("selin", ids.APPROVE, WAITS).views[0]
    change(door, "selin", **lost)
    answer = door.submit("selin", opened)
    assert answer.said
    assert not answer.errors
    assert door.requests()[0].state is State.PENDING


@pytest.mark.parametrize("number", [HAS, HAD])
@pytest.mark.parametrize("callback", DECISIONS)
def test_a_modal_left_open_decides_nothing_that_is_settled(door, callback, number):
    untouched(door, door.submit("priya", modal(callback, number)))


@pytest.mark.parametrize("action", OF_THE_PARTIES)
@pytest.mark.parametrize("who", ["priya", "anil", "ines", *NO_ONE])
def test_another_persons_card_does_nothing(door, who, action):
    for number in (HAS, f"{HAS}/1"):
        said = untouched(door, door.click(who, action, number))
        assert "Password" not in said


def test_an_administrator_cancels_nothing_by_a_button_that_asks_for_no_reason(door):
    assert "says why" in untouched(door, door.click("ines", ids.CANCEL, WAITS))


@pytest.mark.parametrize("action", [ids.SAVED, ids.RESET])
@pytest.mark.parametrize("who", ["priya", "anil", "ines", *NO_ONE])
def test_another_persons_login_is_neither_shown_nor_reset_nor_forgotten(door, who, action):
    """The value is an account's number: anybody's client could count through them."""
    account = str(door.request(1).grants[0].account)
    assert "Password" not in untouched(door, door.click(who, action, account))


@pytest.mark.parametrize("account", ["0", "99", "-1", "x", "", "1/1/1", "9" * 400])
@pytest.mark.parametrize("action", [ids.SAVED, ids.RESET])
def test_a_login_that_does_not_exist_is_nobodys(door, action, account):
    untouched(door, door.click("kofi", action, account))


@pytest.mark.parametrize("number", [0, -1, 2, 3, 99999, 10**9, "", "x", "1.0", "²"])
def test_an_extension_out_of_order_extends_nothing(door, number):
    """A button carries the number of its extension: the first is the one to come."""
    untouched(door, door.click("marta", ids.EXTEND, f"{HAS}/{number}"))


def test_an_extension_pressed_again_extends_once(door):
    before = door.request(1).ends_at
    door.click("marta", ids.EXTEND, f"{HAS}/1")
    assert "extended already" in door.click("marta", ids.EXTEND, f"{HAS}/1").said
    assert door.request(1).ends_at == before + timedelta(minutes=30)


def test_an_old_messages_buttons_say_what_has_become_of_it(door):
    for action in (ids.CANCEL, ids.EXTEND, ids.RETURN, ids.CREDENTIALS):
        untouched(door, door.click("anil", action, HAD))
    for action in (ids.APPROVE, ids.REJECT):
        untouched(door, door.click("priya", action, HAS))


def test_asking_again_for_what_was_anothers_tells_nothing_of_it(door):
    answer = door.click("kofi", ids.AGAIN, WAITS)
    assert PAYMENTS not in answer.said
    assert "INC-1" not in str(answer.views)


def submitted(door, who, form, resource, permission, **changed):
    """Submit the form with another choice than its menus had."""
    values = filled(form)
    chosen = {"resource": resource, "permission": permission}
    for fields in values.values():
        for action, field in fields.items():
            if action in chosen:
                field["selected_option"] = {"value": str(chosen[action])}
    return door.submit(who, form | changed, values)


@pytest.mark.parametrize(
    ("path", "permission"),
    [(PAYMENTS, "read"), (CUSTOMERS, "read-write"), ("ledger/payroll/salaries", "read")],
)
@pytest.mark.parametrize("promise", ["", "1/1", "3/1", "6/1", "99/1", "x"])
def test_what_no_flow_gives_somebody_is_not_had_by_naming_it(door, path, permission, promise):
    """Menus are searches; what comes back is whatever a client puts there."""
    form = door.form("kofi")
    wanted = (door.resource(path), door.entitlement(path, permission))
    answer = submitted(door, "kofi", form, *wanted, private_metadata=promise)
    assert "no longer" in untouched(door, answer)


def test_a_permission_of_another_resource_is_none_of_this_one(door):
    form = door.form("anil", STOCK)
    answer = submitted(door, "anil", form, door.resource(STOCK), door.entitlement(CUSTOMERS))
    untouched(door, answer)


@pytest.mark.parametrize("promise", ["", "1/1", "3/1", "2/2", "99/1", "x", None, 7])
def test_the_promise_of_another_flow_is_put_right_before_anything_is_sent(door, promise):
    form = door.form("ravi", CUSTOMERS) | {"private_metadata": promise}
    answer = door.submit("ravi", form, filled(form))
    assert "Look at what it says below" in untouched(door, answer)


@pytest.mark.parametrize("flow", [1, 3, 4, 6, 99, -1, "x"])
def test_a_flow_that_does_not_offer_it_cannot_be_picked(door, flow):
    """The automatic flow (1) must not let through what needs approval."""
    form = door.form("ravi", CUSTOMERS)
    values = filled(form) | {"flow/2": {ids.FLOW: {"selected_option": {"value": str(flow)}}}}
    door.submit("ravi", form, values)
    assert [r.state for r in door.requests() if r.requestor == "ravi"] == [State.PENDING]


@pytest.mark.parametrize("who", NO_ONE)
def test_who_is_no_one_can_do_nothing(door, who):
    form = door.form("marta", PAYMENTS)
    untouched(door, door.submit(who, form, filled(form)))
    for words in ("request", "my", "tasks"):
        assert CUSTOMERS not in untouched(door, door.command(who, words))


@pytest.mark.parametrize(
    "changed",
    [
        {"is_stranger": True},
        {"is_bot": True},
        {"deleted": True},
        {"is_email_confirmed": False},
        {"is_restricted": True},
        {"team_id": "T0NORTHGATE"},
        {"profile": {}},
        {"profile": {"email": "marta@harbourpine.example.evil"}},
    ],
)
def test_an_account_that_carries_somebodys_address_is_not_them(door, changed):
    """F28: what another company writes into a profile, seen through Slack Connect, is their word.

    Slack calls nobody a stranger with whom one shares a channel: the team tells.
    """
    assert "does not know you" in contact(door, changed)
    assert door.services.company().directory.tied("U0NEW") == ()


def test_an_account_that_slack_vouches_for_is_tied_at_first_contact(door):
    contact(door, {})
    assert [p.id for p in door.services.company().directory.tied("U0NEW")] == ["marta"]


def contact(door, changed):
    """Let an account that is tied to nobody, with Marta's address, click."""
    with door.database.write() as tx:
        tx.execute(
            update(PersonRow).where(col(PersonRow.id) == "marta").values(slack=None, account=None)
        )
    door.slack.users["U0NEW"] = door.slack.users[slack_id("marta")] | {"id": "U0NEW"} | changed
    body = click("marta", ids.CREDENTIALS, HAS)
    body["user"] |= {"id": "U0NEW"}
    return door.deliver(body).said


def test_a_message_that_was_never_posted_has_no_more_say_than_one_that_was(door):
    elsewhere = {"message": {"ts": "9.9", "bot_id": "B0EVIL"}, "channel": {"id": "C0ELSEWHERE"}}
    untouched(door, door.deliver(click("kofi", ids.RETURN, HAS) | elsewhere))
    door.deliver(click("marta", ids.RETURN, HAS) | elsewhere)
    assert door.request(1).state is State.REVOKING
