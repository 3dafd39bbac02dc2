"""Waits are for a condition; their limit is for when it never comes, and knows the machine."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from tests.support import machine

T = TypeVar("T")

PATIENCE = 30.0  # seconds


def wait_until(seen: Callable[[], T], what: str = "it came about", patience: float = PATIENCE) -> T:
    """Return what is seen, as soon as it is anything; `patience`: seconds."""
    for _ in looks(patience):
        if found := seen():
            return found
    raise AssertionError(f"never so: {what}")


def looks(patience: float, *, first: float = 0.002) -> Iterator[None]:
    """Pause between looks, longer and longer up to 0.1 s: others need the processor meanwhile.

    `patience`: seconds on a machine that has nothing else to do.
    """
    give_up, pause = time.monotonic() + patience * machine.factor(), first
    yield
    while time.monotonic() < give_up:
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)
        yield
