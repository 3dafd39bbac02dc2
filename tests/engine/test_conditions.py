"""Conditions on people: every comparator on every attribute, and what has no value."""

from datetime import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup, Connective, matches, select
from engine.directory import ON_CALL, Directory, Group, GroupId, PersonId
from engine.on_call import Schedule, Shift
from engine.window import Day, Window
from tests.support.builders import (
    ANN,
    BEN,
    CAT,
    DAN,
    EVE,
    MINUTE,
    NOW,
    company,
    members_of,
    person,
    these,
)

IS, IS_NOT = Comparator.IS, Comparator.IS_NOT
CONTAINS, LACKS = Comparator.CONTAINS, Comparator.DOES_NOT_CONTAIN
STARTS = Comparator.STARTS_WITH

STRASSE = person(
    "p1",
    "dba",
    name="Jörg Weiß",
    email="Joerg.WEISS@example.com",
    manager=EVE,
    attributes={"city": ("Großburg", "İzmir"), "department": ("Data",)},
)
PLAIN = person("p2", name="Nobody Special", email="nobody@example.com")
HERE = company(STRASSE, PLAIN)
ATTRIBUTES = ["user", "group", "manager", "city", "department", "shoe size", "on_call", "owner"]


def one(attribute, comparator, *values):
    return ConditionGroup((Condition(attribute, comparator, values),))


def holds(attribute, comparator, *values, who=STRASSE):
    return matches(one(attribute, comparator, *values), who, HERE)


@pytest.mark.parametrize(
    ("attribute", "comparator", "value", "expected"),
    [
        ("user", IS, "p1", True),
        ("user", IS, "P1", False),
        ("user", IS, "Jörg Weiß", False),
        ("user", IS_NOT, "p1", False),
        ("user", IS_NOT, "p2", True),
        ("user", CONTAINS, "joerg.weiss@", True),
        ("user", CONTAINS, "WEISS", True),
        ("user", CONTAINS, "p1", False),
        ("user", LACKS, "special", True),
        ("user", LACKS, "jörg", False),
        ("user", LACKS, "joerg", False),
        ("user", STARTS, "JÖRG W", True),
        ("user", STARTS, "joerg", True),
        ("user", STARTS, "weiss", False),
        ("group", IS, "file:dba", True),
        ("group", IS, "dba", False),
        ("group", IS_NOT, "file:dba", False),
        ("group", IS_NOT, "file:sec", True),
        ("group", CONTAINS, "DB", True),
        ("group", CONTAINS, "file", False),
        ("group", LACKS, "sec", True),
        ("group", LACKS, "b", False),
        ("group", STARTS, "Db", True),
        ("group", STARTS, "a", False),
        ("manager", IS, "eve", True),
        ("manager", IS_NOT, "eve", False),
        ("manager", IS_NOT, "ann", True),
        ("manager", CONTAINS, "EVE@", True),
        ("manager", LACKS, "ann", True),
        ("manager", STARTS, "eve", True),
        ("city", IS, "GROSSBURG", True),
        ("city", IS, "grossburg", True),
        ("city", IS, "Groß", False),
        ("city", IS, "i̇zmir", True),
        ("city", IS_NOT, "großburg", False),
        ("city", IS_NOT, "Bonn", True),
        ("city", CONTAINS, "SSBURG", True),
        ("city", LACKS, "zmir", False),
        ("city", STARTS, "gross", True),
        ("department", STARTS, "DATA", True),
    ],
)
def test_each_comparator_on_each_attribute(attribute, comparator, value, expected):
    assert holds(attribute, comparator, value) is expected


@pytest.mark.parametrize("comparator", Comparator)
@pytest.mark.parametrize("attribute", ["manager", "city", "shoe size", "on_call", "owner", ""])
def test_who_has_no_value_fails_every_condition_the_negative_ones_included(attribute, comparator):
    """F30: a look-up that failed counted as “in no group”, and let people through a denial."""
    assert not holds(attribute, comparator, "x", who=PLAIN)


@pytest.mark.parametrize(
    ("comparator", "expected"),
    [(IS, False), (IS_NOT, True), (CONTAINS, False), (LACKS, True), (STARTS, False)],
)
def test_only_group_has_a_meaningful_empty_set(comparator, expected):
    assert holds("group", comparator, "file:dba", who=PLAIN) is expected


@pytest.mark.parametrize("comparator", Comparator)
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_condition_without_a_value_or_with_an_empty_one_selects_nobody(attribute, comparator):
    """An empty text is contained in every text: such a condition would have let everybody in."""
    for values in ((), ("",), ("x", "")):
        assert not holds(attribute, comparator, *values)


