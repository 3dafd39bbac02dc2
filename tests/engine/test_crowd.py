"""Everybody at once: of whom conditions hold is what they say of one after another."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conditions import Comparator, Condition, ConditionGroup, matches
from engine.crowd import Crowd, bits, each
from engine.directory import Directory, PersonId
from engine.on_call import Rotation, Schedule, Shift
from engine.window import Day, Window
from tests.support.builders import ANN, BOB, EVE, company, left, person
from tests.support.conditions import companies, duty, failing, groups, groups_called
from tests.support.stored import START


@given(st.sets(st.integers(0, 5000)))
def test_a_set_is_what_was_put_in(numbers):
    assert [*each(bits(numbers))] == sorted(numbers)
    assert bits(numbers).bit_count() == len(numbers)


@settings(max_examples=300, deadline=None)
@given(companies, groups_called, duty, failing, st.lists(groups, min_size=6, max_size=6))
def test_a_crowd_says_of_all_what_conditions_say_of_each(those, named, schedules, failed, asked):
    """Of who is on call it says at least that: the others who fulfil a condition do so later."""
    directory = Directory.of(those, named)
    directory = directory.answering(schedules, dict.fromkeys(failed, START)).at(START)
    crowd = Crowd(directory)

    for group in asked:
        found = {crowd.people[n].id for n in each(crowd.fulfilling(group))}
        now = {p.id for p in those if matches(group, p, directory)}
        assert now <= found
        assert now == found or _asks_who_is_not_on_call(group)


def _asks_who_is_not_on_call(group):
    return any(c.attribute == "on_call" and c.comparator.negative for c in group.conditions)


def test_who_is_on_call_at_some_time_is_in_it_at_any():
    """By day nobody fulfilled what asks who is on call by night."""
    nights = Window(frozenset(Day), time(20), time(8), "UTC")
    turns = Rotation(("bob", "eve"), date(2026, 1, 5), time(9), 7, "UTC")
    shifts = (Shift(nights, ("former",)),)
    schedules = (Schedule("Nights", shifts), Schedule("Databases", rotation=turns))
    here = replace(company(), formerly={PersonId("former"): ANN}).answering(schedules, {})
    crowd = Crowd(here.at(datetime(2026, 3, 2, 12, tzinfo=UTC)))

    def on_call(comparator, *names):
        group = ConditionGroup((Condition("on_call", comparator, names),))
        return {crowd.people[n].id for n in each(crowd.fulfilling(group))}

    assert on_call(Comparator.IS, "nights") == {ANN}
    assert on_call(Comparator.IS, "Nights", "Databases") == {ANN, BOB, EVE}
    assert on_call(Comparator.IS_NOT, "Nights") == {BOB, EVE}


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
    assert named(crowd.managing(crowd.of([PersonId("bob"), PersonId("eve")]))) == {"dan"}
    assert named(crowd.without("manager")) == set(here.people) - {"ann", "bob"}
    assert crowd.without("city") == (1 << len(here.people)) - 1


def test_nobody_is_led_by_themselves_or_by_nobody():
    crowd = Crowd(company(person("eve", manager=EVE), person("cat")))

    assert crowd.managing(crowd.of([EVE, PersonId("cat")])) == 0
