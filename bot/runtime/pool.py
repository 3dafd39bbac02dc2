"""Threads that can be left behind: Python's own pool, and much else, waits for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import structlog

from storage.database import AWAY

log = structlog.get_logger()


class Pool:
    """`workers` threads. After `stop`, `submit` raises RuntimeError."""

    def __init__(self, workers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()

    def submit(self, run: Callable[..., object], *arguments: object) -> None:
        future = self._pool.submit(run, *arguments)
        with self._lock:
            self._open.add(future)
        future.add_done_callback(self._forget)

    def stop(self, within: float, *, finish: bool = False) -> bool:
        """Begin nothing new (`finish`: but what was submitted). Return whether all came to its end.

        What did not goes on; the process ends under it.
        """
        self._pool.shutdown(wait=False, cancel_futures=not finish)
        with self._lock:
            left = set(self._open)
        return not wait(left, timeout=within).not_done

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)


def in_time(what: str, seconds: float, run: Callable[[], bool | None]) -> bool:
    """Run it for so long at most, then go on without it. Return whether it came to a good end."""
    good = threading.Event()

    def runs() -> None:
        try:
            if run() is not False:
                good.set()
        except AWAY as fault:
            log.warning("not done", what=what, why=type(fault).__name__)
        except Exception:
            log.exception("not done", what=what)

    thread = threading.Thread(target=runs, name=what, daemon=True)
    thread.start()
    thread.join(seconds)
    return good.is_set()
