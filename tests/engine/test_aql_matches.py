"""What a query selects: each field, each operator, and the rules of how they compare."""

import re
from dataclasses import replace

import pytest
from hypothesis import given

from engine.aql.parser import parse
from engine.aql.predicate import matches, predicate
from engine.aql.query import And, Condition, Not, Or
from engine.aql.tokens import FIELDS, LISTS, NEGATIVE, Compared, Field, Operator
from engine.inventory import (
    Entitlement,
    EntitlementId,
    Integration,
    IntegrationId,
    Permission,
    PermissionId,
    Resource,
    ResourceId,
    ResourceStatus,
)
from tests.support.queries import conditions, entitlements, queries

THING = Entitlement(
    EntitlementId(7),
    Integration(IntegrationId("orders-db"), "Orders (Großburg)", "postgresql"),
    Resource(
        ResourceId(12),
        "Table",
        "Customers_50%",
        "shop/public/Customers_50%",
        "shop.public.Customers",
        risk=8,
        tags={"env": ("Prod", "EU"), "Env": ("dev",), "empty": ("",), "none": ()},
        context={"region": ("eu-west-1",)},
    ),
    Permission(
        PermissionId("pg-Read"),
        "Read",
        risk=3,
        tags={"kind": ("Managed",)},
        context={"owner": ("Data",)},
    ),
)


def holds(text, thing=THING):
    return matches(parse(text), thing)


@pytest.mark.parametrize(
    ("field", "value", "other_case"),
    [
        ("integration", "orders-db", False),
        ("resource", "12", None),
        ("permission", "pg-Read", False),
        ("resource_source_id", "shop.public.Customers", False),
        ("resource_type", "Table", True),
        ("resource_status", "active", True),
        ("integration_name", "Orders (Großburg)", True),
        ("resource_name", "Customers_50%", True),
        ("permission_name", "Read", True),
        ("resource_path", "shop/public/Customers_50%", True),
        ('resource_tag["env"]', "Prod", True),
        ('resource_context["region"]', "eu-west-1", True),
        ('permission_tag["kind"]', "Managed", True),
        ('permission_context["owner"]', "Data", True),
    ],
)
def test_each_field_is_compared_exactly_or_without_case(field, value, other_case):
    assert holds(f'{field} = "{value}"')
    assert holds(f'{field} in ("x", "{value}")')
    assert not holds(f'{field} = "{value}x"')
    assert not holds(f'{field} = "{value[:-1]}"')
    if other_case is not None:
        assert holds(f'{field} = "{value.upper()}"') is other_case
        assert holds(f'{field} in ("{value.upper()}")') is other_case


TEXTS = [f for f, kind in FIELDS.items() if Operator.CONTAINS in kind.operators]


