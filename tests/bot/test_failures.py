"""What went wrong elsewhere, and has no better place among the tests."""

import pytest

from engine.request import State
from tests.support.story import CUSTOMERS, ORDERS


def test_who_has_the_access_themselves_can_approve_it_for_others(told):
    """F29: an approver who held the same access could not approve."""
    marta, priya, sam = (told.person(n) for n in ("marta", "priya", "sam.leigh"))
    mine = told.active(priya, sam, path=CUSTOMERS)
    assert mine.state is State.ACTIVE
    assert told.active(marta, priya, path=CUSTOMERS).state is State.ACTIVE


def test_a_command_is_acknowledged_in_time_though_slack_is_slow(told):
    """F36: what took longer than three seconds was an error for the person."""
    told.house.sandbox.fault("views.open", "slow", seconds=8)
    answer = told.person("marta").command("/access", "request")
    assert answer.ok
    assert answer.seconds < 3


@pytest.mark.parametrize(
    ("kind", "how"),
    [("rate_limited", {"retry_after": 1}), ("error", {"status": 503}), ("slack_error", {})],
)
def test_a_form_that_slack_does_not_open_is_told(told, kind, how):
    """The command was acknowledged without a word: on the screen nothing happened at all."""
    marta = told.person("marta")
    told.house.sandbox.fault("views.open", kind, **how)
    answer = marta.command("/access", "request")
    assert "Please try again" in answer.text
    told.until(lambda: not marta.command("/access", "request").text, "forms are opened again")


def test_a_click_that_broke_and_cannot_be_explained_is_not_acknowledged(told):
    """It was acknowledged: the person saw nothing, and believed that it was done."""
    marta = told.person("marta")
    code = told.ask(marta, path=ORDERS).code
    card = told.card(marta, code, button="cancel")
    told.house.sandbox.fault("views.open", "error", status=503)
    with told.desk.database.write() as tx:
        # Nobody else can write for as long as this is open.
        tx.connection().exec_driver_sql("update person set channel = channel")
        answer = card.click("cancel")
    assert not answer.ok
    assert told.request(code).state is State.PENDING
    assert card.click("cancel").ok
    told.wait(code, State.CANCELLED)
