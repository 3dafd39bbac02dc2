"""Durations: what people type is understood, or refused with a sentence that helps."""

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine import eligibility
from engine.duration import in_words, parse, parse_or_endless
from engine.flow import MAX_DURATION, MIN_DURATION
from engine.outcome import Code, Refusal

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("5", 5),
        ("90", 90),
        ("  90\n", 90),
        ("90m", 90),
        ("90 min", 90),
        ("90 MINUTES", 90),
        ("1h", 60),
        ("1.5h", 90),
        ("1,5 h", 90),
        ("0.25 hours", 15),
        ("2d", 2880),
        ("1 week", 10080),
        ("2 h 30", 150),
        ("2h5", 125),
        ("1h30m", 90),
        ("1 hr. 30 min.", 90),
        ("1 hour and 30 minutes", 90),
        ("1 day 2 h 05", 1565),
        ("1 day 30 min", 1470),
        ("1:30", 90),
        ("0:45", 45),
        ("24:00", 1440),
        ("2 Std. 30 Min.", 150),
        ("3 Tage", 4320),
        ("٩٠", 90),
        ("٢٫٥ h", 150),
        ("９０ｍｉｎ", 90),
        ("१ h", 60),
        ("000090", 90),
        ("365 days", 365 * 1440),
    ],
)
def test_what_people_write_is_understood(text, minutes):
    assert parse(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "Say for how long. Write minutes, or something like 90 min"),
        (" \t", "Say for how long."),
        ("soon", "“soon” is not a time. Write minutes, or something like"),
        ("in 5", "“in 5” is not a time."),
        ("nan", "“nan” is not a time."),
        ("1e3", "“1e3” is not a time."),
        ("5²", "“5²” is not a time."),
        ("½ h", "“½ h” is not a time."),
        ("10,000", "“10,000” is not a time."),
        ("1:99", "“1:99” is not a time."),
        ("30m 1h", "“30m 1h” is not a time."),
        ("1h 1h", "“1h 1h” is not a time."),
        ("2h 90", "“2h 90” is not a time."),
        ("2d 3", "“2d 3” is not a time."),
        ("3 fortnights", "“3 fortnights” is not a time."),
        ("-", "“-” is not a time."),
        ("0", "No time at all is too little: the shortest is 5 min."),
        ("0 h", "No time at all is too little"),
        ("-0", "No time at all is too little"),
        ("-5", "“-5” is negative: the shortest time is 5 min."),
        ("−2 h", "“−2 h” is negative"),
        ("4", "“4” is too short: the shortest time is 5 min."),
        ("0.05h", "“0.05h” is too short"),
        ("4.97m", "“4.97m” is too short"),
        ("1.33h", "“1.33h” is not a whole number of minutes. Try 1 h 19."),
        ("366d", "“366d” is too long: the longest time is 365 days."),
        ("99999999999999999999 weeks", "is too long: the longest time is 365 days."),
        pytest.param(str(10**400), "0000…” is too long: the longest", id="10 to the 400"),
        pytest.param("9" * 10_000, "is too long", id="10,000 digits"),
    ],
)
def test_what_cannot_be_is_refused_with_its_own_sentence(text, part):
    refusal = parse(text)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.about) == (Code.BAD_DURATION, "duration")
    assert part in refusal.sentence
    assert len(refusal.sentence) < 200


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        ("m min mins minute minutes Minuten", 1),
        ("h hr hrs hour hours std Stunde Stunden", 60),
        ("d day days Tag Tage Tagen", 1440),
        ("w week weeks Woche Wochen", 10080),
    ],
)
def test_every_word_for_a_unit_is_known(words, minutes):
    for word in words.split():
        assert parse(f"7 {word}") == timedelta(minutes=7 * minutes), word


@pytest.mark.parametrize(
    "word",
    ["s", "sec", "seconds", "month", "months", "y", "year", "hm", "minuted", "eons", "x", "and"],
)
@pytest.mark.parametrize("text", ["90 {}", "90{}", "2 h 30 {}", "30 {} 5 min"])
def test_an_unknown_word_is_no_unit(text, word):
    """Taken for minutes, or left out, it gave somebody another time than they had written."""
    refusal = parse(text.format(word))

    assert isinstance(refusal, Refusal)
    assert refusal.sentence.startswith(f"“{text.format(word)}” is not a time.")


def test_the_limits_are_the_callers():
    assert parse("1", least=MINUTE) == MINUTE
    assert parse("2 days", most=timedelta(days=1)) == Refusal(
        Code.BAD_DURATION, "“2 days” is too long: the longest time is 1 day.", about="duration"
    )


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (None, "without end"),
        (timedelta(seconds=10), "under a minute"),
        (timedelta(minutes=30), "30 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=2, minutes=5), "2 h 05"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=3, minutes=7), "3 days 7 min"),
    ],
)
def test_durations_are_said_as_people_say_them(duration, words):
    assert in_words(duration) == words


def test_eligibility_says_durations_in_the_same_words():
    assert eligibility.in_words is in_words


@given(st.integers(1, MAX_DURATION // MINUTE).map(lambda n: n * MINUTE))
def test_what_is_said_is_understood(duration):
    assert parse(in_words(duration), least=MINUTE) == duration


@pytest.mark.parametrize(
    "text",
    [
        "for  EVER ",
        "FOREVER",
        "ever",
        "indefinite",
        "indefinitely",
        "no end",
        "Without End",
        in_words(None),
    ],
)
def test_words_for_no_end_are_understood_where_it_may_be_asked_for(text):
    assert parse_or_endless(text) is None
    assert isinstance(parse(text), Refusal)


@given(st.text() | st.sampled_from(["90", "2 h 30", "never", "", "end"]))
def test_all_else_is_a_duration_or_a_refusal_as_ever(text):
    assume(parse_or_endless(text) is not None)

    assert parse_or_endless(text) == parse(text)


_TYPED = st.text("0123456789٣９.,:-+ hmdwinHMD²½\n", max_size=12)


@given(st.text() | _TYPED)
def test_any_text_is_whole_minutes_within_the_limits_or_a_refusal(text):
    found = parse(text)

    if isinstance(found, Refusal):
        assert found.sentence
    else:
        assert MIN_DURATION <= found <= MAX_DURATION
        assert found % MINUTE == timedelta()
