"""Core values as bodies: what is read again as it was, and what is no value."""

import json
from dataclasses import replace
from datetime import time

import pytest

from engine.request import Approval, GrantId, Seat, State
from engine.targets import ObjectKind
from engine.window import Day, Window
from storage.codec import (
    dump_account,
    dump_request,
    dump_revision,
    load_account,
    load_object,
    load_request,
    load_revision,
)
from tests.support.builders import AHEAD, BEN, CAT, DAY, NOW, account, life, revision

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


@pytest.mark.parametrize("state", [State.PENDING_MFA, State.PENDING, State.SCHEDULED])
def test_who_knows_of_no_later_start_does_not_read_what_waits_for_one(state):
    """The program before would have given it at once."""
    waits = life(state, starts_at=NOW + DAY).request
    body = json.loads(json.dumps(dump_request(waits)))

    assert load_request(waits.id, waits.version, body) == waits
    assert not {"requestor", "state", "grants"} & body.keys()


@pytest.mark.parametrize(
    "changed",
    [
        {"approvals": (Approval(BEN, frozenset({Seat(0, of=(GrantId(0),))}), NOW),)},
        {"approvals": (Approval(BEN, frozenset({Seat(0)}), NOW, one_with=(CAT,)),)},
        {"stand_ins": (Seat(0, admins=True, of=(GrantId(0),)),)},
    ],
    ids=["a part", "one person", "who stands in for a part"],
)
def test_who_knows_of_no_approval_in_part_does_not_read_what_has_one(changed):
    """The program before would have taken it for the whole, or for one more person."""
    waits = life(State.PENDING).request.with_(**changed)
    body = json.loads(json.dumps(dump_request(waits)))

    assert load_request(waits.id, waits.version, body) == waits
    assert not {"requestor", "state", "grants"} & body.keys()


def test_what_has_begun_is_read_by_everybody():
    made = life(State.SCHEDULED)
    made.tick(AHEAD)
    body = json.loads(json.dumps(dump_request(made.request)))

    assert load_request(1, 1, body) == made.request
    assert body["state"] == "granting"


@pytest.mark.parametrize("body", [{"later": None}, {"later": []}, {"later": {"later": {}}}])
def test_what_is_no_request_of_later_is_no_value(body):
    assert load_request(1, 1, body) is None


def test_what_was_stored_before_a_start_could_be_named_may_start_in_a_week():
    body = dump_revision(revision())

    assert "start_later" not in body
    assert load_revision(body).start_later == 7 * DAY
    assert load_revision(dump_revision(revision(start_later=None))).start_later is None
    assert load_revision({**body, "start_later": "-P1D"}) is None


def test_the_zone_of_an_account_is_read_again():
    zoned = account("UANN", "ann@example.com", zone="Europe/Berlin")

    assert load_account(dump_account(zoned)) == zoned
    assert "zone" not in dump_account(account("UANN", "ann@example.com"))


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": 7}, {"space": 7}, {"description": ["x"]}, {"where": None}]
)
@pytest.mark.parametrize("kind", list(ObjectKind))
def test_an_object_of_which_a_text_is_none_cannot_be_read(kind, wrong):
    said = {"name": "Mine", "where": 'resource_name = "a"', "targets": [], "slice": []}
    assert load_object(kind, said) is not None

    assert load_object(kind, said | wrong) is None
