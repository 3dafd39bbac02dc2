"""Threads that can be left behind: Python's own pool waits for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any


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
