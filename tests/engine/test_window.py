"""When a flow can be asked for: by the clock on a wall there, whatever is done to that clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.window import Day, Window, is_open, next_opening, opening_in_words

MINUTE = timedelta(minutes=1)
BERLIN = "Europe/Berlin"
WEEK = list(Day)
WORKDAYS, WEEKEND = "Mon Tue Wed Thu Fri", "Sat Sun"
SHORT = {day.short: day for day in Day}


def window(days, start, end, zone=BERLIN):
    times = (time.fromisoformat(text) for text in (start, end))
    return Window(frozenset(SHORT[word] for word in days.split()), *times, zone)


def at(text, zone=BERLIN, *, again=False):
    """Return a moment by the clocks of a zone; `again`: when they show it for the second time."""
    shown = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=again)
    return shown.astimezone(UTC)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- Days and times ----------------------------------------------------------------------------
# In 2026 the 30th of November is a Monday.


@pytest.mark.parametrize(
    ("shown", "opened"),
    [
        ("2026-11-30 08:59:59.999999", False),
        ("2026-11-30 09:00", True),
        ("2026-11-30 16:59:59.999999", True),
        ("2026-11-30 17:00", False),
        ("2026-12-04 12:00", True),
        ("2026-12-05 12:00", False),
        ("2026-12-06 12:00", False),
    ],
)
def test_from_is_inclusive_and_to_is_exclusive(shown, opened):
    assert is_open(window(WORKDAYS, "09:00", "17:00"), at(shown)) is opened


@pytest.mark.parametrize(
    ("shown", "opened"),
    [
        ("2026-12-04 21:59", False),
        ("2026-12-04 22:00", True),  # Friday
        ("2026-12-05 00:00", True),
        ("2026-12-05 05:59", True),
        ("2026-12-05 06:00", False),
        ("2026-12-05 22:00", False),  # Saturday is no day of it
        ("2026-12-04 05:00", False),  # nor is Thursday, whose night this is
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_starts(shown, opened):
    assert is_open(window("Fri", "22:00", "06:00"), at(shown)) is opened


def test_the_night_of_a_sunday_goes_on_into_the_week():
    night = window("Sun", "22:00", "06:00")

    assert is_open(night, at("2026-11-30 05:59"))
    assert not is_open(night, at("2026-11-29 05:59"))


def test_midnight_at_the_end_is_where_the_day_ends():
    late = window("Fri", "22:00", "00:00")

    assert is_open(late, at("2026-12-04 23:59:59"))
    assert not is_open(late, at("2026-12-05 00:00"))


def test_a_whole_day_has_all_its_moments_and_no_other():
    weekend = window(WEEKEND, "00:00", "00:00")

    assert not is_open(weekend, at("2026-12-04 23:59:59.999999"))
    assert is_open(weekend, at("2026-12-05 00:00"))
    assert is_open(weekend, at("2026-12-06 23:59:59.999999"))
    assert not is_open(weekend, at("2026-12-07 00:00"))


def test_it_is_the_day_there_that_counts():
    """Monday in Auckland begins on a Sunday in London."""
    there = window("Mon", "00:00", "01:00", "Pacific/Auckland")

    assert is_open(there, utc("2026-11-29 11:30"))


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("Asia/Kolkata", "2026-11-30 03:30"),
        ("Asia/Kathmandu", "2026-11-30 03:15"),
        ("Australia/Eucla", "2026-11-30 00:15"),
        ("America/St_Johns", "2026-11-30 12:30"),
    ],
)
def test_a_zone_may_be_off_by_half_an_hour_or_a_quarter(zone, moment):
    morning = window("Mon", "09:00", "09:01", zone)

    assert not is_open(morning, utc(moment) - MINUTE)
    assert is_open(morning, utc(moment))
    assert not is_open(morning, utc(moment) + MINUTE)
    assert next_opening(morning, utc(moment) - timedelta(days=2)) == utc(moment)


# --- Clocks that are set -----------------------------------------------------------------------
# In Berlin, 02:00 to 03:00 is skipped on 2026-03-29 at 01:00 UTC, and shown twice on 2026-10-25.


def test_a_from_that_is_skipped_opens_when_the_clocks_are_set():
    morning = window("Sun", "02:30", "04:00")

    assert not is_open(morning, utc("2026-03-29 00:59"))
    assert is_open(morning, utc("2026-03-29 01:00"))  # 03:00
    for now in ("2026-03-28 12:00", "2026-03-28 12:00:07.5", "2026-03-29 00:59:59.999999"):
        assert next_opening(morning, utc(now)) == utc("2026-03-29 01:00")


def test_a_to_that_is_skipped_closes_when_the_clocks_are_set():
    night = window("Sun", "01:00", "02:30")

    assert is_open(night, utc("2026-03-29 00:59"))  # 01:59
    assert not is_open(night, utc("2026-03-29 01:00"))  # 03:00


def test_a_window_that_is_skipped_whole_opens_the_week_after():
    skipped = window("Sun", "02:00", "03:00")

    assert next_opening(skipped, utc("2026-03-28 12:00")) == at("2026-04-05 02:00")
    assert opening_in_words(skipped, utc("2026-03-28 12:00")) == "from Sun 2026-04-05 02:00"


def test_an_hour_that_is_shown_twice_is_open_twice():
    doubled = window("Sun", "02:15", "02:45")
    opened = [n for n in range(180) if is_open(doubled, at("2026-10-25 01:30") + n * MINUTE)]

    assert opened == [*range(45, 75), *range(105, 135)]
    assert next_opening(doubled, at("2026-10-25 02:50")) == at("2026-10-25 02:15", again=True)


def test_a_time_that_comes_again_after_it_was_over_opens_again():
    """02:00 comes back at 03:00; the window's `from` does not."""
    early = window("Sun", "01:30", "02:30")

    assert not is_open(early, at("2026-10-25 02:40"))
    assert next_opening(early, at("2026-10-25 02:40")) == at("2026-10-25 02:00", again=True)
    assert not is_open(early, at("2026-10-25 02:30", again=True))


