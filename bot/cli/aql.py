"""Try queries in AQL: whether one is right, what it says, what it finds."""

import sys
from typing import Annotated, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from bot.cli.terminal import fail, on_desk, out, say_fault, shown
from bot.usecases import catalog
from bot.usecases.catalog import Place
from bot.views.text import count
from bot.views.values import Catalog
from engine.aql.errors import BadQueryError
from engine.aql.explained import explain
from engine.aql.parser import MAX_LENGTH, parse
from engine.aql.query import Query
from engine.inventory import EntitlementId, ResourceStatus
from engine.outcome import Refusal
from storage.types import UNREAD

group = typer.Typer(no_args_is_help=True, help="Try queries in AQL (docs/aql.md).")

_Text = Annotated[
    str, typer.Argument(metavar="QUERY", help="In single quotes; - reads it from stdin.")
]


@group.command("check")
def check_query(text: _Text) -> None:
    """Say whether it is a query, and how it is written plainly; else what is wrong, and where."""
    _say(str(_read(_given(text))))


@group.command("explain")
def explain_query(text: _Text) -> None:
    """Say in words what a query selects."""
    for line in explain(_read(_given(text))).split("\n"):
        _say(line)


@group.command("run")
def run_query(
    text: _Text = "",
    after: Annotated[
        str, typer.Option(metavar="PLACE", help="Go on from there, as the page before says.")
    ] = "",
) -> None:
    """List what a query finds in all systems, and count it. Without a query: everything."""
    query = _given(text) if text else ""
    if query.strip():
        _read(query)
    with on_desk() as desk:
        page = catalog.run(desk, query, _place(after))
    if isinstance(page, Refusal):
        fail(page.sentence)
    for hint in page.hints:
        say_fault(hint)
    _print(page)


def _say(line: str) -> None:
    """Print a line letter by letter, but for what would change the terminal."""
    seen = "".join(letter if letter.isprintable() else UNREAD for letter in line)
    out.print(escape(seen), soft_wrap=True)


def _given(text: str) -> str:
    if text != "-":
        return text
    read = sys.stdin.buffer.read(4 * MAX_LENGTH + 1)  # no letter takes more than four bytes
    try:
        return read.decode("utf-8-sig").strip("\n")
    except UnicodeDecodeError as error:
        fail(f"Byte {error.start + 1} of the query is not UTF-8.")


def _read(text: str) -> Query:
    try:
        return parse(text)
    except BadQueryError as error:
        _point(text, error)


def _point(text: str, error: BadQueryError) -> NoReturn:
    """Show the line that is wrong, and a mark below its place."""
    lines = text.split("\n")
    line = lines[error.line - 1] if error.line <= len(lines) else ""
    start = max(0, error.column - 60)
    part = line[start : start + 120]
    if part.isprintable() and part:
        say_fault(f"  {part}\n  {' ' * (error.column - 1 - start)}^")
    fail(str(error))


def _place(after: str) -> Place:
    last, _, passed = after.partition("/")
    if not after:
        return Place()
    if not (last.isdecimal() and passed.isdecimal() and len(after) < 24):
        fail(f"{after} is no place: copy it from the page before.")
    return Place(EntitlementId(int(last)), int(passed))


def _print(page: Catalog) -> None:
    if page.entitlements:
        table = Table("permission", "resource", "type", "integration", "risk", "status")
        for one in page.entitlements:
            thing = one.resource
            status = "" if thing.status is ResourceStatus.ACTIVE else thing.status
            cells = (one.permission.name, thing.path, thing.type, one.integration.id)
            table.add_row(*map(shown, cells), str(one.risk), status)
        out.print(table)
    last = page.first + len(page.entitlements) - 1
    total = count(page.total, "entitlement")
    found = f"{page.first:,}–{last:,} of {total}" if page.entitlements else count(0, "entitlement")
    more = f" More: --after {page.next}/{last}" if page.next is not None else ""
    out.print(f"{found}.{more}", soft_wrap=True)
