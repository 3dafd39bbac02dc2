"""How much of the machine these tests have: others may be at work beside them."""

import atexit
import fcntl
import math
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bot.sandbox.server import PATIENCE_FACTOR

WORK = 0.3  # seconds of the processor's time
MEMORY, ROOM = "/dev/shm", 6 * 2**30  # bytes
OURS = "latchkey-tests-"
MORE = 6  # for what the tests themselves do at once


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

    No test takes the power away, so none can tell; a commit on a disk takes many times as long.
    It is a folder of this run, and goes with it. What a run that was killed left there goes at
    the next.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    _clear_away()
    room = os.statvfs(MEMORY)
    if room.f_flag & os.ST_NOEXEC or room.f_bavail * room.f_frsize < ROOM:
        return
    folder = tempfile.mkdtemp(prefix=OURS, dir=MEMORY)
    Path(folder).chmod(0o1777)  # as the one that it is in: servers run as somebody else
    lock = os.open(folder, os.O_RDONLY)  # open until this process ends, however it ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def _clear_away() -> None:
    for folder in Path(MEMORY).glob(f"{OURS}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
