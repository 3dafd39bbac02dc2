"""Signals: heard whichever thread they come to; SIGTERM and Ctrl-C are obeyed whatever hangs."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from bot.operations import logs

LATEST = 9.0  # seconds after the signal; orchestrators kill after ten

log = structlog.get_logger()


def _nothing() -> None:
    pass


@dataclass
class Asked:
    """`to_end` is set when the process is to end; SIGHUP calls `to_apply`, which returns soon."""

    to_end: threading.Event = field(default_factory=threading.Event)
    to_apply: Callable[[], None] = _nothing


def listen() -> Asked:
    """Return what is asked for. `LATEST` seconds after the process is to end it has ended.

    Python runs handlers in the main thread only. A signal that comes to another one, as it does
    right after SIGCONT, does not wake it from a wait; but its number is written to a descriptor at
    once. To be called by the main thread.
    """
    asked = Asked()
    heard, said = os.pipe()
    os.set_blocking(said, False)
    signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)

    def hear() -> None:
        while not {signal.SIGTERM, signal.SIGINT} & (numbers := set(os.read(heard, 64))):
            if signal.SIGHUP in numbers:
                asked.to_apply()
        asked.to_end.set()
        threading.Event().wait(LATEST)
        log.error("not all came to its end in time; it is taken up again at the next start")
        logs.flush()
        os._exit(0)

    threading.Thread(target=hear, name="signals", daemon=True).start()
    return asked
