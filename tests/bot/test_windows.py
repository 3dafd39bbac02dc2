"""When a flow can be asked for, as the files write it, and what is said of every fault."""

import json
import re
from datetime import time
from itertools import product
from zoneinfo import available_timezones

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.window import Day, Window
from manifests.marked_yaml import read
from manifests.parts import Ours, faults_of
from manifests.windows import When, written

OFFICE = {"days": "Mon-Fri", "from": "09:00", "to": "17:00", "zone": "Europe/Berlin"}
SHORT = {day.short: day for day in Day}


class Flow(Ours):
    """A flow, of which this is all."""

    when: When = None

    def window(self):
        return self.when and self.when.window()


def window(**parts):
    return Flow(when=OFFICE | parts).window()


def faults(when):
    with pytest.raises(ValidationError) as raised:
        Flow(when=when)
    return [
        (".".join(str(step) for step in place), sentence)
        for place, sentence in faults_of(raised.value, Flow)
    ]


def test_always_is_said_or_left_out():
    assert Flow().window() is Flow(when="always").window() is Flow(when=" Always ").window() is None


def test_days_and_times_are_read_as_a_file_has_them(tmp_path):
    """YAML has a number in `17:00`, and a key in `on`."""
    file = tmp_path / "flows.yaml"
    file.write_text(
        "when:\n  days: [Mon, tuesday, SUN]\n  from: 22:00\n  to: 6:30\n  zone: Asia/Kolkata\n"
    )
    ((document,), _) = read(file, file.name)

    assert Flow.model_validate(document.data).window() == Window(
        frozenset({Day.MONDAY, Day.TUESDAY, Day.SUNDAY}), time(22), time(6, 30), "Asia/Kolkata"
    )


@pytest.mark.parametrize(
    ("days", "found"),
    [
        ("Sat", "Sat"),
        ("Mon-Fri", "Mon Tue Wed Thu Fri"),
        ("monday – wednesday", "Mon Tue Wed"),
        ("Sat-Mon", "Sat Sun Mon"),
        ("Mon-Sun", "Mon Tue Wed Thu Fri Sat Sun"),
        ("Tue-Mon", "Mon Tue Wed Thu Fri Sat Sun"),
        ("Wed-Wed", "Wed"),
        (["Mon-Tue", "Tue", "Sun"], "Mon Tue Sun"),
    ],
)
def test_days_are_one_or_several_or_from_one_to_another(days, found):
    assert window(days=days).days == {SHORT[name] for name in found.split()}


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("9:00", "17:30", "09:00–17:30"),
        ("22:00", "06:00", "22:00–06:00"),
        ("22:00", "24:00", "22:00–24:00"),
        ("22:00", "00:00", "22:00–24:00"),
        ("00:00", "24:00", "00:00–24:00"),
    ],
)
def test_times_are_read_as_they_are_said(start, end, words):
    assert str(window(**{"from": start, "to": end})) == f"Mon–Fri {words} Europe/Berlin"


@pytest.mark.parametrize(
    ("when", "found"),
    [
        (None, "nothing"),
        ("soon", "“soon”"),
        ("Mon-Fri 09:00-17:00", "“Mon-Fri 09:00-17:00”"),
        (["always"], "a list"),
    ],
)
def test_what_is_neither_form_is_no_always(when, found):
    assert faults(when) == [("when", f"Write `always`, or days, from, to and zone; found {found}.")]


DAYS = "Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday"
NO_TIME = "is no time of day. Write hours and minutes: 09:00."
NO_ZONE = "is no IANA time zone, such as Europe/Berlin."


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("days", "Mnday", "There is no day “Mnday”. Did you mean `Monday`?"),
        ("days", "Mon-", f"There is no day “”. Known here: {DAYS}."),
        ("days", "Mon-Wed-Fri", f"There is no day “Wed-Fri”. Known here: {DAYS}."),
        ("days", "weekend", f"There is no day “weekend”. Known here: {DAYS}."),
        ("days", OFFICE, "Write a list, each item after a dash; found keys and values."),
        ("days", [None], "Write a day of the week, such as Mon; found nothing."),
        ("days", [], "The list is empty. Name at least one."),
        ("from", "25:00", f"“25:00” {NO_TIME}"),
        ("from", "24:00", f"“24:00” {NO_TIME}"),
        ("from", "09:60", f"“09:60” {NO_TIME}"),
        ("from", "9", f"“9” {NO_TIME}"),
        ("from", "9am", f"“9am” {NO_TIME}"),
        ("from", "09:00:30", f"“09:00:30” {NO_TIME}"),
        ("from", "٠٩:٠٠", f"“٠٩:٠٠” {NO_TIME}"),
        ("from", None, "Write text; found nothing."),
        ("to", "24:01", f"“24:01” {NO_TIME}"),
        ("to", "-1:00", f"“-1:00” {NO_TIME}"),
        ("to", "", "The text is empty."),
        (
            "to",
            "9:00",
            "From 09:00 to 09:00 is no time. For a whole day write from 00:00 to 24:00.",
        ),
        ("zone", "Berlin", f"“Berlin” {NO_ZONE} Did you mean `Europe/Berlin`?"),
        ("zone", "europe/berlin", f"“europe/berlin” {NO_ZONE} Did you mean `Europe/Berlin`?"),
        ("zone", "New York", f"“New York” {NO_ZONE} Did you mean `America/New_York`?"),
        ("zone", "EUROPE/PARIS", f"“EUROPE/PARIS” {NO_ZONE} Did you mean `Europe/Paris`?"),
        ("zone", "Germany/Berlin", f"“Germany/Berlin” {NO_ZONE} Did you mean `Europe/Berlin`?"),
        ("zone", "Rome", f"“Rome” {NO_ZONE} Did you mean `Europe/Rome`?"),
        ("zone", "utc", f"“utc” {NO_ZONE} Did you mean `UTC`?"),
        ("zone", "qqq", f"“qqq” {NO_ZONE} Check the spelling."),
        ("zone", "../UTC", f"“../UTC” {NO_ZONE} Did you mean `UTC`?"),
        ("zone", None, "Write text; found nothing."),
    ],
)  # fmt: skip
def test_a_fault_in_a_window(key, value, sentence):
    ((place, said),) = faults(OFFICE | {key: value})

    assert (place.split(".")[:2], said) == (["when", key], sentence)


