"""What is different where everybody is listed anew, and when it is too much at once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.directory import (
    Group,
    GroupId,
    KnownPerson,
    Person,
    PersonId,
    PersonStatus,
    SlackAccount,
)
from engine.intake import Difference, TooMuchError, compare, freed, is_new, is_too_much, voids

DBAS, OPS = GroupId("file:dbas"), GroupId("file:ops")
ANN = Person(PersonId("ann"), "ann@x.example", "Ann", groups=frozenset({DBAS}))
LEFT = replace(ANN, status=PersonStatus.INACTIVE)
MOVED = replace(ANN, email="ann.b@x.example")


def known(person, *, successor=None, same=False) -> KnownPerson:
    groups = tuple(person.groups)
    return KnownPerson(
        person.id, person.email, person.name, person.may_receive, successor, groups, same
    )


def crowd(many, *groups) -> list[Person]:
    return [
        Person(PersonId(f"p{n}"), f"p{n}@x.example", f"P{n}", groups=frozenset(groups))
        for n in range(many)
    ]


def compared(before, listed, *, held=True, groups=(), were=None) -> Difference:
    """Compare with people who were stored as they are."""
    said = {p.id: p for p in listed}
    those = {p.id: known(p, same=said.get(p.id) == p) for p in before}
    return compare(those, listed, were or {}, groups, held=held)


def test_who_is_listed_no_more_has_left():
    found = compared([ANN, *crowd(2)], crowd(2))

    assert (found.left, found.changed, found.size) == ([ANN.id], [], 1)


def test_who_loses_something_comes_first():
    people = crowd(3, DBAS)
    renamed, dropped = replace(people[0], name="New"), replace(people[2], groups=frozenset())

    found = compared(people, [renamed, people[1], dropped])

    assert found.changed == [dropped, renamed]


def test_who_moved_is_named_by_the_new_address():
    assert compared([ANN], [MOVED]).moved == {ANN.id: MOVED.email}
    assert compared([ANN], [replace(ANN, email="Ann@x.example")]).moved == {}


def test_groups_that_are_called_otherwise_are_new_and_others_go():
    were = {DBAS: ("file", "dbas"), OPS: ("file", "ops")}

    found = compared([], [], groups=[Group(DBAS, "file", "database people")], were=were)

    assert (found.groups, found.gone) == ({DBAS: ("file", "database people")}, {OPS})
    assert found.regrouped
    same = [Group(DBAS, "file", "dbas"), Group(OPS, "file", "ops")]
    assert not compared([], [], groups=same, were=were).regrouped


@pytest.mark.parametrize(
    ("losing", "active", "held"),
    [(5, 5, False), (6, 6, True), (6, 119, True), (6, 120, False), (7, 140, False), (7, 139, True)],
)
def test_more_than_five_and_more_than_five_in_a_hundred_is_too_much(losing, active, held):
    assert is_too_much(losing, active) is held


@pytest.mark.parametrize("how", ["listed no more", "inactive", "dropped from a group"])
def test_an_intake_that_takes_away_too_much_names_whom_it_is_held_for(how):
    people = crowd(10, DBAS)
    rest = {
        "listed no more": [],
        "inactive": [replace(p, status=PersonStatus.INACTIVE) for p in people[:6]],
        "dropped from a group": [replace(p, groups=frozenset({OPS})) for p in people[:6]],
    }

    with pytest.raises(TooMuchError, match="6 of 10 people") as held:
        compared(people, [*people[6:], *rest[how]])

    assert held.value.losing == ("p0", "p1", "p2", "p3", "p4", "p5")
    assert compared(people, [*people[6:], *rest[how]], held=False).size == 6


@pytest.mark.parametrize(
    ("before", "listed", "new"),
    [
        (None, ANN, True),
        (known(ANN, same=True), ANN, False),
        (known(ANN), ANN, True),
        (known(ANN), LEFT, True),
        (known(ANN), replace(MOVED, status=PersonStatus.INACTIVE), False),
        (known(ANN, successor="e-ann"), LEFT, False),
        (known(ANN, successor="e-ann", same=True), ANN, True),
    ],
)
def test_what_only_says_that_somebody_has_left_says_nothing_new(before, listed, new):
    """Listed once more as one who has left, who had moved on was given back the old address."""
    assert is_new(before, listed) is new


GUEST = SlackAccount("T1", "U1", guest=True)


@pytest.mark.parametrize(
    ("before", "after", "void"),
    [
        (None, ANN, False),
        (ANN, ANN, False),
        (ANN, LEFT, True),
        (ANN, replace(ANN, guest=True), True),
        (ANN, replace(ANN, status=PersonStatus.PRE_BOARDING), True),
        (LEFT, LEFT, False),
        (replace(ANN, account=GUEST), LEFT, False),
    ],
)
def test_what_somebody_approved_is_void_once_they_are_no_full_member(before, after, void):
    assert voids(before, after) is void


some = st.builds(
    Person,
    id=st.sampled_from([PersonId(f"p{n}") for n in range(12)]),
    email=st.sampled_from(["a@x.example", "b@x.example"]),
    name=st.just("P"),
    status=st.sampled_from(PersonStatus),
    groups=st.frozensets(st.sampled_from([DBAS, OPS])),
)
lists = st.lists(some, max_size=12, unique_by=lambda p: p.id)


@given(before=lists, listed=lists)
def test_nothing_is_taken_away_from_many_unasked_and_nothing_twice(before, listed):
    """Whoever loses something is counted; what was taken in is no difference any more."""
    active = [p for p in before if p.may_receive]
    there = {p.id: p for p in listed}

    found = compared(before, listed, held=False)

    losing = [
        p
        for p in active
        if p.id not in there or not there[p.id].may_receive or p.groups - there[p.id].groups
    ]
    if is_too_much(len(losing), len(active)):
        with pytest.raises(TooMuchError):
            compared(before, listed)
    else:
        assert compared(before, listed) == found
    stored = {p.id: p for p in before} | {p.id: p for p in found.changed}
    for id_ in found.left:
        stored[id_] = replace(stored[id_], status=PersonStatus.INACTIVE)
    assert compared(list(stored.values()), listed).size == 0


def test_an_address_is_left_only_by_who_has_left_and_to_who_has_it():
    others = [
        Person(PersonId(who), f"{who}@x.example", who, status=PersonStatus.INACTIVE)
        for who in ("ben", "cy")
    ]
    dan = Person(PersonId("dan"), "dan@x.example", "Dan")
    ben, cy = others
    moved = {PersonId("eve"): "BEN@x.example", cy.id: cy.email, PersonId("fay"): dan.email}

    assert freed([known(p) for p in (ANN, LEFT, dan, *others)], moved) == {ben.id: ben.email}
