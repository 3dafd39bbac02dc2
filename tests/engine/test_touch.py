"""What people fulfil conditions by, and which flows depend on it."""

from dataclasses import replace

import pytest

from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import GroupId, Person, PersonId, PersonStatus, SlackAccount
from engine.flow import ApprovalRule, ApproverGroup, Escalation
from engine.touch import asks_managers, depends_on, keys_between
from tests.support.stored import HOUR, reading

DBAS, OPS = GroupId("file:dbas"), GroupId("file:ops")
ANN = Person(
    PersonId("ann"),
    "ann@x.example",
    "Ann",
    manager=PersonId("mia"),
    groups=frozenset({DBAS}),
    attributes={"City": ("Oslo", "Rome")},
    account=SlackAccount("T1", "U1", "ann@x.example"),
)
USER, BOSS, GROUP = ("user", "ann"), ("manager", "mia"), ("group", DBAS)
OSLO, ROME = ("City", "oslo"), ("City", "rome")
ALL = {USER, BOSS, GROUP, OSLO, ROME}


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({}, set()),
        ({"groups": frozenset({OPS})}, {GROUP, ("group", OPS)}),
        ({"manager": PersonId("bo")}, {BOSS, ("manager", "bo")}),
        ({"manager": None}, {BOSS, ("manager", "")}),
        ({"attributes": {"City": ("ROME",)}}, {OSLO}),
        ({"name": "Anna"}, {("user", None), ("manager", None)}),
        ({"email": "anna@x.example"}, {("user", None), ("manager", None)}),
        ({"status": PersonStatus.INACTIVE}, ALL),
        ({"guest": True}, ALL),
        ({"account": None}, ALL),
        ({"account": replace(ANN.account, user="U2")}, set()),
    ],
)
def test_what_differs_is_what_people_fulfil_conditions_by(changed, keys):
    assert keys_between(ANN, replace(ANN, **changed)) == keys
    assert keys_between(replace(ANN, **changed), ANN) == keys


def test_who_comes_or_goes_differs_in_everything():
    assert keys_between(None, ANN) == keys_between(ANN, None) == ALL


def is_(attribute, *values, by=Comparator.IS) -> ConditionGroup:
    return ConditionGroup((Condition(attribute, by, values),))


def approved_by(conditions):
    return reading(approval=ApprovalRule((ApproverGroup("Some", conditions),)))


def escalated_to(conditions):
    return reading(escalation=Escalation(HOUR, (ApproverGroup("Some", conditions),)))


IS_NOT = Comparator.IS_NOT


@pytest.mark.parametrize("flow", [approved_by, escalated_to])
@pytest.mark.parametrize(
    ("conditions", "keys", "depends"),
    [
        (is_("group", DBAS), {GROUP}, True),
        (is_("group", DBAS), {("group", OPS)}, False),
        (is_("City", "OSLO"), {OSLO}, True),
        (is_("City", "OSLO"), {ROME}, False),
        (is_("user", "Ann"), {USER}, False),
        (is_("group", DBAS, by=IS_NOT), {("group", OPS)}, True),
        (is_("group", DBAS, by=IS_NOT), {OSLO}, False),
    ],
)
def test_a_flow_depends_on_what_its_deciders_are_found_by(flow, conditions, keys, depends):
    assert depends_on(flow(conditions), keys) is depends


@pytest.mark.parametrize("side", ["requestors", "grantees"])
def test_whether_somebody_may_ask_depends_on_others_only_by_what_they_are_called(side):
    named = reading(**{side: is_("manager", "Mia", by=IS_NOT)})
    one = reading(**{side: is_("manager", "mia")})

    assert depends_on(named, {("manager", None)})
    assert not depends_on(one, {BOSS})
    assert not depends_on(reading(**{side: is_("City", "Oslo", by=IS_NOT)}), {OSLO})


def test_managers_are_asked_where_none_is_named():
    assert asks_managers(approved_by(is_("manager")))
    assert asks_managers(escalated_to(is_("manager")))
    assert not asks_managers(approved_by(is_("manager", "mia")))
    assert not asks_managers(approved_by(is_("group")))
    assert not asks_managers(reading())
