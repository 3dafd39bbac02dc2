"""The audit, handed over: JSON Lines, or CSV that a spreadsheet can open without harm."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

from bot.usecases.console import Desk
from engine.audit import Written
from engine.directory import Directory, PersonId
from engine.request import code_of
from storage import audit

_FORMULA = tuple("=+-@\t\r\n")  # what a spreadsheet would compute, and not show


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


def lines(
    desk: Desk, as_: Format, since: datetime | None = None, until: datetime | None = None
) -> Iterator[str]:
    """Yield the text in pieces, the oldest entry first; `until` itself does not count."""
    with desk.database.read() as session:
        directory = desk.companies.current(session).directory
        rows = (_row(entry, directory) for entry in audit.written(session, since, until))
        yield from _jsonl(rows) if as_ is Format.JSONL else _csv(rows)


_COLUMNS = ("seq", "at", "actor", "name", "action", "request", "detail", "hash", "key", "mac")


def _row(entry: Written, directory: Directory) -> dict[str, object]:
    person = directory.get(PersonId(entry.actor))
    values = (
        entry.seq,
        entry.at,
        entry.actor,
        person.name if person else "",
        entry.action,
        code_of(entry.request) if isinstance(entry.request, int) else entry.request or "",
        entry.detail,
        entry.hash,
        entry.key,
        entry.mac,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _jsonl(rows: Iterable[dict[str, object]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row) + "\n"


def _csv(rows: Iterable[dict[str, object]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> object:
    text = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
    if isinstance(text, str) and text.startswith(_FORMULA):
        return f"'{text}"
    return text
