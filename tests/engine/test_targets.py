"""What selectors come to: one query each, which prints as AQL and says what they select."""

from dataclasses import replace

import pytest

from engine.aql.parser import parse
from engine.aql.predicate import matches
from engine.inventory import IntegrationId, ResourceId
from engine.targets import (
    NO_OBJECTS,
    Bundle,
    ByBundle,
    ByScope,
    Except,
    Match,
    Objects,
    Picked,
    Scope,
    Selector,
    Space,
    Tagged,
    named_in,
    naming,
    naming_resources,
    query_of,
    systems_of,
)
from tests.support.builders import entitlement, flow

DB = IntegrationId("orders")
PROD = Tagged(frozenset({("env", "prod")}))
EITHER = Tagged(frozenset({("env", "prod"), ("team", "core")}), Match.ANY)
BOTH = replace(EITHER, match=Match.ALL)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Selector(DB), 'integration = "orders"'),
        (
            Selector(DB, frozenset({"view", "table"}), frozenset({"read"})),
            (
                'integration = "orders" and resource_type in ("table", "view") '
                'and permission_name = "read"'
            ),
        ),
        (
            Selector(DB, names=frozenset({"a", "b"})),
            (
                'integration = "orders" and '
                '(resource_name in ("a", "b") or resource_path in ("a", "b"))'
            ),
        ),
        (
            Selector(DB, names=frozenset({"a"}), resources=frozenset({ResourceId(7)})),
            (
                'integration = "orders" and '
                '(resource = "7" or resource_name = "a" or resource_path = "a")'
            ),
        ),
        (
            Selector(DB, tagged=BOTH),
            (
                'integration = "orders" and '
                '(resource_tag["env"] = "prod" and resource_tag["team"] = "core")'
            ),
        ),
        (
            Selector(DB, tagged=EITHER),
            (
                'integration = "orders" and '
                '(resource_tag["env"] = "prod" or resource_tag["team"] = "core")'
            ),
        ),
        (
            Selector(DB, without=Except(resources=frozenset({ResourceId(7)}), tagged=PROD)),
            'integration = "orders" and not (resource = "7" or resource_tag["env"] = "prod")',
        ),
        (Selector(DB, without=Except()), 'integration = "orders"'),
        (Picked(parse('resource_tag["env"] != "prod"')), 'resource_tag["env"] != "prod"'),
    ],
)
def test_a_target_prints_as_aql_and_is_read_back(target, expected):
    assert str(target.query) == expected
    assert parse(expected) == target.query


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('resource_type = "table"', 'resource in ("4", "7")'),
        (
            'resource_type = "table" and permission_name = "read" and resource_tag["e"] = "x"',
            'resource in ("4", "7") and permission_name = "read"',
        ),
        (
            '(resource_tag["e"] = "x" and permission_name = "read") and permission = "1"',
            'resource in ("4", "7") and permission_name = "read" and permission = "1"',
        ),
        (
            'resource_type = "table" or permission_name = "read"',
            'resource in ("4", "7") and (resource_type = "table" or permission_name = "read")',
        ),
    ],
)
def test_of_what_is_picked_by_hand_the_ids_are_kept_and_what_is_asked_of_permissions(
    where, expected
):
    """The tags by which they were found may change: they stay picked, and no more is offered."""
    picked = Picked(parse(where), frozenset({ResourceId(7), ResourceId(4)}))

    assert str(picked.query) == expected


@pytest.mark.parametrize(
    ("tagged", "tags", "expected"),
    [
        (BOTH, {"env": ("Prod", "eu"), "team": ("core",)}, True),
        (BOTH, {"env": ("prod",)}, False),
        (EITHER, {"env": ("prod",)}, True),
        (EITHER, {"env": ("test",), "team": ()}, False),
        (EITHER, {}, False),
    ],
)
def test_tags_are_wanted_all_of_them_or_any(tagged, tags, expected):
    thing = entitlement()
    thing = replace(thing, resource=replace(thing.resource, tags=tags))
    system = thing.integration.id

    assert Selector(system, tagged=tagged).selects(thing) is expected
    assert Selector(system, without=Except(tagged=tagged)).selects(thing) is not expected


def test_all_but_some_are_selected():
    system = entitlement().integration.id
    some = Selector(system, without=Except(frozenset({"t1"}), frozenset({ResourceId(2)})))

    assert [some.selects(entitlement(n)) for n in (1, 2, 3)] == [False, False, True]


