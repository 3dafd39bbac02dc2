"""Lines on their way to a stream that may stall: who says them never waits for who reads them.

What reads a log, a container's driver for one, may stop to; and outsiders can have lines written.
"""

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

ROOM = 4096  # lines that wait, about 2 MB
LOOK_EVERY = 0.01  # seconds


class Lines:
    """Writes what it is given, in order, from a thread of its own. When too many wait, it drops.

    `lost` makes the line that says how many were, once there is room again. What cannot be written
    is lost as well.
    """

    def __init__(self, stream: TextIO, lost: Callable[[int], str]) -> None:
        self._put = _writer(stream)
        self._lost_line = lost
        self._waiting = queue.Queue[str](ROOM)
        self._counts = threading.Lock()
        self._lost = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Take in a line with its end; as a stream does, for `logging`."""
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            with self._counts:
                self._lost += 1
        return len(text)

    def flush(self, within: float = 0.0) -> None:
        """Wait until all is written, for so many seconds."""
        until = time.monotonic() + within
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            threading.Event().wait(LOOK_EVERY)

    def _run(self) -> None:
        while True:
            text = self._waiting.get()
            with suppress(OSError, ValueError):
                self._put(text)
            with self._counts:
                lost, self._lost = self._lost, 0
            if lost:
                with suppress(OSError, ValueError):
                    self._put(self._lost_line(lost))
            self._waiting.task_done()


def _writer(stream: TextIO) -> Callable[[str], object]:
    """Return what writes to the stream, past its buffer where it has a file.

    A thread that hangs in the buffer holds it, and Python dies of that at its end. The descriptor
    is one of its own: the number of one that somebody closes is given to the next file that is
    opened, and lines would be written into that, the database for one.
    """
    try:
        file = os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return lambda text: (stream.write(text), stream.flush())

    def write(text: str) -> None:
        left = text.encode("utf-8", "replace")
        while left:
            left = left[os.write(file, left) :]

    return write
