"""The indexed policy answers exactly what asking every flow would."""

from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import eligibility
from engine.aql.parser import parse
from engine.conditions import Comparator, Condition, ConditionGroup, Connective, matches
from engine.directory import Directory, Group, GroupId, Person, PersonId
from engine.flow import AccessFlow, FlowId, RequestFor, Revision
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
)
from engine.on_call import Schedule, Shift
from engine.policy import Policy
from engine.targets import Picked, Selector
from engine.window import Day, Window
from tests.support.builders import NOW

IDS = ["a", "b", "A"]
CITIES = ["Straße", "STRASSE", "a", "Oslo"]
NAMES = ["orders", "Orders", "straße", "shop.orders"]
ATTRIBUTES = ["user", "group", "manager", "city", "on_call", "nobody's"]

people = st.builds(
    Person,
    st.sampled_from(IDS).map(PersonId),
    st.just("a@x.example"),
    st.sampled_from(IDS),
    manager=st.none() | st.sampled_from(IDS).map(PersonId),
    groups=st.frozensets(st.sampled_from(IDS).map(GroupId), max_size=2),
    attributes=st.fixed_dictionaries(
        {}, optional={"city": st.lists(st.sampled_from(CITIES), max_size=2).map(tuple)}
    ),
)
conditions = st.builds(
    Condition,
    st.sampled_from(ATTRIBUTES),
    st.sampled_from([Comparator.IS, Comparator.IS, *Comparator]),
    st.lists(st.sampled_from([*IDS, *CITIES, ""]), max_size=2).map(tuple),
)
groups = st.builds(
    ConditionGroup, st.lists(conditions, max_size=3).map(tuple), st.sampled_from(Connective)
)
integrations = st.sampled_from(["pg", "wiki"]).map(IntegrationId)
selectors = st.builds(
    Selector,
    integrations,
    st.frozensets(st.sampled_from(["table", "view"]), max_size=1),
    st.frozensets(st.sampled_from(["read", "write"]), max_size=1),
    st.frozensets(st.sampled_from([n.casefold() for n in NAMES]), max_size=2),
)
WHERE = map(parse, [
    'resource_name = "ORDERS" and resource_type = "table"',
    'resource_path in ("Straße", "x") or resource_tag["k"] = "V"',
    'resource_tag["k"] = "v" or not resource_type = "view"',
    'permission_name = "read"',
    'resource = "1" and integration != "wiki"',
    'integration in ("pg", "wiki") and not resource_name = "orders"',
])  # fmt: skip
picked = st.builds(Picked, st.sampled_from([*WHERE]))
revisions = st.builds(
    Revision,
    st.just("Flow"),
    groups,
    st.lists(selectors | picked, min_size=1, max_size=2).map(tuple),
    st.frozensets(st.sampled_from(RequestFor), min_size=1),
    groups,
    require_mfa=st.booleans(),
)
entitlements = st.builds(
    Entitlement,
    st.just(EntitlementId(1)),
    st.builds(Integration, integrations, st.just("x"), st.just("memory")),
    st.builds(
        Resource,
        st.just(ResourceId(1)),
        st.sampled_from(["table", "view"]),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.just("1"),
        tags=st.sampled_from([{}, {"k": ("v",)}, {"k": ("x", "V")}]),
    ),
    st.builds(Permission, st.sampled_from(["read", "write"])),
)


def company(known, duty):
    always = Window(frozenset(Day), time(), time(), "UTC")
    directory = Directory.of(known, [Group(GroupId(i), "file", i) for i in IDS])
    return directory.answering([Schedule("Straße", (Shift(always, duty),))], {})


@given(
    st.lists(people, min_size=1, max_size=3),
    st.lists(st.sampled_from(IDS), max_size=2).map(tuple),
    st.lists(st.tuples(revisions, st.booleans()), max_size=6),
    st.lists(entitlements, min_size=1, max_size=3),
)
def test_policy_leaves_out_nothing_that_applies(known, duty, revised, wanted):
    directory = company(known, duty)
    flows = [AccessFlow(FlowId(n), 1, r, active) for n, (r, active) in enumerate(revised)]
    policy = Policy(flows, directory)

    here = directory.at(NOW)
    for requestor in directory.people.values():
        grantees = eligibility.grantees(flows, requestor, here)
        assert policy.grantees(requestor, NOW) == grantees
        for grantee in directory.people.values():
            usable = eligibility.usable(flows, requestor, grantee, here)
            assert policy.usable(requestor, grantee, NOW) == usable
            if usable and requestor.id != grantee.id:
                assert any(matches(group, grantee, here) for group in grantees.groups)
            if usable and requestor.id == grantee.id:
                assert grantees.oneself
            for entitlement in wanted:
                offering = eligibility.offering(usable, entitlement)
                assert policy.offering(requestor, grantee, entitlement, NOW) == offering


