"""What an account should hold: the sum of its requests, against the plainest reading of it."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import Extend, Return
from engine.holdings import calls, held_elsewhere, kept_by, target_of, unlooked, wants, wish
from engine.inventory import EntitlementId
from engine.port import Target
from engine.request import AccountId, Grant, GrantId, GrantState, RequestId, State
from tests.support.builders import (
    ANN,
    DAY,
    HELD,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    begun,
    entitlement,
    flow,
    life,
    request,
)

MINE = AccountId(1)
WANTS = {State.GRANTING, State.ACTIVE}
OPEN = {GrantState.WANTED, GrantState.HELD}


@st.composite
def a_grant(draw, number: int) -> Grant:
    standing = draw(st.sampled_from([None, False, False, True]))
    return Grant(
        GrantId(number),
        EntitlementId(draw(st.integers(1, 3))),
        AccountId(draw(st.sampled_from([1, 1, 2]))),
        draw(st.sampled_from(GrantState)),
        begun=standing is False and draw(st.booleans()),
        standing=standing,
    )


@st.composite
def several(draw):
    return [
        request(
            id=RequestId(number),
            state=draw(st.sampled_from([*State, *WANTS, *WANTS])),
            grants=tuple(draw(a_grant(n)) for n in range(draw(st.integers(1, 3)))),
            ends_at=draw(st.sampled_from([NOW, NOW + HOUR, NOW + DAY, None])),
        )
        for number in range(1, draw(st.integers(0, 4)) + 1)
    ]


def holders(requests, entitlement):
    """Return those who want it now and have begun it: request and grant."""
    return [
        (r, g)
        for r in requests
        for g in r.grants
        if g.account == MINE
        and g.entitlement == entitlement
        and g.begun
        and g.state in OPEN
        and r.state in WANTS
    ]


@given(several())
@settings(max_examples=150)
def test_a_holding_should_be_while_anybody_wants_it(requests):
    wished = wish(MINE, requests)

    begun = {g.entitlement for r in requests for g in r.grants if g.account == MINE and g.begun}
    assert wished.wanted == {e for e in begun if holders(requests, e)}
    assert wished.unwanted == {e for e in begun if not holders(requests, e)}


@given(several())
@settings(max_examples=150)
def test_the_account_lasts_as_long_as_its_longest_wish(requests):
    ends = [r.ends_at for e in (1, 2, 3) for r, _ in holders(requests, e)]

    expected: datetime | None = None
    if ends and None not in ends:
        expected = max(ends)
    assert wish(MINE, requests).until == expected


@given(several())
@settings(max_examples=120)
def test_order_does_not_matter(requests):
    assert wish(MINE, requests) == wish(MINE, requests[::-1])
    assert unlooked(MINE, requests) == unlooked(MINE, requests[::-1])


@given(several())
@settings(max_examples=150)
def test_only_what_was_never_looked_at_is_looked_at_and_ours_is_known(requests):
    ours, new = unlooked(MINE, requests)

    blank = {
        g.entitlement
        for r in requests
        for g in r.grants
        if g.account == MINE and wants(r, g) and g.standing is None
    }
    given_by_us = {
        g.entitlement
        for r in requests
        for g in r.grants
        if g.account == MINE and g.begun and g.standing is False
    }
    assert ours | new == blank
    assert not ours & new
    assert ours == blank & given_by_us


@given(several())
@settings(max_examples=150)
def test_the_duty_to_take_away_passes_only_to_another_who_has_begun(requests):
    for mine in requests:
        elsewhere = held_elsewhere(mine, requests)
        entitlements = {g.id: g.entitlement for g in mine.grants}
        for shared, code in elsewhere.items():
            other = next(r for r in requests if r.code == code)
            assert other.id != mine.id
            assert any(
                g.entitlement == entitlements[shared] and g.begun and wants(other, g)
                for g in other.grants
            )


@pytest.mark.parametrize("state", State)
def test_only_granting_and_active_requests_want(state):
    made = life(state).request

    assert any(wants(made, g) for g in made.grants) == (state in WANTS)


def test_what_is_wanted_of_one_account_is_no_answer_for_another():
    """Two grants of one thing, on two accounts: one was left to another's, and so the other was."""
    one = life(State.ACTIVE).request
    (grant,) = one.grants
    both = one.with_(grants=(grant, replace(grant, id=GrantId(8), account=AccountId(2))))
    other = replace(one, id=RequestId(2))

    assert held_elsewhere(both, [both, other]) == {grant.id: other.code}


