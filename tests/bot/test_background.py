"""What helps to decide, as approvers see it: a line on the card, and the rest under *More*."""

from datetime import timedelta

import pytest

from bot.views import ids
from engine.request import State
from tests.support.door import CUSTOMERS, STOCK, modal
from tests.support.story import ORDERS

DAY = timedelta(days=1)


@pytest.fixture
def waits(door):
    """Ravi had it yesterday, and asks for it again while he has something else there."""
    before = door.active("ravi", "priya", CUSTOMERS)
    door.click("ravi", ids.RETURN, str(before.id))
    door.work()
    assert door.request(before.id).state is State.RETURNED
    door.clock.move(DAY)
    door.active("ravi", "priya", STOCK)
    return door.ask("ravi")


def test_more_says_all_that_helps_to_decide(door, waits):
    said = door.click("priya", ids.MORE, str(waits.id)).said

    assert "was returned" in said
    assert "What they hold on Production PostgreSQL" in said
    assert STOCK in said
    assert "none of" in said
    assert CUSTOMERS in said


@pytest.mark.parametrize("who", ["ravi", "marta", "kofi"])
def test_more_is_for_whoever_may_decide_alone(door, waits, who):
    said = door.click(who, ids.MORE, str(waits.id)).said

    assert "What they hold" not in said
    assert said


def test_more_is_closed_once_it_is_decided(door, waits):
    door.submit("priya", modal(ids.REJECT_MODAL, str(waits.id)))

    assert "rejected this request" in door.click("priya", ids.MORE, str(waits.id)).said


@pytest.mark.parametrize("value", ["", "0", "x", "999999", "1/2/3"])
def test_more_about_no_request_is_answered(door, value):
    answer = door.click("priya", ids.MORE, value)

    assert answer.said
    assert not answer.errors


def test_an_approvers_card_has_one_line_of_facts_and_the_requestors_none(told):
    marta, priya = told.person("marta"), told.person("priya")
    first = told.ask(marta).code
    before = told.card(priya, first, button="more").text  # others of these tests may have had it
    assert "has not had it before" in before or "last had it" in before
    told.decide(priya, first, "reject", reason="not today")
    told.wait(first, State.REJECTED)
    other = told.active(marta, priya, path=ORDERS)

    code = told.ask(marta).code

    card = told.card(priya, code, button="approve")
    assert f"holds {'read'} on {ORDERS}" in card.text.replace("`", "")
    assert "holds" not in told.card(marta, code).text
    card.click("more")
    more = priya.wait_view(f"About {code}").text
    assert "was rejected" in more
    assert "rows" in more
    assert other.code not in more
