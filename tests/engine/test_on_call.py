"""Who is on call: shifts and turns by the clock on a wall, and what is known without an answer."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.directory import ON_CALL, Directory, PersonId
from engine.on_call import Answers, Rotation, Schedule, Shift, on_call
from engine.window import Day, Window
from tests.support.builders import BEN, CAT, DAN, MINUTE, NOW, company

BERLIN = "Europe/Berlin"
WEEKLY = Rotation((BEN, CAT, DAN), date(2026, 3, 2), time(9), 7, BERLIN)
TURNS = Schedule("DBA", rotation=WEEKLY)
NIGHTS = Window(frozenset({Day.FRIDAY}), time(22), time(6), BERLIN)
SHIFTS = Schedule(
    "Nights",
    (
        Shift(NIGHTS, (BEN,)),
        Shift(replace(NIGHTS, days=frozenset({Day.SATURDAY})), (CAT, DAN)),
        Shift(replace(NIGHTS, start=time(5), end=time(7)), (DAN,)),
    ),
)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        ("2026-03-02 08:59", set()),  # it has not begun
        ("2026-03-02 09:00", {BEN}),
        ("2026-03-09 08:59:59.999999", {BEN}),
        ("2026-03-09 09:00", {CAT}),
        ("2026-03-16 09:00", {DAN}),
        ("2026-03-23 09:00", {BEN}),
        ("2027-03-01 09:00", {CAT}),
    ],
)
def test_people_in_turn_hand_over_at_their_hour(moment, who):
    assert on_call(TURNS, at(moment)) == who


def test_a_turn_changes_by_the_clock_on_the_wall_whatever_is_done_to_it():
    """In Berlin clocks are set on 2026-03-29: the turn that is 167 hours long ends at nine, too."""
    assert on_call(TURNS, at("2026-03-30 08:59")) == {BEN}
    assert on_call(TURNS, at("2026-03-30 09:00")) == {CAT}
    assert at("2026-03-30 09:00") - at("2026-03-23 09:00") == timedelta(hours=167)


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        ("2026-03-06 21:59", set()),
        ("2026-03-06 22:00", {BEN}),  # Friday
        ("2026-03-07 05:59", {BEN}),
        ("2026-03-06 05:30", {DAN}),
        ("2026-03-07 22:00", {CAT, DAN}),
        ("2026-03-08 06:00", set()),
    ],
)
def test_everybody_whose_shift_it_is_is_on_call(moment, who):
    assert on_call(SHIFTS, at(moment)) == who


def test_in_a_zone_that_is_not_known_nobody_is():
    lost = replace(WEEKLY, zone="Atlantis/City")

    assert on_call(Schedule("Lost", rotation=lost), at("2026-03-04 12:00")) == set()
    assert on_call(Schedule("Nobody"), NOW) == set()


def test_a_schedule_names_people_by_the_ids_that_they_have_now():
    def now(id_):
        return {BEN: "e-7", DAN: "e-8"}.get(id_, id_)

    assert TURNS.renamed(now).rotation.people == ("e-7", CAT, "e-8")
    assert [s.people for s in SHIFTS.renamed(now).shifts] == [("e-7",), (CAT, "e-8"), ("e-8",)]


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 5))
def test_exactly_one_of_those_in_turn_is_on_call_from_the_first_turn_on(hours, days, people):
    turns = replace(WEEKLY, days=days, people=tuple(f"p{n}" for n in range(people)))
    moment = at("2026-03-02 09:00") + timedelta(hours=hours)

    assert len(on_call(Schedule("Turns", rotation=turns), moment)) == 1


# --- what is known of it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "known"),
    [
        (None, True),
        (timedelta(), True),
        (15 * MINUTE, True),
        (15 * MINUTE + timedelta.resolution, False),
    ],
)
def test_the_last_answer_is_used_for_a_quarter_of_an_hour(since, known):
    found = Answers([TURNS], NOW, None if since is None else NOW - since, str)

    assert dict(found) == ({"DBA": {BEN}} if known else {})
    assert len(found) == known


def test_only_at_a_moment_is_anybody_on_call():
    here = company().answering([TURNS], {})

    assert here.on_call == {}
    assert dict(here.at(NOW).on_call) == {"DBA": {BEN}}
    assert dict(here.at(NOW).at(at("2026-03-10 12:00")).on_call) == {"DBA": {CAT}}


def test_a_change_of_people_keeps_what_is_known_of_schedules():
    failing = {ON_CALL: NOW}
    here = company().answering([TURNS], failing).changed({BEN: None})

    assert (here.schedules, here.failing) == ((TURNS,), failing)


def test_whoever_has_a_new_id_is_on_call_under_it():
    moved = Directory.of([], formerly={BEN: PersonId("e-7")}).answering([TURNS], {})

    assert dict(moved.at(NOW).on_call) == {"DBA": {"e-7"}}
