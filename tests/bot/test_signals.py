"""The end of a process that is asked to end, whatever its main thread waits for."""

import signal
import subprocess
import sys

import pytest

PROCESS = """
import os, signal, threading
from bot.operations import signals

asked = signals.listen()
{then}
"""
READY = 'print("ready", flush=True)\n'
PATIENT = READY + "asked.to_end.wait(); raise SystemExit(3)"
TAKES_IN = "asked.to_apply = lambda: os._exit(4)\n"
STUCK = READY + "signals.LATEST = 0.1; stuck = threading.Lock(); stuck.acquire(); stuck.acquire()"
ELSEWHERE = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})\n"


def ended(then: str, number: signal.Signals) -> int:
    """Return the status that a process ends with after the signal."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS.format(then=then)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        return process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_who_waits_is_told(number):
    assert ended(PATIENT, number) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_main_thread_that_no_signal_comes_to_is_told(number):
    """As right after SIGCONT: the signal comes to another thread, and no handler runs."""
    assert ended(ELSEWHERE + PATIENT, number) == 3


def test_a_main_thread_that_waits_is_told_to_take_files_in():
    then = ELSEWHERE.replace("{", "{signal.SIGHUP, ") + TAKES_IN + PATIENT
    assert ended(then, signal.SIGHUP) == 4


def test_what_hangs_does_not_keep_the_process():
    """A start that waits for a lock of the database, for one."""
    assert ended(STUCK, signal.SIGTERM) == 0
