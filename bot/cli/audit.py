"""Prove what happened, and hand it over."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from bot import settings
from bot.cli.terminal import err, fail, on_desk, out, read, shown
from bot.usecases import whose
from bot.usecases.export import Format, lines
from bot.usecases.verify import verify
from bot.views.text import count
from engine.audit import Anchor, BadAnchorError
from storage.audit import Under

group = typer.Typer(no_args_is_help=True, help="Prove what happened, and hand it over.")


@group.command("verify")
def verify_audit(
    anchors: Annotated[
        list[str] | None, typer.Option("--anchor", help="As the log and the admins have it.")
    ] = None,
) -> None:
    """Compare the audit with its keys and with anchors. Status 1 if it is not whole."""
    try:
        known = [Anchor.of(text) for text in anchors or ()]
    except BadAnchorError as fault:
        fail(str(fault))
    with on_desk(read(settings.load_keys)) as desk:
        found = verify(desk, known, lambda fault: out.print(shown(fault), soft_wrap=True))
    if found.under is Under.OLDER:
        err.print(f"Warning: {whose.NOT_BOUND}.", soft_wrap=True, markup=False)
    if not found.whole:
        fail("The audit is not whole.")
    early = (
        f" {found.early:,} of them are from before there was a key: since an anchor nothing has "
        "changed there, and who wrote them nothing proves."
    )
    entries = count(found.entries, "entry", "entries")
    said = f"The audit is whole: {entries}.{early if found.early else ''}"
    out.print(f"{said} Anchor: {found.anchor}" if found.anchor else said, soft_wrap=True)
    if found.under is Under.FIRST:
        out.print("It takes the first of LATCHKEY_KEYS alone to prove it.", soft_wrap=True)


@group.command("export")
def export_audit(
    as_: Annotated[Format, typer.Option("--format", help="CSV: a spreadsheet.")] = Format.JSONL,
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="In UTC, like 2026-11-02.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="In UTC; itself not counted.")
    ] = None,
) -> None:
    """Print all that happened, the oldest first."""
    begin, end = (_day(text) if text else None for text in (since, until))
    with on_desk() as desk:
        for text in lines(desk, as_, begin, end):
            sys.stdout.write(text)


def _day(text: str) -> datetime:
    """Return a day, or a moment of one, in UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # there is no such moment in UTC, for one
        fail(f"{text} is not a day. Write it like 2026-11-02, or 2026-11-02T09:30.")
