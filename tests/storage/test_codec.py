"""Core values as bodies: what is read again as it was, and what is no value."""

import json
from dataclasses import replace
from datetime import time

import pytest

from engine.window import Day, Window
from storage.codec import dump_revision, load_revision
from tests.support.builders import revision

NIGHTS = Window(frozenset({Day.SUNDAY, Day.FRIDAY}), time(22), time(6, 30), "Asia/Kolkata")


def test_a_window_is_read_again_as_it_was():
    body = json.loads(json.dumps(dump_revision(revision(when=NIGHTS))))

    assert load_revision(body) == revision(when=NIGHTS)
    assert body["when"] == {
        "days": ["Friday", "Sunday"],
        "start": "22:00:00",
        "end": "06:30:00",
        "zone": "Asia/Kolkata",
    }


def test_what_was_stored_before_there_were_windows_is_open_always():
    body = dump_revision(revision())

    assert "when" not in body
    assert load_revision(body) == revision(when=None)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("start", "22:00:00+01:00"),
        ("end", "06:30:00Z"),
        ("end", "24:00"),
        ("days", ["Blursday"]),
        ("zone", None),
    ],
)
def test_a_window_that_no_clock_on_a_wall_shows_is_no_value(part, value):
    """Times with an offset of their own cannot be compared with what the clocks there show."""
    body = dump_revision(revision(when=NIGHTS))
    body["when"][part] = value

    assert load_revision(body) is None


def test_a_window_in_a_zone_that_is_not_known_is_read_and_never_open():
    lost = revision(when=replace(NIGHTS, zone="Atlantis/City"))

    assert load_revision(dump_revision(lost)) == lost