def test_standing_access_is_in_no_order():
    made = life(State.GRANTING)
    made.look(standing=[1])

    wished = wish(MINE, [made.request])

    assert not wished.wanted | wished.unwanted


def test_an_end_of_nothing_wanted_is_no_end_of_anything():
    ended = life(State.REVOKING).request

    assert wish(MINE, [ended]).until is None
    assert wish(MINE, [ended]).unwanted == {1}


def test_two_overlapping_requests_each_answer_for_the_other():
    one = life(State.ACTIVE).request
    other = replace(one, id=RequestId(2))

    assert held_elsewhere(one, [one, other]) == {0: other.code}
    assert held_elsewhere(other, [one, other]) == {0: one.code}


@given(several())
def test_without_those_that_would_keep_it_nothing_stays(requests):
    for one in requests:
        keepers = kept_by(one, requests)
        rest = [other for other in requests if other not in keepers]
        mine = {grant.id for grant in one.grants if wants(one, grant)}

        assert not mine & held_elsewhere(one, rest).keys()
        assert one not in keepers
        assert all(kept_by(one, [other]) for other in keepers)


def test_the_same_entitlement_in_another_account_is_another_thing():
    one = life(State.ACTIVE).request
    elsewhere = tuple(replace(g, account=AccountId(2)) for g in one.grants)

    assert held_elsewhere(one, [replace(one, id=RequestId(2), grants=elsewhere)]) == {}


def test_an_entitlement_is_named_as_its_system_knows_it():
    known = entitlement(3, "write", source_id="4711")
    known = replace(known, integration=replace(known.integration, server="74"))
    known = replace(known, permission=replace(known.permission, name="Write to it"))

    assert target_of(known) == Target("table", "4711", "orders/t3", "write", "74")


# --- what needs a call ---------------------------------------------------------------------------

AUTOMATIC = flow(approval=None)


def test_a_grant_that_is_wanted_needs_a_call_and_one_that_only_waits_does_not():
    before, granted = request(AUTOMATIC), begun(AUTOMATIC).request

    assert calls(before, granted) == {MINE: False}
    assert calls(before, begun().request) == {}


def test_an_end_needs_a_call_first_where_something_was_begun():
    made = life(State.ACTIVE, AUTOMATIC)
    before = made.request
    made.do(Return(ANN))
    assert calls(before, made.request) == {MINE: True}

    waiting = life(State.GRANTING, AUTOMATIC)
    before = waiting.request
    waiting.do(Return(ANN))
    assert calls(before, waiting.request) == {}


def test_an_extension_needs_a_call_and_what_was_seen_does_not():
    made = life(State.ACTIVE, AUTOMATIC)
    before = made.request
    made.do(Extend(ANN, 1), MINUTE)
    assert calls(before, made.request) == {MINE: False}

    before = made.request
    made.see(HELD)
    assert calls(before, made.request) == {}


@pytest.mark.parametrize(("moved", "called"), [(SECOND, False), (SECOND * 1.1, True)])
def test_an_end_that_hardly_moved_is_not_worth_a_call(moved, called):
    before = life(State.ACTIVE, AUTOMATIC).request
    after = before.with_(ends_at=before.ends_at + moved)

    assert bool(calls(before, after)) is called


def test_an_end_that_is_not_confirmed_is_told_with_the_grant():
    before = life(State.GRANTING, AUTOMATIC).request

    assert calls(before, before.with_(ends_at=before.ends_at + HOUR)) == {}


def test_of_several_in_one_account_one_end_makes_it_urgent():
    before = life(State.ACTIVE, AUTOMATIC, 1, 2).request
    first, second = before.grants
    after = before.with_(ends_at=before.ends_at + HOUR, grants=(first.refused("gone"), second))

    assert calls(before, after) == {MINE: True}