@pytest.mark.parametrize("field", TEXTS)
def test_parts_of_a_text_are_compared_as_the_whole_is(field):
    key = {
        Field.RESOURCE_TAG: '["env"]',
        Field.RESOURCE_CONTEXT: '["region"]',
        Field.PERMISSION_TAG: '["kind"]',
        Field.PERMISSION_CONTEXT: '["owner"]',
    }.get(field, "")
    value = {
        Field.INTEGRATION_NAME: "Orders (Großburg)",
        Field.RESOURCE_NAME: "Customers_50%",
        Field.RESOURCE_PATH: "shop/public/Customers_50%",
        Field.RESOURCE_SOURCE_ID: "shop.public.Customers",
        Field.RESOURCE_TAG: "Prod",
        Field.RESOURCE_CONTEXT: "eu-west-1",
        Field.PERMISSION_NAME: "Read",
        Field.PERMISSION_TAG: "Managed",
        Field.PERMISSION_CONTEXT: "Data",
    }[field]
    start, middle, end = value[:3], value[1:-1], value[-3:]

    assert holds(f'{field}{key} starts_with "{start}" and {field}{key} ends_with "{end}"')
    assert holds(f'{field}{key} contains "{middle}" and not {field}{key} starts_with "{middle}"')
    assert not holds(f'{field}{key} ends_with "{middle}"')
    assert not holds(f'{field}{key} not_contains "{middle}"')
    without_case = FIELDS[field].compared is Compared.WITHOUT_CASE
    for operator, part in (("starts_with", start), ("contains", middle), ("ends_with", end)):
        assert holds(f'{field}{key} {operator} "{part.swapcase()}"') is without_case


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('integration_name contains "GROSSBURG"', True),
        ('integration_name contains "GROẞBURG"', True),
        ('resource_tag["env"] = "prod"', True),
        ('resource_tag["env"] = "eu"', True),
        ('resource_tag["env"] = "dev"', False),
        ('resource_tag["Env"] = "DEV"', True),
        ('resource_tag["ENV"] = "dev"', False),
        ('resource_tag["env"] in ("x", "EU")', True),
        ('resource_tag["env"] contains "ro"', True),
    ],
)
def test_case_is_folded_in_values_and_kept_in_keys(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize("sign", ["%", "_", "*", "?"])
def test_signs_of_patterns_are_ordinary_characters(sign):
    plain = replace(THING, resource=replace(THING.resource, name="axb"))
    signed = replace(THING, resource=replace(THING.resource, name=f"a{sign}b"))

    for text in (f'= "a{sign}b"', f'contains "{sign}"', f'starts_with "a{sign}"'):
        assert holds(f"resource_name {text}", signed)
        assert not holds(f"resource_name {text}", plain)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('resource_tag["env"] != "prod"', False),
        ('resource_tag["env"] != "eu"', False),
        ('resource_tag["env"] != "dev"', True),
        ('resource_tag["env"] not_in ("dev", "EU")', False),
        ('resource_tag["env"] not_contains "u"', False),
        ('resource_tag["env"] not_contains "x"', True),
        ('resource_tag["absent"] = ""', False),
        ('resource_tag["absent"] != ""', True),
        ('resource_tag["absent"] not_in ("x")', True),
        ('resource_tag["absent"] not_contains "x"', True),
        ('resource_tag["absent"] contains "x"', False),
        ('resource_tag["absent"] starts_with "x"', False),
        ('resource_tag["absent"] ends_with "x"', False),
        ('resource_tag["none"] = ""', False),
        ('resource_tag["none"] != ""', True),
        ('resource_tag["empty"] = ""', True),
        ('resource_tag["empty"] != ""', False),
        ('permission_context["absent"] != "x"', True),
    ],
)
def test_of_several_values_any_will_do_and_what_is_absent_has_none(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("level", "least", "most"),
    [
        ("low", 1, 3),
        ("medium", 4, 6),
        ("high", 7, 9),
        ("critical", 10, 10),
        *((str(n), n, n) for n in range(1, 11)),
    ],
)
def test_a_level_matches_its_scores_and_a_score_itself(level, least, most):
    for score in range(1, 11):
        thing = replace(THING, resource=replace(THING.resource, risk=score))
        inside = least <= score <= most

        assert holds(f'resource_risk_level = "{level}"', thing) is inside
        assert holds(f'resource_risk_level != "{level}"', thing) is not inside
        assert holds(f'resource_risk_level in ("{level}")', thing) is inside
        assert holds(f'resource_risk_level not_in ("{level}")', thing) is not inside


def test_levels_and_scores_go_together_and_each_risk_is_its_own():
    assert holds('resource_risk_level in ("low", "8")')
    assert not holds('resource_risk_level in ("low", "9")')
    assert holds('permission_risk_level = "low" and resource_risk_level = "high"')


