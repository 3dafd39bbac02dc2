"""Looking people up, as identity sources and Slack name them."""

from dataclasses import replace

import pytest

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import (
    Directory,
    GroupId,
    PersonId,
    PersonStatus,
    SlackAccount,
    address,
    why_not,
)
from tests.support.builders import ANN, BEN, CAT, company, group_id, person, slack_guest


@pytest.mark.parametrize(
    ("values", "asks", "receives"),
    [
        ({}, True, True),
        ({"guest": True}, False, True),
        ({"status": PersonStatus.PRE_BOARDING}, False, True),
        ({"status": PersonStatus.INACTIVE}, False, False),
        ({"status": PersonStatus.INACTIVE, "guest": True}, False, False),
    ],
)
def test_who_may_ask_and_who_may_receive(values, asks, receives):
    someone = person("zoe", **{"slack": None, **values})

    assert (someone.may_ask, someone.may_receive) == (asks, receives)


def test_who_is_a_guest_in_slack_asks_nothing_and_may_receive():
    assert (slack_guest("zoe").may_ask, slack_guest("zoe").may_receive) == (False, True)


def test_an_address_is_found_in_any_case_and_may_belong_to_several():
    """F25, F31: who shares an address is seen to share it, not silently one of them."""
    twins = [person("x", email="Sam@Example.com"), person("y", email="sam@example.COM")]

    found = Directory.of(twins).by_email("sAm@example.com")

    assert [p.id for p in found] == ["x", "y"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("strasse@a.example", "stra\N{LATIN SMALL LETTER SHARP S}e@a.example"),
        ("kim@a.example", "\N{KELVIN SIGN}im@a.example"),
        ("ipek@a.example", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}pek@a.example"),
        ("ipek@a.example", "\N{LATIN SMALL LETTER DOTLESS I}pek@a.example"),
        ("file@a.example", "\N{LATIN SMALL LIGATURE FI}le@a.example"),
        ("sam@a.example", "\N{LATIN SMALL LETTER LONG S}am@a.example"),
        ("\N{GREEK CAPITAL LETTER SIGMA}@a.example", "\N{GREEK SMALL LETTER SIGMA}@a.example"),
    ],
)
def test_two_mailboxes_are_not_one_because_unicode_folds_them(one, other):
    """Whoever had a mailbox that folds to a colleague's was tied as them."""
    assert address(one) != address(other)
    assert address(one) == address(one.replace("a.example", "A.EXAMPLE"))
    assert Directory.of([person("x", email=one)]).by_email(other) == ()


def test_who_has_left_gives_way_to_who_has_the_address_now():
    before = person("x", email="sam@example.com", status=PersonStatus.INACTIVE)
    now = person("y", email="Sam@example.com")

    assert Directory.of([before, now]).by_email("sam@example.com") == (now,)
    assert Directory.of([before]).by_email("sam@example.com") == (before,)


MINE = SlackAccount("T1", "UX", "x@example.com")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, ""),
        ({"email": "X@EXAMPLE.com"}, ""),
        ({"guest": True}, ""),
        ({"barred": "the account was deactivated"}, "deactivated"),
        ({"barred": "the account is a bot's"}, "bot"),
        ({"email": ""}, "confirmed"),
        ({"email": "y@example.com"}, "address"),
        ({"user": "UY"}, "another"),
        ({"team": "T2"}, "another"),
        ({"team": "T2", "enterprise": "E1"}, "another"),
    ],
    ids=str,
)
def test_an_account_is_somebodys_while_all_of_it_holds(said, why):
    tied = person("x")

    assert why in why_not(replace(MINE, **said), tied)
    assert bool(why_not(replace(MINE, **said), tied)) is bool(why)


def test_one_organisations_account_is_the_same_in_all_its_workspaces():
    tied = person("x", slack=None)
    tied = replace(tied, account=replace(MINE, enterprise="E1"))

    assert not why_not(replace(MINE, team="T2", enterprise="E1"), tied)
    assert why_not(replace(MINE, team="T2"), tied)


@pytest.mark.parametrize("listed", [False, True])
def test_a_guest_is_tied_only_as_the_guest_who_is_listed(listed):
    somebody = person("x", slack=None, guest=listed)

    assert bool(why_not(replace(MINE, guest=True), somebody)) is not listed


def test_the_same_user_id_in_another_team_is_no_one():
    here = Directory.of([person("x")])

    assert here.whose(SlackAccount("T1", "UX")).id == "x"
    assert here.whose(SlackAccount("T2", "UX")) is None
    assert here.whose(SlackAccount("", "UX")) is None
    assert here.whose(SlackAccount("T1", "UY")) is None


def test_two_teams_users_of_one_id_are_two_people():
    """One hid the other: whoever came last was found, and refused to the first."""
    theirs = replace(MINE, team="T2", email="y@example.com")
    here = Directory.of([person("x"), replace(person("y"), account=theirs)])

    assert here.whose(SlackAccount("T1", "UX")).id == "x"
    assert here.whose(SlackAccount("T2", "UX")).id == "y"
    assert here.whose(SlackAccount("T3", "UX")) is None


@pytest.mark.parametrize(
    ("was", "acting", "suspended"),
    [
        (MINE, MINE, True),
        (MINE, replace(MINE, team="T2"), False),
        (MINE, replace(MINE, user="UY"), False),
        (replace(MINE, enterprise="E1"), replace(MINE, team="T2", enterprise="E1"), True),
        (replace(MINE, team=""), replace(MINE, team="T2"), True),
        (SlackAccount("", ""), MINE, False),
    ],
    ids=["the same", "another team's", "another user", "in its organisation", "unknown", "none"],
)
def test_which_account_waits_for_an_admin(was, acting, suspended):
    here = Directory.of([replace(person("x", slack=None), suspended=was)])

    assert here.is_suspended(acting) is suspended


def test_who_has_a_new_id_is_found_by_the_old_one_too():
    here = Directory.of([person("new")], formerly={PersonId("old"): PersonId("new")})

    assert here.get(PersonId("old")) is here.people["new"]


def test_conditions_follow_a_person_to_a_new_id():
    ids = {PersonId("old"): PersonId("new")}
    conditions = (
        Condition("user", Comparator.IS_NOT, ("old", "x")),
        Condition("manager", Comparator.IS, ("old",)),
        Condition("user", Comparator.CONTAINS, ("old",)),
        Condition("group", Comparator.IS, ("old",)),
    )

    renamed = ConditionGroup(conditions).renamed(ids).conditions

    assert [c.values for c in renamed] == [("new", "x"), ("new",), ("old",), ("old",)]


def test_only_who_has_a_slack_account_is_found_by_one():
    here = Directory.of([person("x"), person("y", slack=None)])

    assert [p.id for p in here.tied("UX")] == ["x"]
    assert here.tied("UY") == ()


def test_a_group_has_the_people_who_name_it():
    here = company()

    assert here.members(group_id("dba")) == (BEN, CAT)
    assert here.members(GroupId("file:none")) == ()


def test_attributes_are_those_that_anybody_has():
    here = company(person("ann", attributes={"city": ("Bonn",)}))

    assert here.attributes == {"city"}
    assert here.get(ANN)
    assert here.get(PersonId("none")) is None
