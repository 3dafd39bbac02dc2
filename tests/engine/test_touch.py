"""What people fulfil conditions by, and which flows depend on it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup, Connective, select
from engine.directory import (
    Directory,
    Group,
    GroupId,
    Person,
    PersonId,
    PersonStatus,
    SlackAccount,
)
from engine.flow import ApprovalRule, ApproverGroup, Escalation
from engine.ownership import owners
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
        ({"account": replace(ANN.account, unreachable="cannot_dm_bot")}, ALL),
    ],
)
def test_what_differs_is_what_people_fulfil_conditions_by(changed, keys):
    assert keys_between(ANN, replace(ANN, **changed)) == keys
    assert keys_between(replace(ANN, **changed), ANN) == keys


def test_who_comes_or_goes_differs_in_everything():
    assert keys_between(None, ANN) == keys_between(ANN, None) == ALL


def test_who_is_in_no_group_differs_in_that():
    """A newcomer without groups fulfils *group is not*, and was never asked."""
    alone = replace(ANN, groups=frozenset())

    assert ("group", "") in keys_between(None, alone)
    assert keys_between(ANN, alone) == {GROUP, ("group", "")}


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


# --- whoever can be asked by a change is found by it ---------------------------------------------

IDS = [PersonId(id_) for id_ in ("ann", "mia", "bo")]
NAMES = ["Ann", "Mia", "Bo"]
ours = [Group(DBAS, "file", "DBAs"), Group(OPS, "file", "Operations")]


def somebody(id_):
    return st.builds(
        Person,
        st.just(id_),
        st.sampled_from(["ann@x.example", "mia@x.example"]),
        st.sampled_from(NAMES),
        manager=st.none() | st.sampled_from(IDS),
        groups=st.frozensets(st.sampled_from([DBAS, OPS])),
        attributes=st.sampled_from([{}, {"City": ("Oslo",)}, {"City": ("OSLO", "Rome")}]),
        account=st.sampled_from([None, SlackAccount("T1", f"U-{id_}", "ann@x.example")]),
        status=st.sampled_from(PersonStatus),
    )


conditions = st.builds(
    Condition,
    st.sampled_from(["user", "group", "manager", "City"]),
    st.sampled_from(Comparator),
    st.lists(
        st.sampled_from([*IDS, *NAMES, DBAS, OPS, "Operations", "Oslo", "rome"]),
        min_size=1,
        max_size=2,
    ).map(tuple),
)
groups = st.builds(
    ConditionGroup,
    st.lists(conditions, min_size=1, max_size=2).map(tuple),
    st.sampled_from(Connective),
)


@given(
    st.tuples(*map(somebody, IDS[1:])),
    somebody(IDS[0]),
    st.none() | somebody(IDS[0]),
    st.sampled_from(["ann", "ann@x.example", "dbas"]),
)
def test_who_comes_to_own_something_by_a_change_is_found_by_it(others, after, before, said):
    were = Directory.of([*others, before] if before else others, ours)

    if owners((said, ""), Directory.of([*others, after], ours)) != owners((said, ""), were):
        owning = ConditionGroup((Condition("owner", Comparator.IS, ()),))
        assert depends_on(approved_by(owning), keys_between(before, after))


def askable(group, people) -> set[PersonId]:
    directory = Directory.of(people, ours)
    return {p.id for p in select(group, directory) if p.may_ask and p.slack}


@given(st.tuples(*map(somebody, IDS[1:])), somebody(IDS[0]), st.none() | somebody(IDS[0]), groups)
def test_who_comes_to_be_asked_by_a_change_is_found_by_it(others, after, before, group):
    """The request was not woken, and lapsed though somebody could have decided."""
    were = [*others, before] if before else others

    if askable(group, [*others, after]) - askable(group, were):
        assert depends_on(approved_by(group), keys_between(before, after))
