"""SIGTERM and Ctrl-C: heard whichever thread they come to, and obeyed whatever hangs."""

import os
import signal
import threading

import structlog

LATEST = 9.0  # seconds after the signal; orchestrators kill after ten

log = structlog.get_logger()


def ending() -> threading.Event:
    """Return what is set when the process is to end. `LATEST` seconds after that it has ended.

    Python runs handlers in the main thread only. A signal that comes to another one, as it does
    right after SIGCONT, does not wake it from a wait; but its number is written to a descriptor at
    once. To be called by the main thread.
    """
    asked = threading.Event()
    heard, said = os.pipe()
    os.set_blocking(said, False)
    signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        while not {signal.SIGTERM, signal.SIGINT} & set(os.read(heard, 64)):
            pass
        asked.set()
        threading.Event().wait(LATEST)
        log.error("not all came to its end in time; it is taken up again at the next start")
        os._exit(0)

    threading.Thread(target=listen, name="signals", daemon=True).start()
    return asked
