"""What is logged never stops what is done."""

import io
import json
import logging

import pytest
import structlog

from bot import logs


class Full(io.StringIO):
    """A disk without room, or a pipe that nobody reads."""

    def write(self, _text):
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def as_before():
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


def test_lines_of_latchkey_and_of_its_libraries_have_one_form():
    stream = io.StringIO()
    logs.configure(stream)
    structlog.get_logger().info("ours", request="AX-0001")
    logging.getLogger("library").warning("theirs")

    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())

    assert (ours["event"], ours["level"], ours["request"]) == ("ours", "info", "AX-0001")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("theirs", "warning", "library")
    assert ours.keys() - {"request"} == theirs.keys() - {"logger"}