def test_a_group_without_conditions_selects_nobody():
    for join in Connective:
        assert not matches(ConditionGroup((), join), STRASSE, HERE)
        assert select(ConditionGroup((), join), HERE) == []


@pytest.mark.parametrize(
    ("comparator", "values", "expected"),
    [
        (IS, ("Bonn", "İZMIR"), True),
        (IS, ("Bonn", "Ulm"), False),
        (IS_NOT, ("Bonn", "İzmir"), False),
        (IS_NOT, ("Bonn", "Ulm"), True),
        (CONTAINS, ("bonn", "burg"), True),
        (LACKS, ("bonn", "burg"), False),
        (LACKS, ("bonn", "ulm"), True),
        (STARTS, ("b", "g"), True),
    ],
)
def test_several_values_are_any_for_positive_and_none_for_negative(comparator, values, expected):
    assert holds("city", comparator, *values) is expected


def test_with_several_groups_a_positive_needs_one_and_a_negative_none():
    both = person("p3", "dba", "sec")

    assert holds("group", IS, "file:sec", who=both)
    assert not holds("group", IS_NOT, "file:sec", who=both)
    assert holds("group", STARTS, "s", who=both)
    assert not holds("group", LACKS, "s", who=both)


def test_a_dotted_capital_i_is_no_plain_i():
    """Unicode's casefold keeps the dot, so that İzmir and Izmir are two cities."""
    assert not holds("city", IS, "izmir")


def test_a_manager_who_is_not_in_the_directory_has_no_name_to_look_at():
    orphan = person("p4", manager=PersonId("left"))

    assert holds("manager", IS, "left", who=orphan)
    for comparator in (CONTAINS, LACKS, STARTS):
        assert not holds("manager", comparator, "left", who=orphan)


@pytest.mark.parametrize(("join", "expected"), [(Connective.AND, False), (Connective.OR, True)])
def test_groups_join_by_and_or_or(join, expected):
    conditions = (Condition("city", IS, ("İzmir",)), Condition("department", IS, ("Law",)))

    assert matches(ConditionGroup(conditions, join), STRASSE, HERE) is expected


def test_selecting_names_each_person_once():
    """A user named twice was selected twice, and counted as two approvers."""
    assert [p.id for p in select(these(BEN, ANN, BEN), HERE)] == [BEN, ANN]
    either = ConditionGroup(
        (*members_of("dba").conditions, *members_of("sec").conditions), Connective.OR
    )
    assert sorted(p.id for p in select(either, HERE)) == [BEN, CAT, DAN, "p1"]


ALWAYS = Window(frozenset(Day), time(), time(), "UTC")

# --- against the plainest reading ----------------------------------------------------------------

words = st.sampled_from(["a", "b", "ab", "A", "ß", "SS", "İ", "i̇"])
people = st.builds(
    lambda n, name, groups, manager, team: person(
        f"p{n}",
        *groups,
        name=name,
        email=f"{name}@b",
        manager=manager,
        attributes={"team": tuple(team)} if team else {},
    ),
    st.integers(0, 9),
    words,
    st.sets(st.sampled_from("ab")),
    st.sampled_from([None, PersonId("p0"), PersonId("p1")]),
    st.lists(words, max_size=2),
)
shifts = st.lists(st.sampled_from([f"p{n}" for n in range(10)]), max_size=3).map(tuple)
directories = st.builds(
    lambda found, duty, failing: (
        Directory.of(found, [Group(GroupId(f"file:{g}"), "file", g) for g in "ab"])
        .answering([Schedule("A", (Shift(ALWAYS, duty),))], dict.fromkeys(failing, NOW))
        .at(NOW)
    ),
    st.lists(people, max_size=6),
    shifts,
    st.sampled_from([(), (), ("file",)]),
)
conditions = st.builds(
    Condition,
    st.sampled_from(["user", "group", "manager", "team", "on_call", "other"]),
    st.sampled_from(Comparator),
    st.lists(words | st.sampled_from(["p0", "p1", "file:a", "file:b"]), max_size=2).map(tuple),
)
groups = st.builds(
    ConditionGroup, st.lists(conditions, max_size=3).map(tuple), st.sampled_from(Connective)
)


@given(groups, directories)
@settings(max_examples=150)
def test_selecting_finds_exactly_those_who_match(group, directory):
    found = [p.id for p in select(group, directory)]

    assert sorted(found) == sorted(
        p.id for p in directory.people.values() if matches(group, p, directory)
    )


@given(conditions, directories)
@settings(max_examples=150)
def test_a_negative_is_never_true_beside_its_positive(condition, directory):
    opposite = {IS: IS_NOT, CONTAINS: LACKS}.get(condition.comparator)
    for someone in directory.people.values():
        positive = matches(ConditionGroup((condition,)), someone, directory)
        if opposite and positive:
            negated = Condition(condition.attribute, opposite, condition.values)
            assert not matches(ConditionGroup((negated,)), someone, directory)


