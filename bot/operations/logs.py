"""Logs: one JSON object a line on stderr, of Latchkey and of its libraries alike.

No known secret is in any of them, whoever wrote the line.
"""

import atexit
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from bot.operations.lines import Lines
from bot.runtime.redaction import redact

AT_THE_END = 1.0  # seconds, for what is not written yet when the process ends

_written: list[Lines] = []  # to what `configure` was given last


class _Log(structlog.WriteLogger):
    """Writes each line as a whole; one that cannot be written is lost. What is logged goes on."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def msg(self, message: str) -> None:
        self._lines.write(f"{message}\n")

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


@atexit.register
def flush() -> None:
    """Have written what was logged, if it can be within `AT_THE_END`: nothing hangs here."""
    for lines in _written:
        lines.flush(AT_THE_END)


def configure(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Send all logs to the stream (stderr, if none is given) from now on."""
    lines = Lines(stream or sys.stderr, _lost)
    _written[:] = [lines]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
        _without_secrets,
    ]
    # Latchkey's own lines go straight to the stream: the detour by `logging` costs several times
    # what the line does.
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Log(lines),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)


def _lost(count: int) -> str:
    said = {"lines": count, "event": "lines were lost: what reads the log did not keep up"}
    when = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({**said, "level": "warning", "timestamp": when}) + "\n"


def _without_secrets(_logger: object, _level: str, line: Any) -> str:  # noqa: ANN401  (structlog's)
    return redact(line)


QUIET = {
    # It logs each failed call, with what was said: `bot.slack` says once that Slack is away.
    "slack_sdk": logging.CRITICAL,
    "slack_bolt": logging.ERROR,
    # A loop that is slow is woken once, not once for each second: `loop_lag` shows it.
    "apscheduler": logging.ERROR,
    "websockets": logging.CRITICAL,
    "uvicorn": logging.WARNING,
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,
}
