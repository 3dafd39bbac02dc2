"""What the process does with its memory: how much it takes, and how long it looks for garbage."""

import ctypes
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ARENAS = 1
LONG = 0.02  # seconds of the processor's

_ARENA_MAX = -8  # malloc.h of glibc: M_ARENA_MAX


def share_arenas() -> None:
    """Let all threads have their memory from the same place.

    Left alone, glibc keeps one for each of 8 times as many threads as there are processors, and
    gives nothing of it back: a tenth of what the program takes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and needs none
    if mallopt:
        mallopt(_ARENA_MAX, ARENAS)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Read what is large, and stays, without looks for garbage meanwhile, nor in it later.

    They are a third of the time that it takes to read a company of 100,000 people.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def spare_what_stays() -> None:
    """Leave out of the next looks for garbage what a look that took long has found to stay.

    A look at a company of 10,000 people and 100,000 entitlements takes 0.15 s, in which no thread
    goes on; there were several a minute while people searched. What is left out is freed all the
    same once nobody refers to it; what comes to refer to itself only later is not: so this is done
    after long looks only, which what is under way does not make long.
    """
    began = 0.0

    def looks(phase: str, about: dict[str, Any]) -> None:
        nonlocal began
        if about["generation"] < 2:
            return
        if phase == "start":
            began = time.thread_time()
        elif time.thread_time() - began > LONG:
            gc.freeze()

    gc.callbacks.append(looks)
