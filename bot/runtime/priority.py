"""Whose turn it is: people's first, then the loops', one after another."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

import structlog

from storage.database import Gate

log = structlog.get_logger()

PATIENCE = 0.02  # seconds that a loop lets people go first; then it works beside them
MOMENT = 0.05  # seconds that ends wait for another loop: what it writes at once takes no longer


class Turns:
    """Loops work in `with turns`: a listener's write waits for one of them at most.

    Threads share one interpreter: a loop at work makes each click that is being answered late. It
    begins nothing new meanwhile, for a moment; it is never kept from its work.
    """

    def __init__(self) -> None:
        self._loops = Gate()
        self._lock = threading.Lock()
        self._answering = 0
        self._quiet = threading.Event()
        self._quiet.set()
        self._mine = threading.local()

    @contextmanager
    def answering(self, *, searching: bool = False) -> Iterator[None]:
        """Somebody waits for an acknowledgement, from here to the end of the block.

        Nothing gives way to a search: it does so itself.
        """
        if searching:
            self.give_way()
            yield
            return
        with self._lock:
            self._answering += 1
            self._quiet.clear()
        after = self._mine.after = list[Callable[[], None]]()
        try:
            yield
        finally:
            self._mine.after = None
            with self._lock:
                self._answering -= 1
                if not self._answering:
                    self._quiet.set()
            for run in after:
                try:
                    run()
                except Exception:
                    log.exception("failed after the answer")

    def after_the_answer(self, run: Callable[[], None]) -> None:
        """Run it when who waits for this thread's answer has it; at once if nobody does.

        What is logged then names what was being answered.
        """
        after: list[Callable[[], None]] | None = getattr(self._mine, "after", None)
        if after is None:
            run()
        else:
            after.append(partial(copy_context().run, run))

    def give_way(self, within: float = PATIENCE) -> None:
        """Wait, not for long, until nobody waits for an acknowledgement."""
        self._quiet.wait(within)

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """As `with turns`, for what ends access: it waits for another loop for a moment only."""
        self.give_way()
        entered = self._loops.enter(MOMENT)
        try:
            yield
        finally:
            if entered:
                self._loops.leave()

    def __enter__(self) -> None:
        self.give_way()
        self._loops.__enter__()

    def __exit__(self, *_: object) -> None:
        self._loops.__exit__()
