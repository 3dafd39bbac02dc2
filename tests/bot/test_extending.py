"""Extensions at the bot's own door: offered, in the last second, and while the flow is changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.views import ids
from engine.flow import Extension
from engine.request import State
from storage import sync

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
FLOW = "Read the shop's orders"


@pytest.fixture
def runs(door):
    return door.request(1)


def change(door, *, gone=False, active=True, **revision):
    """Save the flow anew, disable it, or delete it, while access runs under it."""
    known = [f for f in door.services.company().flows.values() if not f.deleted]
    listed = [
        (replace(f.revision, **revision), active) if f.name == FLOW else (f.revision, f.active)
        for f in known
        if not (gone and f.name == FLOW)
    ]
    with door.database.write() as tx:
        sync.flows(tx, listed, door.clock.now())


def extend(door, request, number=1):
    return door.click("marta", ids.EXTEND, f"{request.id}/{number}")


def test_it_is_offered_among_ones_own_access_with_what_is_left(door, runs):
    listed = str(door.command("marta", "my").payload["blocks"])
    assert "Extend (+30 min, 2 left)" in listed

    extend(door, runs)
    door.work()
    assert "Extend (+30 min, 1 left)" in str(door.command("marta", "my").payload["blocks"])


@pytest.mark.parametrize("first", ["the click", "the clock"])
def test_in_the_last_second_either_it_goes_on_or_it_has_ended(door, runs, first):
    """Whichever is first: the end is not half done, and nothing is lengthened that is over."""
    door.clock.move(runs.ends_at - door.clock.now() - (SECOND if first == "the click" else -SECOND))
    if first == "the clock":
        door.work()
    said = extend(door, runs).said
    door.clock.move(2 * SECOND)
    door.work()

    now = door.request(runs.id)
    if first == "the click":
        assert (now.state, now.ends_at) == (State.ACTIVE, runs.ends_at + 30 * MINUTE)
        assert not said
    else:
        assert (now.state, now.extensions_used) == (State.EXPIRED, 0)
        assert "This access ended" in said


def test_at_the_moment_of_the_end_the_click_fails_cleanly_before_the_clock_has_looked(door, runs):
    door.clock.move(runs.ends_at - door.clock.now())

    assert "just ended" in extend(door, runs).said
    assert door.request(runs.id).ends_at == runs.ends_at
    door.work()
    assert door.request(runs.id).state is State.EXPIRED


@pytest.mark.parametrize("to", [None, Extension(1, 5 * MINUTE)], ids=["none", "less"])
def test_after_an_edit_what_runs_is_extended_as_its_own_revision_says(door, runs, to):
    change(door, extension=to)

    assert not extend(door, runs).said
    assert door.request(runs.id).ends_at == runs.ends_at + 30 * MINUTE
    door.work()
    assert door.request(runs.id).state is State.ACTIVE


@pytest.mark.parametrize("how", [{"active": False}, {"gone": True}], ids=["disabled", "deleted"])
def test_a_flow_that_is_closed_extends_nothing_and_what_runs_runs_to_its_end(door, runs, how):
    change(door, **how)
    door.work()

    assert "takes no extensions any more" in extend(door, runs).said
    assert "Extend (" not in str(door.command("marta", "my").payload["blocks"])
    now = door.request(runs.id)
    assert (now.state, now.ends_at) == (State.ACTIVE, runs.ends_at)
    door.clock.move(runs.ends_at - door.clock.now())
    door.work()
    assert door.request(runs.id).state is State.EXPIRED


def test_a_flow_that_is_enabled_again_extends_again(door, runs):
    change(door, active=False)
    assert extend(door, runs).said
    change(door)

    assert not extend(door, runs).said
    assert door.request(runs.id).ends_at == runs.ends_at + 30 * MINUTE
