"""Waits are for a condition; their limit is for when it never comes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0  # seconds


def wait_until(seen: Callable[[], T], what: str = "it came about", patience: float = PATIENCE) -> T:
    """Return what is seen, as soon as it is anything; `patience`: seconds."""
    give_up = time.monotonic() + patience
    while not (found := seen()):
        assert time.monotonic() < give_up, f"never so: {what}"
        time.sleep(0.002)
    return found
