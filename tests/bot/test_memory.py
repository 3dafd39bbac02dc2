"""How long the process looks for garbage where much stays."""

import gc
import weakref

import pytest

from bot.operations import memory


class Knot(list):
    """Refers to itself: it is only freed by a look."""


@pytest.fixture(autouse=True)
def spared():
    """In a process of 1,000,000 things that stay."""
    memory.spare_what_stays()
    yield [[number] for number in range(1_000_000)]
    gc.callbacks.pop()
    gc.unfreeze()


def test_what_a_long_look_found_to_stay_is_not_looked_through_again(spared):
    """Each look at a large company stopped all threads for 0.15 s, several times a minute."""
    gc.collect()
    assert len(gc.get_objects()) < len(spared)
    assert gc.get_freeze_count() > len(spared)


def test_what_comes_after_it_is_looked_through():
    gc.collect()
    knot = Knot()
    knot.append(knot)
    gone = weakref.ref(knot)
    del knot
    gc.collect()
    assert gone() is None