def test_a_night_that_clocks_make_longer_ends_by_the_clock():
    night = window("Sat", "22:00", "06:00")
    opened = [is_open(night, utc("2026-10-24 20:00") + n * MINUTE) for n in range(10 * 60)]

    assert opened == [True] * 9 * 60 + [False] * 60


def test_clocks_that_are_set_at_midnight_take_the_beginning_of_a_day():
    day = window("Sun", "00:00", "01:30", "America/Sao_Paulo")

    assert next_opening(day, utc("2018-11-03 12:00")) == utc("2018-11-04 03:00")  # 01:00
    assert not is_open(day, utc("2018-11-04 03:30"))


def test_a_day_whose_last_hour_comes_again_is_open_again():
    late = window("Sat", "23:00", "23:30", "America/Sao_Paulo")

    assert next_opening(late, utc("2019-02-17 01:30")) == utc("2019-02-17 02:00")


def test_half_an_hour_is_half_an_hour():
    """On Lord Howe clocks are set by thirty minutes: 02:00 to 02:30 is skipped."""
    lord_howe = window("Sun", "02:15", "03:00", "Australia/Lord_Howe")

    assert next_opening(lord_howe, utc("2026-10-03 12:00")) == utc("2026-10-03 15:30")
    assert not is_open(lord_howe, utc("2026-10-03 16:00"))


def test_a_country_that_keeps_another_time_is_asked_for_that():
    """Turkey stayed with summer time in 2016; Korea's north came back by half an hour in 2018."""
    istanbul = window("Mon", "09:00", "17:00", "Europe/Istanbul")
    pyongyang = window("Fri Sat", "09:00", "17:00", "Asia/Pyongyang")

    assert next_opening(istanbul, utc("2016-01-03 12:00")) == utc("2016-01-04 07:00")
    assert next_opening(istanbul, utc("2017-01-01 12:00")) == utc("2017-01-02 06:00")
    assert next_opening(pyongyang, utc("2018-05-03 12:00")) == utc("2018-05-04 00:30")
    assert next_opening(pyongyang, utc("2018-05-04 12:00")) == utc("2018-05-05 00:00")


