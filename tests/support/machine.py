"""How much of the machine these tests have: others may be at work beside them."""

import math
import os
import tempfile
import time

from bot.sandbox.server import PATIENCE_FACTOR

WORK = 0.3  # seconds of the processor's time
MEMORY, ROOM = "/dev/shm", 6 * 2**30  # bytes
MORE = 3  # for what the tests themselves do at once


def measure() -> float:
    """Return, and set for every sandbox, how many times Slack's three seconds an app has."""
    began, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < WORK:
        pass
    ratio = (time.perf_counter() - began) / WORK
    factor = float(math.ceil(MORE * ratio))
    os.environ[PATIENCE_FACTOR] = str(factor)
    return factor


def factor() -> float:
    """Return what was measured, in this process or in the one that started it."""
    return float(os.environ.get(PATIENCE_FACTOR, "1"))


def use_memory() -> None:
    """Keep what the tests store in memory, where there is room, unless TMPDIR says where.

    No test takes the power away, so none can tell; a commit on a disk takes
    a hundred times as long.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    room = os.statvfs(MEMORY)
    if room.f_flag & os.ST_NOEXEC or room.f_bavail * room.f_frsize < ROOM:
        return
    os.environ["TMPDIR"] = tempfile.tempdir = MEMORY
