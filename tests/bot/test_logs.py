"""What is logged never stops what is done."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import structlog

from bot.operations import lines, logs
from bot.slack import http


class Full(io.StringIO):
    """A disk without room, or a pipe that nobody reads."""

    def write(self, _text):
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(logs, "AT_THE_END", 60.0)  # a busy machine may write nothing for a second
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_a_line_that_cannot_be_written_is_lost_and_no_more():
    """A loop's thread ended for good over the line that told of a passing fault."""
    logs.configure(Full())
    log = structlog.get_logger()
    for level in ("info", "warning", "error", "critical"):
        getattr(log, level)("said", why="x")
    log.error("failed", exc_info=KeyError("x"))


def test_half_a_character_does_not_stop_a_line():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    logs.configure(stream)
    structlog.get_logger().info("said", who="\ud800")
    structlog.get_logger().info("and the next")
    logs.flush()
    assert b"and the next" in stream.buffer.getvalue()


def test_lines_of_latchkey_and_of_its_libraries_have_one_form():
    stream = io.StringIO()
    logs.configure(stream)
    structlog.get_logger().info("ours", request="AX-0001")
    logging.getLogger("library").warning("theirs")
    logs.flush()

    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())

    assert (ours["event"], ours["level"], ours["request"]) == ("ours", "info", "AX-0001")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("theirs", "warning", "library")
    assert ours.keys() - {"request"} == theirs.keys() - {"logger"}


def test_no_line_is_written_into_what_has_the_number_of_a_stream_that_was_closed(tmp_path):
    """The next file that was opened had it. Once that was the database: it was destroyed."""
    stream = (tmp_path / "log").open("w")
    logs.configure(stream)
    structlog.get_logger().info("before")
    logs.flush()
    number = stream.fileno()
    stream.close()

    with (tmp_path / "database").open("w") as database:
        assert database.fileno() == number
        structlog.get_logger().info("after")
        logs.flush()

    assert (tmp_path / "database").read_text() == ""
    said = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert said == ["before", "after"]


STALLED = """
import logging, os, threading
import structlog
from bot.operations import logs, signals

logs.configure()
asked = signals.listen()
for number in range(20_000):
    structlog.get_logger().info("ours", number=number, padding="x" * 100)
    logging.getLogger("library").warning("theirs")
print("went on", flush=True)
{then}
"""
ENDS = "asked.to_end.wait(); raise SystemExit(3)"
HANGS = "signals.LATEST = 0; stuck = threading.Lock(); stuck.acquire(); stuck.acquire()"


@pytest.fixture
def pipe():
    """A pipe to write into, for a process, and its other end, which nobody reads unless asked."""
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb") as reader, os.fdopen(writes, "wb") as writer:
        yield reader, writer


@contextmanager
def stalled(writer, then):
    """A process that writes more than the pipe takes; it does not outlive the test."""
    program = [sys.executable, "-c", STALLED.format(then=then)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=writer, text=True) as process:
        late = threading.Timer(60, process.kill)
        late.start()
        try:
            yield process
        finally:
            late.cancel()
            process.kill()


@pytest.mark.parametrize(("then", "status"), [(ENDS, 3), (HANGS, 0)])
def test_a_reader_that_stalls_stops_nothing(pipe, then, status):
    """All threads waited for it: access did not end, no probe was answered, SIGTERM not obeyed."""
    _reader, writer = pipe
    with stalled(writer, then) as process:
        assert process.stdout.readline() == "went on\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == status


def test_a_reader_that_goes_on_is_told_how_many_lines_it_missed(pipe):
    reader, writer = pipe
    with stalled(writer, ENDS) as process:
        writer.close()
        assert process.stdout.readline() == "went on\n"
        said = [json.loads(reader.readline()) for _ in range(lines.ROOM)]
        process.send_signal(signal.SIGTERM)
        said += map(json.loads, reader)
        assert process.wait(60) == 3

    events = [line["event"] for line in said]
    lost = sum(line["lines"] for line in said if "were lost" in line["event"])
    assert lost
    assert events.count("ours") + events.count("theirs") + lost == 40_000


def test_refusals_do_not_fill_the_log(monkeypatch):
    """Whoever reached the door had a line written for each request."""
    refusals = http.Refusals()
    with structlog.testing.capture_logs() as said:
        for _ in range(1000):
            refusals.note("bad signature")
        monkeypatch.setattr(http, "SAY_EVERY", 0.0)
        refusals.note("bad signature")

    assert sum(line["count"] for line in said) == 1001
    assert len(said) < 100
