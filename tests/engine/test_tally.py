"""The tally: it agrees with trying every assignment of people to groups."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tally import Covers, Need, Tally

parts = st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), min_size=1, max_size=3)
needs = st.lists(st.builds(Need, parts), min_size=1, max_size=3)
covers = st.dictionaries(st.integers(0, 2), st.sets(st.sampled_from("abc")), max_size=3)
people = st.lists(covers, max_size=4)


def suffice(needs: list[Need], assigned: list[list[Covers]]) -> bool:
    """Tell whether each part of each group has as many of its own people as it needs."""
    return all(
        sum(part in covers.get(group, ()) for covers in assigned[group]) >= many
        for group, need in enumerate(needs)
        for part, many in need.parts.items()
    )


def tried(needs: list[Need], people: list[Covers]) -> bool:
    """Try every way to assign each person to one group or to none."""
    for choice in product(range(-1, len(needs)), repeat=len(people)):
        assigned: list[list[Covers]] = [[] for _ in needs]
        for covers, group in zip(people, choice, strict=True):
            if group >= 0:
                assigned[group].append(covers)
        if suffice(needs, assigned):
            return True
    return False


@given(needs, people)
def test_distinct_people_are_enough_where_some_assignment_is(needs, people):
    assert Tally(needs, people, distinct=True).fulfilled() == tried(needs, people)


@given(needs, people)
def test_others_count_in_each_group_that_is_theirs(needs, people):
    tally = Tally(needs, people, distinct=False)
    assert tally.fulfilled() == suffice(needs, [people] * len(needs))


one = st.dictionaries(st.just("a"), st.integers(1, 2), min_size=1)
few = st.lists(st.builds(Need, one), min_size=1, max_size=2)
some = st.lists(st.dictionaries(st.integers(0, 1), st.just("a"), max_size=2), max_size=3)


@given(few, some)
def test_of_whole_groups_as_few_lack_as_can_be(needs, people):
    """With those who lack it is enough; with one less it is not."""
    lacks = Tally(needs, people, distinct=True).lacking()
    more: list[Covers] = [{g: part} for (g, part), many in lacks.items() for _ in range(many)]
    assert tried(needs, people + more)
    assert not more or not tried(needs, people + more[1:])


@given(needs, people, st.booleans())
def test_with_those_who_lack_it_is_enough(needs, people, distinct):
    lacks = Tally(needs, people, distinct).lacking()
    assert (not lacks) == Tally(needs, people, distinct).fulfilled()
    more = [{g: {part}} for (g, part), many in lacks.items() for _ in range(many)]
    assert Tally(needs, [*people, *more], distinct).fulfilled()


@given(needs, people, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_in_which_people_came_never_matters(needs, people, distinct, random):
    shuffled = random.sample(people, len(people))
    assert Tally(needs, shuffled, distinct).lacking() == Tally(needs, people, distinct).lacking()


@pytest.mark.parametrize("distinct", [True, False])
def test_a_part_that_nobody_counts_for_lacks_all(distinct):
    tally = Tally([Need({"a": 2, "b": 2})], [{0: "a"}, {0: "a"}], distinct)
    assert tally.lacking() == {(0, "b"): 2}


def test_one_person_may_count_for_several_parts_of_a_group():
    tally = Tally(
        [Need({"a": 1, "b": 1}), Need({"a": 1})], [{0: "ab", 1: "a"}, {0: "a", 1: "a"}], True
    )
    assert tally.fulfilled()


def test_hundreds_of_people_are_told_apart_by_what_they_count_for():
    """A group of a thousand people is one kind of them."""
    all_ = dict.fromkeys(range(10), "a")
    crowd = [all_ for _ in range(1000)]
    assert Tally([Need({"a": 5})] * 10, crowd, distinct=True).fulfilled()
    lacks = Tally([Need({"a": 5})] * 10, crowd[:49], distinct=True).lacking()
    assert lacks == {(9, "a"): 1}
