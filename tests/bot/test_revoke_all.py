"""An administrator revokes what others would keep: those are named, and end as well if so wished.

Marta has access twice to the same thing, and Ines administers.
"""

import pytest

from bot.views import ids
from bot.views.request_modal import block_of
from engine.request import GrantState, State
from tests.support.door import STOCK, filled

REASON = {"value": "The laptop was stolen"}


@pytest.fixture
def twice(door):
    """Return two requests of Marta's by which she has the same."""
    return [door.request(1), door.active("marta", "priya")]


def opened(door, request):
    (form,) = door.click("ines", ids.SHOW, str(request.id)).views
    return form


def states(door, requests):
    return [door.request(request.id).state for request in requests]


@pytest.mark.parametrize("first", [0, 1])
def test_the_others_are_named_and_end_with_it(door, twice, first):
    this, other = twice[first], twice[1 - first]
    form = opened(door, this)
    assert f"Some of it would stay, under {other.code}" in str(form["blocks"])

    sent = door.submit("ines", form, filled(form, reason=REASON))
    assert not sent.payload
    assert door.request(this.id).state is State.REVOKING
    door.work()

    assert states(door, twice) == [State.REVOKED, State.REVOKED]
    assert {door.request(r.id).ended.reason for r in twice} == {REASON["value"]}
    (grant,) = door.request(this.id).grants
    assert (grant.state, grant.note) == (GrantState.ENDED, "")  # its absence was seen
    assert not any(account.given for account in door.system.accounts.values())


def test_without_the_tick_it_stays_under_the_other(door, twice):
    this, other = twice
    form = opened(door, this)

    door.submit("ines", form, filled(form, reason=REASON, also={"selected_options": []}))
    door.work()

    assert states(door, twice) == [State.REVOKED, State.ACTIVE]
    assert door.request(this.id).grants[0].note == f"still held under {other.code}"


def test_one_that_came_since_the_form_was_opened_ends_as_well(door):
    """Whoever revokes means that it is gone."""
    form = opened(door, door.request(1))
    assert block_of(form["blocks"], ids.ALSO) is None
    since = door.active("marta", "priya")

    door.submit("ines", form, filled(form, reason=REASON))
    door.work()

    assert states(door, [door.request(1), since]) == [State.REVOKED, State.REVOKED]


def test_what_gives_something_else_runs_on(door):
    other = door.active("marta", "", STOCK)
    form = opened(door, door.request(1))
    assert block_of(form["blocks"], ids.ALSO) is None

    door.submit("ines", form, filled(form, reason=REASON))
    door.work()

    assert states(door, [door.request(1), other]) == [State.REVOKED, State.ACTIVE]


def test_without_a_reason_none_of_them_ends(door, twice):
    form = opened(door, twice[0])

    assert "reason" in door.submit("ines", form, filled(form)).payload["errors"]
    assert states(door, twice) == [State.ACTIVE, State.ACTIVE]


@pytest.mark.parametrize("who", ["marta", "priya", "kofi"])
def test_nobody_but_an_administrator_ends_them_so(door, twice, who):
    form = opened(door, twice[0])

    assert "no such request" in door.submit(who, form, filled(form, reason=REASON)).said
    assert states(door, twice) == [State.ACTIVE, State.ACTIVE]