def test_a_day_that_a_country_skipped_has_no_window():
    """After Thursday the 29th of December 2011 came, in Samoa, Saturday the 31st."""
    friday = window("Fri", "09:00", "17:00", "Pacific/Apia")
    every_day = window(" ".join(SHORT), "09:00", "17:00", "Pacific/Apia")

    before = at("2011-12-29 18:00", "Pacific/Apia")

    assert next_opening(friday, before) == at("2012-01-06 09:00", "Pacific/Apia")
    assert opening_in_words(friday, before) == "from Fri 2012-01-06 09:00"
    assert next_opening(every_day, before) == at("2011-12-31 09:00", "Pacific/Apia")


def test_the_night_of_a_day_that_was_skipped_is_what_is_left_of_it():
    """No Friday, but the clocks of Saturday show what belongs to its night."""
    friday = window("Fri", "22:00", "06:00", "Pacific/Apia")
    thursday = window("Thu", "22:00", "06:00", "Pacific/Apia")
    midnight = at("2011-12-31 00:00", "Pacific/Apia")

    assert next_opening(friday, midnight - timedelta(days=1)) == midnight
    assert is_open(thursday, midnight - MINUTE)
    assert not is_open(thursday, midnight)


# --- The next opening --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "opening", "words"),
    [
        ("2026-12-04 17:00", "2026-12-07 09:00", "from Mon 09:00"),
        ("2026-12-07 08:59:59.5", "2026-12-07 09:00", "from Mon 09:00"),
        ("2026-12-07 12:34:56.7", "2026-12-07 12:34:56.7", "from Mon 12:34"),
        ("2026-12-07 17:00", "2026-12-08 09:00", "from Tue 09:00"),
    ],
)
def test_it_opens_at_the_first_moment_that_is_open(now, opening, words):
    office = window(WORKDAYS, "09:00", "17:00")

    found = next_opening(office, at(now))

    assert found == at(opening)
    assert found.tzinfo is UTC
    assert opening_in_words(office, at(now)) == words


def test_words_are_by_the_clocks_of_the_window():
    office = window("Mon", "09:00", "17:00", "America/New_York")
    saturday = utc("2026-12-05 12:00").astimezone(ZoneInfo("Asia/Tokyo"))

    assert next_opening(office, saturday) == utc("2026-12-07 14:00")
    assert opening_in_words(office, saturday) == "from Mon 09:00"


def test_what_was_today_and_comes_in_a_week_has_its_date():
    """“From Mon 09:00”, read on a Monday, is taken for today."""
    office = window("Mon", "09:00", "17:00")

    assert opening_in_words(office, at("2026-11-30 18:00")) == "from Mon 2026-12-07 09:00"
    assert opening_in_words(office, at("2026-12-01 00:00")) == "from Mon 09:00"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../etc/passwd", "", "\N{SNOWMAN}"])
def test_in_a_zone_that_is_not_known_nothing_is_ever_open(zone):
    whole = window(" ".join(SHORT), "00:00", "00:00", zone)

    assert not is_open(whole, utc("2026-12-07 12:00"))
    assert next_opening(whole, utc("2026-12-07 12:00")) is None
    assert opening_in_words(whole, utc("2026-12-07 12:00")) == "never"


def test_on_no_day_nothing_is_ever_open():
    never = window("", "00:00", "00:00")

    assert not is_open(never, utc("2026-12-07 12:00"))
    assert next_opening(never, utc("2026-12-07 12:00")) is None
    assert opening_in_words(never, utc("2026-12-07 12:00")) == "never"


# --- In words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ("Mon Tue Wed Thu Fri", "Mon–Fri"),
        ("Sat Sun", "Sat–Sun"),
        ("Mon", "Mon"),
        ("Sun", "Sun"),
        ("Mon Wed Fri", "Mon, Wed, Fri"),
        ("Sun Mon", "Sun–Mon"),
        ("Sat Sun Mon Wed", "Wed, Sat–Mon"),
        ("Tue Wed Thu Fri Sat Sun", "Tue–Sun"),
        ("Mon Tue Wed Thu Fri Sat Sun", "every day"),
    ],
)
def test_days_are_said_as_a_calendar_does(days, words):
    assert str(window(days, "09:00", "17:00")) == f"{words} 09:00–17:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("22:00", "06:00", "22:00–06:00"),
        ("22:00", "00:00", "22:00–24:00"),
        ("00:00", "00:00", "00:00–24:00"),
        ("00:00", "00:01", "00:00–00:01"),
    ],
)
def test_times_are_said_as_they_are_written(start, end, words):
    assert str(window("Mon", start, end, "UTC")) == f"Mon {words} UTC"