@given(
    st.lists(people, min_size=1, max_size=3),
    st.lists(st.sampled_from(IDS), max_size=2).map(tuple),
    st.lists(st.tuples(revisions, st.booleans()), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 5), revisions, st.booleans()), max_size=4),
    entitlements,
)
def test_policy_that_was_changed_is_what_a_new_one_is(known, duty, revised, changes, wanted):
    directory = company(known, duty)
    before = {n: AccessFlow(FlowId(n), 1, r, active) for n, (r, active) in enumerate(revised)}
    after = {n: AccessFlow(FlowId(n), 2, r, active) for n, r, active in changes}
    policy = Policy(before.values(), directory)

    changed = policy.changed(after.values(), directory)

    for made, flows in ((policy, before), (changed, before | after)):
        for person in directory.people.values():
            usable = eligibility.usable([*flows.values()], person, person, directory.at(NOW))
            assert made.usable(person, person, NOW) == usable
            offering = eligibility.offering(usable, wanted)
            assert made.offering(person, person, wanted, NOW) == offering


@pytest.mark.parametrize("attribute", ["user", "manager", "group", "city"])
def test_a_flow_is_found_by_each_thing_that_its_requestor_may_be(attribute):
    ann = Person(
        PersonId("ann"),
        "ann@x.example",
        "Ann",
        manager=PersonId("mia"),
        groups=frozenset({GroupId("dba")}),
        attributes={"city": ("Oslo",)},
    )
    value = {"user": "ann", "manager": "mia", "group": "dba", "city": "OSLO"}[attribute]
    who = ConditionGroup((Condition(attribute, Comparator.IS, (value,)),))
    flow = AccessFlow(FlowId(1), 1, Revision("Flow", who, ()))
    directory = Directory.of([ann], [Group(GroupId("dba"), "file", "dba")])

    assert Policy([flow], directory).usable(ann, ann, NOW) == [flow]


def test_a_flow_that_changes_takes_no_other_from_who_may_request():
    """Both are for one group, and offer one table: each is found by the same."""
    ann = Person(PersonId("ann"), "ann@x.example", "Ann", groups=frozenset({GroupId("dba")}))
    directory = Directory.of([ann], [Group(GroupId("dba"), "file", "dba")])
    dbas = ConditionGroup((Condition("group", Comparator.IS, ("dba",)),))
    nobody = ConditionGroup((Condition("group", Comparator.IS, ("gone",)),))
    orders = (Selector(IntegrationId("pg"), names=frozenset({"orders"})),)
    one, other = (AccessFlow(FlowId(n), 1, Revision("Flow", dbas, orders)) for n in (1, 2))
    wanted = Entitlement(
        EntitlementId(1),
        Integration(IntegrationId("pg"), "x", "memory"),
        Resource(ResourceId(1), "table", "orders", "shop/orders", "1", risk=1),
        Permission(PermissionId("read"), "read", risk=1),
    )
    policy = Policy([one, other], directory)

    changed = policy.changed([AccessFlow(FlowId(1), 2, Revision("Flow", nobody, ()))], directory)

    assert policy.offering(ann, ann, wanted, NOW) == [one, other]
    assert changed.offering(ann, ann, wanted, NOW) == [other]


def test_a_flow_for_who_is_on_call_is_found_by_the_minute():
    """Who is on call is looked at once a minute: at its change, it is known at once."""
    day = Window(frozenset(Day), time(9), time(10), "UTC")
    ann = Person(PersonId("ann"), "ann@x.example", "Ann")
    who = ConditionGroup((Condition("on_call", Comparator.IS, ("DBA",)),))
    flow = AccessFlow(FlowId(1), 1, Revision("Flow", who, ()))
    directory = Directory.of([ann]).answering([Schedule("dba", (Shift(day, ("ann",)),))], {})
    policy = Policy([flow], directory)

    nine, second = NOW.replace(hour=9, minute=0), timedelta(seconds=1)
    moments = [nine - second, nine, nine + second, nine + 3599 * second, nine + 3600 * second, nine]
    open_at = [bool(policy.usable(ann, ann, at)) for at in moments]

    assert open_at == [False, True, True, True, False, True]
