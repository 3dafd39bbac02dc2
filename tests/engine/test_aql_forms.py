"""A query as a form shows it, and in an administrator's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aql.errors import BadQueryError
from engine.aql.explained import explain
from engine.aql.filters import OFFERED, Filter, to_filters, to_query, what_is_wrong
from engine.aql.parser import parse
from engine.aql.predicate import matches
from engine.aql.query import And, Not, Or
from engine.aql.tokens import FIELDS, Compared, Field, Operator
from tests.support.queries import PARTS, conditions, entitlements, keys, queries, words

EQUALITY = ["=", "!="]
SIX = [*EQUALITY, "contains", "not_contains", "starts_with", "ends_with"]


def row(field, operator, *values, key=""):
    return Filter(Field(field), Operator(operator), values, key)


@st.composite
def rows(draw):
    name = draw(st.sampled_from([*OFFERED]))
    operator = draw(st.sampled_from(OFFERED[name]))
    listed = operator in {"in", "not_in"}
    many = listed or (operator in EQUALITY and Operator.IN not in OFFERED[name])
    value = words
    if FIELDS[name].compared is Compared.AS_RISK:
        value = st.sampled_from(["low", "critical", "5"])
    if operator in PARTS:
        value = value.filter(bool)
    values = draw(st.lists(value, min_size=1, max_size=3 if many else 1))
    return Filter(
        name, operator, tuple(values), draw(keys.filter(bool)) if FIELDS[name].keyed else ""
    )


# --- basic filters --------------------------------------------------------------------------------


def test_what_the_form_offers():
    assert {str(field): [*operators] for field, operators in OFFERED.items()} == {
        "integration": EQUALITY,
        "resource_type": EQUALITY,
        "resource_status": EQUALITY,
        "resource_risk_level": EQUALITY,
        "permission_risk_level": EQUALITY,
        "resource_name": SIX,
        "permission_name": SIX,
        "resource_path": SIX,
        "resource_tag": SIX,
        "resource_source_id": [*SIX, "in", "not_in"],
    }


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ([row("resource_type", "=", "table")], 'resource_type = "table"'),
        ([row("resource_type", "=", "table", "view")], 'resource_type in ("table", "view")'),
        ([row("integration", "!=", "a", "b")], 'integration not_in ("a", "b")'),
        (
            [
                row("resource_tag", "contains", "pro", key="env"),
                row("resource_status", "=", "active"),
            ],
            'resource_tag["env"] contains "pro" and resource_status = "active"',
        ),
        ([row("resource_source_id", "in", "a")], 'resource_source_id in ("a")'),
        ([row("resource_source_id", "=", "a")], 'resource_source_id = "a"'),
        (
            [row("resource_risk_level", "!=", "high", "critical"), row("resource_name", "=", "x")],
            'resource_risk_level not_in ("high", "critical") and resource_name = "x"',
        ),
    ],
)
def test_a_form_is_shown_as_a_query_and_the_query_as_the_form(form, text):
    assert str(to_query(form)) == text
    assert to_filters(parse(text)) == tuple(form)


@given(st.lists(rows(), min_size=1, max_size=4))
def test_each_form_comes_back_from_its_query(form):
    assert [what_is_wrong(row) for row in form] == [""] * len(form)
    assert to_filters(to_query(form)) == tuple(form)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('resource_type in ("table")', [row("resource_type", "=", "table")]),
        ('resource_type not_in ("table")', [row("resource_type", "!=", "table")]),
        (
            '(resource_type = "a" and resource_name = "b") and resource_path = "c"',
            [
                row("resource_type", "=", "a"),
                row("resource_name", "=", "b"),
                row("resource_path", "=", "c"),
            ],
        ),
    ],
)
def test_what_means_the_same_is_shown_too(text, form):
    assert to_filters(parse(text)) == tuple(form)


@pytest.mark.parametrize(
    "text",
    [
        'resource_type = "a" or resource_type = "b"',
        'not resource_type = "a"',
        'resource_type = "a" and (resource_name = "b" or resource_name = "c")',
        'resource_type = "a" and not resource_name = "b"',
        'resource = "1"',
        'permission = "1"',
        'integration_name = "a"',
        'resource_context["a"] = "b"',
        'permission_tag["a"] = "b"',
        'resource_tag[""] = "b"',
    ],
)
def test_what_a_form_cannot_show_is_not_shown(text):
    assert to_filters(parse(text)) is None


@given(
    queries | st.lists(conditions(fields=tuple(OFFERED)), min_size=2).map(tuple).map(And),
    entitlements,
)
def test_a_query_that_a_form_shows_selects_the_same_as_the_form(query, thing):
    form = to_filters(query)

    if form is not None:
        assert matches(to_query(form), thing) is matches(query, thing)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (row("resource_context", "=", "a", key="b"), "No resource_context here."),
        (row("resource_type", "contains", "a"), "resource_type takes = or != here."),
        (row("resource_type", "in", "a"), "resource_type takes = or != here."),
        (row("resource_tag", "=", "a"), "Say which tag."),
        (row("resource_type", "="), "Give a value."),
        (
            row("resource_name", "contains", "a", "b"),
            "contains takes one value; several go with = or !=.",
        ),
        (
            row("resource_source_id", "=", "a", "b"),
            "= takes one value; several go with in or not_in.",
        ),
        (
            row("resource_name", "contains", ""),
            'Found "", expected at least one character after contains.',
        ),
        (
            row("resource_risk_level", "=", "low", "huge"),
            'Found "huge", expected low, medium, high, critical or a score from "1" to "10".',
        ),
        (
            row("resource_name", "=", "a\0"),
            "Found the character U+0000, expected one that a name can have.",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said(wrong, sentence):
    assert what_is_wrong(wrong) == sentence


@pytest.mark.parametrize(
    "form",
    [
        [],
        [row("resource_name", "contains", "")],
        [row("resource_name", "contains", "a", "b")],
        [row("resource_name", "=")],
        [row("resource_name", "=", "x" * 10_000)],
        [row("resource_name", "=", "x")] * 501,
    ],
    ids=["no row", "empty", "several", "no value", "too long", "too many"],
)
def test_a_form_that_is_no_query_is_refused(form):
    with pytest.raises(BadQueryError):
        to_query(form)


# --- in words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('integration = "orders-db"', 'the integration\'s id is "orders-db"'),
        ('integration_name starts_with "P"', 'the integration\'s name starts with "P"'),
        ('resource != "12"', 'the resource\'s id is not "12"'),
        ('resource_type in ("table", "view")', 'the resource\'s type is one of "table", "view"'),
        ('resource_name contains "x"', 'the resource\'s name contains "x"'),
        ('resource_path ends_with "/x"', 'the resource\'s path ends with "/x"'),
        ('resource_source_id = "x"', 'the resource\'s source id is "x"'),
        ('resource_status = "active"', 'the resource\'s status is "active"'),
        ('resource_risk_level = "high"', "the resource's risk is high (7–9)"),
        (
            'resource_risk_level not_in ("critical", "5")',
            "the resource's risk is none of critical (10), 5",
        ),
        (
            'resource_risk_level in ("low", "medium")',
            "the resource's risk is one of low (1–3), medium (4–6)",
        ),
        ('resource_tag["env"] = "prod"', 'the resource has a tag "env" that is "prod"'),
        ('resource_tag["env"] != "prod"', 'the resource has no tag "env" that is "prod"'),
        ('resource_context["a"] in ("b")', 'the resource has a context "a" that is one of "b"'),
        ('permission = "r"', 'the permission\'s id is "r"'),
        ('permission_name not_contains "adm"', 'the permission\'s name does not contain "adm"'),
        ('permission_risk_level != "10"', "the permission's risk is not 10"),
        (
            'permission_tag["a"] not_in ("b", "c")',
            'the permission has no tag "a" that is one of "b", "c"',
        ),
        (
            'permission_context["a"] not_contains "b"',
            'the permission has no context "a" that contains "b"',
        ),
    ],
)
def test_each_condition_is_a_sentence(text, sentence):
    assert explain(parse(text)) == f"- {sentence}"


def test_what_joins_conditions_stands_above_them():
    text = 'resource = "1" and not (resource = "2" or resource = "3" and not permission = "4")'

    assert explain(parse(text)).splitlines() == [
        "- all of these hold:",
        '  - the resource\'s id is "1"',
        "  - this does not hold:",
        "    - at least one of these holds:",
        '      - the resource\'s id is "2"',
        "      - all of these hold:",
        '        - the resource\'s id is "3"',
        "        - this does not hold:",
        '          - the permission\'s id is "4"',
    ]


def nodes(query):
    match query:
        case And(parts) | Or(parts):
            return 1 + sum(map(nodes, parts))
        case Not(part):
            return 1 + nodes(part)
    return 1


@given(queries)
def test_every_query_is_said_a_line_for_each_condition_and_for_what_joins_them(query):
    lines = explain(query).split("\n")

    assert len(lines) == nodes(query)
    assert all(line.lstrip(" ").startswith("- ") for line in lines)
