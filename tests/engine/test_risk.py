"""Risk is never absent: an administrator's, else the system's, else a rule's, else 5."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aql.parser import parse
from engine.aql.query import conditions
from engine.inventory import (
    UNKNOWN_RISK,
    Integration,
    IntegrationId,
    PermissionId,
    highest_risk,
)
from engine.port import Discovered, DiscoveredPermission
from engine.risk import OF_PERMISSIONS, OF_RESOURCES, PUBLISHED, Risks, Rule, rated
from tests.support.builders import entitlement

SYSTEM = Integration(IntegrationId("cloud"), "The cloud", "file")
PLAIN = Discovered("bucket", "thing", "thing", "1", {"use": 0})


def rule(text, **risks) -> Rule:
    return Rule(parse(text), **risks)


def of(item, risks=None, described=()) -> tuple[int, dict[str, int]]:
    (found,) = rated(risks or Risks(), SYSTEM, [item], described)
    return found.risk, dict(found.permissions)


def test_of_what_nobody_says_anything_it_is_five():
    assert of(PLAIN) == (UNKNOWN_RISK, {"use": UNKNOWN_RISK}) == (5, {"use": 5})


def test_the_system_comes_before_the_rules_and_an_administrator_before_both():
    said = replace(PLAIN, risk=2, permissions={"use": 4, "admin": 0})
    everything = 'integration_name = "the CLOUD"'

    assert of(said) == (2, {"use": 4, "admin": 9})
    assert of(said, Risks(set=(rule(everything, resource=10, permission=1),))) == (
        10,
        {"use": 1, "admin": 1},
    )
    assert of(said, Risks(rules=(rule(everything, resource=10, permission=1),))) == (
        2,
        {"use": 4, "admin": 1},
    )


def test_a_rule_that_says_nothing_of_permissions_leaves_them_to_the_next():
    rules = Risks(set=(rule('resource_type = "bucket"', resource=9),))

    assert of(PLAIN, rules) == (9, {"use": 5})


def test_a_permission_may_be_riskier_on_one_thing_than_on_another():
    """What was said of the first thing was said of all that had the same permission."""
    asked = Risks(rules=(rule('resource_name = "thing"', permission=9),))
    other = replace(PLAIN, name="other", source_id="2")

    one, two = rated(asked, SYSTEM, [PLAIN, other])

    assert (one.permissions, two.permissions) == ({"use": 9}, {"use": 5})
    more = replace(PLAIN, permissions={"admin": 0, "use": 7})
    three, four = rated(Risks(), SYSTEM, [more, other])
    assert (three.permissions, four.permissions) == ({"admin": 9, "use": 7}, {"use": 5})


def test_of_several_rules_that_fit_the_first_counts():
    first, second = (rule('resource_type = "bucket"', resource=n) for n in (3, 8))

    assert of(PLAIN, Risks(rules=(first, second)))[0] == 3
    assert of(PLAIN, Risks(rules=(second, first)))[0] == 8


def test_rules_look_at_names_tags_context_and_the_permission():
    item = replace(PLAIN, tags={"env": ("x", "Prod")}, context={"region": ("eu",)})
    named = DiscoveredPermission(PermissionId("use"), "Use it", {"k": ("a",)}, {"c": ("b",)})

    def says(text, part="permission") -> bool:
        asked = Risks(rules=(rule(text, **{part: 10}),))
        risk, permissions = of(item, asked, [named])
        return 10 in {risk, *permissions.values()}

    assert says('resource_tag["env"] = "prod" and resource_context["region"] = "eu"', "resource")
    assert says('permission_name starts_with "USE" and resource_path = "thing"')
    assert says('permission = "use" and permission_tag["k"] = "a"')
    assert says('permission_context["c"] = "B" and integration = "cloud"')
    assert not says('permission_name = "use"')


@pytest.mark.parametrize(
    ("item", "risk"),
    [
        (replace(PLAIN, path="shop/Payments"), 8),
        (replace(PLAIN, tags={"Environment": ("PROD",)}), 7),
        (replace(PLAIN, path="crm/customers"), 6),
        (replace(PLAIN, tags={"env": ("dev",)}), 3),
        (replace(PLAIN, path="sandbox/x"), 3),
        (replace(PLAIN, path="secrets", tags={"env": ("dev",)}), 8),
        # A name that is not in the path said nothing.
        (replace(PLAIN, name="Payroll exports", path="acct/1"), 8),
        (replace(PLAIN, name="thing", path="Payroll exports/thing"), 8),
    ],
)
def test_what_is_published_of_resources(item, risk):
    assert of(item)[0] == risk


@pytest.mark.parametrize(
    ("permission", "risk"),
    [("Administrator", 9), ("delete", 8), ("read-write", 6), ("ViewOnly", 3), ("use", 5)],
)
def test_what_is_published_of_permissions(permission, risk):
    assert of(replace(PLAIN, permissions={permission: 0}))[1] == {permission: risk}


def test_what_is_published_speaks_only_of_what_rules_may_speak_of():
    for one in PUBLISHED:
        allowed = OF_RESOURCES if one.resource else OF_PERMISSIONS
        assert {c.field for c in conditions(one.where)} <= allowed


scores = st.integers(0, 10)


@given(
    risk=scores,
    permissions=st.dictionaries(st.text(max_size=5), scores, max_size=3),
    name=st.text(max_size=9),
    tags=st.dictionaries(st.sampled_from(["env", "k"]), st.lists(st.text(max_size=4)).map(tuple)),
)
def test_risk_is_never_absent(risk, permissions, name, tags):
    item = Discovered("t", name, name, "1", permissions, risk, tags)

    found, had = of(item)

    assert {found, *had.values()} <= {*range(1, 11)}
    assert had.keys() == permissions.keys()
    assert not risk or found == risk


def test_a_request_is_as_risky_as_the_riskiest_thing_or_permission_of_it():
    low, risky = entitlement(1, risk=2), entitlement(2, risk=8)
    admin = replace(low, permission=replace(low.permission, risk=9))

    assert highest_risk([low, risky]) == 8
    assert highest_risk([low, risky, admin]) == 9
    assert highest_risk([]) == UNKNOWN_RISK
