"""Looking people up, as identity sources and Slack name them."""

import pytest

from engine.directory import Directory, GroupId, PersonId, PersonStatus
from tests.support.builders import ANN, BEN, CAT, company, group_id, person


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
    someone = person("zoe", **values)

    assert (someone.may_ask, someone.may_receive) == (asks, receives)


def test_an_address_is_found_in_any_case_and_may_belong_to_several():
    """F25, F31: who shares an address is seen to share it, not silently one of them."""
    twins = [person("x", email="Sam@Example.com"), person("y", email="sam@example.COM")]

    found = Directory.of(twins).by_email

    assert [p.id for p in found["sam@example.com"]] == ["x", "y"]


def test_only_who_has_a_slack_account_is_found_by_one():
    here = Directory.of([person("x"), person("y", slack=None)])

    assert {slack: p.id for slack, p in here.by_slack.items()} == {"UX": "x"}


def test_a_group_has_the_people_who_name_it():
    members = company().members

    assert [p.id for p in members[group_id("dba")]] == [BEN, CAT]
    assert members.get(GroupId("file:none")) is None


def test_attributes_are_those_that_anybody_has():
    here = company(person("ann", attributes={"city": ("Bonn",)}))

    assert here.attributes == {"city"}
    assert here.get(ANN)
    assert here.get(PersonId("none")) is None