def test_what_is_gone_can_be_asked_for():
    gone = replace(THING, resource=replace(THING.resource, status=ResourceStatus.GONE))

    assert holds('resource_status = "GONE"', gone)
    assert not holds('resource_status = "active"', gone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t and t", True),
        ("t and f", False),
        ("f or t", True),
        ("f or f", False),
        ("not f", True),
        ("not t", False),
        ("t or t and f", True),
        ("(t or t) and f", False),
        ("not f and f", False),
        ("not (f and f)", True),
        ("f and f or t and t and t", True),
    ],
)
def test_conditions_are_joined_by_not_and_and_or(text, expected):
    meant = {"t": 'resource = "12"', "f": 'resource = "1"'}

    assert holds(re.sub(r"\b[tf]\b", lambda m: meant[m[0]], text)) is expected


@given(queries, entitlements)
def test_not_turns_every_query_around(query, thing):
    assert matches(Not(query), thing) is not matches(query, thing)
    assert matches(Not(Not(query)), thing) is matches(query, thing)
    assert not matches(And((query, Not(query))), thing)
    assert matches(Or((query, Not(query))), thing)


@given(queries, queries, entitlements)
def test_not_of_and_is_or_of_nots(one, other, thing):
    assert matches(Not(And((one, other))), thing) is matches(Or((Not(one), Not(other))), thing)
    assert matches(Not(Or((one, other))), thing) is matches(And((Not(one), Not(other))), thing)
    assert matches(And((one, other)), thing) is (matches(one, thing) and matches(other, thing))


@given(conditions(operators=frozenset(NEGATIVE)), entitlements)
def test_a_negative_operator_is_exactly_not_of_its_positive(condition, thing):
    positive = replace(condition, operator=NEGATIVE[condition.operator])

    assert matches(condition, thing) is matches(Not(positive), thing)
    assert matches(condition, thing) is not matches(positive, thing)


@given(conditions(operators=LISTS), entitlements)
def test_a_list_is_any_of_its_values(condition, thing):
    each = [
        matches(replace(condition, operator=Operator.EQUALS, values=(value,)), thing)
        for value in condition.values
    ]

    assert matches(condition, thing) is (any(each) is (condition.operator is Operator.IN))


@given(queries, entitlements)
def test_what_is_printed_selects_the_same(query, thing):
    test = predicate(query)

    assert test(thing) is predicate(parse(str(query)))(thing)
    assert test(thing) is test(thing)


# --- against the plainest reading -----------------------------------------------------------------


def values_of(condition, thing):
    """Return what the table of SPEC says that a field has, as texts."""
    whose, _, what = condition.field.partition("_")
    one = getattr(thing, whose)
    match what:
        case "tag" | "context":
            of = one.tags if what == "tag" else one.context
            return of.get(condition.key, ())
        case "risk_level":
            levels = {1: "low", 2: "medium", 3: "high", 4: "critical"}
            return (str(one.risk), levels[(one.risk + 2) // 3])
        case _:
            return (str(getattr(one, what or "id")),)


@given(conditions(), entitlements)
def test_a_condition_holds_as_the_table_says(condition, thing):
    exact = condition.field in {"integration", "resource", "permission", "resource_source_id"}

    def folded(text):
        return text if exact else text.casefold()

    found = [folded(value) for value in values_of(condition, thing)]
    wanted = [folded(value) for value in condition.values]
    expected = {
        "=": any(f == w for f in found for w in wanted),
        "!=": all(f != w for f in found for w in wanted),
        "in": any(f == w for f in found for w in wanted),
        "not_in": all(f != w for f in found for w in wanted),
        "contains": any(w in f for f in found for w in wanted),
        "not_contains": all(w not in f for f in found for w in wanted),
        "starts_with": any(f.startswith(w) for f in found for w in wanted),
        "ends_with": any(f.endswith(w) for f in found for w in wanted),
    }

    assert matches(condition, thing) is expected[condition.operator]


def test_a_condition_is_a_value():
    one, same = parse('resource = "1"'), Condition(Field.RESOURCE, Operator.EQUALS, ("1",))

    assert {one: "found"}[same] == "found"
