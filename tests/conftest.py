import gc
import logging
import os
import tempfile
from itertools import chain, islice

import pytest
import structlog
from hypothesis import Phase, settings

from bot.runtime import redaction
from bot.sandbox.postgres import BINARIES
from engine import lifecycle
from tests.support import machine
from tests.support.places import give_away
from tests.support.postgres import cluster
from tests.support.servers import CHOSEN, binaries

__all__ = ["cluster", "give_away"]

if CHOSEN:  # whoever starts a server, in whatever process, starts this one
    os.environ[BINARIES] = str(binaries(CHOSEN))

# The usual traceback shows all locals of each frame, which takes a second: an answer waits for it.
structlog.get_config()["processors"][-1].exception_formatter = structlog.dev.plain_traceback

# No deadlines: machines differ. What fails is printed so that it can be played again.
settings.register_profile("usual", deadline=None, database=None, print_blob=True)
settings.register_profile("fuzz", settings.get_profile("usual"), max_examples=2000)
# Whether it fails is all that is asked of a mutant: no smaller example is looked for.
found = (Phase.explicit, Phase.generate)
settings.register_profile("mutants", settings.get_profile("usual"), phases=found)
settings.load_profile("usual")

# Files with tests that take long, and mostly wait: they are begun early, so that at the end no
# worker waits for another's; and each beside others, that take the processor meanwhile.
LONG = ("tests/chaos/", "tests/e2e/", "tests/storage/test_unreadable.py")
BESIDE = 3


@pytest.fixture(autouse=True)
def log_as_before():
    """A command in the test's own process says nothing but errors, a benchmark no warning: and so
    would others.

    What the next test was to find in the log was left out.
    """
    before, disabled = structlog.get_config(), logging.root.manager.disable
    yield
    logging.disable(disabled)
    if structlog.get_config()["wrapper_class"] is not before["wrapper_class"]:
        structlog.configure(**before)


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # those get it from the one that starts them
        machine.measure()
        machine.use_memory()


def pytest_report_header():
    return (
        f"sandbox: an app has {machine.factor():g} times the seconds that Slack gives; "
        f"databases in {tempfile.gettempdir()}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Nothing of what is collected is garbage: no look for any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items[:] = _spread(items)
    if items and not items[0].config.getoption("timeout"):
        _give_time(items)


def _spread(items):
    """Return them file by file: after each of the long ones some others.

    Those that share a house, or a sandbox, come in a row: it is open no longer than that.
    """
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = [file for file in files.values() if file[0].nodeid.startswith(LONG)]
    short = [file for file in files.values() if not file[0].nodeid.startswith(LONG)]
    housed = [file for file in short if any("houses" in item.fixturenames for item in file)]
    boxed = [file for file in short if file[0].nodeid.startswith("tests/sandbox/")]
    others = iter([file for file in short if file not in housed and file not in boxed])
    ordered = chain.from_iterable([file, *islice(others, BESIDE)] for file in long)
    return [*chain.from_iterable(chain(ordered, housed, boxed, others))]


def _give_time(items):
    for item in items:
        given = item.get_closest_marker("timeout")
        seconds = float(given.args[0] if given else item.config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(seconds * machine.factor()), append=False)


def pytest_collection_finish():
    """All tests stay: no look for garbage need go through them again, nor be as frequent."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(autouse=True)
def nothing_to_blank():
    """What is a secret in one test, like “before”, is a word in another one."""
    yield
    redaction.forget()


@pytest.fixture
def poison(monkeypatch):
    """Have every decision on a request fail; what is returned heals it."""

    def strike(request):
        decide = lifecycle.decide

        def struck(of, *given):
            if of.id == request.id:
                raise ValueError("poisoned")
            return decide(of, *given)

        monkeypatch.setattr(lifecycle, "decide", struck)
        return lambda: monkeypatch.setattr(lifecycle, "decide", decide)

    return strike