def test_midnight_to_midnight_is_refused_until_it_says_which_one():
    assert faults(OFFICE | {"from": "00:00", "to": "0:00"}) == [
        (
            "when.to",
            "From 00:00 to 00:00 is no time. For a whole day write from 00:00 to 24:00.",
        )
    ]


@pytest.mark.parametrize("zone", ["CEST", "PDT", "GMT+1", "UTC+02:00"])
def test_letters_of_a_time_are_taken_for_no_other_zone(zone):
    """`GMT+1` was near to `Etc/GMT+1`, which is two hours behind what was meant."""
    assert faults(OFFICE | {"zone": zone}) == [
        ("when.zone", f"“{zone}” {NO_ZONE} Name a city there.")
    ]


@pytest.mark.parametrize("zone", ["localtime", "Factory"])
def test_a_zone_that_each_machine_has_another_of_is_none(zone):
    ((place, said),) = faults(OFFICE | {"zone": zone})

    assert place == "when.zone"
    assert said.startswith(f"“{zone}” {NO_ZONE}")


def test_all_that_is_wrong_is_named_at_once():
    wrong = {"days": ["Mon", "Blursday"], "from": "noon", "timezone": "UTC"}

    assert faults(wrong) == [
        ("when.days.1", "There is no day “Blursday”. Did you mean `Thursday`?"),
        ("when.from", f"“noon” {NO_TIME}"),
        ("when.to", "`to` is missing."),
        ("when.zone", "`zone` is missing."),
        ("when.timezone", "There is no `timezone` here. Did you mean `zone`?"),
    ]


def test_the_keys_that_are_known_are_those_of_the_file():
    """They were `start` and `end`, as the code has them."""
    assert faults(OFFICE | {"start": "09:00"}) == [
        ("when.start", "There is no `start` here. Known here: days, from, to, zone.")
    ]


_TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(
    st.frozensets(st.sampled_from(Day), min_size=1),
    st.tuples(_TIMES, _TIMES).filter(lambda times: times[0] != times[1])
    | st.just((time(), time())),
    st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})),
)
def test_what_is_written_is_read_again_as_it_was(days, times, zone):
    window_ = Window(days, *times, zone)

    text = yaml.safe_dump({"when": written(window_)})

    assert Flow.model_validate(yaml.safe_load(text)).window() == window_


def test_the_schema_allows_both_forms():
    schema = Flow.model_json_schema()
    document = schema["$defs"]["WhenDocument"]

    assert schema["properties"]["when"]["anyOf"] == [
        {"$ref": "#/$defs/WhenDocument"},
        {"const": "always", "type": "string"},
    ]
    assert document["required"] == list(document["properties"]) == ["days", "from", "to", "zone"]
    assert not document["additionalProperties"]
    assert json.dumps(schema)


def test_the_schema_s_patterns_allow_what_is_read_and_no_more():
    properties = Flow.model_json_schema()["$defs"]["WhenDocument"]["properties"]
    day, days = properties["days"]["anyOf"]
    clocks = [f"{h}:{m}" for h, m in product(["8", "08", "24", "22"], ["01", "00", "60", "5"])]

    assert days["items"] == day
    for key, texts in {
        "days": ["Mon", "Monday", "Sat-Mon", "Thursday-Fri", "Mond", "Mon-", "-", ""],
        "from": clocks,
        "to": clocks,
    }.items():
        pattern = properties[key].get("pattern") or day["pattern"]
        for text in texts:
            try:
                Flow(when=OFFICE | {key: text})
            except ValidationError:
                assert not re.search(pattern, text), text
            else:
                assert re.search(pattern, text), text
