"""What rows that lead nowhere should say, by the live requests that speak of them."""

from dataclasses import replace

import pytest

from engine.account import login_name
from engine.directory import PersonId
from engine.inventory import EntitlementId, IntegrationId
from engine.links import AccountLinks, StoredGrant, by_account, contradicted, is_odd_login, mended
from engine.request import AccountId, GrantState, State
from tests.support.builders import ANN, BEN, life

PG, WIKI = IntegrationId("pg"), IntegrationId("wiki")
RUNNING = life(State.ACTIVE).request
(GRANT,) = RUNNING.grants
ROW = StoredGrant(GRANT.entitlement, GRANT.account, GRANT.state, GRANT.begun, GRANT.open)
SOUND = AccountLinks(ANN, PG, login_name(ANN))


def test_a_row_that_says_what_its_request_does_is_left():
    assert contradicted([RUNNING], {(RUNNING.id, GRANT.id): ROW}) == []


@pytest.mark.parametrize(
    "row",
    [
        None,
        ROW._replace(entitlement=EntitlementId(99)),
        ROW._replace(account=AccountId(99)),
        ROW._replace(state="odd"),
        ROW._replace(begun=not GRANT.begun),
        ROW._replace(open=False),
    ],
    ids=["none", "thing", "account", "state", "begun", "over"],
)
def test_a_row_that_is_lost_or_says_otherwise_is_found(row):
    stored = {(RUNNING.id, GRANT.id): row} if row else {}

    assert contradicted([RUNNING], stored) == [(RUNNING.id, GRANT)]


def test_of_what_is_over_only_where_it_leads_counts():
    ended = replace(RUNNING, grants=(replace(GRANT, state=GrantState.ENDED, begun=False),))
    (grant,) = ended.grants
    assert not grant.open

    assert contradicted([ended], {(ended.id, grant.id): ROW}) == []
    elsewhere = ROW._replace(account=AccountId(99))
    assert contradicted([ended], {(ended.id, grant.id): elsewhere}) == [(ended.id, grant)]


def test_each_account_has_the_requests_that_use_it():
    ended = replace(RUNNING, grants=(replace(GRANT, state=GrantState.ENDED, begun=False),))

    assert by_account([RUNNING, ended]) == {GRANT.account: [RUNNING]}


@pytest.mark.parametrize(
    ("known", "systems", "found"),
    [
        (SOUND, [PG], SOUND),
        (replace(SOUND, person=None), [PG], SOUND),
        (replace(SOUND, integration=IntegrationId("garbage")), [PG], SOUND),
        (replace(SOUND, login="x"), [PG], SOUND),
        (AccountLinks(None, IntegrationId(""), ""), [PG], SOUND),
        # What it is for lies in two systems, or in none that is known: nothing tells which.
        (replace(SOUND, integration=WIKI), [PG, WIKI], replace(SOUND, integration=WIKI)),
        (replace(SOUND, integration=WIKI), [], replace(SOUND, integration=WIKI)),
    ],
)
def test_an_account_gets_what_its_requests_tell(known, systems, found):
    assert mended(known, [RUNNING], systems, []) == found


def test_what_no_request_uses_is_left():
    spoilt = AccountLinks(None, IntegrationId(""), "")

    assert mended(spoilt, [], [PG], []) == spoilt


def test_the_login_of_who_had_another_id_is_not_guessed():
    spoilt = replace(SOUND, login="x")

    assert mended(spoilt, [RUNNING], [PG], [ANN]) == spoilt
    assert mended(spoilt, [RUNNING], [PG], [BEN]) == SOUND
    assert mended(replace(spoilt, person=PersonId("ben")), [RUNNING], [PG], [ANN]).login == (
        login_name(BEN)
    )


@pytest.mark.parametrize(
    ("login", "new_ids", "odd"),
    [
        (login_name(ANN), [], False),
        (login_name(BEN), [], True),
        ("lk_ann_000000", [], True),
        ("x", [], True),
        ("x", [ANN], True),
        (login_name(BEN), [ANN], False),  # it may be the name by the id that she had
        (login_name(BEN), [BEN], True),
    ],
)
def test_a_login_is_odd_where_it_is_not_called_as_its_person_is(login, new_ids, odd):
    assert is_odd_login(login, ANN, new_ids) is odd