@given(conditions, directories)
@settings(max_examples=120)
def test_text_is_compared_without_case(condition, directory):
    loud = Condition(
        condition.attribute, condition.comparator, tuple(v.upper() for v in condition.values)
    )
    by_id = condition.comparator in {IS, IS_NOT}
    if by_id and condition.attribute in {"user", "group", "manager"}:
        return
    for someone in directory.people.values():
        assert matches(ConditionGroup((condition,)), someone, directory) == matches(
            ConditionGroup((loud,)), someone, directory
        )


# --- on call -------------------------------------------------------------------------------------

DUTY = (Schedule("DBA", (Shift(ALWAYS, (BEN,)),)), Schedule("Straße", (Shift(ALWAYS, (CAT,)),)))
ON_DUTY = HERE.answering(DUTY, {}).at(NOW)


@pytest.mark.parametrize(
    ("comparator", "values", "found"),
    [
        (IS, ("dba",), {BEN}),
        (IS, ("STRASSE", "dba"), {BEN, CAT}),
        (IS, ("db",), set()),
        (IS_NOT, ("dba",), {CAT}),
        (IS_NOT, ("dba", "straße"), set()),
        (CONTAINS, ("B",), {BEN}),
        (LACKS, ("ss",), {BEN}),
        (STARTS, ("stra",), {CAT}),
    ],
)
def test_of_those_on_call_each_comparator_selects_by_the_schedules(comparator, values, found):
    """Who is on call nowhere has no value: they fail the negative ones, too."""
    assert {p.id for p in select(one("on_call", comparator, *values), ON_DUTY)} == found


@pytest.mark.parametrize("comparator", Comparator)
def test_where_it_is_not_known_who_is_on_call_nobody_is(comparator):
    before = ON_DUTY.answering(DUTY, {ON_CALL: NOW - 16 * MINUTE})

    assert select(one("on_call", comparator, "dba"), before) == []
    assert select(one("on_call", comparator, "dba"), HERE.answering(DUTY, {})) == []


# --- groups of which not all is known ------------------------------------------------------------

BOTH = [
    Group(GroupId("file:dba"), "file", "dba"),
    Group(GroupId("hr:leads"), "hr", "leads"),
    Group(GroupId("slack:dba-crew"), "slack", "dba crew"),
]
LEAD = person("p5", groups=frozenset({GroupId("hr:leads"), GroupId("slack:dba-crew")}))


def known(**failing):
    return Directory.of([LEAD, PLAIN], BOTH).answering((), dict.fromkeys(failing, NOW))


@pytest.mark.parametrize(
    ("comparator", "value", "well", "without_hr"),
    [
        (IS, "hr:leads", {"p5"}, {"p5"}),
        (CONTAINS, "lead", {"p5"}, {"p5"}),
        (IS_NOT, "file:dba", {"p5", "p2"}, {"p5", "p2"}),
        (IS_NOT, "hr:leads", {"p2"}, set()),
        (LACKS, "x", {"p5", "p2"}, set()),
    ],
)
def test_not_being_in_a_group_means_something_where_its_source_was_read(
    comparator, value, well, without_hr
):
    """F30: a group that could not be read counted as empty."""
    group = one("group", comparator, value)

    assert {p.id for p in select(group, known())} == well
    assert {p.id for p in select(group, known(hr=True))} == without_hr
    assert {p.id for p in select(group, known(slack=True, on_call=True))} == well


def test_nobody_is_outside_a_group_that_is_not_there_any_more():
    for values in (["file:gone"], ["file:dba", "file:gone"]):
        assert select(one("group", IS_NOT, *values), known()) == []
    assert {p.id for p in select(one("group", IS, "file:gone", "hr:leads"), known())} == {"p5"}


def test_slacks_own_groups_count_only_where_a_condition_names_one():
    assert {p.id for p in select(one("group", IS, "slack:dba-crew"), known())} == {"p5"}
    assert {p.id for p in select(one("group", IS_NOT, "slack:dba-crew"), known())} == {"p2"}
    assert select(one("group", CONTAINS, "crew"), known()) == []
    assert {p.id for p in select(one("group", LACKS, "crew"), known())} == {"p5", "p2"}
    assert select(one("group", IS_NOT, "slack:dba-crew"), known(slack=True)) == []


@pytest.mark.parametrize("comparator", list(Comparator), ids=str)
def test_who_cannot_be_read_fulfils_nothing(comparator):
    """Somebody of whom no group is known would be in none: no right comes of that."""
    lost = person("zoe", readable=False)
    assert not matches(one("group", comparator, "file:dba"), lost, company(lost))
