"""Everybody at once: of whom conditions hold is what they say of one after another."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup, matches
from engine.crowd import Crowd, bits, each
from engine.directory import Directory, PersonId
from tests.support.builders import company, left, person
from tests.support.conditions import companies, duty, failing, groups, groups_called
from tests.support.stored import START


@given(st.sets(st.integers(0, 5000)))
def test_a_set_is_what_was_put_in(numbers):
    assert [*each(bits(numbers))] == sorted(numbers)
    assert bits(numbers).bit_count() == len(numbers)


@settings(max_examples=300, deadline=None)
@given(companies, groups_called, duty, failing, st.lists(groups, min_size=6, max_size=6))
def test_a_crowd_says_of_all_what_conditions_say_of_each(those, named, schedules, failed, asked):
    directory = Directory.of(those, named)
    directory = directory.answering(schedules, dict.fromkeys(failed, START)).at(START)
    crowd = Crowd(directory)

    for group in asked:
        found = {crowd.people[n].id for n in each(crowd.fulfilling(group))}
        assert found == {p.id for p in those if matches(group, p, directory)}


def test_who_cannot_be_read_fulfils_nothing():
    here = company(replace(person("ann", "eng"), readable=False))
    group = ConditionGroup((Condition("user", Comparator.CONTAINS, ("example",)),))

    found = {p.id for p in (Crowd(here).people[n] for n in each(Crowd(here).fulfilling(group)))}

    assert found == set(here.people) - {"ann"}


def test_who_may_ask_who_may_receive_who_leads():
    here = company(
        left("bob", "eng", manager=PersonId("dan")), person("cat", guest=True), person("eve")
    )
    crowd = Crowd(here)

    def named(those):
        return {crowd.people[n].id for n in each(those)}

    assert named(crowd.able) == set(here.people) - {"bob", "cat"}
    assert named(crowd.receiving) == set(here.people) - {"bob"}
    assert named(crowd.leading) == {"eve"}
    assert named(crowd.without("manager")) == set(here.people) - {"ann", "bob"}
    assert crowd.without("city") == (1 << len(here.people)) - 1
