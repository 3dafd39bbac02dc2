"""Which moment a day and a time mean, and whether a flow lets access start then."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.directory import Person
from engine.eligibility import Draft, allowing, check
from engine.outcome import Code, Refusal
from engine.request import State
from engine.start import Chosen
from engine.window import Day, Window, moment_of, shown
from tests.support.builders import (
    ANN,
    BEN,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    Approve,
    account,
    company,
    entitlement,
    flow,
    life,
    person,
)

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
JANUARY = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def meant(day: str, at: str, zone: str = BERLIN) -> datetime | Refusal:
    return Chosen(day, at, zone).moment()


def refusal(starts: datetime, now: datetime = NOW, zone: str = "", **values: object):
    """Return what ANN is told who asks for an hour."""
    rules = {name: value for name, value in values.items() if name != "duration"}
    of, asks = flow(**rules), person("ann", "eng")
    if zone:
        asks = replace(asks, account=account("UANN", asks.email, zone=zone))
    draft = Draft(
        requestor=asks,
        grantee=asks,
        flow=of,
        entitlements=(entitlement(),),
        duration=values.get("duration", HOUR),  # type: ignore[arg-type]
        justification="INC-42",
        starts_at=starts,
    )
    return check(draft, company(asks), now)


@pytest.mark.parametrize(
    ("day", "at", "zone", "moment"),
    [
        ("2026-03-02", "10:00", BERLIN, datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02", "10:00", "UTC", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-29", "03:00", BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
        # Clocks show it twice: the first is meant.
        ("2026-10-25", "02:30", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25", "03:00", BERLIN, datetime(2026, 10, 25, 2, tzinfo=UTC)),
        ("2026-03-02", "23:30", "Asia/Kathmandu", datetime(2026, 3, 2, 17, 45, tzinfo=UTC)),
    ],
)
def test_a_day_and_a_time_are_those_that_clocks_show(day, at, zone, moment):
    assert meant(day, at, zone) == moment


@pytest.mark.parametrize(
    ("day", "at", "about", "says"),
    [
        ("", "", "start_day", "Choose the day"),
        ("", "10:00", "start_day", "Choose the day"),
        ("2026-03-02", "", "start_time", "Choose the time"),
        ("2026-03-29", "02:30", "start_time", "never show 02:30"),
        ("2026-02-30", "10:00", "start_day", "no time of any day"),
        ("soon", "10:00", "start_day", "no time of any day"),
        ("9999-12-31", "23:59", "start_time", "never show"),
        ("0001-01-01", "00:00", "start_time", "never show"),
    ],
)
def test_what_no_clock_shows_is_refused_at_its_field(day, at, about, says):
    zone = "Asia/Tokyo" if day.startswith("0001") else "Etc/GMT+12"
    found = meant(day, at, BERLIN if day.startswith("2026") else zone)

    assert isinstance(found, Refusal)
    assert (found.code, found.about) == (Code.BAD_START, about)
    assert says in found.sentence


def test_clocks_of_no_zone_show_nothing():
    assert isinstance(meant("2026-03-02", "10:00", "Europe/Nowhere"), Refusal)


@given(
    st.integers(0, 8_000_000).map(lambda minutes: JANUARY + minutes * MINUTE),
    st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_the_moment_is_the_first_at_which_clocks_show_it(wall, zone):
    moment = moment_of(wall, zone)

    if moment is not None:
        assert shown(zone, moment).replace(tzinfo=None) == wall
        earlier = (shown(zone, moment - timedelta(minutes=m)) for m in (30, 60))
        assert all(found.replace(tzinfo=None) != wall for found in earlier)


def test_a_start_may_be_as_far_ahead_as_the_flow_says():
    assert refusal(NOW + 7 * DAY) is None
    assert refusal(NOW + 14 * DAY, start_later=14 * DAY) is None
    assert refusal(NOW + MINUTE) is None


@pytest.mark.parametrize(
    ("starts", "values", "about", "says"),
    [
        (NOW, {}, "start_time", "This moment is past."),
        (NOW - DAY, {}, "start_time", "This moment is past."),
        (
            NOW + 7 * DAY + MINUTE,
            {},
            "start_day",
            "at most 7 days ahead: by 2026-03-09 09:00 (UTC)",
        ),
        (
            NOW + 2 * DAY,
            {"start_later": DAY, "zone": NEW_YORK},
            "start_day",
            "at most 1 day ahead: by 2026-03-03 04:00 (America/New_York)",
        ),
        (NOW + DAY, {"start_later": None}, "start_day", "starts at once"),
        (NOW + DAY, {"grant_for": None, "duration": None}, "start_day", "without end"),
    ],
)
def test_another_start_is_refused_with_how_far_it_may_be(starts, values, about, says):
    found = refusal(starts, **values)

    assert isinstance(found, Refusal)
    assert (found.code, found.about) == (Code.BAD_START, about)
    assert says in found.sentence


def test_without_end_at_once_is_no_matter_of_a_start():
    assert refusal(NOW + DAY, grant_for=None) is None


def test_the_window_is_that_of_the_start_not_of_the_moment_of_asking():
    night = Window(frozenset(Day), time(22), time(6), BERLIN)

    found = refusal(NOW + HOUR, when=night)
    assert isinstance(found, Refusal)
    assert (found.code, found.about) == (Code.OUTSIDE_WINDOW, "start_day")
    assert refusal(NOW + 13 * HOUR, when=night) is None  # 23:00 there
    day = Window(frozenset(Day), time(9), time(17), BERLIN)
    assert refusal(NOW + 13 * HOUR, when=day) is not None


def test_flows_that_let_it_start_so_far_ahead_are_offered_for_it():
    at_once, week, month = (
        flow(1, start_later=None),
        flow(2),
        flow(3, start_later=30 * DAY),
    )
    flows = [at_once, week, month]

    assert allowing(flows, HOUR) == flows
    assert allowing(flows, HOUR, DAY) == [week, month]
    assert allowing(flows, HOUR, 8 * DAY) == [month]


def test_nine_o_clock_stays_nine_o_clock_though_clocks_are_set_before():
    """BEN approves in New York, three weeks after clocks were set there, a day before they are set
    in Berlin: it begins when it is nine in Berlin.
    """
    starts = meant("2026-03-30", "09:00")
    assert starts == datetime(2026, 3, 30, 7, tzinfo=UTC)
    asked = datetime(2026, 3, 28, 8, tzinfo=UTC)  # 09:00 in Berlin
    assert starts - asked == timedelta(hours=47)
    assert refusal(starts, asked, zone=BERLIN) is None

    made = life(State.PENDING, starts_at=starts, submitted_at=asked, lapses_at=asked + DAY)
    made.do(Approve(BEN), at=asked + HOUR)
    made.tick(starts - made.now - MINUTE)
    assert made.request.state is State.SCHEDULED
    made.tick(MINUTE)
    assert made.request.state is State.GRANTING
    assert shown(BERLIN, made.now).hour == 9
    assert shown(NEW_YORK, made.now).hour == 3


def test_who_has_no_zone_reads_utc():
    assert person("ann").zone == "UTC"
    assert Person(ANN, "a@example.com", "Ann").zone == "UTC"
    zoned = account("UANN", "a@example.com", zone=BERLIN)
    assert replace(person("ann"), account=zoned).zone == BERLIN