# --- All of it, against a clock that is looked at each minute ----------------------------------

_SET = {  # when clocks are set there, in all the ways in which they are
    BERLIN: ["2026-03-29 01:00", "2026-10-25 01:00"],
    "America/New_York": ["2026-03-08 07:00", "2026-11-01 06:00"],
    "Australia/Lord_Howe": ["2026-04-04 15:00", "2026-10-03 15:30"],
    "Antarctica/Troll": ["2026-03-29 01:00", "2026-10-25 01:00"],  # by two hours
    "America/Sao_Paulo": ["2018-11-04 03:00", "2019-02-17 02:00"],  # at midnight
    "Africa/Cairo": ["2026-04-23 22:00", "2026-10-29 21:00"],
    "America/Caracas": ["2007-12-09 07:00", "2016-05-01 07:00"],  # by half an hour, for good
    "Asia/Pyongyang": ["2015-08-14 15:00", "2018-05-04 15:00"],
    "Europe/Moscow": ["2011-03-26 23:00", "2014-10-25 22:00"],
    "Pacific/Apia": ["2011-12-30 10:00", "2012-03-31 14:00"],  # by a day
    "Pacific/Kwajalein": ["1993-08-21 12:00"],
    "Asia/Gaza": ["2040-10-26 23:00"],  # and a week before
    "Asia/Kolkata": ["2026-11-30 00:00"],
}
_AROUND = st.sampled_from([(zone, utc(moment)) for zone in _SET for moment in _SET[zone]])
_ANYWHERE = st.tuples(
    st.sampled_from(sorted(available_timezones())),
    st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
_TIMES = st.integers(0, 24 * 60 - 1) | st.integers(0, 47).map(lambda n: n * 30 % (4 * 60))


@st.composite
def _cases(draw):
    """Draw a window, and a moment: most are near one at which clocks are set."""
    zone, moment = draw(_AROUND | _AROUND | _AROUND | _ANYWHERE)
    moment += draw(st.integers(-72 * 60, 60)) * MINUTE
    moment += draw(st.sampled_from([timedelta(), timedelta(seconds=7, microseconds=3)]))
    days = draw(st.frozensets(st.sampled_from(WEEK), min_size=1))
    start, end = draw(_TIMES), draw(_TIMES)
    if start == end:
        start = end = 0
    return Window(days, *(time(n // 60, n % 60) for n in (start, end)), zone), moment


def _minutes(window_):
    """Return all that a clock shows, from Monday 00:00 on in minutes, while it is open."""
    shown = set()
    for day in window_.days:
        minute = WEEK.index(day) * 1440 + window_.start.hour * 60 + window_.start.minute
        shown.add(minute)
        while (minute := (minute + 1) % 10080) % 1440 != window_.end.hour * 60 + window_.end.minute:
            shown.add(minute)
    return shown


def _minute(moment, zone):
    wall = moment.astimezone(zone)
    return wall.weekday() * 1440 + wall.hour * 60 + wall.minute


@given(_cases())
def test_it_is_open_whenever_a_clock_there_shows_one_of_its_minutes(case):
    window_, now = case
    zone, shown = ZoneInfo(window_.zone), _minutes(window_)

    for moment in (now + n * MINUTE for n in range(2 * 1440)):
        assert is_open(window_, moment) == (_minute(moment, zone) in shown), moment


@given(_cases())
def test_the_next_opening_is_the_first_minute_that_is_open(case):
    window_, now = case
    zone, shown = ZoneInfo(window_.zone), _minutes(window_)

    moment = now
    while _minute(moment, zone) not in shown:
        moment = moment.replace(second=0, microsecond=0) + MINUTE

    assert next_opening(window_, now) == moment