WRITES = Scope("Writes", parse('permission_name = "write"'))
OBJECTS = Objects(
    {"writes": WRITES},
    {
        "kit": Bundle("Kit", (ByScope("WRITES"), ByBundle("Inner"))),
        "inner": Bundle("Inner", (Selector(DB, names=frozenset({"t1"})), ByBundle("Kit"))),
    },
    {"mine": Space("Mine", ("Writes",))},
)


@pytest.mark.parametrize(
    ("targets", "space", "expected"),
    [
        ((ByScope("writes"),), "", [False, True, False, True]),
        ((ByBundle("KIT"),), "", [True, True, False, True]),
        ((ByBundle("Inner"),), "", [True, True, False, True]),
        ((ByScope("Gone"),), "", [False] * 4),
        ((ByBundle("Gone"), ByScope("Writes")), "", [False, True, False, True]),
        ((Selector(DB),), "Mine", [False, True, False, True]),
        ((ByBundle("Kit"),), "mine", [False, True, False, True]),
        ((Selector(DB),), "Gone", [False] * 4),
        ((), "Mine", [False] * 4),
    ],
)
def test_what_a_flow_offers_is_what_its_objects_hold_at_the_moment(targets, space, expected):
    """In a space, what is in its slice alone; what is there no more offers nothing."""
    of = replace(flow(targets=targets, space=space).revision, objects=OBJECTS)
    things = [entitlement(n, permission) for n in (1, 2) for permission in ("read", "write")]

    assert [of.selects(thing) for thing in things] == expected
    assert [bool(of.offers and matches(of.offers, t)) for t in things] == expected
    assert not any(map(flow(targets=targets, space="Mine").revision.selects, things))


def test_bundles_that_lead_back_to_themselves_end():
    """Stored so by a hand: files with such are refused."""
    deep = {f"b{n}": Bundle(f"b{n}", (ByBundle(f"b{n + 1}"),) * 2) for n in range(60)}

    assert query_of([ByBundle("b0")], Objects(bundles=deep)) is None
    assert query_of([ByBundle("kit")], OBJECTS) is not None
    assert query_of([ByBundle("kit")], NO_OBJECTS) is None


def test_names_are_told_from_the_rest_of_a_query():
    names = frozenset({"a", "b"})
    query = Selector(DB, frozenset({"table"}), names=names).query
    rest = Selector(DB, frozenset({"table"})).query

    assert named_in(query) == (rest, names)
    assert naming(rest, names) == query
    assert named_in(rest) is None
    other = parse('integration = "x" and (resource_name = "a" or resource_path = "b")')
    assert named_in(other) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ('resource_name = "a"', True),
        ('resource_type = "t" and resource_path in ("a", "b")', True),
        ('resource = "1" or resource_source_id = "x" and resource_type = "t"', True),
        ('resource_type = "t" or resource_name = "a"', False),
        ('resource_type = "t" and not resource_name = "a"', False),
        ('resource_type = "t" and not (not resource_name = "a")', False),
        ('resource_name != "a"', False),
        ('resource_name contains "a"', False),
        (Selector(DB, names=frozenset({"a"}), resources=frozenset({ResourceId(7)})), True),
        (Selector(DB, without=Except(frozenset({"a"}), frozenset({ResourceId(7)}))), False),
        (Picked(parse('resource_type = "t"'), frozenset({ResourceId(7)})), True),
    ],
)
def test_what_names_each_resource_is_told_from_what_names_some_that_are_left_out(target, expected):
    """Of 119 vaults, all but one that was named, it was warned that they are named one by one."""
    one = Picked(parse(target)) if isinstance(target, str) else target

    assert naming_resources([one], NO_OBJECTS) == [one] * expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('integration = "a"', {"a"}),
        ('integration in ("a", "b") and resource_name = "x"', {"a", "b"}),
        ('integration in ("a", "b") and integration = "b"', {"b"}),
        ('integration = "a" or integration = "b" and resource_name = "x"', {"a", "b"}),
        ('integration = "a" or resource_name = "x"', None),
        ('integration != "a"', None),
        ('not integration = "a"', None),
    ],
)
def test_a_query_says_in_which_systems_it_finds_anything(query, expected):
    assert systems_of(parse(query)) == expected
